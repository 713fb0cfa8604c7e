import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { transfer } from "../../../src/data/transfer.js";
import { noise, serveFile } from "./fileserver.js";
import { dataError, scratch } from "./scratch.js";

describe("transfer", () => {
  it("gives a silent connection up and goes on from there", async () => {
    const body = noise(200_000), server = await serveFile(body), part = join(scratch(), "part");
    server.behaviour.stall = 50_000;
    await dataError(() => transfer(server.url, part, { idle: 1000, retries: 0, limit: 1e6 }), "DATA_DOWNLOAD_CUT", "no byte arrived");
    delete server.behaviour.stall;
    expect(await transfer(server.url, part, { limit: 1e6 })).toEqual({ bytes: 200_000, resumed: true });
    expect(readFileSync(part).equals(body)).toBe(true);
    expect(server.requests[1]!.range).toMatch(/^bytes=\d+-$/);
  });

  it("takes a file without a stated length", async () => {
    const body = noise(50_000), server = await serveFile(body), part = join(scratch(), "part");
    server.behaviour.lengthless = true;
    const totals: number[] = [];
    expect(await transfer(server.url, part, { limit: 1e6, onProgress: (_, total) => totals.push(total) })).toEqual({ bytes: 50_000, resumed: false });
    expect(readFileSync(part).equals(body)).toBe(true);
    expect(new Set(totals)).toEqual(new Set([0]));
  });

  it("does not resume what a proxy packed on the way", async () => {
    const part = join(scratch(), "part"), ranges: (string | null)[] = [];
    const fetch: typeof globalThis.fetch = async (_, init) => {
      ranges.push(new Headers(init?.headers).get("range"));
      return new Response("text", { headers: { "content-encoding": "gzip", "content-length": "99", "etag": '"a"' } });
    };
    expect(await transfer("http://packed/", part, { fetch, limit: 1e6 })).toEqual({ bytes: 4, resumed: false });
    writeFileSync(part, "te");
    await transfer("http://packed/", part, { fetch, limit: 1e6 });
    expect(ranges).toEqual([null, null]);
    expect(readFileSync(part, "utf8")).toBe("text");
  });

  it("refuses a part of a file that it did not ask for", async () => {
    const part = join(scratch(), "part");
    const fetch: typeof globalThis.fetch = async () => new Response("text", { status: 206, headers: { "content-range": "bytes 5-8/9" } });
    await dataError(() => transfer("http://odd/", part, { fetch, limit: 1e6, retries: 1, retryDelay: 1 }), "DATA_DOWNLOAD_CUT", "another part");
    expect(existsSync(part)).toBe(false);
  });

  it("waits between attempts and can be stopped there", async () => {
    const server = await serveFile(noise(10)), stop = new AbortController();
    server.behaviour.fail = { status: 500, times: 99 };
    const run = transfer(server.url, join(scratch(), "part"), { limit: 1e6, retryDelay: 1e8, signal: stop.signal });
    setTimeout(() => stop.abort(new Error("enough")), 50);
    await expect(run).rejects.toThrow("enough");
    expect(server.requests).toHaveLength(1);
  });
});
