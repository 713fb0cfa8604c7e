import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RunOptions } from "../../../src/core/progress.js";
import { openReading, type Encoding } from "../../../src/data/lines.js";
import { dataError, scratch } from "./scratch.js";

async function read(file: string, encoding: Encoding = "utf-8", options: RunOptions = {}): Promise<{ text: string; line: number }[]> {
  const found: { text: string; line: number }[] = [];
  await (await openReading([file], options)).lines(file, encoding, (text, at) => found.push({ text, line: at.line }));
  return found;
}

function file(content: string | Uint8Array): string {
  const path = join(scratch(), "data.txt");
  writeFileSync(path, content);
  return path;
}

describe("Reading.lines", () => {
  it("gives back every line of every text, numbered from 1", async () => {
    const line = fc.string({ unit: "grapheme", minLength: 1 }).filter((text) => !/[\n\r\0\ufeff]/.test(text) && text.isWellFormed());
    await fc.assert(fc.asyncProperty(fc.array(line, { minLength: 1, maxLength: 40 }), fc.constantFrom("\n", "\r\n"), async (lines, end) => {
      const found = await read(file(lines.map((text) => text + end).join("")));
      expect(found).toEqual(lines.map((text, index) => ({ text, line: index + 1 })));
    }), { numRuns: 60 });
  });

  it("never tears a character at a chunk border", async () => {
    const lines = Array.from({ length: 30_000 }, (_, index) => "é€𝄞".repeat(1 + (index % 3)) + index);
    expect((await read(file(`${lines.join("\n")}\n`))).map(({ text }) => text)).toEqual(lines);
  });

  it("reads every byte of ISO-8859-1 as the character of that number", async () => {
    const bytes = Uint8Array.from([0x4d, 0x69, 0x73, 0xe9, 0x72, 0x80, 0x9f, 0xff, 0x0a]);
    expect(await read(file(bytes), "latin1")).toEqual([{ text: "Misér\u0080\u009fÿ", line: 1 }]);
  });

  it("drops a byte order mark and blank lines at the end", async () => {
    expect(await read(file("\ufeffa\nb\n\n\r\n"))).toEqual([{ text: "a", line: 1 }, { text: "b", line: 2 }]);
  });

  it("reports bytes over all files and stops at the signal", async () => {
    const path = file("line\n".repeat(100_000));
    const seen: number[] = [];
    await read(path, "latin1", { onProgress: (done, total) => { seen.push(done); expect(total).toBe(500_000); } });
    expect(seen.at(-1)).toBe(500_000);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
    const stop = new AbortController();
    let lines = 0;
    const reading = await openReading([path], { signal: stop.signal });
    const run = reading.lines(path, "latin1", () => { if (++lines === 10) stop.abort(new Error("enough")); });
    await expect(run).rejects.toThrow("enough");
    expect(lines).toBeLessThan(100_000);
  });

  it("names file, line and cure of what is wrong", async () => {
    const cut = file("whole\ncut");
    await dataError(() => read(cut), "DATA_TRUNCATED", cut, "line 2", "fetch the file again");
    await dataError(() => read(file("a\nb\nc\0d\n")), "DATA_NUL", "line 3");
    await dataError(() => read(file("a\n\nb\n")), "DATA_BLANK_LINE", "line 2");
    await dataError(() => read(file("\n\n")), "DATA_FILE_EMPTY", "blank lines only");
    await dataError(() => read(file("")), "DATA_FILE_EMPTY");
    await dataError(() => read(file(Buffer.from("ok\nMis\xe9r\nok\n", "latin1"))), "DATA_ENCODING", "line 2", "UTF-8");
    await dataError(() => read(file(Buffer.alloc(1_300_000, "x"))), "DATA_LINE_LENGTH", "line 1");
  });

  it("looks at all files before it reads the first", async () => {
    const folder = scratch(), good = join(folder, "good");
    writeFileSync(good, "a\n");
    mkdirSync(join(folder, "folder"));
    await dataError(() => openReading([good, join(folder, "none")], {}), "DATA_FILE_MISSING", "none");
    await dataError(() => openReading([good, join(folder, "folder")], {}), "DATA_NOT_A_FILE", "folder");
    await dataError(() => openReading([join(good, "below")], {}), "DATA_FILE_MISSING", "below");
    await dataError(() => openReading(["/dev/null"], {}), "DATA_NOT_A_FILE");
  });
});
