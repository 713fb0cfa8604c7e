import type { Backbone } from "../backbone/backbone.js";
import { itemKnn } from "../backbone/itemknn.js";
import { popularityBackbone } from "../backbone/popularity.js";
import { Interactions } from "../core/interactions.js";
import { partOf, type RunOptions } from "../core/progress.js";
import { serveMask } from "../data/masks.js";
import type { Split } from "../data/split.js";
import { engineId } from "../generation/replay.js";
import type { EngineInfo, Generator } from "../generation/generator.js";
import type { Kernels } from "../native/kernels.js";
import { Cragru } from "../unlearning/cragru.js";
import type { CandidateSource } from "../unlearning/options.js";
import { retrain } from "../unlearning/retrain.js";
import type { ForgetRequest, Receipt } from "../unlearning/unlearner.js";
import type { RetrieverName } from "./config.js";
import type { Bench, MethodPlan } from "./method.js";
import { retrieverOf, type SharedBackbone } from "./recipes.js";

/** What plans need beside the bench. */
export interface Workshop {
  bench: Bench;
  kernels: Kernels;
  generator: Generator;
  engine: EngineInfo;
}

const clock = (): (() => number) => {
  const start = performance.now();
  return () => (performance.now() - start) / 1000;
};

const recipeOf = ({ name, options }: Backbone): { name: string; options: unknown } => ({ name, options });

/** The backbone as it was before the request: fitted on all rows, its own order, no prompt. */
export function beforePlan({ bench, kernels }: Workshop, backbone: SharedBackbone): MethodPlan {
  return {
    label: { name: "before", label: `${backbone.name}, before`, backbone: backbone.name, source: `full ${backbone.name}` },
    settings: { backbone: recipeOf(backbone), face: kernels.face },
    async produce(options) {
      const { split, users, depth, config } = bench;
      backbone.borrowedSeconds();
      const fitting = clock();
      const model = await backbone.fit(split.train, { ...options, valid: split.valid, seed: config.seed, kernels });
      const learn = fitting() + backbone.borrowedSeconds();
      const serving = clock();
      const mask = serveMask(split, Interactions.empty(split.dataset));
      const rankings = await model.recommend(users, depth, { ...signalOf(options), mask });
      return { rankings, receipts: [], seconds: { learn, serve: serving() }, details: { fit: model.report } };
    },
  };
}

/** A sanity row: popularity or ItemKNN, fitted on D_r. */
export function sanityPlan({ bench, kernels }: Workshop, name: "popularity" | "itemknn"): MethodPlan {
  const backbone: Backbone = name === "popularity" ? popularityBackbone() : itemKnn();
  return {
    label: { name: "retrain", label: `${name} on D_r`, backbone: backbone.name, source: `remain ${backbone.name}` },
    settings: { backbone: recipeOf(backbone), face: kernels.face },
    async produce(options) {
      const method = retrain(backbone, { seed: bench.config.seed, kernels });
      return forgetAndServe(bench, method, () => 0, options);
    },
  };
}

/** The reference: the backbone fitted again on D_r. */
export function retrainPlan({ bench, kernels }: Workshop, backbone: SharedBackbone): MethodPlan {
  return {
    label: { name: "retrain", label: `retrain ${backbone.name}`, backbone: backbone.name, source: `remain ${backbone.name}` },
    settings: { backbone: recipeOf(backbone), face: kernels.face },
    async produce(options) {
      const method = retrain(backbone, { seed: bench.config.seed, kernels });
      const produced = await forgetAndServe(bench, method, backbone.borrowedSeconds, options);
      return { ...produced, details: { fit: method.model?.report } };
    },
  };
}

