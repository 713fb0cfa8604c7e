import { setMaxListeners } from "node:events";
import { ConfigError } from "../core/errors.js";
import { Breather, type RunOptions } from "../core/progress.js";
import type { Prompt } from "../core/prompt.js";
import { rankCandidates } from "./contract.js";
import { addCounts, emptyCounts } from "./counts.js";
import { GenerationFailure } from "./failures.js";
import type { Completion, EngineInfo, GenerationCounts, Generator } from "./generator.js";

export interface GenerateAllOptions extends RunOptions {
  /**
   * What becomes of a user whose answer fails: "throw" (default) ends the run; "backbone" gives the candidates in the
   * backbone's order, flagged and counted. Failures that no other user would escape (model missing, server gone, prompt too
   * long, out of memory) end the run either way: a fallback must not hide a missing engine.
   */
  onFailure?: "throw" | "backbone";
  /** Prompts in flight (default: the generator's own, else 1). */
  concurrency?: number;
  /** Called as each answer arrives, in order of arrival; awaited, and its error ends the run. `index` counts prompts. */
  onCompletion?: (completion: Completion, index: number) => void | Promise<void>;
}

export interface Generated {
  /** In the order of the prompts. */
  completions: Completion[];
  /** Sums over all completions. */
  counts: GenerationCounts;
  /** Mean Kendall tau between prompt order and scores; undefined where no answer tells candidates apart. */
  positionTau: number | undefined;
  /** Share of candidates whose score another candidate of the same user has too. */
  tieRate: number;
  engine: EngineInfo;
  seconds: number;
}

const PROGRESS_MS = 250;

/**
 * Answers all prompts, at most `concurrency` at a time. The engine is asked who it is first, so a missing one fails at once.
 * At the first error the others in flight are aborted and awaited: nothing runs on after this returns.
 * @throws GenerationError, what `onCompletion` throws, or `signal.reason`.
 */
export async function generateAll(prompts: readonly Prompt[], generator: Generator, options: GenerateAllOptions = {}): Promise<Generated> {
  const { signal, onProgress, onCompletion, onFailure = "throw" } = options;
  const concurrency = options.concurrency ?? generator.concurrency ?? 1;
  if (!Number.isInteger(concurrency) || concurrency < 1) {
    throw new ConfigError("CONFIG_CONCURRENCY", `concurrency must be a whole number of 1 or more, not ${concurrency}.`);
  }
  if (onFailure !== "throw" && onFailure !== "backbone") {
    throw new ConfigError("CONFIG_ON_FAILURE", `onFailure must be "throw" or "backbone", not "${String(onFailure)}".`);
  }
  signal?.throwIfAborted();
  const start = performance.now();
  generator.prepare?.(prompts);
  const engine = await generator.describe(signal ? { signal } : {});

  const stop = new AbortController();
  // Each prompt in flight listens: hundreds, where a queue answers.
  setMaxListeners(0, stop.signal);
  const cancel = (): void => stop.abort(signal!.reason);
  signal?.addEventListener("abort", cancel, { once: true });
  const completions = new Array<Completion>(prompts.length);
  const counts = emptyCounts();
  let next = 0, done = 0, shown = 0;

  const work = async (): Promise<void> => {
    const breather = new Breather(stop.signal);
    while (next < prompts.length) {
      stop.signal.throwIfAborted();
      const index = next++;
      const prompt = prompts[index]!;
      const completion = await answer(prompt, generator, engine, onFailure, stop.signal);
      // An engine may finish in spite of the abort: an answer that is no longer wanted is not journaled.
      stop.signal.throwIfAborted();
      completions[index] = completion;
      addCounts(counts, completion.counts);
      done++;
      await onCompletion?.(completion, index);
      if (onProgress && (done === prompts.length || performance.now() - shown >= PROGRESS_MS)) {
        shown = performance.now();
        onProgress(done, prompts.length, noteOf(counts, (performance.now() - start) / 1000, generator.hostLoad?.()));
      }
      if (breather.due()) await breather.pause();
    }
  };
  try {
    const workers = Array.from({ length: Math.min(concurrency, prompts.length) }, async () => {
      try {
        await work();
      } catch (error) {
        // The first failure is the reason of all others.
        if (!stop.signal.aborted) stop.abort(error);
      }
    });
    await Promise.all(workers);
    if (stop.signal.aborted) throw stop.signal.reason;
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
  return { completions, counts, ...biasOf(completions), engine, seconds: (performance.now() - start) / 1000 };
}

async function answer(prompt: Prompt, generator: Generator, engine: EngineInfo, onFailure: "throw" | "backbone", signal: AbortSignal): Promise<Completion> {
  const start = performance.now();
  try {
    return await generator.generate(prompt, { signal });
  } catch (error) {
    const own = error instanceof GenerationFailure && error.kind !== "cancelled" && !error.endsRun;
    if (!own || onFailure === "throw" || signal.aborted) throw error;
    // No score was given: all stand at 0, and ties are broken by the backbone's rank.
    const scores = new Float64Array(prompt.candidates.length);
    return {
      user: prompt.user, scores, ranking: rankCandidates(scores, prompt.candidates), status: "fallback",
      counts: addCounts({ ...emptyCounts(), fallback: 1 }, error.counts), reply: "", positionTau: undefined, seconds: (performance.now() - start) / 1000, engine,
    };
  }
}

/** How much the answers follow the order of the prompt, and how many candidates they leave tied. */
export function biasOf(completions: readonly Completion[]): Pick<Generated, "positionTau" | "tieRate"> {
  const taus = completions.flatMap(({ positionTau }) => (positionTau === undefined ? [] : [positionTau]));
  const scored = completions.filter(({ status }) => status !== "fallback");
  const candidates = scored.reduce((sum, { scores }) => sum + scores.length, 0);
  return {
    positionTau: taus.length > 0 ? taus.reduce((sum, tau) => sum + tau, 0) / taus.length : undefined,
    tieRate: candidates > 0 ? scored.reduce((sum, { counts }) => sum + counts.ties, 0) / candidates : 0,
  };
}

/** Tokens per second, hosts, and what went wrong so far. */
function noteOf({ repaired, fallback, qualityRetries, transportRetries, tokensIn, tokensOut }: GenerationCounts, seconds: number, hosts: string | undefined): string | undefined {
  const rate = (tokens: number): string => Math.round(tokens / seconds).toLocaleString("en-US");
  const retries = qualityRetries + transportRetries;
  const parts = [
    ...(tokensIn > 0 ? [`${rate(tokensIn)} tokens/s read, ${rate(tokensOut)} written`] : []),
    ...(hosts === undefined ? [] : [hosts]),
    ...(retries > 0 ? [`${retries} retries`] : []),
    ...(repaired > 0 ? [`${repaired} repaired`] : []),
    ...(fallback > 0 ? [`${fallback} fallback`] : []),
  ];
  return parts.length > 0 ? parts.join(", ") : undefined;
}
