import { lineError, type Place } from "./lines.js";

/** Ratings of a source: the range and the step of its scale. `step` 0 allows any value in the range. */
export interface RatingScale {
  min: number;
  max: number;
  step: number;
}

const DELIMITERS: Readonly<Record<string, string>> = {
  "\t": "tab", ",": "comma", "::": "double colon", "|": "bar", ";": "semicolon", " ": "space",
};

/**
 * The fields of one line.
 * @throws DataError when there are not exactly `names.length`; the hint names the delimiter that would fit.
 */
export function splitFields(line: string, delimiter: string, names: readonly string[], at: Place): string[] {
  const fields = line.split(delimiter);
  if (fields.length !== names.length) throw fieldCountError(fields.length, line, delimiter, names, at);
  return fields;
}

/** The error for a line with a wrong number of fields. */
export function fieldCountError(found: number, line: string, delimiter: string, names: readonly string[], at: Place): Error {
  const wanted = DELIMITERS[delimiter] ?? JSON.stringify(delimiter);
  const likely = found === 1
    ? Object.keys(DELIMITERS).find((other) => other !== delimiter && line.split(other).length === names.length) : undefined;
  const hint = likely
    ? `The line looks separated by ${DELIMITERS[likely]}: write it with ${wanted}, or fetch the publisher's file again.`
    : "Complete or remove the line, or fetch the publisher's file again.";
  return lineError(at, "DATA_FIELDS",
    `${found} ${found === 1 ? "field" : "fields"} where ${names.length} are expected (${shorten(names)}; separated by ${wanted}).`, hint);
}

function shorten(names: readonly string[]): string {
  return names.length <= 8 ? names.join(", ") : `${names.slice(0, 6).join(", ")}, ... ${names[names.length - 1]}`;
}

/** A whole number from 0 to 4294967295, or -1 when the text is anything else. */
export function wholeNumber(text: string): number {
  const length = text.length;
  if (length === 0 || length > 10) return -1;
  let value = 0;
  for (let at = 0; at < length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value <= 0xffffffff ? value : -1;
}

const DECIMAL = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** A finite decimal number, or NaN when the text is anything else ("", "1,5", "0x10", "Infinity"). */
export function decimalNumber(text: string): number {
  if (!DECIMAL.test(text)) return NaN;
  const value = Number(text);
  return Number.isFinite(value) ? value : NaN;
}

/** @throws DataError unless `text` is a whole number from 0 to 4294967295. `what`: "user id", "item id". */
export function idField(text: string, what: string, at: Place): number {
  const value = wholeNumber(text);
  if (value < 0) {
    throw lineError(at, "DATA_ID_NUMBER",
      `${what} ${quote(text)} is not a whole number from 0 to 4294967295.`,
      "Correct or remove the line, or fetch the publisher's file again.");
  }
  return value;
}

/** @throws DataError unless `text` is a number on the scale. */
export function ratingField(text: string, scale: RatingScale, at: Place): number {
  // One digit is the common case of every MovieLens and Netflix row.
  const digit = text.length === 1 ? text.charCodeAt(0) - 48 : -1;
  const value = digit >= 0 && digit <= 9 ? digit : decimalNumber(text);
  if (value !== value) {
    throw lineError(at, "DATA_RATING_NUMBER",
      `rating ${quote(text)} is not a number.`,
      "Correct or remove the line, or fetch the publisher's file again.");
  }
  if (value < scale.min || value > scale.max || (scale.step > 0 && (value / scale.step) % 1 !== 0)) {
    const range = `${scale.min} to ${scale.max}${scale.step > 0 ? ` in steps of ${scale.step}` : ""}`;
    throw lineError(at, "DATA_RATING_RANGE",
      `rating ${text} is outside the scale of this data set (${range}).`,
      "Correct or remove the line, or map the ratings to that scale first.");
  }
  return value;
}

/** Seconds since 1970. @throws DataError unless `text` is a number. */
export function timestampField(text: string, at: Place): number {
  const value = decimalNumber(text);
  if (value !== value) {
    throw lineError(at, "DATA_TIMESTAMP",
      `timestamp ${quote(text)} is not a number of seconds.`,
      "Correct or remove the line, or fetch the publisher's file again.");
  }
  return value;
}

/** Seconds since 1970 of midnight UTC of a day written as 2005-09-06. @throws DataError on anything else. */
export function dateField(text: string, at: Place): number {
  const year = wholeNumber(text.slice(0, 4)), month = wholeNumber(text.slice(5, 7)), day = wholeNumber(text.slice(8));
  const shaped = text.length === 10 && text[4] === "-" && text[7] === "-" && year >= 0 && month >= 1 && day >= 1;
  const time = shaped ? Date.UTC(year, month - 1, day) : NaN;
  // A day beyond the end of its month rolls over: then the text was no date.
  if (time !== time || new Date(time).getUTCDate() !== day || month > 12) {
    throw lineError(at, "DATA_DATE",
      `${quote(text)} is not a date like 2005-09-06.`,
      "Correct or remove the line, or fetch the publisher's file again.");
  }
  return time / 1000;
}

/** Field text for a message: quoted, control characters visible, never long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text);
}
