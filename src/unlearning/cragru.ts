import { ForgettingError } from "../core/errors.js";
import { Interactions } from "../core/interactions.js";
import { Breather, partOf, unlessAborted, type RunOptions } from "../core/progress.js";
import type { Prompt } from "../core/prompt.js";
import type { Ranking } from "../core/ranking.js";
import { KeyedRandom, smallestKeys } from "../core/rng.js";
import type { Dataset } from "../data/dataset.js";
import { assertEvidence, assertSimilar, type EvidenceReport, type SplitSets } from "../data/guards.js";
import type { Backbone, FitOptions, FittedBackbone, ItemVectors } from "../backbone/backbone.js";
import type { ExactBackbone, ExactModel } from "../backbone/exact.js";
import { itemKnn } from "../backbone/itemknn.js";
import { listLength } from "../backbone/lists.js";
import { fitOnce } from "../backbone/memo.js";
import { popularityBackbone } from "../backbone/popularity.js";
import { clusterItems, type Categories } from "../retrieval/cluster.js";
import type { HitRates, RetrievalContext, Selector } from "../retrieval/retriever.js";
import { SimilarUsers } from "../retrieval/similar.js";
import { catalogueVectors, itemTextVectors, type WordVectors } from "../retrieval/wordvectors.js";
import { buildPrompts } from "../augmentation/prompt.js";
import { blend } from "../generation/blend.js";
import type { Completion } from "../generation/generator.js";
import { generateAll, type GenerateAllOptions } from "../generation/schedule.js";
import { loadKernels } from "../native/load.js";
import { chooseBlend, type Tuning } from "./blending.js";
import { resolveOptions, type CragruOptions, type ResolvedOptions } from "./options.js";
import type { Holdings } from "./holdings.js";
import { measureHitRates } from "./hitrates.js";
import { RebuildingUnlearner, whileFresh, type Current } from "./rebuilding.js";

/** Everything behind the lists of one call: for tables, journals and notebooks. */
export interface Answers {
  /** Final lists: LLM order of the candidates, then backbone order. */
  rankings: Ranking[];
  /** One for each user who still has a history. */
  prompts: Prompt[];
  /** The model's own answers, before any blend. */
  completions: Completion[];
  /** Weight of the backbone in the lists. */
  blend: number;
  /** Users without a remaining train row (valid rows are no history): they get the popularity list of D_r and no prompt. */
  withoutHistory: number[];
}

/** Users whose validation rows tune a blend: at a second each, minutes with a language model. */
const TUNING_USERS = 200;

/** Everything that is rebuilt from the held rows after each request. */
interface Built {
  model: FittedBackbone;
  popularity: FittedBackbone;
  categories: Categories | undefined;
  itemVectors: ItemVectors | undefined;
  selector: Selector;
  similar: SimilarUsers | undefined;
}

/**
 * CRAGRU (arXiv 2511.05494), Algorithm 1: a backbone proposes candidates (Eq. 1), a retriever filters the user's remaining
 * history (Eq. 2-9), a prompt carries both (Eq. 10), a generator scores the candidates. Forgetting removes rows from
 * everything that prompts, masks and derived data are made of; what the frozen backbone keeps is declared in the receipt.
 */
export class Cragru extends RebuildingUnlearner<Built> {
  readonly name: string;
  readonly options: ResolvedOptions;
  /**
   * Under `released`: evidence rows, over all prompts made so far, for which a guard of the strict protocol would have thrown.
   * Always zero under `strict`.
   */
  readonly violations = { test: 0, candidates: 0, forgotten: 0 };
  /** The backbone of candidate source `full`: a rebuild finds it fitted, and a request does not stop its training. */
  private readonly frozen: Backbone;
  /** Read from the catalogue alone, so a forget request leaves them as they are. */
  private clusters: { dataset: Dataset; categories: Categories } | undefined;
  /** When each prompt of ours goes stale: also its candidates may stem from a model that saw what is forgotten since. */
  private readonly made = new WeakMap<Prompt, AbortSignal>();
  private exact: { dataset: Dataset; model: ExactModel } | undefined;
  private tuning: { stale: AbortSignal; found: Promise<Tuning> } | undefined;

  constructor(options: CragruOptions) {
    super();
    this.options = resolveOptions(options);
    const { backbone, retriever, candidateSource, mask } = this.options;
    this.frozen = fitOnce(backbone, { keep: 1 });
    this.name = `cragru (${retriever.name}, ${candidateSource} ${backbone.name}${mask === "full" ? ", full mask" : ""})`;
  }

  /** The backbone's lists under serveMask, `k` long (default: the number of candidates). Eq. 1. */
  async candidates(users: ArrayLike<number>, options: RunOptions & { k?: number } = {}): Promise<Ranking[]> {
    return this.lists(await this.current(options), users, options.k ?? this.options.candidates, options);
  }

