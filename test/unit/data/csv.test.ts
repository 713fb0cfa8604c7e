import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CsvRecords } from "../../../src/data/csv.js";

function parse(text: string): { fields: string[]; line: number }[] {
  const found: { fields: string[]; line: number }[] = [];
  const records = new CsvRecords((fields, at) => found.push({ fields, line: at.line }));
  text.split("\n").forEach((line, index) => records.line(line, { file: "movies.csv", line: index + 1 }));
  records.finish("movies.csv");
  return found;
}

describe("CsvRecords", () => {
  it("reads back what RFC 4180 writes: commas, quotes and line ends inside fields", () => {
    const field = fc.string({ unit: fc.constantFrom("a", ",", '"', "\n", " ", "é") });
    const write = (fields: string[]): string => fields.map((text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text)).join(",");
    fc.assert(fc.property(fc.array(fc.array(field, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 }), (rows) => {
      const text = rows.map(write).join("\n");
      let line = 1;
      expect(parse(text)).toEqual(rows.map((fields) => {
        const record = { fields, line };
        line += write(fields).split("\n").length;
        return record;
      }));
    }));
  });

  it("names the line where a quote opens and never closes, however long the file is", () => {
    expect(() => parse('1,a\n2,"b\n3,c')).toThrow(/movies.csv, line 2: a quote opens/);
    expect(() => parse(`1,"a\n${"some text\n".repeat(10_000)}`)).toThrow(/line 1: a quote opens/);
    expect(() => parse('1,"a"b')).toThrow(/line 1: text follows a closing quote/);
  });
});
