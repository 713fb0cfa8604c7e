import { createHash } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { ConfigError, DataError } from "../core/errors.js";
import { Interactions, type Shape } from "../core/interactions.js";
import type { Kernels } from "../native/kernels.js";
import { loadKernels } from "../native/load.js";
import type { FitReport, FittedBackbone } from "./backbone.js";
import { ItemKnnModel } from "./itemknn.js";
import { PopularityModel } from "./popularity.js";
import { VectorModel } from "./vectors.js";

const MAGIC = "cragru model 1\n";
const DIGEST = 32;

type Column = Uint32Array | Float32Array;
interface Header {
  kind: "vectors" | "popularity" | "itemknn";
  name: string;
  shape: Shape;
  report: FitReport;
  dimension: number;
  seed: number;
  settings: Record<string, unknown>;
  arrays: { name: string; type: "u32" | "f32"; length: number }[];
}

export interface LoadModelOptions {
  /** Fingerprint of the rows the model must have been trained on (`fingerprintRows`). */
  trainedOn?: string;
  kernels?: Kernels;
}

/**
 * Writes a fitted model: magic line, header (options, fingerprint of the training rows, shape), little-endian columns,
 * SHA-256 of it all. The file appears whole or not at all, readable by its owner alone: weights keep traces of the rows, and an
 * item neighbour model holds the rows themselves. Delete it when rows it was fitted on are to be forgotten.
 * @throws ConfigError for a model that is not one of ours.
 */
export async function saveModel(model: FittedBackbone, file: string): Promise<void> {
  const { header, columns } = dismantle(model);
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  const parts = [Buffer.from(MAGIC), length, text, ...columns.map((column) => Buffer.from(column.buffer, column.byteOffset, column.byteLength))];
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  const partial = `${file}.${process.pid}.part`;
  try {
    await writeFile(partial, Buffer.concat([...parts, hash.digest()]), { mode: 0o600 });
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true });
    throw error;
  }
}

/**
 * Reads what `saveModel` wrote; the model serves the same lists.
 * @throws DataError on a missing, truncated, damaged or foreign file; ConfigError when it was trained on other rows than
 * `trainedOn` names.
 */
export async function loadModel(file: string, options: LoadModelOptions = {}): Promise<FittedBackbone> {
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw new DataError("DATA_MODEL_FILE", `The model ${file} cannot be read.`, { hint: "Fit it again, or check the path.", cause });
  });
  const broken = (what: string, cause?: unknown): DataError =>
    new DataError("DATA_MODEL_FILE", `${file} ${what}.`, { hint: "Delete it and fit the model again.", cause });
  const start = MAGIC.length + 4;
  if (bytes.subarray(0, MAGIC.length).toString("latin1") !== MAGIC) throw broken("is not a model of this version");
  if (bytes.length < start + DIGEST) throw broken(`is truncated: ${bytes.length} bytes`);
  const content = bytes.subarray(0, bytes.length - DIGEST);
  if (!createHash("sha256").update(content).digest().equals(bytes.subarray(bytes.length - DIGEST))) {
    throw broken(`is truncated or damaged: its ${bytes.length} bytes do not match their checksum`);
  }
  const end = start + bytes.readUInt32LE(MAGIC.length);
  let header: Header;
  try {
    header = JSON.parse(content.subarray(start, end).toString()) as Header;
    if (!header?.report || !header.shape || !Array.isArray(header.arrays)) throw new TypeError("report, shape or arrays are missing");
  } catch (cause) {
    throw broken("has an unreadable header", cause);
  }
  if (options.trainedOn !== undefined && options.trainedOn !== header.report.trainedOn) {
    throw new ConfigError("CONFIG_MODEL_ROWS", `${file} was trained on other rows: fingerprint ${header.report.trainedOn.slice(0, 12)}, asked for ${options.trainedOn.slice(0, 12)}.`, {
      hint: "The data or the forget set changed since: fit the model again.",
    });
  }
  const columns = new Map<string, Column>();
  let at = end;
  for (const { name, type, length } of header.arrays) {
    // Copied: a view into the file's buffer would be misaligned and would keep the whole file alive.
    const copy = new Uint8Array(content.subarray(at, at + 4 * length)).buffer;
    if (copy.byteLength !== 4 * length) throw broken(`ends inside ${name}`);
    columns.set(name, type === "u32" ? new Uint32Array(copy) : new Float32Array(copy));
    at += 4 * length;
  }
  return assemble(header, columns, options.kernels ?? loadKernels());
}

function dismantle(model: FittedBackbone): { header: Header; columns: Column[] } {
  const pack = (kind: Header["kind"], shape: Shape, named: Record<string, Column>, more: Partial<Header> = {}): ReturnType<typeof dismantle> => ({
    header: {
      kind, name: model.name, shape: { userCount: shape.userCount, itemCount: shape.itemCount }, report: model.report,
      dimension: 0, seed: 0, settings: {}, ...more,
      arrays: Object.entries(named).map(([name, column]) => ({ name, type: column instanceof Uint32Array ? "u32" : "f32", length: column.length })),
    },
    columns: Object.values(named),
  });
  if (model instanceof VectorModel) {
    const { shape, dimension, parameters, vectors, settings, seed } = model.parts;
    const named: Record<string, Column> = parameters === vectors ? { parameters } : { parameters, vectors };
    return pack("vectors", shape, named, { dimension, settings, seed });
  }
  if (model instanceof PopularityModel) return pack("popularity", model.shape, { counts: model.counts });
  if (model instanceof ItemKnnModel) {
    const { targets, weights, train } = model;
    const { users, items, ratings } = train;
    return pack("itemknn", train, { offsets: targets.offsets, columns: targets.columns, weights, users, items, ratings });
  }
  throw new ConfigError("CONFIG_MODEL_KIND", `A ${model.name} model cannot be stored.`, { hint: "popularity, itemknn, bpr and lightgcn models can." });
}

function assemble(header: Header, columns: Map<string, Column>, kernels: Kernels): FittedBackbone {
  const { kind, name, shape, report, dimension, seed, settings } = header;
  const column = <T extends Column>(key: string): T => {
    const found = columns.get(key);
    if (!found) throw new DataError("DATA_MODEL_FILE", `The ${name} model has no ${key}.`, { hint: "Delete it and fit the model again." });
    return found as T;
  };
  switch (kind) {
    case "vectors": {
      const parameters = column<Float32Array>("parameters");
      const vectors = (columns.get("vectors") as Float32Array | undefined) ?? parameters;
      return new VectorModel({ name, shape, dimension, parameters, vectors, settings, seed, report }, kernels);
    }
    case "popularity":
      return new PopularityModel(column<Uint32Array>("counts"), shape, report);
    case "itemknn": {
      const users = column<Uint32Array>("users"), items = column<Uint32Array>("items"), ratings = column<Float32Array>("ratings");
      const targets = { offsets: column<Uint32Array>("offsets"), columns: column<Uint32Array>("columns") };
      return new ItemKnnModel(targets, column<Float32Array>("weights"), new Interactions({ users, items, ratings }, shape), report);
    }
    default:
      throw new DataError("DATA_MODEL_FILE", `Model kind ${String(kind)} is unknown to this version.`, { hint: "Fit the model again with this version." });
  }
}
