import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { zipSync, Zip, ZipDeflate, strToU8 } from "fflate";
import { describe, expect, it } from "vitest";
import { unpack, type UnpackOptions } from "../../../src/data/archive.js";
import { noise } from "./fileserver.js";
import { dataError, scratch } from "./scratch.js";

async function open(archive: Uint8Array, options?: UnpackOptions): Promise<{ folder: string; files: string[] }> {
  const home = scratch(), folder = join(home, "out");
  mkdirSync(folder);
  writeFileSync(join(home, "set.zip"), archive);
  try {
    return { folder, files: await unpack(join(home, "set.zip"), folder, options) };
  } finally {
    expect(readdirSync(home).sort(), "nothing leaves the folder").toEqual(["out", "set.zip"]);
  }
}

/** A zip as streaming writers make it: sizes follow the data. */
function streamed(entries: Record<string, Uint8Array>): Uint8Array {
  const chunks: Uint8Array[] = [];
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    chunks.push(chunk);
  });
  for (const [name, data] of Object.entries(entries)) {
    const file = new ZipDeflate(name);
    zip.add(file);
    file.push(data, true);
  }
  zip.end();
  return Buffer.concat(chunks);
}

describe("unpack", () => {
  it("gives back any files, stored or deflated, with sizes in front or behind", async () => {
    const name = fc.stringMatching(/^[a-z]{1,8}\.txt$/);
    const content = fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.nat(200_000).map((size) => Uint8Array.from({ length: size }, (_, at) => (at * 7 + (at >> 5)) & 0x3f)));
    await fc.assert(fc.asyncProperty(fc.dictionary(name, content, { minKeys: 1, maxKeys: 4 }), fc.constantFrom("stored", "deflated", "streamed"), async (files, form) => {
      const entries = Object.fromEntries(Object.entries(files).map(([file, data]) => [`set/${file}`, data]));
      const { folder, files: found } = await open(form === "streamed" ? streamed(entries) : zipSync(entries, { level: form === "stored" ? 0 : 6 }));
      expect([...found].sort()).toEqual(Object.keys(entries).sort());
      for (const [file, data] of Object.entries(entries)) expect(readFileSync(join(folder, file)).equals(data)).toBe(true);
    }), { numRuns: 30 });
  });

  it("writes only what has a place, and reports the bytes it read", async () => {
    const archive = zipSync({ "set/": new Uint8Array(0), "set/u.data": strToU8("1"), "set/mku.sh": strToU8("rm"), "other": strToU8("x") });
    const seen: [number, number][] = [];
    const { folder, files } = await open(archive, {
      place: (entry) => (entry === "set/u.data" ? "u.data" : undefined), onProgress: (done, total) => seen.push([done, total]),
    });
    expect(files).toEqual(["u.data"]);
    expect(readdirSync(folder)).toEqual(["u.data"]);
    expect(seen.at(-1)).toEqual([archive.length, archive.length]);
  });

  it.each(["../evil", "set/../../evil", "/etc/evil", "set//evil", "./evil", "C:/evil", "set\\..\\evil", "set/evil\u001b[31m", "set/..", "nul.", `${"a/".repeat(9)}evil`, "a".repeat(241)])(
    "refuses the name %j even when it would be left out", async (name) => {
      const archive = zipSync({ "set/u.data": strToU8("1"), [name]: strToU8("x") });
      await dataError(() => open(archive, { place: (entry) => (entry === "set/u.data" ? "u.data" : undefined) }), "DATA_ARCHIVE_NAME", "lead out of the folder");
    });

  it("refuses a name that stands twice, in any case, or as file and folder", async () => {
    await dataError(() => open(zipSync({ "set/a": strToU8("1"), "set/A": strToU8("2") })), "DATA_ARCHIVE_NAME", "twice");
    await dataError(() => open(zipSync({ "set/a": strToU8("1"), "set/a/b": strToU8("2") })), "DATA_ARCHIVE_NAME", "a file and a folder");
  });

  it("stops a bomb early: by ratio, by size, by number of entries, seen or left out", async () => {
    const zeros = zipSync({ "set/u.data": new Uint8Array(40_000_000) }, { level: 9 });
    expect(zeros.length).toBeLessThan(60_000);
    for (const place of [undefined, (): undefined => undefined]) {
      await dataError(() => open(zeros, place ? { place } : {}), "DATA_ARCHIVE_BOMB", "100 times its size");
    }
    await dataError(() => open(zeros, { limits: { ratio: 1e9, bytes: 30_000_000 } }), "DATA_ARCHIVE_BOMB", "30000000 bytes");
    expect((await open(zeros, { limits: { ratio: 1e9 } })).files).toEqual(["set/u.data"]);
    const many = zipSync(Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`f${index}`, strToU8("x")])));
    await dataError(() => open(many, { limits: { entries: 49 } }), "DATA_ARCHIVE_BOMB", "more than 49 entries");
    expect((await open(many, { limits: { entries: 50 } })).files).toHaveLength(50);
  });

  it("refuses a damaged or cut archive, and what is none", async () => {
    const content = noise(100_000), archive = zipSync({ "set/u.data": content });
    await dataError(() => open(archive.subarray(0, 50_000)), "DATA_ARCHIVE_DAMAGED");
    await dataError(() => open(streamed({ "set/u.data": content }).subarray(0, 50_000)), "DATA_ARCHIVE_DAMAGED");
    await dataError(() => open(strToU8("<html>moved</html>")), "DATA_ARCHIVE_DAMAGED", "no zip archive");
    await dataError(() => open(new Uint8Array(0)), "DATA_ARCHIVE_DAMAGED");
    const lying = Uint8Array.from(archive);
    new DataView(lying.buffer).setUint32(22, 99_999, true);
    await dataError(() => open(lying), "DATA_ARCHIVE_DAMAGED", "states 99999 bytes and holds 100000");
    const unknown = Uint8Array.from(archive);
    new DataView(unknown.buffer).setUint16(8, 97, true);
    await dataError(() => open(unknown), "DATA_ARCHIVE_DAMAGED", "u.data");
    const broken = zipSync({ "set/u.data": strToU8("text ".repeat(5000)) });
    broken.fill(0xff, 45, 60);
    await dataError(() => open(broken), "DATA_ARCHIVE_DAMAGED");
  });

  it("stops at the signal", async () => {
    const stop = new AbortController();
    stop.abort(new Error("enough"));
    await expect(open(zipSync({ "a": strToU8("1") }), { signal: stop.signal })).rejects.toThrow("enough");
  });
});
