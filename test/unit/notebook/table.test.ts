import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/core/errors.js";
import { Interactions } from "../../../src/core/interactions.js";
import { Evaluation } from "../../../src/evaluation/evaluate.js";
import { cellText, rowsOf, table, Table } from "../../../src/notebook/table.js";

const rows = [{ title: "A <b>", score: 0.25 }, { title: "Longer", score: 12, seen: true }];

describe("Table", () => {
  it("lines words up on the left and numbers on the right", () => {
    expect(String(table(rows, { caption: "Two" }))).toBe(["Two", "title    score  seen", "A <b>   0.2500", "Longer      12  yes"].join("\n"));
  });

  it("escapes every cell of its HTML and names every column", () => {
    const html = table(rows).toHtml();
    expect(html).toContain("A &#60;b&#62;");
    expect(html).not.toContain("<b>");
    expect(html.match(/<th /g)).toHaveLength(3);
    expect(html.match(/<td /g)).toHaveLength(6);
  });

  it("keeps the asked columns in the asked order, and is its rows as JSON", () => {
    expect(new Table(rows, { columns: ["score", "title"] }).toString().split("\n")[0]).toBe(" score  title");
    expect(JSON.parse(JSON.stringify(table(rows)))).toEqual(rows);
  });

  it("prints a heading alone when there are no rows", () => {
    expect(String(new Table([], { columns: ["a", "b"] }))).toBe("a  b");
  });
});

describe("cellText", () => {
  it.each([
    [0.123456, "0.1235"], [3, "3"], [Infinity, "Infinity"], [true, "yes"], [false, "no"], [undefined, ""], [null, ""], ["x", "x"],
    [["a", 1], "a, 1"], [new Uint32Array([1, 2]), "1, 2"], [Array.from({ length: 14 }, (_, at) => at), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ... (14)"],
    [{ a: 1 }, '{"a":1}'], [{ toString: () => "me" }, "me"],
  ])("%o reads %s", (value, text) => expect(cellText(value)).toBe(text));
});

describe("rowsOf", () => {
  it("reads records, tables, evaluations and interactions", () => {
    expect(rowsOf(rows)).toBe(rows);
    expect(rowsOf(table(rows))).toBe(rows);
    const value = { value: 0.5, n: 2, low: 0.1, high: 0.9 };
    const evaluation = new Evaluation({ metrics: { "hr@10": value }, users: new Uint32Array(2), perUser: {}, withoutTruth: 0, withoutRanking: 0 });
    expect(rowsOf(evaluation)).toEqual([{ metric: "hr@10", ...value }]);
    const columns = { users: Uint32Array.of(0, 1), items: Uint32Array.of(2, 0), ratings: Float32Array.of(4, 5) };
    expect(rowsOf(new Interactions(columns, { userCount: 2, itemCount: 3 }))).toEqual([{ user: 0, item: 2, rating: 4 }, { user: 1, item: 0, rating: 5 }]);
  });

  it.each([[1], ["text"], [null], [{ a: 1 }], [[[1]]]])("refuses %o", (value) => expect(() => rowsOf(value)).toThrow(ConfigError));
});
