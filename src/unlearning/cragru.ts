import { ConfigError, ForgettingError } from "../core/errors.js";
import { fingerprintRows } from "../core/fingerprint.js";
import type { Interactions } from "../core/interactions.js";
import { partOf, type RunOptions } from "../core/progress.js";
import type { Prompt } from "../core/prompt.js";
import type { Ranking } from "../core/ranking.js";
import type { Split } from "../data/split.js";
import { assertEvidence } from "../data/guards.js";
import type { Backbone, FittedBackbone, ItemVectors } from "../backbone/backbone.js";
import { itemKnn } from "../backbone/itemknn.js";
import { popularityBackbone } from "../backbone/popularity.js";
import { clusterItems, type Categories } from "../retrieval/cluster.js";
import type { HitRates, RetrievalContext, Retriever, Selector } from "../retrieval/retriever.js";
import { catalogueVectors, itemTextVectors, type WordVectors } from "../retrieval/wordvectors.js";
import { buildPrompts } from "../augmentation/prompt.js";
import type { Template } from "../augmentation/templates.js";
import type { Completion, Generator } from "../generation/generator.js";
import { generateAll, type GenerateAllOptions } from "../generation/schedule.js";
import type { Kernels } from "../native/kernels.js";
import { loadKernels } from "../native/load.js";
import { Holdings } from "./holdings.js";
import { measureHitRates } from "./hitrates.js";
import type { ForgetRequest, Receipt, Unlearner } from "./unlearner.js";

/**
 * Which model proposes the candidates (protocol section "candidates"): `full` is the paper's frozen backbone, which saw the
 * forgotten rows; `remain` is fitted again on D_r; `popularity` counts D_r.
 */
export type CandidateSource = "full" | "remain" | "popularity";
export const CANDIDATE_SOURCES: readonly CandidateSource[] = ["full", "remain", "popularity"];

export interface CragruOptions {
  backbone: Backbone;
  retriever: Retriever;
  generator: Generator;
  /** Candidates per user, Eq. 1 (default 50, as in the paper). */
  candidates?: number;
  candidateSource?: CandidateSource;
  /** What a failed generation becomes: an error (default), or the backbone's order, flagged and counted. */
  onFailure?: "throw" | "backbone";
  /** Item categories: k clusters of genre words (default 5). */
  clusters?: { k?: number; vectors?: WordVectors };
  template?: Template;
  seed?: number;
  kernels?: Kernels;
  /** Requests in flight at once (default: the generator's own). */
  concurrency?: number;
}

/** Everything behind the lists of one call: for tables, journals and notebooks. */
export interface Answers {
  /** Final lists: LLM order of the candidates, then backbone order. */
  rankings: Ranking[];
  /** One for each user who still has a history. */
  prompts: Prompt[];
  completions: Completion[];
  /** Users without any remaining row: they get the popularity list of D_r and no prompt. */
  withoutHistory: number[];
}

/** Everything that is rebuilt from the held rows after each request. */
interface Built {
  model: FittedBackbone;
  popularity: FittedBackbone;
  selector: Selector;
  residuals: string[];
}

/**
 * CRAGRU (arXiv 2511.05494), Algorithm 1: a backbone proposes candidates (Eq. 1), a retriever filters the user's remaining
 * history (Eq. 2-9), a prompt carries both (Eq. 10), a generator scores the candidates. Forgetting removes rows from
 * everything that prompts, masks and derived data are made of; what the frozen backbone keeps is declared in the receipt.
 */
export class Cragru implements Unlearner {
  readonly name: string;
  readonly options: Readonly<Required<Omit<CragruOptions, "clusters" | "template" | "kernels" | "concurrency">> & CragruOptions>;
  private holdings: Holdings | undefined;
  private frozen: FittedBackbone | undefined;
  private built: Built | undefined;
  /** Read from the catalogue alone, so a forget request leaves them as they are. */
  private clusters: Categories | undefined;
  /** Counts requests: an answer that was begun before a request is never handed out after it. */
  private epoch = 0;

  constructor(options: CragruOptions) {
    this.options = { candidates: 50, candidateSource: "full", onFailure: "throw", seed: 2020, ...options };
    const { candidates, candidateSource, backbone, retriever } = this.options;
    if (!Number.isInteger(candidates) || candidates < 1 || candidates > 1000) {
      throw new ConfigError("CONFIG_CANDIDATES", `candidates must be a whole number from 1 to 1000, not ${candidates}.`, { hint: "The paper uses 50." });
    }
    if (!CANDIDATE_SOURCES.includes(candidateSource)) {
      throw new ConfigError("CONFIG_CANDIDATE_SOURCE", `There is no candidate source "${String(candidateSource)}".`, {
        hint: `Choose one of ${CANDIDATE_SOURCES.join(", ")}.`,
      });
    }
    this.name = `cragru (${retriever.name}, ${candidateSource} ${backbone.name})`;
  }

  async learn(split: Split, options: RunOptions = {}): Promise<void> {
    this.holdings = new Holdings(split);
    this.built = undefined;
    this.frozen = undefined;
    this.clusters = undefined;
    this.epoch++;
    await this.build(options);
  }

