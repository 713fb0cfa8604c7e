import type { Csr, Interactions, Shape } from "../core/interactions.js";
import type { Ranking, RecommendOptions } from "../core/ranking.js";
import { NO_ITEM, type Kernels } from "../native/kernels.js";
import type { FitReport, FittedBackbone, ItemVectors } from "./backbone.js";
import { listLength } from "./lists.js";

/** What a vector model is made of: enough to serve it, to store it and to go on from it. */
export interface VectorParts {
  name: string;
  shape: Shape;
  dimension: number;
  /** Trained parameters, users then items: [(userCount + itemCount), dimension]. For LightGCN the ego embeddings E0. */
  parameters: Float32Array;
  /** The vectors that are served, same layout; the parameters themselves where nothing is propagated. */
  vectors: Float32Array;
  /** The options as used, defaults by size and batch count included. */
  settings: Readonly<Record<string, unknown>>;
  seed: number;
  report: FitReport;
}

/** A model that scores by the dot product of a user's and an item's vector. */
export class VectorModel implements FittedBackbone {
  readonly name: string;
  readonly shape: Shape;
  readonly report: FitReport;
  readonly itemVectors: ItemVectors;
  readonly userVectors: Float32Array;

  constructor(readonly parts: VectorParts, private readonly kernels: Kernels) {
    const { name, shape, dimension, vectors, report } = parts;
    this.name = name;
    this.shape = shape;
    this.report = report;
    this.userVectors = vectors.subarray(0, shape.userCount * dimension);
    this.itemVectors = { values: vectors.subarray(shape.userCount * dimension), dimension, origin: `${name} fitted on ${report.rows} rows` };
  }

  /**
   * Scores, masks and cuts in one kernel call a block of users; a user without training rows has the initial vector.
   * Cost O(users * items * dimension). @throws DataError on unknown users; ConfigError on `k`.
   */
  async recommend(users: ArrayLike<number>, k: number, options: RecommendOptions = {}): Promise<Ranking[]> {
    const { mask, signal, onProgress } = options;
    signal?.throwIfAborted();
    const length = listLength(users, k, this.shape, mask);
    const { dimension } = this.parts;
    const block = Math.max(64, Math.floor(4e6 / length));
    const lists: Ranking[] = [];
    for (let start = 0; start < users.length; start += block) {
      const ids = Uint32Array.from({ length: Math.min(block, users.length - start) }, (_, at) => users[start + at]!);
      const rows = new Float32Array(ids.length * dimension);
      ids.forEach((user, at) => rows.set(this.userVectors.subarray(user * dimension, (user + 1) * dimension), at * dimension));
      const top = await this.kernels.scoreTopK({
        users: rows, items: this.itemVectors.values, dimension, k: length, ...(mask ? { mask: maskOf(mask, ids) } : {}),
      }, signal ? { signal } : {});
      ids.forEach((user, at) => {
        const items = top.items.subarray(at * length, (at + 1) * length);
        const short = items.indexOf(NO_ITEM);
        const end = at * length + (short < 0 ? length : short);
        lists.push({ user, items: top.items.slice(at * length, end), scores: top.scores.slice(at * length, end) });
      });
      onProgress?.(Math.min(users.length, start + block), users.length, `${this.name} lists`);
    }
    return lists;
  }
}

/** The masked items of some users as the rows of a kernel call. */
export function maskOf(rows: Interactions, users: Uint32Array): Csr {
  const offsets = new Uint32Array(users.length + 1);
  users.forEach((user, at) => { offsets[at + 1] = offsets[at]! + rows.countOf(user); });
  const columns = new Uint32Array(offsets[users.length]!);
  users.forEach((user, at) => columns.set(rows.itemsOf(user), offsets[at]!));
  return { offsets, columns };
}
