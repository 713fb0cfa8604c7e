import type { Csr } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";

/**
 * THE contract between TypeScript and the native core. Three faces implement it: `js` (reference.ts: plain, the oracle),
 * `cpu` (SIMD and threads) and `cuda`. Rules that hold for every call:
 * - Arguments are typed arrays, row-major, read once at the call (copied by the native faces) and never written.
 *   Results are new arrays.
 * - Wrong shapes, ids out of range, NaN or infinite numbers throw {@link NativeError} before any work starts.
 * - `signal` stops the work within about 5 ms a chunk; the promise rejects with `signal.reason`.
 * - Same input, same bytes, whatever the thread count. `js` and `cpu` agree bit for bit: products and their sums are
 *   IEEE doubles in a stated order, results are rounded to float32 once (sparse sums: float32 adds in neighbour order),
 *   exp and log are the fixed polynomials of core/math.ts and native/math.h, no multiply-add is contracted.
 * - Ties: higher score first, then lower item index. -0 equals 0.
 */
export interface Kernels {
  readonly face: "js" | "cpu" | "cuda";
  /** For labels, for example "cpu (avx512, 2 threads)". */
  readonly device: string;
  scoreTopK(input: ScoreTopKInput, options?: RunOptions): Promise<TopK>;
  bprEpoch(state: TrainingState, input: BprInput, options?: RunOptions): Promise<EpochResult>;
  lightGcnEpoch(state: TrainingState, input: LightGcnInput, options?: RunOptions): Promise<EpochResult>;
  propagate(input: PropagateInput, options?: RunOptions): Promise<Float32Array>;
  attentionWeights(input: AttentionInput, options?: RunOptions): Promise<Float32Array>;
  knapsack(input: KnapsackInput, options?: RunOptions): Promise<KnapsackResult>;
}

/** The names of the contract's calls; a test asserts that the addon exports exactly these. */
export const KERNEL_NAMES = ["scoreTopK", "bprEpoch", "lightGcnEpoch", "propagate", "attentionWeights", "knapsack"] as const;
export type KernelName = (typeof KERNEL_NAMES)[number];

/** An entry that holds no item (a list shorter than k). */
export const NO_ITEM = 0xffffffff;

/**
 * Dot products of users and items, fused with masking and top-k; the score matrix is never materialised.
 * Score = sum over d, d ascending, in double, rounded once to float32. Cost O(users * items * dimension).
 */
export interface ScoreTopKInput {
  /** [userRows, dimension] */
  users: Float32Array;
  /** [itemCount, dimension] */
  items: Float32Array;
  dimension: number;
  /** Items to leave out: row r belongs to row r of `users`. Columns ascending in each row. */
  mask?: Csr;
  /** List length, 1 to itemCount. */
  k: number;
}

export interface TopK {
  /** [userRows, k], best first, NO_ITEM where fewer than k items remain. */
  items: Uint32Array;
  /** [userRows, k], -Infinity beside NO_ITEM. */
  scores: Float32Array;
}

/**
 * Parameters and optimiser state of one model. `parameters` stacks users, then items: [(userCount + itemCount), dimension].
 * `first` and `second` are Adam's moments in the same shape (length 0 under SGD), `step` the number of steps taken.
 */
export interface TrainingState {
  userCount: number;
  itemCount: number;
  dimension: number;
  parameters: Float32Array;
  first: Float32Array;
  second: Float32Array;
  step: number;
}

/**
 * Epochs of BPR (Rendle et al., UAI 2009) over every positive once an epoch, with one keyed uniform negative each.
 * - Batches by key: row (u, i) of epoch e goes to batch floor(lane0 * batchCount / 2^32) of stream "order" with counter
 *   (u, i, e, 0) and stands there by (lane1, u, i). `batchCount` is a constant of the model, so a removed row moves no other.
 * - Negative: draw t = 0, 1, ... (at most 100) of stream "negative", counter (u, i, e, t): j = floor(lane0 * itemCount / 2^32),
 *   rejected while (u, j) is a positive; the hundredth is taken as it is.
 * - x = p_u . (q_i - q_j), products and sums in double, d ascending; r = -sigma(-x). Gradients use the parameters from before
 *   the batch: p_u += r (q_i - q_j), q_i += r p_u, q_j -= r p_u, plus `regularisation` * e for each occurrence, all divided by
 *   the rows in the batch. A row sums its occurrences in double, in sample order (for one sample: user, positive, negative).
 * - Adam (beta .9, .999, eps 1e-8; dense: every row moves each step) or SGD, in double, stored as float32. Empty batches
 *   take no step.
 * - The loss of an epoch is the mean of softplus(-x), without the L2 term, summed in double in sample order; 0 without rows.
 * - Parameters or a loss that leave the finite numbers reject with NATIVE_DIVERGED at the end of the epoch.
 */
