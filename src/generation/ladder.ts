import type { Prompt } from "../core/prompt.js";
import { answerLimit, countTies, rankCandidates } from "./contract.js";
import { addCounts, emptyCounts } from "./counts.js";
import { GenerationFailure } from "./failures.js";
import type { Completion, GenerationCounts } from "./generator.js";
import { parseAnswer, type ParsedAnswer } from "./parse.js";
import type { Attempt, Reply } from "./speaker.js";

export interface LadderOptions {
  seed: number;
  temperature: number;
  /** Questions after the first; 0 to 2. */
  qualityRetries: number;
  /** Tokens left for an answer beside the prompt: the limit after an answer that was cut. */
  room(reply: Reply): number;
  /** Better scores than the written ones, for a valid answer, and what was counted on the way. */
  refine?(reply: Reply, written: Float64Array): { scores: Float64Array; counts: Partial<GenerationCounts> };
}

export const RETRY_TEMPERATURE = 0.6;

export type Climb = Pick<Completion, "scores" | "ranking" | "status" | "counts" | "reply">;

/**
 * The validation ladder: ask (the engine holds the schema), check the end, parse, check the keys; ask again at most twice,
 * at temperature 0.6 and with seed + attempt (at temperature 0 a new seed alone repeats the answer), with more room after a
 * cut; then repair the attempt that names most candidates: missing ones get score 0 and so stand last, in backbone order.
 * Unknown keys are dropped and counted without a new question, for they leave no score in doubt; duplicates do. Counters of
 * keys sum over all answers, so they tell how the model behaves, not only how the last answer ended.
 * @throws GenerationFailure `GENERATION_ANSWER` when no answer names a candidate, and whatever `ask` throws.
 */
export async function climb(prompt: Prompt, ask: (attempt: Attempt) => Promise<Reply>, options: LadderOptions): Promise<Climb> {
  const { candidates } = prompt;
  const counts = emptyCounts();
  let best: { answer: ParsedAnswer; text: string } | undefined;
  let limit = answerLimit(candidates);
  for (let number = 0; number <= options.qualityRetries; number++) {
    if (number > 0) counts.qualityRetries++;
    const reply = await counted(counts, () => ask({
      number,
      temperature: number === 0 ? options.temperature : RETRY_TEMPERATURE,
      seed: (options.seed + number) >>> 0,
      answerLimit: limit,
    }));
    const answer = parseAnswer(reply.text, candidates);
    countAnswer(counts, reply, answer);
    if (reply.doneReason === "stop" && answer.valid) {
      if (number === 0) counts.okFirst++;
      const refined = options.refine?.(reply, answer.scores);
      if (refined) addCounts(counts, refined.counts);
      return finish(prompt, refined?.scores ?? answer.scores, "ok", counts, reply.text);
    }
    if (reply.doneReason === "length") limit = Math.max(limit, options.room(reply));
    if (answer.found > (best?.answer.found ?? 0)) best = { answer, text: reply.text };
  }
  if (!best) {
    throw new GenerationFailure("GENERATION_ANSWER", "quality", `No usable answer for user ${prompt.user} after ${counts.answers} answers: none names a candidate.`, {
      hint: 'Use a model that follows JSON schemas, or accept the backbone\'s order, flagged and counted: onFailure "backbone" (--on-failure backbone).',
      counts,
    });
  }
  counts.repaired++;
  return finish(prompt, best.answer.scores.map((score) => (Number.isNaN(score) ? 0 : score)), "repaired", counts, best.text);
}

function finish(prompt: Prompt, scores: Float64Array, status: Climb["status"], counts: GenerationCounts, reply: string): Climb {
  counts.ties = countTies(scores);
  return { scores, ranking: rankCandidates(scores, prompt.candidates), status, counts, reply };
}

function countAnswer(counts: GenerationCounts, reply: Reply, answer: ParsedAnswer): void {
  const { unknownKeys, duplicateKeys, missingKeys, clamped, coerced } = answer;
  addCounts(counts, {
    answers: 1, unknownKeys, duplicateKeys, missingKeys, clamped, coerced,
    lengthStops: reply.doneReason === "length" ? 1 : 0,
    tokensIn: reply.tokensIn, tokensOut: reply.tokensOut, transportRetries: reply.transportRetries,
  });
}

/** A failure between two answers carries what the earlier ones cost. */
async function counted(counts: GenerationCounts, ask: () => Promise<Reply>): Promise<Reply> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof GenerationFailure) addCounts(error.counts, counts);
    throw error;
  }
}
