import { reorderCandidates, type Prompt } from "../core/prompt.js";
import { positionTau } from "./bias.js";
import { combineScores, passOrders, type Combination } from "./combine.js";
import { HIGHEST_SCORE, LOWEST_SCORE, countTies, rankCandidates } from "./contract.js";
import { addCounts, emptyCounts } from "./counts.js";
import { expectedScores, LEAST_MASS, meanOf } from "./expected.js";
import { GenerationFailure } from "./failures.js";
import type { Completion } from "./generator.js";
import { climb, type Climb } from "./ladder.js";
import type { ScoringMode, Session } from "./speaker.js";

export interface SpeakOptions {
  mode: ScoringMode;
  /** Passes over each user, each with another order of the candidates. */
  permutations: number;
  combine: Combination;
  seed: number;
  temperature: number;
  qualityRetries: number;
}

export type Spoken = Pick<Completion, "scores" | "ranking" | "status" | "counts" | "reply" | "positionTau">;

/**
 * Scores one prompt by a language model in any mode and any number of passes: the one place where engines agree on what a
 * mode means. A pass that stays without a usable answer is left out as long as another has one; the user then counts as
 * repaired. `positionTau` is the mean over the passes, each against the order that it saw.
 * @throws GenerationFailure `GENERATION_ANSWER` when no pass has an answer, and whatever the session throws.
 */
export async function speak(prompt: Prompt, session: Session, options: SpeakOptions): Promise<Spoken> {
  const { mode, permutations, combine, seed } = options;
  const counts = emptyCounts(), passes: Float64Array[] = [], replies: string[] = [], taus: number[] = [];
  let status: Spoken["status"] = "ok", failure: GenerationFailure | undefined;
  for (const [number, order] of passOrders(prompt.candidates, permutations, seed, prompt.user).entries()) {
    const asked = number === 0 ? prompt : reorderCandidates(prompt, order);
    let pass: Climb;
    try {
      pass = mode === "readout" ? await readout(asked, session) : await listwise(asked, session, options);
    } catch (error) {
      if (!(error instanceof GenerationFailure)) throw error;
      if (error.kind !== "quality") {
        addCounts(error.counts, counts);
        throw error;
      }
      failure = error;
      addCounts(counts, error.counts);
      continue;
    }
    addCounts(counts, { ...pass.counts, ties: 0, repaired: 0 });
    if (pass.status !== "ok") status = "repaired";
    replies.push(pass.reply);
    const tau = positionTau(pass.scores);
    if (tau !== undefined) taus.push(tau);
    const scores = new Float64Array(order.length);
    order.forEach((at, place) => { scores[at] = pass.scores[place]!; });
    passes.push(scores);
  }
  if (passes.length === 0) {
    const { message, hint } = failure!;
    throw new GenerationFailure("GENERATION_ANSWER", "quality", message, { ...(hint === undefined ? {} : { hint }), counts, cause: failure });
  }
  if (failure) status = "repaired";
  // Of users, however many passes each took.
  counts.repaired = status === "repaired" ? 1 : 0;
  const scores = combineScores(passes, combine);
  counts.ties = countTies(scores);
  return {
    scores, ranking: rankCandidates(scores, prompt.candidates), status, counts, reply: replies.join("\n"),
    positionTau: taus.length > 0 ? taus.reduce((sum, tau) => sum + tau, 0) / taus.length : undefined,
  };
}

async function listwise(prompt: Prompt, session: Session, { mode, seed, temperature, qualityRetries }: SpeakOptions): Promise<Climb> {
  const withTokens = mode === "expected";
  return climb(prompt, (attempt) => session.answer(prompt, attempt, withTokens), {
    seed, temperature, qualityRetries, room: (reply) => session.room(prompt, reply),
    ...(withTokens ? { refine: (reply, written) => {
      const { scores, ...counted } = expectedScores(reply.tokens ?? [], written, prompt.candidates);
      return { scores, counts: counted };
    } } : {}),
  });
}

/** Digits 1..9 stretched to 1..100. A candidate whose digits are hardly visible keeps what is seen of them and is counted. */
async function readout(prompt: Prompt, session: Session): Promise<Climb> {
  const { alternatives, tokensIn, tokensOut, transportRetries } = await session.read(prompt);
  const counts = addCounts(emptyCounts(), { answers: 1, tokensIn, tokensOut, transportRetries });
  const scores = Float64Array.from(alternatives, (list) => {
    const { mass, mean } = meanOf(list, digitIn);
    if (mass < LEAST_MASS) counts.lowMass++;
    if (mass === 0) counts.missingKeys++;
    return mass === 0 ? 0 : LOWEST_SCORE + ((mean - 1) / 8) * (HIGHEST_SCORE - LOWEST_SCORE);
  });
  if (counts.missingKeys === prompt.candidates.length) {
    throw new GenerationFailure("GENERATION_ANSWER", "quality", `The model answers no question about user ${prompt.user} with a digit.`, {
      hint: 'Use another model, or mode "listwise".', counts,
    });
  }
  const complete = counts.missingKeys === 0;
  addCounts(counts, complete ? { okFirst: 1 } : { repaired: 1 });
  return { scores, ranking: rankCandidates(scores, prompt.candidates), status: complete ? "ok" : "repaired", counts, reply: "" };
}

function digitIn(text: string): number | undefined {
  const found = /^\s*([1-9])\s*$/.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}
