/**
 * One split of a data set, and what is to be forgotten. Protocol `strict` (default): per user, rows sorted by the keyed hash
 * h(split; u, i); the first floor(.2 n) are test, the next floor(.1 n) valid, the rest train; D_f is drawn from train and
 * valid. Draws are keyed by user and item, so labels depend neither on row order nor on other users' rows. Protocol
 * `released` repeats the paper's released code with its leaks (released.ts). Reasons: docs/protocol.md.
 */
import { ConfigError, DataError } from "../core/errors.js";
import { refuseUnknown } from "../core/options.js";
import { fingerprint } from "../core/fingerprint.js";
import type { Interactions } from "../core/interactions.js";
import { KeyedRandom } from "../core/rng.js";
import type { Dataset } from "./dataset.js";
import { type ForgetOption, type ForgetSpec, checkRatio, knownIds, markForgotten } from "./forget.js";
import { assertSplit } from "./guards.js";
import { ASKED, FORGOTTEN, IN_HISTORY, IN_REMAIN, TEST, TRAIN, VALID, labelParts, partOfLabel, rowsWhere } from "./labels.js";
import { RELEASED_WARNING, releasedLabels } from "./released.js";

export type Protocol = "strict" | "released";
export type SplitRatio = "70/10/20" | "80/10/10";

export interface SplitOptions {
  /** Default "strict". */
  protocol?: Protocol;
  /** Shares of train, valid and test of each user. Default "70/10/20"; released has "80/10/10" alone. */
  ratio?: SplitRatio;
  /** Default 10 % of the interactions; under released 10 % of the users. */
  forget?: ForgetOption;
  /** Default 2020. */
  seed?: number;
}

/** Everything about a split but its labels. */
export interface SplitMeta {
  protocol: Protocol;
  ratio: SplitRatio;
  seed: number;
  forgetSpec: ForgetSpec;
}

/** A split as JSON; `labels` travel beside it as bytes. */
export interface SplitJson extends SplitMeta {
  format: "cragru-split-1";
  dataset: string;
  datasetFingerprint: string;
  rows: { train: number; valid: number; test: number; forget: number; remain: number };
  forgetUsers: number;
  warning?: string;
  /** SHA-256 over the data set's fingerprint, protocol, seed and labels. */
  hash: string;
}

const SPLIT_AGAIN = "Make the split again: cragru split.";

const INSPECT: unique symbol = Symbol.for("nodejs.util.inspect.custom");

const SIZES: Record<SplitRatio, { test: number; valid: number }> = {
  "70/10/20": { test: 20, valid: 10 },
  "80/10/10": { test: 10, valid: 10 },
};

/** The rows of a data set by part, with D_f and D_r. Made by {@link splitDataset} or {@link splitFromLabels}; immutable. */
export class Split {
  readonly dataset: Dataset;
  readonly protocol: Protocol;
  readonly ratio: SplitRatio;
  readonly seed: number;
  readonly forgetSpec: ForgetSpec;
  /** One per row of the data set: 0 train, 1 valid, 2 test; +4 forgotten (and three bits of labels.ts under released). */
  readonly labels: Uint8Array;
  /** SHA-256 over the data set's fingerprint, protocol, seed and labels: stands in every artefact made with this split. */
  readonly hash: string;
  readonly train: Interactions;
  readonly valid: Interactions;
  readonly test: Interactions;
  /** D_f, a part of train and valid (under released: of all rows). */
  readonly forget: Interactions;
  /** D_r = (train and valid) without D_f (under released: the authors' "remain" data). */
  readonly remain: Interactions;
  /** Rows that prompts may draw from before anything is forgotten: train (under released: train of the second split). */
  readonly history: Interactions;
  /** Users all of whose train and valid rows are in D_f (under released: the users asked to be forgotten), ascending. */
  readonly forgetUsers: Uint32Array;
  private trainRemainCache: Interactions | undefined;
  private validRemainCache: Interactions | undefined;

  /** @throws DataError | ForgettingError when an invariant of guards.ts does not hold. */
  constructor(dataset: Dataset, labels: Uint8Array, meta: SplitMeta) {
    this.dataset = dataset;
    this.protocol = meta.protocol;
    this.ratio = meta.ratio;
    this.seed = meta.seed;
    this.forgetSpec = meta.forgetSpec;
    this.labels = labels;
    this.hash = fingerprint("split", dataset.fingerprint, meta.protocol, meta.seed, labels);
    const rows = (keep: (label: number) => boolean): Interactions => dataset.select(rowsWhere(labels, keep));
    this.train = rows((label) => partOfLabel(label) === TRAIN);
    this.valid = rows((label) => partOfLabel(label) === VALID);
    this.test = rows((label) => partOfLabel(label) === TEST);
    this.forget = rows((label) => (label & FORGOTTEN) !== 0);
    if (meta.protocol === "released") {
      this.remain = rows((label) => (label & IN_REMAIN) !== 0);
      this.history = rows((label) => (label & IN_HISTORY) !== 0);
      this.forgetUsers = rows((label) => (label & ASKED) !== 0).presentUsers();
    } else {
      this.remain = rows((label) => partOfLabel(label) !== TEST && (label & FORGOTTEN) === 0);
      this.history = this.train;
      this.forgetUsers = this.forget.presentUsers().filter((user) => this.remain.countOf(user) === 0);
    }
    assertSplit(this);
  }