  /** Prompts of the users who still have a history (retrieval and augmentation, Eq. 2-10). */
  async prompts(users: ArrayLike<number>, options: RunOptions = {}): Promise<Prompt[]> {
    const current = await this.current(options);
    listLength(users, this.options.candidates, current.holdings.split.dataset, undefined);
    const present = Array.from(users).filter((user) => current.holdings.history.countOf(user) > 0);
    return this.promptsFor(current, await this.lists(current, present, this.options.candidates, options), options);
  }

  /**
   * Generation for prepared prompts. A request that arrives meanwhile stops it: no further prompt is sent.
   * @throws ForgettingError on prompts made before the latest request, and on any prompt, wherever it was kept, that prints
   * a forgotten row.
   */
  async rank(prompts: readonly Prompt[], options: RunOptions & Partial<Pick<GenerateAllOptions, "onCompletion">> = {}): Promise<Completion[]> {
    const { held, stale } = this;
    const breather = new Breather(options.signal);
    for (const prompt of prompts) {
      await breather.pause();
      this.guard(held, prompt.user, prompt.evidence, prompt.candidates.map(({ item }) => item));
      if (prompt.similar) assertSimilar({ user: prompt.user, similar: prompt.similar, split: held.split, forgotten: held.forgotten });
      if (this.made.get(prompt)?.aborted) {
        throw new ForgettingError("FORGET_STALE_PROMPT", `The prompt of user ${held.split.dataset.userId(prompt.user)} was made before the latest forget request.`, {
          hint: "Make the prompts again: prompts(users).",
        });
      }
    }
    const { concurrency, generator, onFailure } = this.options;
    try {
      const { completions } = await generateAll(prompts, generator, {
        ...options, ...whileFresh(stale, options), onFailure, ...(concurrency === undefined ? {} : { concurrency }),
      });
      return completions;
    } finally {
      // Also where an engine turned the stop into an error of its own.
      stale.throwIfAborted();
    }
  }

  async recommend(users: ArrayLike<number>, k: number, options: RunOptions = {}): Promise<Ranking[]> {
    return (await this.answer(users, k, options)).rankings;
  }

  /** As `recommend`, with the prompts and completions behind the lists. */
  async answer(users: ArrayLike<number>, k: number, options: RunOptions = {}): Promise<Answers> {
    const current = await this.current(partOf(options, 0, 4, "prepare"));
    const { built: { popularity }, holdings, stale } = current;
    const length = listLength(users, k, holdings.split.dataset, undefined);
    const all = Array.from(users);
    const present = all.filter((user) => holdings.history.countOf(user) > 0);
    const lists = await this.lists(current, present, Math.max(length, this.options.candidates), options);
    const prompts = await this.promptsFor(current, lists, partOf(options, 1, 4, "prompts"));
    const completions = await this.rank(prompts, partOf(options, 2, 4, "generation"));
    const weight = this.options.blend === "tuned" ? (await this.tune(options)).alpha : this.options.blend;
    const ranked = new Map(lists.map((list, at) => [list.user, rerank(list, blend(completions[at]!, prompts[at]!.candidates, weight), length)]));
    const withoutHistory = all.filter((user) => !ranked.has(user));
    const serve = { ...whileFresh(stale, options), mask: this.maskOf(holdings) };
    for (const list of await popularity.recommend(withoutHistory, length, serve)) ranked.set(list.user, list);
    stale.throwIfAborted();
    options.onProgress?.(4, 4, "lists");
    return { rankings: all.map((user) => ranked.get(user)!), prompts, completions, blend: weight, withoutHistory };
  }

  /**
   * Chooses the weight of the backbone's opinion on validation rows of D_r (blending.ts), for `blend: "tuned"`; test rows are
   * never read. The generator is asked for the `users` given (default: 200, a keyed draw). Done once for the rows held: a forget
   * request makes it stale, for the weight owes something to them.
   */
  async tune(options: RunOptions & { users?: ArrayLike<number> } = {}): Promise<Tuning> {
    const current = await this.current(options);
    const { stale } = current;
    // A question about certain users is an inspection: what lists are made with stays the keyed sample.
    if (options.users !== undefined) return this.tuneOn(current, options);
    for (let known = this.tuning; known?.stale === stale; known = this.tuning) {
      try {
        return await unlessAborted(known.found, options.signal);
      } catch {
        options.signal?.throwIfAborted();
        stale.throwIfAborted();
        // Another caller's failure, or Ctrl-C, is not this caller's: look again, and ask if nobody else does.
        if (this.tuning === known) this.tuning = undefined;
      }
    }
    const tuning = { stale, found: this.tuneOn(current, options) };
    this.tuning = tuning;
    try {
      return await tuning.found;
    } catch (error) {
      if (this.tuning === tuning) this.tuning = undefined;
      throw error;
    }
  }

