import { ConfigError } from "../core/errors.js";
import { fingerprintRows } from "../core/fingerprint.js";
import type { RunOptions } from "../core/progress.js";
import type { Ranking } from "../core/ranking.js";
import type { Split } from "../data/split.js";
import type { Backbone, FittedBackbone } from "../backbone/backbone.js";
import { popularityBackbone } from "../backbone/popularity.js";
import type { Kernels } from "../native/kernels.js";
import { Holdings } from "./holdings.js";
import type { ForgetRequest, Receipt, Unlearner } from "./unlearner.js";

export interface RetrainOptions {
  seed?: number;
  kernels?: Kernels;
}

/**
 * The reference that every other method is judged against: after each request the backbone is fitted again on D_r, with the
 * same seed, the same keyed draws and the same stopping rule. Exact by construction; costs one full training a request.
 * Users without a remaining row get the popularity list of D_r, as in every method.
 */
export class Retrain implements Unlearner {
  readonly name: string;
  private holdings: Holdings | undefined;
  private fitted: { model: FittedBackbone; popularity: FittedBackbone } | undefined;

  constructor(private readonly backbone: Backbone, private readonly options: RetrainOptions = {}) {
    this.name = `retrain (${backbone.name})`;
  }

  async learn(split: Split, options: RunOptions = {}): Promise<void> {
    this.holdings = new Holdings(split);
    this.fitted = undefined;
    await this.fit(options);
  }

  async forget(request: ForgetRequest, options: RunOptions = {}): Promise<Receipt> {
    const holdings = this.held();
    const before = fingerprintRows(holdings.mask);
    const start = performance.now();
    const rows = holdings.locate(request);
    const located = performance.now();
    if (rows.length > 0) {
      this.fitted = undefined;
      holdings.remove(rows);
    }
    const applied = performance.now();
    await this.fit(options);
    const released = holdings.split.protocol === "released" && rows.length > 0;
    return {
      method: this.name,
      rows: rows.length,
      users: rows.presentUsers().length,
      seconds: { locate: (located - start) / 1000, apply: (applied - located) / 1000, rebuild: (performance.now() - applied) / 1000 },
      residuals: released ? ["protocol released: the forgotten rows were not removed before training"] : [],
      before,
      after: fingerprintRows(holdings.mask),
    };
  }

  async recommend(users: ArrayLike<number>, k: number, options: RunOptions = {}): Promise<Ranking[]> {
    const holdings = this.held();
    const { model, popularity } = await this.fit(options);
    const all = Array.from(users);
    const signal = options.signal ? { signal: options.signal } : {};
    const warm = all.filter((user) => holdings.history.countOf(user) > 0);
    const lists = new Map((await model.recommend(warm, k, { ...signal, mask: holdings.mask })).map((list) => [list.user, list]));
    const cold = all.filter((user) => !lists.has(user));
    for (const list of await popularity.recommend(cold, k, { ...signal, mask: holdings.mask })) lists.set(list.user, list);
    return all.map((user) => lists.get(user)!);
  }

  /** The model fitted on the held rows. */
  get model(): FittedBackbone | undefined {
    return this.fitted?.model;
  }

  private held(): Holdings {
    if (!this.holdings) throw new ConfigError("CONFIG_NOT_LEARNED", `${this.name} has not learned anything yet.`, { hint: "Call learn(split) first." });
    return this.holdings;
  }

  private async fit(options: RunOptions): Promise<{ model: FittedBackbone; popularity: FittedBackbone }> {
    if (this.fitted) return this.fitted;
    const { split, train, valid } = this.held();
    // Batch count and defaults by size stay those of the original fit: the models differ through their data alone.
    const backbone = this.backbone.sizedFor?.(split.train.length) ?? this.backbone;
    const model = await backbone.fit(train, { ...this.options, ...options, valid });
    const popularity = await popularityBackbone().fit(train, this.options);
    this.fitted = { model, popularity };
    return this.fitted;
  }
}

/** The retrained reference over a backbone. */
export function retrain(backbone: Backbone, options: RetrainOptions = {}): Retrain {
  return new Retrain(backbone, options);
}