  async forget(request: ForgetRequest, options: RunOptions = {}): Promise<Receipt> {
    const holdings = this.held();
    const before = fingerprintRows(holdings.mask);
    const start = performance.now();
    const rows = holdings.locate(request);
    const located = performance.now();
    if (rows.length > 0) {
      // From here on no forgotten row can be served: what was built on them is gone before anything new is computed, and
      // an interrupted rebuild is simply done again by the next call.
      this.built = undefined;
      this.epoch++;
      holdings.remove(rows);
    }
    const applied = performance.now();
    const { residuals } = await this.build(options);
    return {
      method: this.name,
      rows: rows.length,
      users: rows.presentUsers().length,
      seconds: { locate: (located - start) / 1000, apply: (applied - located) / 1000, rebuild: (performance.now() - applied) / 1000 },
      residuals: holdings.forgotten.length > 0 ? residuals : [],
      before,
      after: fingerprintRows(holdings.mask),
    };
  }

  /** The backbone's lists under serveMask, `k` long (default: the number of candidates). Eq. 1. */
  async candidates(users: ArrayLike<number>, options: RunOptions & { k?: number } = {}): Promise<Ranking[]> {
    const { model } = await this.build(options);
    return model.recommend(users, Math.min(options.k ?? this.options.candidates, this.held().split.dataset.itemCount), {
      ...signalOf(options), mask: this.held().mask,
    });
  }

  /** Prompts of the users who still have a history (retrieval and augmentation, Eq. 2-10). */
  async prompts(users: ArrayLike<number>, options: RunOptions = {}): Promise<Prompt[]> {
    const holdings = this.held();
    const present = Array.from(users).filter((user) => holdings.history.countOf(user) > 0);
    const lists = await this.candidates(present, options);
    return this.promptsFor(lists, options);
  }

  /** Generation for prepared prompts; checks again that no prompt carries a row forgotten since it was made. */
  async rank(prompts: readonly Prompt[], options: RunOptions & Partial<Pick<GenerateAllOptions, "onCompletion">> = {}): Promise<Completion[]> {
    const begun = this.epoch;
    const holdings = this.held();
    for (const prompt of prompts) this.guard(prompt.user, prompt.evidence, prompt.candidates.map(({ item }) => item), holdings);
    const { completions } = await generateAll(prompts, this.options.generator, {
      ...options, onFailure: this.options.onFailure,
      ...(this.options.concurrency === undefined ? {} : { concurrency: this.options.concurrency }),
    });
    this.refuseStale(begun);
    return completions;
  }

  async recommend(users: ArrayLike<number>, k: number, options: RunOptions = {}): Promise<Ranking[]> {
    return (await this.answer(users, k, options)).rankings;
  }

  /** As `recommend`, with the prompts and completions behind the lists. */
  async answer(users: ArrayLike<number>, k: number, options: RunOptions = {}): Promise<Answers> {
    const begun = this.epoch;
    const holdings = this.held();
    const { model, popularity } = await this.build(partOf(options, 0, 4, "prepare"));
    const depth = Math.min(Math.max(k, this.options.candidates), holdings.split.dataset.itemCount);
    const all = Array.from(users);
    const present = all.filter((user) => holdings.history.countOf(user) > 0);
    const lists = await model.recommend(present, depth, { ...signalOf(options), mask: holdings.mask });
    const prompts = await this.promptsFor(lists, partOf(options, 1, 4, "prompts"));
    const completions = await this.rank(prompts, partOf(options, 2, 4, "generation"));
    const ranked = new Map(lists.map((list, at) => [list.user, rerank(list, completions[at]!, k)]));
    const withoutHistory = all.filter((user) => !ranked.has(user));
    for (const list of await popularity.recommend(withoutHistory, k, { ...signalOf(options), mask: holdings.mask })) ranked.set(list.user, list);
    this.refuseStale(begun);
    options.onProgress?.(4, 4, "lists");
    return { rankings: all.map((user) => ranked.get(user)!), prompts, completions, withoutHistory };
  }

  /** Item categories in use; undefined when the retriever needs none. */
  get categories(): Categories | undefined {
    return this.clusters;
  }

  /** What the retriever prepared from D_r: x*, projections, losses. */
  get retrieval(): Readonly<Record<string, unknown>> {
    return this.built?.selector.details ?? {};
  }

  /** The model that proposes candidates now. */
  get model(): FittedBackbone | undefined {
    return this.built?.model;
  }

  /** Under `released`: how often each guard of the strict protocol would have thrown. Always zero under `strict`. */
  readonly violations = { test: 0, candidates: 0, forgotten: 0 };

