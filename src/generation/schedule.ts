import { setMaxListeners } from "node:events";
import { ConfigError } from "../core/errors.js";
import { Breather, formatSeconds, type RunOptions } from "../core/progress.js";
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
/** So many users, or all that are in flight, lost on the wire before the first answer: there is no engine. */
const LOST_FROM_THE_START = 10;
/** While answers are awaited and none comes, progress is reported all the same, at least this often. */
const QUIET_MS = 2000;

/**
 * Answers all prompts, at most `concurrency` at a time. The engine is asked who it is first, so a missing one fails at once.
 * At the first error the others in flight are aborted and awaited: nothing runs on after this returns.
 * @throws GenerationError, what `onCompletion` throws, or `signal.reason`.
 */
export async function generateAll(prompts: readonly Prompt[], generator: Generator, options: GenerateAllOptions = {}): Promise<Generated> {
  const completions = new Array<Completion>(prompts.length);
  const summary = await generateEach(prompts, generator, {
    ...options,
    onCompletion: async (completion, index) => {
      completions[index] = completion;
      await options.onCompletion?.(completion, index);
    },
  });
  // Sums in the order of the prompts: equal to the last bit, whatever the order of arrival was.
  return { completions, ...summary, ...biasOf(completions) };
}

/**
 * As {@link generateAll}, for more prompts than fit into memory: each is taken when a place is free for it, handed to
 * `onCompletion` with its answer and not kept. The engine cannot see them all before the first is sent, unless they are an
 * array: give it a context length that suits the longest.
 * @throws as `generateAll`, and what the iteration of `prompts` throws.
 */
