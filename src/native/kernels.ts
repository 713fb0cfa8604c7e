import type { Csr } from "../core/interactions.js";
import type { RunOptions } from "../core/progress.js";

/**
 * THE contract between TypeScript and the native core. Three faces implement it: `js` (reference.ts: plain, the oracle),
 * `cpu` (SIMD and threads) and `cuda`. Rules that hold for every call:
 * - Arguments are typed arrays, row-major, read once at the call (copied by the native faces) and never written.
 *   Results are new arrays. A large argument of many calls is better kept at the kernels: see {@link Held}.
 * - Wrong shapes, ids out of range, NaN or infinite numbers reject with {@link NativeError} before any work starts.
 * - `signal` stops the work within about 5 ms a chunk; the promise rejects with `signal.reason`.
 * - Same input, same bytes, whatever the thread count and instruction set. All faces agree bit for bit: every operation is
 *   an IEEE operation in a stated order, exp and log are the fixed polynomials of core/math.ts and native/math.h, and no
 *   multiply-add is contracted unless the order says fma. The one exception is `update: "hogwild"`.
 * - dot(a, b) of float32 rows, wherever it is said below: eight sums in double, sum l over d = l, l + 8, ... ascending, of
 *   the products (exact in double), then with t[l] = s[l] + s[l + 4] the value (t[0] + t[2]) + (t[1] + t[3]).
 * - Ties: higher score first, then lower item index. -0 equals 0.
 * - A symmetric matrix of order n is its lower triangle, row by row: entry (i, j), j <= i, stands at i (i + 1) / 2 + j.
 */
export interface Kernels {
  readonly face: "js" | "cpu" | "cuda";
  /** For labels, for example "cpu (avx512, 2 threads)". */
  readonly device: string;
  /**
   * Copies `data` to where the kernels run (native memory; the GPU under `cuda`) for use in later calls of these kernels. A
   * CSR is checked against `columnCount` now, floats for being finite now, and neither is checked or copied again.
   */
  hold<T extends Holdable>(data: T, options?: RunOptions): Promise<Held<T>>;
  scoreTopK(input: ScoreTopKInput, options?: RunOptions): Promise<TopK>;
  bprEpoch(state: TrainingState, input: BprInput, options?: RunOptions): Promise<EpochResult>;
  lightGcnEpoch(state: TrainingState, input: LightGcnInput, options?: RunOptions): Promise<EpochResult>;
  propagate(input: PropagateInput, options?: RunOptions): Promise<Float32Array>;
  attentionWeights(input: AttentionInput, options?: RunOptions): Promise<AttentionResult>;
  knapsack(input: KnapsackInput, options?: RunOptions): Promise<KnapsackResult>;
  kmeans(input: KMeansInput, options?: RunOptions): Promise<KMeansRound>;
  gram(input: GramInput, options?: RunOptions): Promise<Uint32Array>;
  itemCooccurrence(input: CooccurrenceInput, options?: RunOptions): Promise<Cooccurrence>;
  cholesky(input: CholeskyInput, options?: RunOptions): Promise<Float64Array>;
  rankUpdate(input: RankUpdateInput, options?: RunOptions): Promise<Float64Array>;
  hessianProduct(input: HessianProductInput, options?: RunOptions): Promise<Float64Array>;
  conjugateGradient(input: ConjugateGradientInput, options?: RunOptions): Promise<ConjugateGradient>;
}

/** The names of the contract's calls; a test asserts that the addon exports exactly these. */
export const KERNEL_NAMES = [
  "scoreTopK", "bprEpoch", "lightGcnEpoch", "propagate", "attentionWeights", "knapsack", "kmeans", "gram", "itemCooccurrence",
  "cholesky", "rankUpdate", "hessianProduct", "conjugateGradient",
] as const;
export type KernelName = (typeof KERNEL_NAMES)[number];

export type Holdable = Float32Array | Float64Array | HeldCsr;

/**
 * Data kept at the kernels between calls; made by {@link Kernels.hold}, and usable only with the kernels that made it. A call that
 * updates a matrix (cholesky, rankUpdate) changes a held one in place. Dispose of it when done; what is forgotten is freed by the
 * garbage collector, later.
 */
export interface Held<T extends Holdable = Holdable> {
  readonly kind: T extends Float32Array ? "float32" : T extends Float64Array ? "float64" : "csr";
  /** Values of an array, entries of a CSR. */
  readonly length: number;
  readonly bytes: number;
  /** A copy of what is held now, after all calls made before. */
  read(): Promise<T>;
  /** Frees the memory; safe twice. Calls already made finish; later ones reject with NATIVE_DISPOSED. */
  dispose(): void;
}