  /** Train rows that are in D_r. */
  get trainRemain(): Interactions {
    this.trainRemainCache ??= this.train.intersect(this.remain);
    return this.trainRemainCache;
  }

  /** Valid rows that are in D_r. */
  get validRemain(): Interactions {
    this.validRemainCache ??= this.valid.intersect(this.remain);
    return this.validRemainCache;
  }

  /** Users with rows who are not in `forgetUsers`, ascending: the main mean runs over those of them who have test rows. */
  get remainUsers(): Uint32Array {
    const forgotten = new Set(this.forgetUsers);
    return this.dataset.presentUsers().filter((user) => !forgotten.has(user));
  }

  /** The label that every output of this split must carry; undefined under strict. */
  get warning(): string | undefined {
    return this.protocol === "released" ? RELEASED_WARNING : undefined;
  }

  toJSON(): SplitJson {
    const { protocol, ratio, seed, forgetSpec, hash } = this;
    const rows = {
      train: this.train.length, valid: this.valid.length, test: this.test.length,
      forget: this.forget.length, remain: this.remain.length,
    };
    return {
      format: "cragru-split-1", dataset: this.dataset.name, datasetFingerprint: this.dataset.fingerprint,
      protocol, ratio, seed, forgetSpec, rows, forgetUsers: this.forgetUsers.length,
      ...(this.warning === undefined ? {} : { warning: this.warning }), hash,
    };
  }

  toString(): string {
    const count = (rows: Interactions): string => rows.length.toLocaleString("en-US");
    const asked = describeForget(this.forgetSpec);
    const users = this.forgetUsers.length > 0 ? `, all of ${this.forgetUsers.length.toLocaleString("en-US")} users` : "";
    return [
      `Split of ${this.dataset.name}: ${this.protocol}, ${this.ratio}, seed ${this.seed}, sha256 ${this.hash.slice(0, 12)}`,
      `  train ${count(this.train)}  valid ${count(this.valid)}  test ${count(this.test)}`,
      `  forget ${count(this.forget)} (${asked}${users})  remain ${count(this.remain)}`,
      ...(this.warning === undefined ? [] : [`  ${this.warning}`]),
    ].join("\n");
  }

  [INSPECT](): string {
    return this.toString();
  }
}

/**
 * Splits a data set and marks what is to be forgotten. Cost O(rows log rows); under a second for a million rows.
 * Same data set, options and seed: same bytes, whatever the order of the input rows.
 * @throws ConfigError on options that cannot be honoured; DataError on an empty data set or unknown users, items or rows.
 */
export function splitDataset(dataset: Dataset, options: SplitOptions = {}): Split {
  refuseUnknown("splitDataset", options, ["protocol", "ratio", "forget", "seed"]);
  const { protocol = "strict", seed = 2020 } = options;
  if (dataset.length === 0) {
    throw new DataError("DATA_EMPTY", `${dataset.name} has no rows to split.`);
  }
  if (protocol === "released") return splitReleased(dataset, options, seed);
  if (protocol !== "strict") {
    throw new ConfigError("CONFIG_PROTOCOL", `There is no protocol "${String(protocol)}".`, { hint: 'Use "strict" or "released".' });
  }
  const { ratio = "70/10/20", forget = { unit: "interactions", ratio: 0.1 } } = options;
  const percent = checkSplitRatio(ratio);
  const labels = labelParts(dataset, new KeyedRandom(seed, "split"), (n) => ({
    test: Math.floor((n * percent.test) / 100), valid: Math.floor((n * percent.valid) / 100),
  }));
  const forgetSpec = markForgotten(dataset, labels, forget, seed);
  return new Split(dataset, labels, { protocol, ratio, seed, forgetSpec });
}

