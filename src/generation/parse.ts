import type { Candidate } from "../core/prompt.js";
import { HIGHEST_SCORE, LOWEST_SCORE } from "./contract.js";

/** What an answer says about the candidates. */
export interface ParsedAnswer {
  /** Candidate order; NaN where the answer has no usable score. */
  scores: Float64Array;
  /** Candidates with a score. */
  found: number;
  /** A whole JSON object that gives every candidate exactly one score. */
  valid: boolean;
  unknownKeys: number;
  duplicateKeys: number;
  missingKeys: number;
  /** Scores outside 1..100, moved to the nearer end. */
  clamped: number;
  /** Scores or keys accepted in another form: "85", 85.5, 8.5e1, 085, a key without its "m". */
  coerced: number;
}

/**
 * Reads an answer: the whole text as JSON, else the first balanced top-level object that names a candidate (fences, words
 * before and after are skipped); else what can be saved from the object, at any depth or cut off, that names most
 * candidates. The scanner is our own because JSON.parse keeps the last of duplicate keys and says nothing; here the first
 * stands and the others are counted. A number at the very end of a cut text may lack digits and is not taken.
 * One pass, O(characters) whatever the text; never throws.
 */
export function parseAnswer(text: string, candidates: readonly Candidate[]): ParsedAnswer {
  const index = new Map<string, number>();
  // "1193" is read as "m1193", unless a candidate's own key is spelt like that.
  candidates.forEach(({ key }, at) => index.set(key.slice(1), at));
  const bare = new Set(index.keys());
  candidates.forEach(({ key }, at) => {
    index.set(key, at);
    bare.delete(key);
  });

  let chosen: Reading | undefined;
  let richest: Reading | undefined;
  let first: Reading | undefined;
  new Scanner(text, () => new Reading(index, bare, candidates.length), (reading, complete, top) => {
    reading.complete = complete && top;
    if (reading.complete) first ??= reading;
    if (reading.found > 0 && reading.complete) chosen ??= reading;
    if (reading.found > (richest?.found ?? 0)) richest = reading;
  }).run();
  const reading = chosen ?? richest ?? first ?? new Reading(index, bare, candidates.length);
  const missingKeys = candidates.length - reading.found;
  return {
    scores: reading.scores ?? new Float64Array(candidates.length).fill(NaN),
    found: reading.found,
    valid: reading.complete && missingKeys === 0 && reading.duplicateKeys === 0,
    unknownKeys: reading.unknownKeys,
    duplicateKeys: reading.duplicateKeys,
    missingKeys,
    clamped: reading.clamped,
    coerced: reading.coerced,
  };
}

/** The pairs of one JSON object, as far as they concern the candidates. */
class Reading {
  scores: Float64Array | undefined;
  found = 0;
  unknownKeys = 0;
  duplicateKeys = 0;
  clamped = 0;
  coerced = 0;
  complete = false;
  private seen: Uint8Array | undefined;

  constructor(private readonly index: ReadonlyMap<string, number>, private readonly bare: ReadonlySet<string>, private readonly count: number) {}

  /** `value` undefined: an object, an array or anything else that is no score. */
  take(key: string, value: string | undefined, quoted: boolean): void {
    const at = this.index.get(key);
    if (at === undefined) {
      this.unknownKeys++;
      return;
    }
    this.seen ??= new Uint8Array(this.count);
    if (this.seen[at]) {
      this.duplicateKeys++;
      return;
    }
    this.seen[at] = 1;
    const score = value === undefined ? undefined : readScore(quoted ? value.trim() : value);
    if (score === undefined) return;
    this.scores ??= new Float64Array(this.count).fill(NaN);
    this.found++;
    if (quoted || this.bare.has(key) || !/^-?(?:0|[1-9]\d*)$/.test(value!)) this.coerced++;
    if (score < LOWEST_SCORE || score > HIGHEST_SCORE) this.clamped++;
    this.scores[at] = Math.min(HIGHEST_SCORE, Math.max(LOWEST_SCORE, score));
  }
}

/** A finite decimal number, or undefined: NaN, Infinity, null, words, and numbers that overflow are no scores. */
function readScore(text: string): number | undefined {
  if (text.length > 64 || !/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text)) return undefined;
  const score = Number(text);
  return Number.isFinite(score) ? score : undefined;
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '"'], ["\\", "\\"], ["/", "/"], ["b", "\b"], ["f", "\f"], ["n", "\n"], ["r", "\r"], ["t", "\t"],
]);