export interface BprInput {
  /** userCount rows, columns ascending, no duplicates. */
  positives: Csr;
  seed: number;
  /** Epochs firstEpoch .. firstEpoch + epochs - 1 are run; the numbers key the draws. */
  firstEpoch: number;
  epochs: number;
  batchCount: number;
  learningRate: number;
  /** L2 weight: gradient regularisation * e / rows-in-batch for each occurrence of an embedding in the batch. */
  regularisation: number;
  optimiser: "adam" | "sgd";
}

/**
 * As {@link BprInput}, with E = S E0, S = mean of A~^0 .. A~^layers (He et al., SIGIR 2020, Eq. 3-8) recomputed at each step:
 * the loss is on E, its gradient goes back through S (symmetric), L2 acts on the ego rows E0 of the batch. A~ has entries
 * 1 / sqrt(deg_u deg_i) for positives, degree 0 rows are 0.
 */
export interface LightGcnInput extends BprInput {
  layers: number;
}

export interface EpochResult {
  state: TrainingState;
  /** Mean BPR loss of each epoch [epochs]. */
  losses: Float64Array;
}

/**
 * S E0 for stacked embeddings; result [(userCount + itemCount), dimension]. Horner form T <- E0 + A~ T from T = E0, layers
 * times, then T / (layers + 1). A~ T of one row: s = 1/sqrt(deg) as float32; neighbours ascending, each operand
 * fround(s_neighbour * T), float32 adds, times s_row. `layers` 0 returns a copy.
 */
export interface PropagateInput {
  userCount: number;
  itemCount: number;
  dimension: number;
  parameters: Float32Array;
  positives: Csr;
  layers: number;
}

/**
 * Attention of candidates (queries) over a user's history (keys), Eq. 6 and 8 of the paper: per head h,
 * a[c, j] = softmax over j of q_c . k_j / sqrt(dimension / heads) + bias_j, heads are equal slices of the vector; the result is
 * the mean over heads. A ragged batch: user b owns queries [queryOffsets[b], queryOffsets[b + 1]) and keys likewise.
 */
export interface AttentionInput {
  /** [candidates of all users, dimension] */
  queries: Float32Array;
  queryOffsets: Uint32Array;
  /** [history rows of all users, dimension] */
  keys: Float32Array;
  keyOffsets: Uint32Array;
  dimension: number;
  /** Divides dimension. */
  heads: number;
  /** Added to every logit of a history row: for example the log of a rating weight. One per key. */
  bias?: Float32Array;
  /**
   * "weights": every a[c, j], user by user, [candidates, history] row-major: sum over b of c_b * h_b values.
   * "max" or "mean": pooled over the user's candidates, one value per key (0 for a user without candidates).
   */
  output: "weights" | "max" | "mean";
}

/**
 * Exact multiple-choice knapsack by dynamic programming, Eq. 4-5 of the paper: for each instance choose one level
 * x_c in 1..levels per category to maximise the sum of values[c][x_c - 1] under sum x_c = capacity ("exact") or <= capacity
 * ("atMost"). DP[0][0] = 0 and -Infinity elsewhere (under "atMost" 0 everywhere: what is left unspent comes first); sums in
 * double, category order; ties take the smaller level, decided from the last category backwards.
 * Cost O(instances * categories * capacity * levels).
 */
export interface KnapsackInput {
  /** [instances, categories, levels] */
  values: Float64Array;
  instances: number;
  categories: number;
  levels: number;
  capacity: number;
  boundary: "exact" | "atMost";
}

export interface KnapsackResult {
  /** [instances, categories], 1 to levels. */
  choices: Uint32Array;
  /** [instances] */
  totals: Float64Array;
}