/** An entry that holds no item (a list shorter than k). */
export const NO_ITEM = 0xffffffff;

/**
 * Dot products of users and items, fused with masking and top-k; the score matrix is never materialised.
 * Score = dot(user, item) rounded once to float32. Fast faces find candidates in less precise arithmetic with a proved error
 * bound and score those again exactly, so the lists are these lists. Cost O(users * items * dimension).
 */
export interface ScoreTopKInput {
  /** [userRows, dimension] */
  users: Float32Array | Held<Float32Array>;
  /** [itemCount, dimension] */
  items: Float32Array | Held<Float32Array>;
  dimension: number;
  /** Items to leave out: row r belongs to row r of `users`. Columns ascending in each row. */
  mask?: Csr | Held<HeldCsr>;
  /** List length, 1 to itemCount. */
  k: number;
}

/** A CSR as {@link Kernels.hold} takes it. */
export type HeldCsr = Csr & { columnCount: number };

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
 *   (u, i, e, 0). `batchCount` is a constant of the model, so a removed row moves no other. A batch is a set: its samples stand by
 *   (u, i), which decides rounding alone; under "hogwild", where the order matters, by (lane1, u, i).
 * - Negative: draw t = 0, 1, ... (at most 100) of stream "negative", counter (u, i, e, t): j = floor(lane0 * itemCount / 2^32),
 *   rejected while (u, j) is a positive; the hundredth is taken as it is.
 * - x = p_u . (q_i - q_j), differences, products and sums in double, summed as dot; r = -sigma(-x). Gradients use the parameters from before
 *   the batch: p_u += r (q_i - q_j), q_i += r p_u, q_j -= r p_u, plus `regularisation` * e for each occurrence, all divided by
 *   the rows in the batch. A row sums its occurrences in float32, in sample order (for one sample: user, positive, negative).
 * - Adam (beta .9, .999, eps 1e-8; dense: every row moves each step) or SGD in float32, operation by operation as
 *   reference/train.ts has them. Empty batches take no step. Steps of Adam that do not read a row are taken together for it.
 * - The loss of an epoch is the mean of softplus(-x), without the L2 term, in double: each batch summed as dot; 0 without rows.
 * - Parameters or a loss that leave the finite numbers reject with NATIVE_DIVERGED at the end of the epoch.
 * - `update: "hogwild"` (SGD only): each sample updates its three rows at once, in the order above cut among the threads, which
 *   race. Not reproducible on more than one thread; on one thread it is plain sequential SGD. A step is a sample: `learningRate` is
 *   that of one sample (a batch divides by its rows), and as many steps are counted.
 */
export interface BprInput {
  /** userCount rows, columns ascending, no duplicates. */
  positives: Csr | Held<HeldCsr>;
  seed: number;
  /** Epochs firstEpoch .. firstEpoch + epochs - 1 are run; the numbers key the draws. */
  firstEpoch: number;
  epochs: number;
  batchCount: number;
  learningRate: number;
  /** L2 weight: gradient regularisation * e / rows-in-batch for each occurrence of an embedding in the batch. */
  regularisation: number;
  optimiser: "adam" | "sgd";
  /** Default "batch". */
  update?: "batch" | "hogwild";
}

/**
 * As {@link BprInput}, with E = S E0, S = mean of A~^0 .. A~^layers (He et al., SIGIR 2020, Eq. 3-8) recomputed at each step:
 * the loss is on E, its gradient goes back through S (symmetric), L2 acts on the ego rows E0 of the batch. A~ has entries
 * 1 / sqrt(deg_u deg_i) for positives, degree 0 rows are 0.
 */
export interface LightGcnInput extends BprInput {
  layers: number;
  /** As {@link PropagateInput.operand}, in both directions. Default "float32". */
  operand?: "float32" | "bf16";
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
  parameters: Float32Array | Held<Float32Array>;
  positives: Csr | Held<HeldCsr>;
  layers: number;
  /**
   * "bf16" rounds each operand fround(s_neighbour * T) to bfloat16 (ties to even) before the adds: half the bytes, relative error
   * 2^-9 an operand; another result, to be labelled. Default "float32".
   */
  operand?: "float32" | "bf16";
}

/**
 * Attention of candidates (queries) over a user's history (keys), Eq. 6 and 8 of the paper: per head h,
 * a[c, j] = softmax over j of q_c . k_j / sqrt(dimension / heads) + bias_j, heads are equal slices of the vector. A ragged
 * batch: user b owns queries [queryOffsets[b], queryOffsets[b + 1]) and keys likewise. Everything in float32 with fused
 * multiply-adds, operation by operation as reference/attention.ts has them. Cost O(queries * keys * dimension).
 */