/** JSON's escapes, resolved; undefined for others. JSON.parse would throw, and a million of its errors take seconds. */
function resolveEscapes(text: string): string | undefined {
  let plain = "", from = 0;
  for (let at = text.indexOf("\\"); at >= 0; at = text.indexOf("\\", from)) {
    const kind = text.charAt(at + 1);
    const code = kind === "u" && /^[0-9a-fA-F]{4}$/.test(text.slice(at + 2, at + 6)) ? parseInt(text.slice(at + 2, at + 6), 16) : undefined;
    const character = code === undefined ? ESCAPES.get(kind) : String.fromCharCode(code);
    if (character === undefined) return undefined;
    plain += text.slice(from, at) + character;
    from = at + (code === undefined ? 2 : 6);
  }
  return plain + text.slice(from);
}

/** Deeper nesting than any answer needs: beyond it, the text counts as malformed. */
const DEEPEST = 64;

interface Frame {
  /** Undefined for arrays. */
  reading: Reading | undefined;
  key: string;
}

type Visit = (reading: Reading, complete: boolean, top: boolean) => void;

/** Finds JSON objects in any text. After malformed input it goes on behind the fault, so each character is read once. */
class Scanner {
  private at = 0;
  private stack: Frame[] = [];
  private word = "";

  constructor(private readonly text: string, private readonly open: () => Reading, private readonly visit: Visit) {}

  run(): void {
    for (let start = this.text.indexOf("{"); start >= 0; start = this.text.indexOf("{", this.at)) {
      this.at = start;
      this.stack = [];
      if (this.object()) continue;
      while (this.stack.length > 0) this.close(false);
      this.at = Math.max(this.at, start + 1);
    }
  }

  /** Reads from "{" to its "}"; false at the first fault, with the open frames left on the stack. */
  private object(): boolean {
    this.push(true);
    for (;;) {
      const frame = this.stack[this.stack.length - 1]!;
      // Before a member: the end of the container, or (in objects) a key and a colon.
      let next = this.peek();
      if (next === (frame.reading ? "}" : "]")) {
        if (!this.leave()) return true;
      } else {
        if (frame.reading) {
          if (next !== '"' || !this.string()) return false;
          frame.key = this.word;
          if (this.peek() !== ":") return false;
          this.at++;
          next = this.peek();
        }
        if (next === "{" || next === "[") {
          if (this.stack.length >= DEEPEST) return false;
          this.push(next === "{");
          continue;
        }
        const quoted = next === '"';
        if (!(quoted ? this.string() : this.bareWord())) return false;
        // A number that ends with the text may have been cut.
        if (!quoted && this.at === this.text.length) return false;
        frame.reading?.take(frame.key, this.word, quoted);
      }
      // After a member: ends of containers, then a comma.
      for (;;) {
        const after = this.peek();
        const inside = this.stack[this.stack.length - 1]!;
        if (after === (inside.reading ? "}" : "]")) {
          if (!this.leave()) return true;
          continue;
        }
        if (after !== ",") return false;
        this.at++;
        const following = this.peek();
        if (following === "}" || following === "]") return false;
        break;
      }
    }
  }

  private push(object: boolean): void {
    this.at++;
    this.stack.push({ reading: object ? this.open() : undefined, key: "" });
  }

  /** Steps over a closing bracket; false when it was the outermost one. */
  private leave(): boolean {
    this.at++;
    this.close(true);
    const outer = this.stack[this.stack.length - 1];
    outer?.reading?.take(outer.key, undefined, false);
    return outer !== undefined;
  }

  private close(complete: boolean): void {
    const { reading } = this.stack.pop()!;
    if (reading) this.visit(reading, complete, this.stack.length === 0);
  }

  private peek(): string {
    while (this.at < this.text.length) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 32 && code !== 10 && code !== 13 && code !== 9) break;
      this.at++;
    }
    return this.text.charAt(this.at);
  }

  /** A JSON string into `word`, escapes resolved. */
  private string(): boolean {
    const start = this.at++;
    let escaped = false;
    for (; this.at < this.text.length; this.at++) {
      const code = this.text.charCodeAt(this.at);
      if (code < 32) return false;
      if (code === 92) {
        escaped = true;
        this.at++;
      } else if (code === 34) {
        this.at++;
        if (!escaped) {
          this.word = this.text.slice(start + 1, this.at - 1);
          return true;
        }
        const word = resolveEscapes(this.text.slice(start + 1, this.at - 1));
        if (word === undefined) return false;
        this.word = word;
        return true;
      }
    }
    return false;
  }

  /** Numbers and whatever models write in their place: NaN, Infinity, null, +5. */
  private bareWord(): boolean {
    const start = this.at;
    while (this.at < this.text.length && /[\w+.-]/.test(this.text.charAt(this.at))) this.at++;
    this.word = this.text.slice(start, this.at);
    return this.at > start;
  }
}
