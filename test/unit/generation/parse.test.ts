import { describe, expect, it } from "vitest";
import fc from "fast-check";
import type { Candidate } from "../../../src/core/prompt.js";
import { parseAnswer, type ParsedAnswer } from "../../../src/generation/parse.js";

const make = (keys: string[]): Candidate[] => keys.map((key, at) => ({ key, item: at, title: "T", year: undefined, genres: [], rank: at + 1, prior: 0, film: '"T"' }));
const three = make(["m10", "m2", "m33"]);
const read = (text: string, candidates = three): ParsedAnswer => parseAnswer(text, candidates);
const summary = ({ scores, ...rest }: ParsedAnswer): unknown => ({ scores: [...scores], ...rest });
const clean = { found: 3, valid: true, unknownKeys: 0, duplicateKeys: 0, missingKeys: 0, clamped: 0, coerced: 0 };
const nothing = { ...clean, scores: [NaN, NaN, NaN], found: 0, valid: false, missingKeys: 3 };

describe("parseAnswer", () => {
  it.each([
    ["compact", '{"m10":85,"m2":7,"m33":100}'],
    ["pretty-printed", '{\n  "m10": 85,\r\n\t"m2" : 7,\n  "m33":100\n}\n'],
    ["another order", '{"m33":100,"m10":85,"m2":7}'],
    ["fenced", '```json\n{"m10":85,"m2":7,"m33":100}\n```'],
    ["words before and after", 'Sure! Here are (my) scores: {"m10":85,"m2":7,"m33":100} Enjoy {them}.'],
    ["an empty object before", 'As {} asked: {"m10":85,"m2":7,"m33":100}'],
    ["a broken object before", 'a { b: {"m10":85,"m2":7,"m33":100}'],
    ["another object before", '{"thought": {"deep": [1, {"a": "}"}]}} {"m10":85,"m2":7,"m33":100}'],
    ["unicode escapes in keys", '{"\\u006d10":85,"m\\u0032":7,"m33":100}'],
    ["a second answer", '{"m10":85,"m2":7,"m33":100}{"m10":1,"m2":1,"m33":1}'],
  ])("reads %s", (_, text) => {
    expect(summary(read(text))).toEqual({ ...clean, scores: [85, 7, 100] });
  });

  it.each<[string, string, Partial<ParsedAnswer> & { list: number[] }]>([
    ["numeric strings", '{"m10":"85","m2":" 7 ","m33":100}', { list: [85, 7, 100], coerced: 2 }],
    ["fractions and exponents", '{"m10":85.5,"m2":7e0,"m33":1.0e2}', { list: [85.5, 7, 100], coerced: 3 }],
    ["numbers that JSON does not know", '{"m10":+85,"m2":07,"m33":.5}', { list: [85, 7, 1], coerced: 3, clamped: 1 }],
    ["bare ids", '{"10":85,"2":7,"33":100}', { list: [85, 7, 100], coerced: 3 }],
    ["scores out of range", '{"m10":-3,"m2":0,"m33":1e6}', { list: [1, 1, 100], clamped: 3, coerced: 1 }],
    ["unknown keys", '{"m10":85,"m9":5,"m2":7,"note":"x","m33":100}', { list: [85, 7, 100], unknownKeys: 2 }],
  ])("accepts %s and counts them", (_, text, { list, ...counts }) => {
    expect(summary(read(text))).toEqual({ ...clean, ...counts, scores: list });
  });

  it.each<[string, string, Partial<ParsedAnswer> & { list: number[] }]>([
    ["a missing key", '{"m10":85,"m33":100}', { list: [85, NaN, 100], found: 2, missingKeys: 1 }],
    ["a duplicate: the first stands", '{"m10":85,"m2":7,"m33":100,"m10":1}', { list: [85, 7, 100], duplicateKeys: 1 }],
    ["a duplicate in disguise", '{"m10":85,"m2":7,"m33":100,"\\u006d10":1,"10":3}', { list: [85, 7, 100], duplicateKeys: 2 }],
    ["NaN", '{"m10":NaN,"m2":7,"m33":100}', { list: [NaN, 7, 100], found: 2, missingKeys: 1 }],
    ["Infinity", '{"m10":-Infinity,"m2":7,"m33":Infinity}', { list: [NaN, 7, NaN], found: 1, missingKeys: 2 }],
    ["an overflow", '{"m10":1e999,"m2":7,"m33":"1e999"}', { list: [NaN, 7, NaN], found: 1, missingKeys: 2 }],
    ["null, true, words", '{"m10":null,"m2":true,"m33":"high"}', { list: [NaN, NaN, NaN], found: 0, missingKeys: 3 }],
    ["nested values", '{"m10":{"score":5},"m2":[7],"m33":100}', { list: [NaN, NaN, 100], found: 1, missingKeys: 2 }],
  ])("does not call valid: %s", (_, text, { list, ...counts }) => {
    expect(summary(read(text))).toEqual({ ...clean, valid: false, ...counts, scores: list });
  });

  it.each<[string, string, number[]]>([
    ["cut after a pair", '{"m10":85,"m2":7,', [85, 7, NaN]],
    ["cut inside a number, whose last digits may be gone", '{"m10":85,"m2":7', [85, NaN, NaN]],
    ["cut inside a key", '{"m10":85,"m2":7,"m3', [85, 7, NaN]],
    ["cut inside a string", '{"m10":85,"m2":"7', [85, NaN, NaN]],
    ["a comma too many", '{"m10":85,"m2":7,"m33":100,}', [85, 7, 100]],
    ["no comma", '{"m10":85 "m2":7}', [85, NaN, NaN]],
    ["an object inside a wrapper", '{"scores":{"m10":85,"m2":7,"m33":100}}', [85, 7, 100]],
    ["an object inside an array", '[{"m10":85,"m2":7},', [85, 7, NaN]],
    ["the fuller of two pieces", '{"m10":1,} {"m10":85,"m2":7,', [85, 7, NaN]],
  ])("saves what it can from: %s", (_, text, list) => {
    const answer = read(text);
    expect([...answer.scores]).toEqual(list);
    // A cut or wrapped object is no answer, even with every key in it.
    expect(answer.valid).toBe(false);
  });

  it("finds nothing in what holds nothing", () => {
    for (const text of ["", "   ", "I cannot do that.", "[85,7,100]", "null", "42", '"m10"', "{", "}", "{}", '{"', '{"m10"', '{"m10":', "{'m10':5}", "\ud800"]) {
      expect(summary(read(text))).toEqual(nothing);
    }
    expect(summary(read('{"a":1,"b":2}'))).toEqual({ ...nothing, unknownKeys: 2 });
  });

  it("lets a candidate's own key stand before another one's bare id", () => {
    const clash = make(["mm1", "m1"]);
    expect([...read('{"m1":5,"mm1":6}', clash).scores]).toEqual([6, 5]);
    expect([...read('{"1":5}', clash).scores]).toEqual([NaN, 5]);
    expect(read("{}", []).valid).toBe(true);
  });

  it("agrees with JSON.parse on every object without duplicates", () => {
    const value = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.jsonValue({ maxDepth: 2 }));
    const key = fc.oneof(fc.constantFrom("m10", "m2", "m33"), fc.string({ unit: "binary", maxLength: 6 }));
    fc.assert(fc.property(fc.dictionary(key, value), fc.boolean(), (object, pretty) => {
      const answer = read(JSON.stringify(object, undefined, pretty ? 2 : undefined));
      let usable = 0;
      three.forEach(({ key: name }, at) => {
        const given = Object.hasOwn(object, name) ? object[name] : undefined;
        if (typeof given === "number") {
          usable++;
          expect(answer.scores[at]).toBe(Math.min(100, Math.max(1, given)));
        }
      });
      expect(answer.found).toBeGreaterThanOrEqual(usable);
      expect(answer.duplicateKeys).toBe(0);
    }), { numRuns: 500 });
  });

  it("never throws, and gives finite scores within 1..100, on damaged answers", () => {
    const whole = '{"m10":85,"m2":"7","m33":1e2,"x":{"y":[1,"\\"}"]}}';
    const damage = fc.array(fc.tuple(fc.nat(whole.length), fc.constantFrom("", "{", "}", '"', "\\", ",", ":", "[", "]", "9", "-", "e", "\n", "\u0000", "😀")), { maxLength: 8 });
    fc.assert(fc.property(damage, fc.nat(whole.length), (edits, cut) => {
      let text = whole.slice(0, cut + 1);
      for (const [at, put] of edits) text = text.slice(0, at) + put + text.slice(at + 1);
      const answer = read(text);
      const given = [...answer.scores].filter((score) => !Number.isNaN(score));
      for (const score of given) expect(score >= 1 && score <= 100).toBe(true);
      expect(given.length).toBe(answer.found);
      expect(answer.found + answer.missingKeys).toBe(3);
      if (answer.valid) expect(answer.found).toBe(3);
    }), { numRuns: 2000 });
  });

  it.each<[string, string]>([
    ["open braces", "{"], ["pairs of braces", "{}"], ["nested keys", '{"a":'], ["open brackets", '{"a":['], ["quotes", '{"'], ["backslashes", '{"\\'],
    ["numbers", '{"m10":1 '], ["words", "lorem ipsum "], ["escapes", '{"\\u006d10":1,'],
  ])("takes ten megabytes of %s in one pass", (_, piece) => {
    const text = piece.repeat(Math.ceil(1e7 / piece.length));
    const answer = read(text);
    expect(answer.valid).toBe(false);
    expect(answer.missingKeys + answer.found).toBe(3);
  });

  it("takes one object of ten megabytes", () => {
    const text = `{${'"x":1,'.repeat(1.6e6)}"m10":85,"m2":7,"m33":100}`;
    expect(read(text)).toMatchObject({ valid: true, unknownKeys: 1.6e6 });
  });
});