  private async tuneOn(current: Current<Built>, { users, ...options }: RunOptions & { users?: ArrayLike<number> }): Promise<Tuning> {
    const { holdings: { split, train, valid, history }, built, stale } = current;
    const draw = new KeyedRandom(this.options.seed, "sample/user");
    const able = Array.from(valid.presentUsers()).filter((user) => history.countOf(user) > 0);
    const sample = users ? Array.from(users).filter((user) => valid.countOf(user) > 0 && history.countOf(user) > 0)
      : Array.from(smallestKeys(able.map((user) => draw.key(user)), TUNING_USERS), (at) => able[at]!).sort((a, b) => a - b);
    const lists = await built.model.recommend(sample, this.options.candidates, { ...whileFresh(stale, options), mask: train });
    // Here validation rows are what is to be found: they may be candidates, as nowhere else.
    const sets = { ...setsOf(split), valid: Interactions.empty(split.dataset) };
    const prompts = await this.promptsFor(current, lists, options, sets);
    const { generator, concurrency, onFailure } = this.options;
    const { completions } = await generateAll(prompts, generator, {
      ...partOf(options, 0, 1, "tuning on validation rows"), ...whileFresh(stale, options), onFailure, ...(concurrency === undefined ? {} : { concurrency }),
    });
    return chooseBlend(prompts, completions, valid);
  }

  /** Item categories in use; undefined when the retriever needs none. */
  get categories(): Categories | undefined {
    return this.built?.categories;
  }

  /** What the retriever prepared from D_r: x*, projections, losses. */
  get retrieval(): Readonly<Record<string, unknown>> {
    return this.built?.selector.details ?? {};
  }

  /** The model that proposes candidates now. */
  get model(): FittedBackbone | undefined {
    return this.built?.model;
  }

  private async lists({ built: { model }, holdings, stale }: Current<Built>, users: ArrayLike<number>, k: number, options: RunOptions): Promise<Ranking[]> {
    const lists = await model.recommend(users, k, { ...whileFresh(stale, options), mask: this.maskOf(holdings) });
    stale.throwIfAborted();
    return lists;
  }

  private async promptsFor({ built: { selector, similar: neighbours }, holdings, stale }: Current<Built>, lists: readonly Ranking[], options: RunOptions, sets: SplitSets = holdings.split): Promise<Prompt[]> {
    const fresh = whileFresh(stale, options);
    const { split: { dataset }, history } = holdings;
    const candidates = lists.map((list) => ({
      user: list.user,
      items: list.items.subarray(0, this.options.candidates),
      scores: list.scores.subarray(0, this.options.candidates),
    }));
    const evidence = await selector.select(
      candidates.map(({ user, items }) => ({ user, history: history.of(user), candidates: items })), { ...options, ...fresh });
    const breather = new Breather(fresh.signal);
    for (const [at, { user, items }] of candidates.entries()) {
      await breather.pause();
      const found = assertEvidence({ user, evidence: evidence[at]!, candidates: items, split: sets, forgotten: holdings.forgotten });
      this.violations.test += found.test;
      this.violations.candidates += found.candidates;
      this.violations.forgotten += found.forgotten;
    }
    const { template, similar: wanted, retriever } = this.options;
    // Own rows come first; rows of similar users may take what the budget leaves.
    const similar = neighbours && candidates.map(({ user }, at) =>
      neighbours.rowsFor(user, { ...wanted, rows: Math.min(wanted?.rows ?? 20, Math.max(0, retriever.budget - evidence[at]!.length)) }));
    for (const [at, { user }] of candidates.entries()) {
      if (!similar) break;
      await breather.pause();
      const found = assertSimilar({ user, similar: similar[at]!, split: holdings.split, forgotten: holdings.forgotten });
      this.violations.test += found.test;
      this.violations.forgotten += found.forgotten;
    }
    const prompts = await buildPrompts({ dataset, candidates, evidence, ...(similar ? { similar } : {}), ...(template ? { template } : {}) }, fresh);
    stale.throwIfAborted();
    for (const prompt of prompts) this.made.set(prompt, stale);
    return prompts;
  }

  private guard({ split, forgotten }: Holdings, user: number, evidence: Interactions, candidates: ArrayLike<number>): EvidenceReport {
    return assertEvidence({ user, evidence, candidates, split, forgotten });
  }

  private maskOf({ split, mask }: Holdings): Interactions {
    return this.options.mask === "full" ? split.train.union(split.valid) : mask;
  }