/** CRAGRU with one retriever and one candidate source. */
export function cragruPlan(workshop: Workshop, backbone: SharedBackbone, retrieverName: RetrieverName, source: CandidateSource): MethodPlan {
  const { bench, kernels, generator, engine } = workshop;
  const { config } = bench;
  const method = cragruOf(workshop, backbone, retrieverName, source);
  const { retriever } = method.options;
  const proposer = source === "popularity" ? "popularity" : backbone.name;
  return {
    label: {
      name: source === "popularity" ? `cragru-${retrieverName}` : `cragru-${retrieverName}-${source}`,
      label: `cragru ${retrieverName}`, backbone: proposer, source: source === "popularity" ? "popularity" : `${source} ${backbone.name}`,
    },
    settings: {
      backbone: source === "popularity" ? "popularity" : recipeOf(backbone),
      retriever: { name: retriever.name, budget: retriever.budget, options: retriever.options },
      candidateSource: source, candidates: config.candidates, clusters: config.clusters, onFailure: config.onFailure,
      generator: generator.name, engine: engineId(engine), face: kernels.face,
      ...(config.blend === 0 ? {} : { blend: config.blend }), ...(config.similar === 0 ? {} : { similar: config.similar }),
    },
    engine,
    async produce(options) {
      const { split, users, depth } = bench;
      const { receipt, seconds } = await learnAndForget(bench, method, backbone.borrowedSeconds, partOf(options, 0, 2, "prepare"));
      const serving = clock();
      const { rankings, prompts, completions, blend, withoutHistory } = await method.answer(users, depth, partOf(options, 1, 2, "serve"));
      const violations = split.protocol === "released" ? { violations: method.violations } : {};
      return {
        rankings, receipts: [receipt], completions, withoutHistory: withoutHistory.length,
        seconds: { ...seconds, serve: serving() },
        details: {
          retrieval: method.retrieval,
          categories: method.categories ? { names: method.categories.names, hash: method.categories.hash } : undefined,
          template: prompts[0]?.templateHash, prompts: prompts.length, ...violations,
          ...(config.blend === 0 ? {} : { blend: config.blend === "tuned" ? await method.tune() : blend }),
          tokensEstimated: prompts.reduce((sum, prompt) => sum + prompt.tokenEstimate, 0), fit: method.model?.report,
        },
      };
    },
  };
}

/**
 * The request of a split: exactly D_f; under the released protocol, whose D_f holds copies of rows of everybody, test rows
 * among them, the users who asked.
 */
export function requestOf(split: Split): ForgetRequest {
  return split.protocol === "released" ? { users: Array.from(split.forgetUsers) } : { interactions: split.forget };
}

/** A CRAGRU with the bench's configuration. */
export function cragruOf(
  { bench, kernels, generator }: Workshop, backbone: SharedBackbone, retriever: RetrieverName, source: CandidateSource,
): Cragru {
  const { config } = bench;
  return new Cragru({
    backbone: source === "exact" ? backbone.origin : backbone, retriever: retrieverOf(retriever, config.history, config.protocol), generator, candidates: config.candidates, candidateSource: source,
    onFailure: config.onFailure, clusters: { k: config.clusters }, seed: config.seed, kernels, blend: config.blend,
    ...(config.similar > 0 ? { similar: { rows: config.similar } } : {}),
  });
}

type Method = Pick<Cragru, "learn" | "forget" | "recommend">;

async function forgetAndServe(bench: Bench, method: Method, borrowed: () => number, options: RunOptions): Promise<{
  rankings: Awaited<ReturnType<Method["recommend"]>>; receipts: Receipt[]; seconds: Record<string, number>; details: Record<string, unknown>;
}> {
  const { receipt, seconds } = await learnAndForget(bench, method, borrowed, options);
  const serving = clock();
  const rankings = await method.recommend(bench.users, bench.depth, signalOf(options));
  return { rankings, receipts: [receipt], seconds: { ...seconds, serve: serving() }, details: {} };
}

/** `forget` is what the request costs: the receipt's own time, and training that another method had already paid for. */
async function learnAndForget(bench: Bench, method: Method, borrowed: () => number, options: RunOptions): Promise<{
  receipt: Receipt; seconds: Record<string, number>;
}> {
  borrowed();
  const learning = clock();
  await method.learn(bench.split, partOf(options, 0, 2, "before"));
  const learn = learning() + borrowed();
  const receipt = await method.forget(requestOf(bench.split), partOf(options, 1, 2, "forget"));
  const rebuild = receipt.seconds.rebuild + borrowed();
  const { locate, apply } = receipt.seconds;
  const seconds = { learn, locate, apply, rebuild, forget: locate + apply + rebuild };
  return { receipt: { ...receipt, seconds: { locate, apply, rebuild } }, seconds };
}

function signalOf({ signal }: RunOptions): { signal?: AbortSignal } {
  return signal ? { signal } : {};
}
