import type { RunOptions } from "../core/progress.js";
import type { Ranking } from "../core/ranking.js";
import type { Backbone, FittedBackbone } from "../backbone/backbone.js";
import { popularityBackbone } from "../backbone/popularity.js";
import type { Kernels } from "../native/kernels.js";
import type { Holdings } from "./holdings.js";
import { RebuildingUnlearner, whileFresh } from "./rebuilding.js";

export interface RetrainOptions {
  seed?: number;
  kernels?: Kernels;
}

interface Fitted {
  model: FittedBackbone;
  popularity: FittedBackbone;
}

/**
 * The reference that every other method is judged against: after each request the backbone is fitted again on D_r, with the
 * same seed, the same keyed draws and the same stopping rule. Exact by construction; costs one full training a request.
 * Users without a remaining train row get the popularity list of D_r, as in every method.
 */
export class Retrain extends RebuildingUnlearner<Fitted> {
  readonly name: string;

  constructor(private readonly backbone: Backbone, private readonly options: RetrainOptions = {}) {
    super();
    this.name = `retrain (${backbone.name})`;
  }

  async recommend(users: ArrayLike<number>, k: number, options: RunOptions = {}): Promise<Ranking[]> {
    const { built: { model, popularity }, holdings, stale } = await this.current(options);
    const all = Array.from(users);
    const serve = { ...whileFresh(stale, options), mask: holdings.mask };
    const warm = all.filter((user) => holdings.history.countOf(user) > 0);
    const lists = new Map((await model.recommend(warm, k, serve)).map((list) => [list.user, list]));
    const cold = all.filter((user) => !lists.has(user));
    for (const list of await popularity.recommend(cold, k, serve)) lists.set(list.user, list);
    stale.throwIfAborted();
    return all.map((user) => lists.get(user)!);
  }

  /** The model fitted on the held rows; undefined while it is being fitted. */
  get model(): FittedBackbone | undefined {
    return this.built?.model;
  }

  protected async build({ split, train, valid }: Holdings, stale: AbortSignal, options: RunOptions): Promise<Fitted> {
    // Batch count and defaults by size stay those of the original fit: the models differ through their data alone.
    const backbone = this.backbone.sizedFor?.(split.train.length) ?? this.backbone;
    const fit = { ...this.options, ...whileFresh(stale, options) };
    const model = await backbone.fit(train, { ...options, ...fit, valid });
    return { model, popularity: await popularityBackbone().fit(train, fit) };
  }

  protected residuals(_: Fitted, { split }: Holdings): string[] {
    return split.protocol === "released" ? ["protocol released: the forgotten rows were not removed before training"] : [];
  }
}

/** The retrained reference over a backbone. */
export function retrain(backbone: Backbone, options: RetrainOptions = {}): Retrain {
  return new Retrain(backbone, options);
}