  protected async build(holdings: Holdings, stale: AbortSignal, options: RunOptions): Promise<Built> {
    const { candidateSource, retriever, seed } = this.options;
    const { split, train, valid, history } = holdings;
    const { dataset } = split;
    const kernels = this.options.kernels ?? loadKernels();
    const fit = { seed, kernels, ...whileFresh(stale, options) };

    const popularity = await popularityBackbone().fit(train, fit);
    let model: FittedBackbone = popularity;
    if (candidateSource === "exact") {
      model = await this.exactModel(train, split.dataset, { ...partOf(options, 0, 2, `move ${this.options.backbone.name} to D_r`), ...fit });
      stale.throwIfAborted();
    } else if (candidateSource !== "popularity") {
      const full = candidateSource === "full";
      // Batch count and defaults by size stay those of the original fit: a retrain differs through its data alone.
      const recipe = full ? this.frozen : this.options.backbone;
      const sized = recipe.sizedFor?.(split.train.length) ?? recipe;
      const progress = partOf(options, 0, 2, `fit ${recipe.name}${full ? "" : " on D_r"}`);
      // The frozen fit outlives a request: the next build asks for the same one.
      model = full ? await sized.fit(split.train, { seed, kernels, ...progress, valid: split.valid })
        : await sized.fit(train, { ...progress, ...fit, valid });
      stale.throwIfAborted();
    }

    const rest = { ...partOf(options, 1, 2, `prepare ${retriever.name}`), ...whileFresh(stale, options) };
    const needs = new Set(retriever.needs);
    const words = (): WordVectors => this.options.clusters?.vectors ?? catalogueVectors(dataset);
    let categories: Categories | undefined;
    if (needs.has("categories") || needs.has("hitRates")) {
      if (this.clusters?.dataset !== dataset) {
        const found = await clusterItems(dataset, { k: this.options.clusters?.k ?? 5, seed, vectors: words(), kernels, ...whileFresh(stale, options) });
        this.clusters = { dataset, categories: found };
      }
      ({ categories } = this.clusters!);
    }
    let hitRates: HitRates | undefined;
    if (needs.has("hitRates")) {
      // Profiles from train, which is the history under strict; the released history holds valid rows, which nobody can hit.
      hitRates = await measureHitRates(await itemKnn().fit(train, fit), train, valid, categories!, { seed, ...rest });
    }
    let itemVectors: ItemVectors | undefined;
    if (needs.has("itemVectors")) itemVectors = model.itemVectors ?? itemTextVectors(dataset, words());
    const context: RetrievalContext = {
      seed, kernels, ratingScale: dataset.ratingScale, train: history,
      ...(categories ? { categories } : {}), ...(itemVectors ? { itemVectors } : {}), ...(hitRates ? { hitRates } : {}),
    };
    return { model, popularity, categories, itemVectors, selector: await retriever.prepare(context, rest), similar: this.options.similar ? new SimilarUsers(history) : undefined };
  }

  /** Kept answers and the memory of servers. */
  protected override purge(rows: Interactions): Promise<string[]> {
    return this.options.generator.purge?.(rows) ?? Promise.resolve([]);
  }

  /** The exact model for these rows: fitted once for a data set, then moved by what left and what came. */
  private async exactModel(train: Interactions, dataset: Dataset, options: FitOptions): Promise<ExactModel> {
    if (this.exact?.dataset !== dataset) this.exact = { dataset, model: await (this.options.backbone as ExactBackbone).fit(train, options) };
    const { model } = this.exact;
    await model.change({ gone: model.train.without(train), come: train.without(model.train) }, options);
    return model;
  }

  protected residuals({ model, itemVectors }: Built, { split, forgotten }: Holdings): string[] {
    const { backbone, candidates, candidateSource, mask } = this.options;
    const found: string[] = [];
    if (candidateSource === "full") {
      const trained = forgotten.intersect(split.train).length > 0;
      // Early stopping read the validation rows: they chose the epoch whose weights are served.
      const stopped = model.report.validation.length > 0 && forgotten.intersect(split.valid).length > 0;
      if (trained || stopped) {
        const how = [...(trained ? ["fitted"] : []), ...(stopped ? ["stopped early"] : [])].join(" and ");
        found.push(`${backbone.name} weights: ${how} on rows that are forgotten now; they still choose the ${candidates} candidates`);
        if (itemVectors && itemVectors === model.itemVectors) found.push(`attention vectors: item vectors of that ${backbone.name}`);
      }
    }
    if (mask === "full") found.push("mask full: forgotten items stay out of their users' lists, so their absence still marks them (leak L3)");
    if (split.protocol === "released") found.push("protocol released: forgotten rows stay in the mask, in M and in the backbone, as the authors coded it");
    return found;
  }
}

function setsOf({ dataset, protocol, train, valid, test, forget, remain, history }: SplitSets): SplitSets {
  return { dataset, protocol, train, valid, test, forget, remain, history };
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
