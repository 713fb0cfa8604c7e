import fc from "fast-check";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DataError } from "../../../src/core/errors.js";
import { readWord2Vec } from "../../../src/retrieval/word2vec.js";

let folder: string;
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), "word2vec-")); });
afterAll(() => { rmSync(folder, { recursive: true, force: true }); });

function bytesOf(entries: [string, number[]][], { newline = "\n", header = `${entries.length} ${entries[0]?.[1].length ?? 1}\n` } = {}): Buffer {
  return Buffer.concat([Buffer.from(header), ...entries.flatMap(([word, vector]) => [
    Buffer.from(`${word} `), Buffer.from(Float32Array.from(vector).buffer), Buffer.from(newline),
  ])]);
}
const put = (bytes: Buffer | string): string => {
  const path = join(folder, "vectors.bin");
  writeFileSync(path, bytes);
  return path;
};
const table = (read: { vectors: Map<string, Float32Array> }): Record<string, number[]> =>
  Object.fromEntries([...read.vectors].map(([word, vector]) => [word, [...vector]]));

describe("readWord2Vec", () => {
  it("reads back what was written, with and without newlines, whatever floats look like bytes of the format", async () => {
    // Values whose bytes are newlines and spaces: 0x0a0a0a0a and 0x20202020.
    const tricky = [new Float32Array(Uint32Array.of(0x0a0a0a0a).buffer)[0]!, new Float32Array(Uint32Array.of(0x20202020).buffer)[0]!];
    await fc.assert(fc.asyncProperty(
      fc.uniqueArray(fc.stringMatching(/^[a-zA-Z_\u00e9\u4e2d]{1,12}$/), { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 6 }), fc.constantFrom("\n", ""),
      async (words, dimension, newline) => {
        const entries = words.map((word, at): [string, number[]] => [word, Array.from({ length: dimension }, (_, axis) => tricky[(at + axis) % 3] ?? Math.fround(at - axis / 7))]);
        const read = await readWord2Vec(put(bytesOf(entries, { newline })), words);
        expect(table(read)).toEqual(Object.fromEntries(entries));
        expect([read.dimension, read.count]).toEqual([dimension, words.length]);
      }), { numRuns: 40 });
  });

  it.each(["\n", ""])("carries entries over the borders of its chunks (newline %j)", async (newline) => {
    // 3 MB: the reader's chunks of 1 MB end inside words, spaces and vectors.
    const entries = Array.from({ length: 3100 }, (_, at): [string, number[]] => [`word${"x".repeat(at % 17)}${at}`, Array.from({ length: 250 }, (__, axis) => at + axis)]);
    const asked = entries.filter((_, at) => at % 10 === 0 || (at > 1020 && at < 1070) || (at > 2070 && at < 2110));
    const read = await readWord2Vec(put(bytesOf(entries, { newline })), asked.map(([word]) => word));
    expect(table(read)).toEqual(Object.fromEntries(asked));
  });

  it("finds spellings in their order, and keeps the first of equal entries", async () => {
    const path = put(bytesOf([["sci_fi", [1]], ["Drama", [2]], ["drama", [3]], ["Drama", [4]], ["children", [5]], ["Film_Noir", [6]], ["film_noir", [7]]]));
    expect(table(await readWord2Vec(path, ["Sci-Fi", "Drama", "DRAMA", "Children's", "Film-Noir", "Western"]))).toEqual({
      "Sci-Fi": [1], Drama: [2], DRAMA: [3], "Children's": [5], "Film-Noir": [6],
    });
  });

  it("allows newlines at the end, a carriage return in the header, and no wanted word", async () => {
    const path = put(Buffer.concat([bytesOf([["a", [1, 2]]], { header: "1 2\r\n" }), Buffer.from("\r\n\n")]));
    expect(table(await readWord2Vec(path, ["a"]))).toEqual({ a: [1, 2] });
    expect((await readWord2Vec(path, [])).vectors.size).toBe(0);
  });

  const good: [string, number[]][] = [["alpha", [1, 2, 3]], ["beta", [4, 5, 6]]];
  const whole = bytesOf(good);
  it.each([
    ["an empty file", "", /no header/],
    ["a header alone", "2 3\n", /ends after 0 of 2/],
    ["a foreign first line", "PK\u0003\u0004 something\n", /first line/],
    ["no line at all", "x".repeat(5000), /no header/],
    ["a first line too long", `${"1".repeat(70)} 3\n`, /no header/],
    ["no words", "0 3\n", /0 words/],
    ["no axes", "2 0\n", /of 0 axes/],
    ["too many axes", "2 10001\n", /10001 axes/],
    ["a count beyond numbers", "99999999999999999999 3\n", /words of 3 axes/],
    ["a cut vector", whole.subarray(0, whole.length - 5), /ends after 1 of 2/],
    ["a cut word", whole.subarray(0, 24), /ends after 1 of 2/],
    ["the text format", "2 3\nalpha 1.5 2.5 3.5\nbeta 4.5 5.5 6.5\n", /byte 10: numbers written out.*text format/],
    ["more words than promised", bytesOf(good, { header: "1 3\n" }), /more bytes than 1 words/],
    ["an empty word", Buffer.concat([Buffer.from("1 1\n "), Buffer.alloc(4)]), /an empty word/],
    ["a word without end", `1 1\n${"y".repeat(2500)}`, /longer than 2000/],
    ["a long word", `1 1\n${"y".repeat(2500)} 1234`, /longer than 2000/],
    ["a wanted value that is not finite", bytesOf([["alpha", [1, NaN]]]), /not a finite number/],
  ])("refuses %s and says where", async (_, bytes, message) => {
    const failure = await readWord2Vec(put(bytes), ["alpha", "beta"]).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(DataError);
    expect((failure as DataError).code).toBe("DATA_WORD_VECTORS");
    expect((failure as DataError).message).toMatch(message);
    expect((failure as DataError).message).toMatch(/byte \d+/);
  });

  it("refuses a long tail at its first byte, without gathering it", async () => {
    const path = put(Buffer.concat([whole, Buffer.alloc(5_000_000, 7)]));
    await expect(readWord2Vec(path, ["alpha"])).rejects.toThrow(new RegExp(`byte ${whole.length}: more bytes than 2 words`));
  });

  it("refuses the text format of any length", async () => {
    const line = (at: number): string => `word${at} ${Array.from({ length: 20 }, (_, axis) => (at + axis / 100).toFixed(6)).join(" ")}\n`;
    const path = put(`20000 20\n${Array.from({ length: 20_000 }, (_, at) => line(at)).join("")}`);
    await expect(readWord2Vec(path, ["word1"])).rejects.toThrow(/text format.*DATA_WORD_VECTORS/s);
  });

  it("says when there is no file, or a folder in its place", async () => {
    await expect(readWord2Vec(join(folder, "absent.bin"), [])).rejects.toThrow(/no such file.*DATA_WORD_VECTORS/s);
    await expect(readWord2Vec(folder, [])).rejects.toThrow(/cannot be read.*DATA_WORD_VECTORS/s);
  });

  it("reports progress, and stops with the caller's reason", async () => {
    const entries = Array.from({ length: 9000 }, (_, at): [string, number[]] => [`w${at}`, new Array<number>(250).fill(at)]);
    const path = put(bytesOf(entries));
    const seen: [number, number][] = [];
    await readWord2Vec(path, entries.map(([word]) => word), { onProgress: (done, total) => seen.push([done, total]) });
    expect(seen.at(-1)).toEqual([9000, 9000]);
    expect(seen.every(([done, total]) => done <= total)).toBe(true);
    const reason = new Error("enough");
    await expect(readWord2Vec(path, [], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const running = readWord2Vec(path, entries.map(([word]) => word), { signal: controller.signal, onProgress: () => controller.abort(reason) });
    await expect(running).rejects.toBe(reason);
  });
});
