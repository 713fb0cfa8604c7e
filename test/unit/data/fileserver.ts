import { createHash } from "node:crypto";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach } from "vitest";

export interface FileServer {
  url: string;
  /** Headers of every request, in order. */
  requests: IncomingHttpHeaders[];
  /** How the next answers behave. Change it between requests. */
  behaviour: Behaviour;
}

export interface Behaviour {
  body: Uint8Array;
  /** Status instead of the body, for this many requests. */
  fail?: { status: number; times: number };
  /** Cuts the connection after so many bytes of an answer, for this many requests. */
  cut?: { bytes: number; times: number };
  /** Sends nothing more after so many bytes. */
  stall?: number;
  ranges: boolean;
  validator: "etag" | "weak etag" | "date" | "none";
  /** Leaves out the length (chunked transfer). */
  lengthless?: boolean;
  /** Lies about where a range starts. */
  shifted?: boolean;
}

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** A publisher on 127.0.0.1 with one file, its faults under control. Closed after the test. */
export async function serveFile(body: Uint8Array): Promise<FileServer> {
  const state: FileServer = { url: "", requests: [], behaviour: { body, ranges: true, validator: "etag" } };
  const server = createServer((request, response) => {
    const now = state.behaviour;
    state.requests.push(request.headers);
    if (now.fail && now.fail.times-- > 0) {
      response.writeHead(now.fail.status).end("no");
      return;
    }
    const etag = `"${createHash("md5").update(now.body).digest("hex")}"`;
    const current = { "etag": etag, "weak etag": `W/${etag}`, "date": "Wed, 21 Oct 2015 07:28:00 GMT", "none": "" }[now.validator];
    const headers: Record<string, string> = { "content-type": "application/zip" };
    if (now.validator !== "none") headers[now.validator === "date" ? "last-modified" : "etag"] = current;
    const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1];
    const condition = request.headers["if-range"];
    const ranged = now.ranges && asked !== undefined && (condition === undefined || condition === current);
    const from = ranged ? Number(asked) : 0;
    if (ranged && from >= now.body.length) {
      response.writeHead(416, { "content-range": `bytes */${now.body.length}` }).end();
      return;
    }
    const sent = now.body.subarray(from);
    if (ranged) headers["content-range"] = `bytes ${from + (now.shifted ? 1 : 0)}-${now.body.length - 1}/${now.body.length}`;
    if (!now.lengthless) headers["content-length"] = String(sent.length);
    response.writeHead(ranged ? 206 : 200, headers);
    if (now.stall !== undefined) response.write(sent.subarray(0, now.stall));
    else if (now.cut && now.cut.times-- > 0) response.write(sent.subarray(0, now.cut.bytes), () => setTimeout(() => response.destroy(), 20));
    else response.end(sent);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  }));
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/set.zip`;
  return state;
}

/** Bytes that no packer can shrink, the same on every run. */
export function noise(length: number): Uint8Array {
  let state = 2463534242;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 0xff;
  });
}
