import { NativeError } from "../core/errors.js";
import type { Csr } from "../core/interactions.js";
import { MAX_DIMENSION, MAX_LIST, MAX_RESULT } from "./check.js";
import type {
  CholeskyInput, ConjugateGradientInput, CooccurrenceInput, GramInput, HessianProductInput, KernelName, KMeansInput, LossInput,
  RankUpdateInput,
} from "./kernels.js";
import { MAX_ROWS, Reader, TYPESCRIPT, type Face } from "./reader.js";

/** Argument checks, as in check.ts, of the kernels that cluster, count, factor and curve. */

/** Rows of a symmetric matrix; its triangle then has fewer than 2^32 values. */
const MAX_ORDER = 65535;

export interface CheckedKMeans extends KMeansInput {
  pointCount: number;
  clusters: number;
}

/** Arguments of `kmeans`. @throws NativeError as checkScoreTopK: so do all checks below. */
export function checkKMeans(input: KMeansInput, face: Face = TYPESCRIPT): CheckedKMeans {
  const read = new Reader("kmeans", input, face);
  const dimension = read.whole("dimension", 1, MAX_DIMENSION), rounds = read.whole("rounds", 1, MAX_ROWS);
  const points = read.float64("points"), centroids = read.float64("centroids");
  const pointCount = read.rows("points", points, dimension), clusters = read.rows("centroids", centroids, dimension);
  if (clusters < 1 || clusters > pointCount) {
    throw new NativeError("NATIVE_SHAPE", `kmeans: ${pointCount} points cannot make ${clusters} clusters.`, { hint: "Pass from 1 centroid to as many as points." });
  }
  return { points, dimension, centroids, rounds, pointCount, clusters };
}

export interface CheckedGram {
  positives: Csr;
  columnCount: number;
}

/** Arguments of `gram`. */
export function checkGram(input: GramInput, face: Face = TYPESCRIPT): CheckedGram {
  const read = new Reader("gram", input, face);
  const columnCount = read.whole("columnCount", 1, MAX_ORDER);
  return { positives: read.csr("positives", undefined, columnCount), columnCount };
}

export interface CheckedCooccurrence extends CheckedGram {
  k: number;
}

/** Arguments of `itemCooccurrence`. */
export function checkCooccurrence(input: CooccurrenceInput, face: Face = TYPESCRIPT): CheckedCooccurrence {
  const read = new Reader("itemCooccurrence", input, face);
  const columnCount = read.whole("columnCount", 1, MAX_ROWS), k = read.whole("k", 1, MAX_LIST);
  if (columnCount * k > MAX_RESULT) {
    throw new NativeError("NATIVE_SHAPE", `itemCooccurrence: ${columnCount} lists of ${k} are too many for one array.`, { hint: "Ask for a smaller k." });
  }
  return { positives: read.csr("positives", undefined, columnCount), columnCount, k };
}

export interface CheckedCholesky extends Triangle {
  output: "factor" | "inverse";
}

interface Triangle {
  matrix: Float64Array;
  /** The matrix is held: to be changed in place, and the call resolves to an empty array. */
  held: boolean;
  size: number;
}

/** Arguments of `cholesky`; a held matrix comes as what its face keeps, to be changed in place. */
export function checkCholesky(input: CholeskyInput, face: Face = TYPESCRIPT): CheckedCholesky {
  const read = new Reader("cholesky", input, face);
  const size = read.whole("size", 1, MAX_ORDER);
  return { ...triangle(read, size), output: read.choice("output", ["factor", "inverse"] as const) };
}

export interface CheckedRankUpdate extends Triangle {
  vectors: Float64Array;
  weights: Float64Array;
}

/** Arguments of `rankUpdate`; the matrix as in {@link checkCholesky}. */
export function checkRankUpdate(input: RankUpdateInput, face: Face = TYPESCRIPT): CheckedRankUpdate {
  const read = new Reader("rankUpdate", input, face);
  const size = read.whole("size", 1, MAX_ORDER);
  const weights = read.float64("weights"), vectors = read.float64("vectors");
  read.shape("vectors", vectors, weights.length * size, "weights.length rows of size");
  return { ...triangle(read, size), vectors, weights };
}