export interface AttentionInput {
  /** [candidates of all users, dimension] */
  queries: Float32Array | Held<Float32Array>;
  queryOffsets: Uint32Array;
  /** [history rows of all users, dimension] */
  keys: Float32Array | Held<Float32Array>;
  keyOffsets: Uint32Array;
  dimension: number;
  /** Divides dimension. */
  heads: number;
  /** Added to every logit of a history row: for example the log of a rating weight. One per key. */
  bias?: Float32Array;
  /**
   * What is kept; nothing else is stored. c_b queries and h_b keys of user b:
   * - "heads": every a[h, c, j], user by user, [heads, c_b, h_b];
   * - "weights": the mean over heads, user by user, [c_b, h_b];
   * - "max" or "mean": the mean over heads pooled over the user's candidates, one value per key (0 without candidates);
   * - "top": the `k` largest means over heads of each candidate, best first (ties: lower key), [candidates, k].
   */
  output: "heads" | "weights" | "max" | "mean" | "top";
  /** For "top" only: 1 to 1000. */
  k?: number;
}

export interface AttentionResult {
  /** As `output` says; under "top" 0 where a user has fewer than k keys. */
  weights: Float32Array;
  /** Under "top": [candidates, k] number of the key within its user's keys, NO_ITEM where there is none. */
  keys?: Uint32Array;
}

/**
 * Exact multiple-choice knapsack by dynamic programming, Eq. 4-5 of the paper: for each instance choose one level
 * x_c in 1..levels[c] per category to maximise the sum of values of (c, x_c) under sum x_c = capacity ("exact") or <= capacity
 * ("atMost"). DP[0][0] = 0 and -Infinity elsewhere (under "atMost" 0 everywhere: what is left unspent comes first); sums in
 * double, category order; ties take the smaller level, decided from the last category backwards. A batch is ragged: instances differ in
 * categories, levels (granularity) and capacity. Cost O(sum over instances of capacity * sum of levels).
 */
export interface KnapsackInput {
  /** Instance n owns categories [categoryOffsets[n], categoryOffsets[n + 1]); each owns at least one. */
  categoryOffsets: Uint32Array;
  /** Levels of each category [all categories], 1 to 65535. */
  levels: Uint32Array;
  /** One value per level, category by category: [sum of levels]. */
  values: Float64Array;
  /** [instances] */
  capacities: Uint32Array;
  boundary: "exact" | "atMost";
}

export interface KnapsackResult {
  /** [all categories], 1 to the category's levels. */
  choices: Uint32Array;
  /** [instances] */
  totals: Float64Array;
}

/**
 * Lloyd's rounds of k-means from given centroids, in double, at most `rounds` of them or until no label changes: assign (squared
 * distances, ties to the lower cluster), give each empty cluster the point farthest from its centroid, average; then assign once
 * more, so labels and distances are those of the centroids returned. Operation by operation as reference/kmeans.ts has them. Cost
 * O(rounds * points * clusters * dimension). @throws NATIVE_DIVERGED where a mean leaves the finite numbers.
 */
export interface KMeansInput {
  /** [points, dimension] */
  points: Float64Array;
  dimension: number;
  /** Starting centroids [clusters, dimension]. */
  centroids: Float64Array;
  rounds: number;
}

export interface KMeansRound {
  /** [points] */
  labels: Uint32Array;
  /** [clusters, dimension] */
  centroids: Float64Array;
  /** Squared distance of each point to its centroid [points]; infinite where it overflows. */
  distances: Float64Array;
  /** Rounds taken. */
  rounds: number;
}

/**
 * X'X of a binary matrix in exact integers: entry (i, j) is the number of rows with both columns. Result: the lower triangle,
 * n (n + 1) / 2 counts for n = columnCount, at most 65535. Cost for each column the least of n * rows / 64 and the entries of its rows.
 */
export interface GramInput {
  positives: Csr | Held<HeldCsr>;
  columnCount: number;
}

/** For each column the `k` other columns that share most rows with it, without building X'X. Cost twice that of {@link GramInput}. */
export interface CooccurrenceInput {
  positives: Csr | Held<HeldCsr>;
  columnCount: number;
  /** 1 to 1000. */
  k: number;
}

export interface Cooccurrence {
  /** [columnCount, k], most shared rows first (ties: lower index); NO_ITEM where fewer columns share a row. */
  items: Uint32Array;
  /** [columnCount, k] shared rows, 0 beside NO_ITEM. */
  counts: Uint32Array;
}