function splitReleased(dataset: Dataset, options: SplitOptions, seed: number): Split {
  const { ratio = "80/10/10", forget = { unit: "users", ratio: 0.1 } } = options;
  if (ratio !== "80/10/10") {
    throw new ConfigError("CONFIG_RELEASED", `The released protocol splits 80/10/10, not ${String(ratio)}.`, {
      hint: 'Leave `ratio` out, or use protocol "strict".',
    });
  }
  const meta = { protocol: "released", ratio, seed } as const;
  if ("unit" in forget && forget.unit === "users") {
    checkRatio(forget.ratio);
    const labels = releasedLabels(dataset, forget.ratio, seed);
    return new Split(dataset, labels, { ...meta, forgetSpec: { unit: "users", ratio: forget.ratio } });
  }
  if ("users" in forget) {
    const users = knownIds(forget.users, dataset.userCount, "user", dataset.name);
    const labels = releasedLabels(dataset, users, seed);
    return new Split(dataset, labels, { ...meta, forgetSpec: { request: "users", asked: users.length, testRows: 0 } });
  }
  throw new ConfigError("CONFIG_RELEASED", "The released protocol forgets whole users only.", {
    hint: 'Pass { forget: { unit: "users", ratio: 0.1 } } or { forget: { users } }, --unit users, or use protocol "strict".',
  });
}

/**
 * A split from its labels (copied), for example from a file. The invariants are asserted as for a new one.
 * @throws DataError on labels of another length or with impossible values; ConfigError on an unknown protocol or ratio.
 */
export function splitFromLabels(dataset: Dataset, labels: Uint8Array, meta: SplitMeta): Split {
  if (labels.length !== dataset.length) {
    throw new DataError("DATA_SPLIT_LABELS", `${labels.length} labels for the ${dataset.length} rows of ${dataset.name}.`, {
      hint: `Labels belong to one data set. ${SPLIT_AGAIN}`,
    });
  }
  if (meta.protocol !== "strict" && meta.protocol !== "released") {
    throw new ConfigError("CONFIG_PROTOCOL", `There is no protocol "${String(meta.protocol)}".`, {
      hint: 'Use "strict" or "released".',
    });
  }
  checkSplitRatio(meta.ratio);
  const bits = meta.protocol === "released" ? 0x3f : 0x07;
  const bad = labels.findIndex((label) => partOfLabel(label) > TEST || (label & ~bits) !== 0);
  if (bad >= 0) {
    throw new DataError("DATA_SPLIT_LABELS", `Row ${bad} has the label ${labels[bad]}, which no ${meta.protocol} split has.`, {
      hint: SPLIT_AGAIN,
    });
  }
  const { protocol, ratio, seed, forgetSpec } = meta;
  return new Split(dataset, labels.slice(), { protocol, ratio, seed, forgetSpec });
}

/**
 * A stored split (`JSON.stringify(split)` and the bytes of `split.labels`) for the data set it was made from.
 * @throws DataError when the text is not a split, when it belongs to another data set (both fingerprints are named), or when
 * labels and hash disagree.
 */
export function splitFromJson(dataset: Dataset, json: unknown, labels: Uint8Array): Split {
  const hint = SPLIT_AGAIN;
  const stored = json as Partial<SplitJson> | null;
  if (typeof stored !== "object" || stored === null || stored.format !== "cragru-split-1" || !stored.forgetSpec
    || stored.protocol === undefined || stored.ratio === undefined || typeof stored.seed !== "number") {
    throw new DataError("DATA_SPLIT_FORMAT", "This is not a stored split.", { hint });
  }
  if (stored.datasetFingerprint !== dataset.fingerprint) {
    throw new DataError(
      "DATA_SPLIT_DATASET",
      `The split belongs to ${stored.dataset} with fingerprint ${stored.datasetFingerprint}, `
        + `but ${dataset.name} has ${dataset.fingerprint}.`,
      { hint },
    );
  }
  const { protocol, ratio, seed, forgetSpec } = stored;
  const split = splitFromLabels(dataset, labels, { protocol, ratio, seed, forgetSpec });
  if (split.hash !== stored.hash) {
    throw new DataError(
      "DATA_SPLIT_HASH", `The labels have hash ${split.hash}, the stored split ${stored.hash}: a file was changed.`, { hint },
    );
  }
  return split;
}

function checkSplitRatio(ratio: SplitRatio): { test: number; valid: number } {
  if (!Object.hasOwn(SIZES, ratio)) {
    throw new ConfigError("CONFIG_SPLIT_RATIO", `There is no split ratio "${String(ratio)}".`, {
      hint: `Use ${Object.keys(SIZES).join(" or ")}.`,
    });
  }
  return SIZES[ratio];
}

/** "10 % of the interactions", "a request for 3 users". */
function describeForget(spec: ForgetSpec): string {
  if ("unit" in spec) return `${Number((spec.ratio * 100).toFixed(4))} % of the ${spec.unit}`;
  const what = spec.asked === 1 ? spec.request.slice(0, -1) : spec.request;
  return `a request for ${spec.asked} ${what}${spec.testRows > 0 ? `; ${spec.testRows} test rows stay` : ""}`;
}
