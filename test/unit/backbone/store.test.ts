import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backbone, FittedBackbone } from "../../../src/backbone/backbone.js";
import { bpr } from "../../../src/backbone/bpr.js";
import { itemKnn } from "../../../src/backbone/itemknn.js";
import { lightGcn } from "../../../src/backbone/lightgcn.js";
import { popularityBackbone } from "../../../src/backbone/popularity.js";
import { loadModel, saveModel } from "../../../src/backbone/store.js";
import { ConfigError, DataError } from "../../../src/core/errors.js";
import { fingerprintRows } from "../../../src/core/fingerprint.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { referenceKernels } from "../../../src/native/reference.js";

const kernels = referenceKernels();
const train = synthesize({ users: 20, items: 30, meanPerUser: 10 });
const small = { dimension: 6, epochs: 2, batchSize: 64 };
const backbones: [string, Backbone][] = [["popularity", popularityBackbone()], ["itemknn", itemKnn({ neighbours: 5 })], ["bpr", bpr(small)], ["lightgcn", lightGcn(small)]];
const users = Array.from({ length: 20 }, (_, user) => user);
let folder: string;
beforeAll(async () => { folder = await mkdtemp(join(tmpdir(), "cragru-store-")); });
afterAll(() => rm(folder, { recursive: true }));

describe.each(backbones)("a stored %s model", (name, backbone) => {
  let model: FittedBackbone, file: string, bytes: Buffer;
  beforeAll(async () => {
    model = await backbone.fit(train, { kernels });
    file = join(folder, `${name}.model`);
    await saveModel(model, file);
    bytes = await readFile(file);
  });

  it("comes back as it was and leaves nothing beside it", async () => {
    const back = await loadModel(file, { kernels, trainedOn: fingerprintRows(train) });
    expect(back.name).toBe(model.name);
    expect(back.report).toEqual(model.report);
    expect(back.itemVectors).toEqual(model.itemVectors);
    const mask = train.filter((row) => row % 2 === 0);
    expect(await back.recommend(users, 12, { mask })).toEqual(await model.recommend(users, 12, { mask }));
    expect((await readdir(folder)).filter((found) => found.startsWith(name))).toEqual([`${name}.model`]);
    // It holds what rows taught it, or the rows themselves: for its owner alone.
    if (process.platform !== "win32") expect((await stat(file)).mode & 0o777).toBe(0o600);
    await saveModel(back, `${file}.again`);
    expect(await readFile(`${file}.again`)).toEqual(bytes);
    await rm(`${file}.again`);
  });

  it("is refused for other training rows", async () => {
    const other = fingerprintRows(train.slice(0, train.length - 1));
    await expect(loadModel(file, { kernels, trainedOn: other })).rejects.toThrow(ConfigError);
    await expect(loadModel(file, { kernels, trainedOn: other })).rejects.toMatchObject({ code: "CONFIG_MODEL_ROWS" });
  });

  it("is refused when cut or changed anywhere", async () => {
    const bad = `${file}.bad`;
    const cuts = [0, 5, 15, 18, 40, 200, bytes.length - 33, bytes.length - 1];
    for (const cut of cuts) {
      await writeFile(bad, bytes.subarray(0, cut));
      await expect(loadModel(bad, { kernels }), `cut at ${cut}`).rejects.toMatchObject({ code: "DATA_MODEL_FILE" });
    }
    for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 40)) {
      const flipped = Buffer.from(bytes);
      flipped[at] = flipped[at]! ^ 1;
      await writeFile(bad, flipped);
      await expect(loadModel(bad, { kernels }), `flipped at ${at}`).rejects.toThrow(DataError);
    }
  });
});

describe("model files", () => {
  /** A file with a correct checksum around any header. */
  const forge = async (header: string, length = header.length): Promise<string> => {
    const size = Buffer.alloc(4);
    size.writeUInt32LE(length);
    const content = Buffer.concat([Buffer.from("cragru model 1\n"), size, Buffer.from(header)]);
    const file = join(folder, "forged.model");
    await writeFile(file, Buffer.concat([content, createHash("sha256").update(content).digest()]));
    return file;
  };
  const report = { trainedOn: "x" }, shape = { userCount: 1, itemCount: 1 };

  it("that are missing or foreign are a DataError", async () => {
    await expect(loadModel(join(folder, "nothing.model"), { kernels })).rejects.toThrow(DataError);
    await writeFile(join(folder, "foreign"), "user_id,movie_id,rating\n".repeat(20));
    await expect(loadModel(join(folder, "foreign"), { kernels })).rejects.toThrow(/not a model/);
    await expect(loadModel(await forge("{"), { kernels })).rejects.toThrow(/header/);
    await expect(loadModel(await forge("null"), { kernels })).rejects.toThrow(/header/);
    await expect(loadModel(await forge("{}", 4e9), { kernels })).rejects.toThrow(/header/);
    await expect(loadModel(await forge(JSON.stringify({ kind: "tree", name: "t", report, shape, arrays: [] })), { kernels })).rejects.toThrow(/tree/);
    await expect(loadModel(await forge(JSON.stringify({ kind: "vectors", name: "t", report, shape, arrays: [] })), { kernels })).rejects.toThrow(/parameters/);
    await expect(loadModel(await forge(JSON.stringify({ kind: "vectors", name: "t", report, shape, arrays: [{ name: "parameters", type: "f32", length: 9 }] })), { kernels })).rejects.toThrow(/ends inside/);
  });

  it("keep an older file when writing fails, and refuse models of others", async () => {
    const model = await popularityBackbone().fit(train);
    await expect(saveModel(model, join(folder, "no", "such", "folder"))).rejects.toThrow();
    const foreign: FittedBackbone = { name: "mine", report: model.report, itemVectors: undefined, recommend: async () => [] };
    const file = join(folder, "kept.model");
    await saveModel(model, file);
    const before = await readFile(file);
    await expect(saveModel(foreign, file)).rejects.toThrow(ConfigError);
    expect(await readFile(file)).toEqual(before);
  });
});
