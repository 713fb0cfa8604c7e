import type { Candidate } from "../../core/prompt.js";

/**
 * The answer as a grammar in GBNF, for engines that hold one themselves: the object of `answerSchema` without any blank, each
 * key once and in candidate order, each score a whole number 1..100 without leading zeros. A schema handed to such an engine
 * admits less: its integers have no bounds there.
 */
export function answerGrammar(candidates: readonly Candidate[]): string {
  const pairs = candidates.map(({ key }, at) => `${literal(`${at === 0 ? "" : ","}${JSON.stringify(key)}:`)} score`);
  return `root ::= ${["\"{\"", ...pairs, "\"}\""].join(" ")}\nscore ::= [1-9] [0-9]? | "100"\n`;
}

/** Text as a GBNF literal. JSON leaves no control character in it, so two characters need an escape. */
function literal(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