function triangle(read: Reader, size: number): Triangle {
  const { values: matrix, held } = read.matrix("matrix");
  read.shape("matrix", matrix, (size * (size + 1)) / 2, "the lower triangle, size * (size + 1) / 2");
  return { matrix, held, size };
}

export interface CheckedLoss extends LossInput {
  parameters: Float32Array;
  positives?: Csr;
  rows: number;
  samples: number;
}

function checkLoss(kernel: KernelName, read: Reader, face: Face): CheckedLoss {
  const dimension = read.whole("dimension", 1, MAX_DIMENSION);
  const userCount = read.whole("userCount", 1, MAX_ROWS), itemCount = read.whole("itemCount", 1, MAX_ROWS);
  const rows = userCount + itemCount;
  const parameters = read.float32("parameters");
  read.shape("parameters", parameters, rows * dimension, "(userCount + itemCount) * dimension");
  const layers = read.whole("layers", 0, 1000);
  const loss = read.choice("loss", ["bpr", "bce"] as const), hessian = read.choice("hessian", ["full", "gn"] as const);
  const users = read.uint32("users"), items = read.uint32("items"), samples = users.length;
  read.shape("items", items, samples, "one per sample");
  const checked: CheckedLoss = {
    userCount, itemCount, dimension, parameters, layers, loss, users, items, hessian, regularisation: read.amount("regularisation"), rows, samples,
  };
  if (layers > 0) checked.positives = read.csr("positives", userCount, itemCount);
  if (loss === "bpr") {
    checked.negatives = read.uint32("negatives");
    read.shape("negatives", checked.negatives, samples, "one per sample");
  } else {
    checked.labels = read.float32("labels");
    read.shape("labels", checked.labels, samples, "one per sample");
  }
  if (face.inspect) checkSamples(kernel, checked);
  return checked;
}

function checkSamples(kernel: KernelName, { users, items, negatives, labels, userCount, itemCount, samples }: CheckedLoss): void {
  for (let at = 0; at < samples; at++) {
    if (users[at] >= userCount || items[at] >= itemCount || (negatives && negatives[at] >= itemCount)) {
      throw new NativeError("NATIVE_RANGE", `${kernel}: sample ${at} names a user or an item that is not there.`);
    }
    if (labels && !(labels[at] >= 0 && labels[at] <= 1)) throw new NativeError("NATIVE_RANGE", `${kernel}: label ${at} is not from 0 to 1.`);
  }
}

export interface CheckedHessianProduct extends CheckedLoss {
  vector: Float64Array;
}

/** Arguments of `hessianProduct`. */
export function checkHessianProduct(input: HessianProductInput, face: Face = TYPESCRIPT): CheckedHessianProduct {
  const read = new Reader("hessianProduct", input, face);
  const loss = checkLoss("hessianProduct", read, face), vector = read.float64("vector");
  read.shape("vector", vector, loss.rows * loss.dimension, "(userCount + itemCount) * dimension");
  return { ...loss, vector };
}

export interface CheckedConjugateGradient extends CheckedLoss {
  gradient: Float64Array;
  /** The rows W; absent: all. */
  rowsChosen?: Uint32Array;
  damping: number;
  tolerance: number;
  iterations: number;
}

/** Arguments of `conjugateGradient`. */
export function checkConjugateGradient(input: ConjugateGradientInput, face: Face = TYPESCRIPT): CheckedConjugateGradient {
  const read = new Reader("conjugateGradient", input, face);
  const loss = checkLoss("conjugateGradient", read, face), gradient = read.float64("gradient");
  const checked: CheckedConjugateGradient = {
    ...loss, gradient, damping: read.amount("damping"), tolerance: read.amount("tolerance"), iterations: read.whole("iterations", 0, MAX_ROWS),
  };
  let count = loss.rows;
  if (read.get("rows") !== undefined) {
    const chosen = read.uint32("rows");
    for (let at = 0; face.inspect && at < chosen.length; at++) {
      if (chosen[at] < loss.rows && (at === 0 || chosen[at - 1] < chosen[at])) continue;
      throw new NativeError("NATIVE_RANGE", `conjugateGradient: rows must ascend, once each, below ${loss.rows}; entry ${at} is ${chosen[at]}.`);
    }
    checked.rowsChosen = chosen;
    count = chosen.length;
  }
  read.shape("gradient", gradient, count * loss.dimension, "one row of dimension values for each of the rows");
  return checked;
}