export async function generateEach(
  prompts: readonly Prompt[] | Iterable<Prompt> | AsyncIterable<Prompt>, generator: Generator, options: GenerateAllOptions = {},
): Promise<Omit<Generated, "completions">> {
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
  const all = Array.isArray(prompts) ? prompts as readonly Prompt[] : undefined, total = all?.length ?? 0;
  if (all) generator.prepare?.(all);
  const engine = await generator.describe(signal ? { signal } : {});

  const stop = new AbortController();
  // Each prompt in flight listens: hundreds, where a queue answers.
  setMaxListeners(0, stop.signal);
  const cancel = (): void => stop.abort(signal!.reason);
  signal?.addEventListener("abort", cancel, { once: true });
  const source = new Source(prompts);
  const counts = emptyCounts(), bias = new Bias(), patience = new Patience(Math.max(LOST_FROM_THE_START, concurrency));
  const report = onProgress && new Report(total, counts, generator, onProgress, options.isPart === true);

  const work = async (): Promise<void> => {
    const breather = new Breather(stop.signal);
    for (;;) {
      stop.signal.throwIfAborted();
      const taken = await source.next();
      if (!taken) return;
      stop.signal.throwIfAborted();
      report?.asked();
      const completion = await answer(taken.prompt, generator, engine, onFailure, patience, stop.signal);
      // An engine may finish in spite of the abort: an answer that is no longer wanted is not journaled.
      stop.signal.throwIfAborted();
      addCounts(counts, completion.counts);
      bias.add(completion);
      await onCompletion?.(completion, taken.index);
      report?.answered(completion);
      if (breather.due()) await breather.pause();
    }
  };
  const quiet = report && setInterval(() => {
    try {
      if (!stop.signal.aborted) report.tick();
    } catch (error) {
      stop.abort(error);
    }
  }, PROGRESS_MS).unref();
  try {
    const workers = Array.from({ length: all ? Math.min(concurrency, total) : concurrency }, async () => {
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
    clearInterval(quiet);
    signal?.removeEventListener("abort", cancel);
    await source.close();
  }
  return { counts, positionTau: bias.positionTau, tieRate: bias.tieRate, engine, seconds: (performance.now() - start) / 1000 };
}

/** Hands prompts out in their order, one `next` of the iterator at a time. */
class Source {
  private readonly iterator: Iterator<Prompt> | AsyncIterator<Prompt>;
  private index = 0;
  private ended = false;
  private tail: Promise<unknown> = Promise.resolve();

  constructor(prompts: Iterable<Prompt> | AsyncIterable<Prompt>) {
    this.iterator = Symbol.asyncIterator in prompts ? prompts[Symbol.asyncIterator]() : prompts[Symbol.iterator]();
  }

  next(): Promise<{ prompt: Prompt; index: number } | undefined> {
    const taken = this.tail.then(async () => {
      if (this.ended) return undefined;
      // Whatever throws here has ended the iteration too.
      this.ended = true;
      const { value, done } = await this.iterator.next();
      this.ended = done === true;
      return done ? undefined : { prompt: value, index: this.index++ };
    });
    this.tail = taken.catch(() => undefined);
    return taken;
  }

  /** Lets an iteration that was left early clean up. */
  async close(): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    await this.iterator.return?.();
  }
}

async function answer(prompt: Prompt, generator: Generator, engine: EngineInfo, onFailure: "throw" | "backbone", patience: Patience, signal: AbortSignal): Promise<Completion> {
  const start = performance.now();
  try {
    const completion = await generator.generate(prompt, { signal });
    patience.answered(completion);
    return completion;
  } catch (error) {
    const own = error instanceof GenerationFailure && error.kind !== "cancelled" && !error.endsRun;
    if (!own || onFailure === "throw" || signal.aborted || patience.ends(error)) throw error;
    // No score was given: all stand at 0, and ties are broken by the backbone's rank.
    const scores = new Float64Array(prompt.candidates.length);
    return {
      user: prompt.user, scores, ranking: rankCandidates(scores, prompt.candidates), status: "fallback",
      counts: addCounts({ ...emptyCounts(), fallback: 1 }, error.counts), reply: "", positionTau: undefined, seconds: (performance.now() - start) / 1000, engine,
    };
  }
}

/** Tells faults that strike one user from an engine that never answers, which a fallback would hide. */
class Patience {
  private lost = 0;
  private isAlive = false;

  constructor(private readonly most: number) {}

  answered({ isKept }: Completion): void {
    if (!isKept) this.isAlive = true;
  }

  /** Whether this failure ends the run. An answer that fails the ladder is one: the engine is there. */
  ends({ kind }: GenerationFailure): boolean {
    if (kind === "quality") this.isAlive = true;
    return !this.isAlive && ++this.lost >= this.most;
  }
}

/** How much answers follow the order of the prompt, and how many candidates they leave tied. */
export function biasOf(completions: readonly Completion[]): Pick<Generated, "positionTau" | "tieRate"> {
  const { positionTau, tieRate } = completions.reduce((bias, completion) => bias.add(completion), new Bias());
  return { positionTau, tieRate };
}

class Bias {
  private taus = 0;
  private tauSum = 0;
  private candidates = 0;
  private ties = 0;

  add({ positionTau, status, scores, counts }: Completion): this {
    if (positionTau !== undefined) {
      this.taus++;
      this.tauSum += positionTau;
    }
    if (status !== "fallback") {
      this.candidates += scores.length;
      this.ties += counts.ties;
    }
    return this;
  }

  get positionTau(): number | undefined {
    return this.taus > 0 ? this.tauSum / this.taus : undefined;
  }

  get tieRate(): number {
    return this.candidates > 0 ? this.ties / this.candidates : 0;
  }
}

/** Tells `onProgress` how far a run is, how fast, and what went wrong so far. Kept answers count as done, never as pace. */
class Report {
  private done = 0;
  private kept = 0;
  private inFlight = 0;
  private tokensIn = 0;
  private tokensOut = 0;
  /** When the pace began: at the start, or at the last of the kept answers that came before all others. */
  private since = performance.now();
  private heard = this.since;
  private shown = -Infinity;

  constructor(
    private readonly total: number, private readonly counts: GenerationCounts, private readonly generator: Generator,
    private readonly onProgress: NonNullable<RunOptions["onProgress"]>, private readonly isPart: boolean,
  ) {}

  asked(): void {
    this.inFlight++;
  }

  answered({ isKept, counts }: Completion): void {
    this.inFlight--;
    this.done++;
    this.heard = performance.now();
    if (isKept) {
      this.kept++;
      if (this.done === this.kept) this.since = this.heard;
    } else {
      this.tokensIn += counts.tokensIn;
      this.tokensOut += counts.tokensOut;
    }
    if (this.done === this.total || this.heard - this.shown >= PROGRESS_MS) this.show();
  }

  /** To be called every PROGRESS_MS: a server that refuses every request would otherwise look like one that thinks. */
  tick(): void {
    const now = performance.now();
    if (this.inFlight === 0 || now - Math.max(this.since, this.shown) < QUIET_MS - PROGRESS_MS) return;
    this.show(`${this.inFlight} in flight, no answer for ${formatSeconds((now - this.heard) / 1000)}`);
  }

  private show(quiet?: string): void {
    this.shown = performance.now();
    this.onProgress(this.done, this.total, this.note(quiet), this.kept);
  }

  private note(quiet: string | undefined): string | undefined {
    const { done, total, kept, counts, tokensIn, tokensOut } = this;
    const seconds = (this.shown - this.since) / 1000, retries = counts.qualityRetries + counts.transportRetries;
    const rate = (tokens: number): string => Math.round(tokens / seconds).toLocaleString("en-US");
    const load = this.generator.hostLoad?.();
    const parts = [
      ...(this.isPart ? [total > 0 ? `${done} of ${total} users` : `${done} users`, ...pace((done - kept) / seconds)] : []),
      ...(kept > 0 ? [`${kept} kept`] : []),
      ...(quiet === undefined ? [] : [quiet]),
      ...(tokensIn > 0 ? [`${rate(tokensIn)} tokens/s read, ${rate(tokensOut)} written`] : []),
      ...(load === undefined ? [] : [load]),
      ...(retries > 0 ? [`${retries} retries`] : []),
      ...(counts.repaired > 0 ? [`${counts.repaired} repaired`] : []),
      ...(counts.fallback > 0 ? [`${counts.fallback} fallback`] : []),
    ];
    return parts.length > 0 ? parts.join(", ") : undefined;
  }
}

/** "3.2 users/s", "4.1 s a user"; nothing while unknown. */
function pace(rate: number): string[] {
  if (!Number.isFinite(rate) || rate <= 0) return [];
  return [rate >= 1 ? `${rate.toFixed(1)} users/s` : `${formatSeconds(1 / rate)} a user`];
}