  private async promptsFor(lists: readonly Ranking[], options: RunOptions): Promise<Prompt[]> {
    const holdings = this.held();
    const { selector } = await this.build(options);
    const candidates = lists.map((list) => ({
      user: list.user,
      items: list.items.subarray(0, this.options.candidates),
      scores: list.scores.subarray(0, this.options.candidates),
    }));
    const evidence = await selector.select(
      candidates.map(({ user, items }) => ({ user, history: holdings.history.of(user), candidates: items })), options);
    candidates.forEach(({ user, items }, at) => this.guard(user, evidence[at]!, items, holdings));
    return buildPrompts({
      dataset: holdings.split.dataset,
      candidates,
      evidence,
      ...(this.options.template ? { template: this.options.template } : {}),
    }, signalOf(options));
  }

  private guard(user: number, evidence: Interactions, candidates: ArrayLike<number>, holdings: Holdings): void {
    const found = assertEvidence({ user, evidence, candidates, split: holdings.split, forgotten: holdings.forgotten });
    this.violations.test += found.test;
    this.violations.candidates += found.candidates;
    this.violations.forgotten += found.forgotten;
  }

  private refuseStale(begun: number): void {
    if (begun !== this.epoch) {
      throw new ForgettingError("FORGET_STALE_ANSWER", "A forget request arrived while this answer was being made; the answer was dropped.", {
        hint: "Ask again: the next answer is made from the remaining rows.",
      });
    }
  }

  private held(): Holdings {
    if (!this.holdings) {
      throw new ConfigError("CONFIG_NOT_LEARNED", `${this.name} has not learned anything yet.`, { hint: "Call learn(split) first." });
    }
    return this.holdings;
  }

  /** Builds what depends on the held rows, once after each change. */
  private async build(options: RunOptions): Promise<Built> {
    if (this.built) return this.built;
    const begun = this.epoch;
    const { candidateSource, retriever, seed } = this.options;
    const holdings = this.held();
    const { split, train, valid, history, forgotten } = holdings;
    // Batch count and defaults by size stay those of the original fit: a retrain differs through its data alone.
    const backbone = this.options.backbone.sizedFor?.(split.train.length) ?? this.options.backbone;
    const kernels = this.options.kernels ?? loadKernels();
    const released = split.protocol === "released";
    const fit = { seed, kernels, ...signalOf(options) };

    const popularity = await popularityBackbone().fit(train, fit);
    let model: FittedBackbone;
    if (candidateSource === "popularity") model = popularity;
    else if (candidateSource === "full") {
      this.frozen ??= await backbone.fit(split.train, { ...fit, ...partOf(options, 0, 2, `fit ${backbone.name}`), valid: split.valid });
      model = this.frozen;
    } else model = await backbone.fit(train, { ...fit, ...partOf(options, 0, 2, `fit ${backbone.name} on D_r`), valid });

    const rest = partOf(options, 1, 2, `prepare ${retriever.name}`);
    const needs = new Set(retriever.needs);
    const words = (): WordVectors => this.options.clusters?.vectors ?? catalogueVectors(split.dataset);
    if (needs.has("categories") || needs.has("hitRates")) {
      this.clusters ??= await clusterItems(split.dataset, { k: this.options.clusters?.k ?? 5, seed, vectors: words(), ...signalOf(options) });
    }
    const categories = this.clusters;
    let hitRates: HitRates | undefined;
    if (needs.has("hitRates")) {
      const neighbours = await itemKnn().fit(train, fit);
      hitRates = await measureHitRates(neighbours, history, valid, categories!, { seed, ...rest });
    }
    let itemVectors: ItemVectors | undefined;
    if (needs.has("itemVectors")) itemVectors = model.itemVectors ?? itemTextVectors(split.dataset, words());
    const context: RetrievalContext = {
      seed, kernels, ratingScale: split.dataset.ratingScale, train: history,
      ...(categories ? { categories } : {}), ...(itemVectors ? { itemVectors } : {}), ...(hitRates ? { hitRates } : {}),
    };
    const selector = await retriever.prepare(context, rest);

    const residuals: string[] = [];
    if (model === this.frozen && forgotten.intersect(split.train).length > 0) {
      residuals.push(`${backbone.name} weights: fitted on rows that are forgotten now; they still choose the ${this.options.candidates} candidates`);
      if (itemVectors === model.itemVectors && itemVectors) residuals.push(`attention vectors: item vectors of that ${backbone.name}`);
    }
    if (released && forgotten.length > 0) residuals.push("protocol released: forgotten rows stay in the mask, in M and in the backbone, as the authors coded it");
    this.refuseStale(begun);
    const built = { model, popularity, selector, residuals };
    this.built = built;
    return built;
  }
}

/** LLM order of the candidates, then backbone order from there on; scores fall along the list. */
export function rerank(list: Ranking, completion: Completion, k: number): Ranking {
  const head = completion.ranking.length;
  const items = new Uint32Array(Math.min(k, list.items.length));
  const scores = new Float32Array(items.length);
  const ordered = Float64Array.from(completion.scores).sort().reverse();
  const floor = head > 0 ? ordered[head - 1]! : 0;
  for (let at = 0; at < items.length; at++) {
    items[at] = at < head ? completion.ranking[at]! : list.items[at]!;
    scores[at] = at < head ? ordered[at]! : floor - (at - head + 1);
  }
  return { user: list.user, items, scores };
}

function signalOf({ signal }: RunOptions): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}
