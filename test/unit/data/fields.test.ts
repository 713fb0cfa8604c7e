import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DataError } from "../../../src/core/errors.js";
import { dateField, decimalNumber, idField, quote, ratingField, splitFields, timestampField, wholeNumber } from "../../../src/data/fields.js";

const at = { file: "u.data", line: 7 };
const stars = { min: 1, max: 5, step: 1 }, halves = { min: 0.5, max: 5, step: 0.5 };

function codeOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(DataError);
    expect((error as DataError).message).toContain("u.data, line 7");
    expect((error as DataError).hint).toBeTruthy();
    return (error as DataError).code;
  }
  return "no error";
}

describe("fields", () => {
  it("reads the whole numbers of 32 bits and nothing else", () => {
    fc.assert(fc.property(fc.nat(0xffffffff), (value) => { expect(wholeNumber(String(value))).toBe(value); }));
    fc.assert(fc.property(fc.string(), (text) => {
      expect(wholeNumber(text)).toBe(/^\d{1,10}$/.test(text) && Number(text) <= 0xffffffff ? Number(text) : -1);
    }));
    for (const text of ["", "-1", "1.0", " 1", "1e3", "4294967296", "99999999999"]) expect(codeOf(() => idField(text, "user id", at))).toBe("DATA_ID_NUMBER");
    expect(idField("4294967295", "user id", at)).toBe(0xffffffff);
  });

  it("reads the decimals that JavaScript writes, and no hexadecimal, comma or infinity", () => {
    fc.assert(fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
      expect(decimalNumber(String(value))).toBe(value + 0);
    }));
    for (const text of ["", " ", "1,5", "0x10", "Infinity", "NaN", "1e999", "--1", "."]) expect(decimalNumber(text)).toBeNaN();
  });

  it("keeps ratings to the scale and its step", () => {
    expect(ratingField("4", stars, at)).toBe(4);
    expect(ratingField("4.0", stars, at)).toBe(4);
    expect(ratingField("3.5", halves, at)).toBe(3.5);
    for (const text of ["0", "6", "3.5", "-1", "10"]) expect(codeOf(() => ratingField(text, stars, at)), text).toBe("DATA_RATING_RANGE");
    for (const text of ["0", "5.5", "3.7"]) expect(codeOf(() => ratingField(text, halves, at)), text).toBe("DATA_RATING_RANGE");
    for (const text of ["", "x", "five", "4,0"]) expect(codeOf(() => ratingField(text, stars, at)), text).toBe("DATA_RATING_NUMBER");
  });

  it("reads days as midnight UTC and refuses days that do not exist", () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 40_000 }), (days) => {
      expect(dateField(new Date(days * 86_400_000).toISOString().slice(0, 10), at)).toBe(days * 86_400);
    }));
    for (const text of ["2005-02-29", "2005-13-01", "2005-00-10", "2005-01-00", "05-01-01", "2005/01/01", "2005-1-1", "", "2005-01-32", "2005-01-011"]) {
      expect(codeOf(() => dateField(text, at)), text).toBe("DATA_DATE");
    }
    expect(timestampField("0", at)).toBe(0);
    expect(codeOf(() => timestampField("yesterday", at))).toBe("DATA_TIMESTAMP");
  });

  it("counts fields and guesses the delimiter that was used", () => {
    const names = ["user", "item", "rating", "timestamp"];
    expect(splitFields("1::2::3::4", "::", names, at)).toEqual(["1", "2", "3", "4"]);
    expect(() => splitFields("1,2,3,4", "\t", names, at)).toThrow("separated by comma: write it with tab");
    expect(() => splitFields("1\t2\t3", "\t", names, at)).toThrow("3 fields where 4 are expected");
    expect(codeOf(() => splitFields("1", "\t", names, at))).toBe("DATA_FIELDS");
    expect(() => splitFields("1", "|", Array.from({ length: 24 }, (_, index) => `f${index}`), at)).toThrow("f0, f1, f2, f3, f4, f5, ... f23");
  });

  it("shows bad text without breaking the terminal", () => {
    expect(quote("a\u001b[31m")).toBe('"a\\u001b[31m"');
    expect(quote("x".repeat(100)).length).toBeLessThan(50);
  });
});