/**
 * A = L L' of a symmetric positive definite matrix in double; each entry is one chain of fused multiply-adds, as reference/linear.ts
 * has it. Result: the lower triangle of L ("factor") or of the inverse ("inverse"). A held matrix is replaced by it, all at once, and
 * resolves to an empty array. Cost n^3 / 3, or n^3 with the inverse; memory: one more matrix. @throws NATIVE_NOT_POSITIVE with the column
 * whose pivot is not a positive finite number, or whose inverse leaves the range of double; a held matrix is then unchanged.
 */
export interface CholeskyInput {
  /** Lower triangle, n (n + 1) / 2. */
  matrix: Float64Array | Held<Float64Array>;
  size: number;
  output: "factor" | "inverse";
}

/**
 * A + sum over r of weights[r] v_r v_r' in double: each entry adds (weights[r] * v_r[i]) * v_r[j], r ascending, with fused
 * multiply-adds. A held matrix is changed in place, whatever `signal` says once the work began, and resolves to an empty array. Cost
 * rank * n^2; for few vectors one pass over memory. @throws NATIVE_DIVERGED where an entry leaves the finite numbers; a held matrix
 * is then spoilt, and later calls refuse it.
 */
export interface RankUpdateInput {
  matrix: Float64Array | Held<Float64Array>;
  size: number;
  /** [rank, size] */
  vectors: Float64Array;
  /** [rank], negative to take away. */
  weights: Float64Array;
}

/**
 * The mean loss over samples whose curvature is wanted: F(E0) = (1 / n) sum of losses on E = S E0 (S of {@link PropagateInput}, in
 * double, scales 1 / sqrt(degree) in double too; identity for 0 layers) + regularisation / 2 * |E0|^2; without samples the L2 part
 * alone. Samples may repeat, and a positive may be its own negative. They are put in order of user, stably, and each row sums its terms
 * in that order, so the order of samples among different users does not matter. Closed forms without autodiff:
 * - "bpr": sample (u, i, j), x = e_u . (e_i - e_j), loss softplus(-x).
 * - "bce": sample (u, i) with label y in [0, 1], s = e_u . e_i, loss softplus(s) - y s; `negatives` is not read.
 */
export interface LossInput {
  userCount: number;
  itemCount: number;
  dimension: number;
  /** E0, [(userCount + itemCount), dimension] */
  parameters: Float32Array | Held<Float32Array>;
  layers: number;
  /** The graph of S; read when layers > 0. */
  positives?: Csr | Held<HeldCsr>;
  loss: "bpr" | "bce";
  /** [samples] user numbers, item numbers and, under "bpr", the negative items. */
  users: Uint32Array;
  items: Uint32Array;
  negatives?: Uint32Array;
  /** [samples] under "bce". */
  labels?: Float32Array;
  regularisation: number;
  /** "full", or "gn": Gauss-Newton, without the terms of the residual; positive semi-definite everywhere. */
  hessian: "full" | "gn";
}

/**
 * H v of {@link LossInput}, in double: [(userCount + itemCount), dimension]. Operation by operation as reference/hessian.ts has
 * them. Cost O(samples * dimension) + 2 propagations. @throws NATIVE_DIVERGED where a sum leaves the finite numbers.
 */
export interface HessianProductInput extends LossInput {
  /** [(userCount + itemCount), dimension] */
  vector: Float64Array;
}

/**
 * Solves (H_WW + damping I) x = gradient_W by conjugate gradients from 0, where W is a set of rows and all others stay. Stops at
 * |residual| <= tolerance |gradient|, after `iterations`, or where p' (H_WW + damping I) p <= 0 for a direction p (then
 * `negativeCurvature`, with the solution so far; ask again with "gn" or more damping). Sums run in double in the order of
 * reference/hessian.ts. Without layers only samples that touch W cost anything. @throws NATIVE_DIVERGED as hessianProduct.
 */
export interface ConjugateGradientInput extends LossInput {
  /** [W, dimension] */
  gradient: Float64Array;
  /** Stacked row numbers, ascending; default: all. */
  rows?: Uint32Array;
  damping: number;
  /** Relative; 1e-6 is usual. */
  tolerance: number;
  iterations: number;
}

export interface ConjugateGradient {
  /** [W, dimension] */
  solution: Float64Array;
  iterations: number;
  /** |gradient - (H_WW + damping I) solution| / |gradient|, by one more product; 0 for a gradient of 0. */
  residual: number;
  negativeCurvature: boolean;
}
