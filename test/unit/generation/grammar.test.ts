import { beforeAll, describe, expect, it } from "vitest";
import type { Candidate } from "../../../src/core/prompt.js";
import { answerGrammar } from "../../../src/generation/llamacpp/grammar.js";
import { makePrompts } from "../../fixtures/prompts.js";

let candidates: Candidate[];
beforeAll(async () => {
  candidates = (await makePrompts({ candidateCount: 3 }))[0]!.candidates;
});

/** The grammar as a regular expression: sequences of literals and one rule. */
function asPattern(grammar: string): RegExp {
  const [root, score] = grammar.trimEnd().split("\n") as [string, string];
  expect(score).toBe('score ::= [1-9] [0-9]? | "100"');
  const parts = root.replace("root ::= ", "").match(/"(?:[^"\\]|\\.)*"|score/g)!;
  expect(parts.join(" ")).toBe(root.replace("root ::= ", ""));
  return new RegExp(`^${parts.map((part) => (part === "score" ? "(?:[1-9][0-9]?|100)" : part.slice(1, -1).replace(/\\(.)/g, "$1").replace(/[^\w]/g, "\\$&"))).join("")}$`);
}

describe("answerGrammar", () => {
  it("is the object with every key in order, a score 1..100 each, and no blank", () => {
    expect(answerGrammar(candidates)).toBe(
      'root ::= "{" "\\"m1000\\":" score ",\\"m1007\\":" score ",\\"m1014\\":" score "}"\nscore ::= [1-9] [0-9]? | "100"\n');
    const pattern = asPattern(answerGrammar(candidates));
    for (const score of [1, 9, 10, 99, 100]) expect(`{"m1000":${score},"m1007":1,"m1014":100}`).toMatch(pattern);
    for (const score of ["0", "101", "05", "1.0", "-1", "1e1", '"5"', "", "1000"]) expect(`{"m1000":${score},"m1007":1,"m1014":100}`).not.toMatch(pattern);
    for (const text of ['{"m1000": 1,"m1007":1,"m1014":1}', '{"m1007":1,"m1000":1,"m1014":1}', '{"m1000":1,"m1007":1}', '{"m1000":1,"m1007":1,"m1014":1}}']) expect(text).not.toMatch(pattern);
  });

  it("escapes what would end a literal", () => {
    const odd = candidates.map((candidate, at) => ({ ...candidate, key: ['m"1', "m\\2", "m\n3"][at]! }));
    const pattern = asPattern(answerGrammar(odd));
    expect(JSON.stringify({ 'm"1': 1, "m\\2": 50, "m\n3": 100 })).toMatch(pattern);
    expect(answerGrammar(odd).trimEnd().split("\n")).toHaveLength(2);
  });
});
