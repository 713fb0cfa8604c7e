import { execFileSync, spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { NativeError } from "../../src/core/errors.js";
import { ISA_NAMES, type Addon } from "../../src/native/binding.js";
import { KERNEL_NAMES } from "../../src/native/kernels.js";
import { describeNative, loadKernels } from "../../src/native/load.js";
import { bytesOf, csrOf, floats } from "../contract/faces.js";
import { digest } from "./digest.js";

const said = describeNative({ device: "auto" });
const path = said.addonPath ?? "";
const why = `the native addon is not built: npm run build:native`;
const addon = (): Addon => createRequire(import.meta.url)(path) as Addon;
const isas = said.face === "cpu" ? addon().describe().isas : [];

/** Source of a plain script that starts endless training on the addon itself and keeps its job in `job`. */
const endlessJob = `
  const addon = require(${JSON.stringify(path)});
  const state = { userCount: 2, itemCount: 3, dimension: 4, parameters: new Float32Array(20).fill(0.1), first: new Float32Array(20), second: new Float32Array(20), step: 0 };
  const input = { positives: { offsets: Uint32Array.of(0, 1, 2), columns: Uint32Array.of(0, 1) }, seed: 1, firstEpoch: 0, epochs: 4e6, batchCount: 1,
    learningRate: 0.001, regularisation: 0, optimiser: "adam", update: "batch", operand: "float32", layers: 2 };
  const job = addon.lightGcnEpoch({ state, input }, { device: "cpu", isa: "base", threads: 3, progress: () => {} });
  job.promise.catch(() => {});`;

describe.skipIf(path === "")(path === "" ? why : "the addon", () => {
  it("exports the calls of the contract and nothing else that can be listed", () => {
    expect(Object.keys(addon())).toEqual([...KERNEL_NAMES]);
    expect(addon().describe()).toMatchObject({ contract: 2, cuda: { devices: expect.any(Array) as unknown, text: expect.any(String) as unknown } });
    expect(ISA_NAMES.filter((isa) => isas.includes(isa))).toEqual(isas);
  });

  it("gives the same bytes for 1, 2 and 3 threads on every instruction set, and those of the TypeScript face", async () => {
    const wanted = await digest(loadKernels({ device: "js" }));
    for (const isa of isas) for (const threads of [1, 2, 3]) expect(await digest(loadKernels({ device: "cpu", isa, threads })), `${isa}, ${threads}`).toBe(wanted);
  });

  it("does so in processes of their own, driven by the environment", async () => {
    const wanted = await digest(loadKernels({ device: "cpu" }));
    const script = fileURLToPath(new URL("digest.ts", import.meta.url));
    for (const [index, isa] of isas.entries()) {
      const threads = String(index + 1);
      const printed = execFileSync(process.execPath, ["--import", "tsx", script, "print"], {
        encoding: "utf8", env: { ...process.env, CRAGRU_DEVICE: "cpu", CRAGRU_ISA: isa, CRAGRU_THREADS: threads },
      });
      expect(printed).toBe(`cpu (${isa}, ${threads} ${index === 0 ? "thread" : "threads"}) ${wanted}\n`);
    }
  });

  it("loads in worker threads and stops when they are terminated in the middle of a job", async () => {
    const workers = [1, 2, 3].map(() => new Worker(`${endlessJob} require("node:worker_threads").parentPort.postMessage("started");`, { eval: true }));
    await Promise.all(workers.map((worker) => new Promise<void>((resolve, reject) => {
      worker.once("message", () => { resolve(); });
      worker.once("error", reject);
    })));
    const before = await digest(loadKernels({ device: "cpu" }));
    await Promise.all(workers.map((worker) => worker.terminate()));
    expect(await digest(loadKernels({ device: "cpu" }))).toBe(before);
  });

  it("lets a process exit in the middle of a job", () => {
    const { status, signal, stderr } = spawnSync(process.execPath, ["-e", `${endlessJob} setTimeout(() => process.exit(7), 50);`], { encoding: "utf8" });
    expect({ status, signal, stderr }).toEqual({ status: 7, signal: null, stderr: "" });
  });

  it("keeps a process alive for a job and lets it end after, also when jobs are cancelled before they start", () => {
    const script = `${endlessJob}
      const waiting = addon.lightGcnEpoch({ state, input }, { device: "cpu", isa: "base", threads: 1 });
      waiting.promise.catch((error) => console.log("second", error.code));
      waiting.cancel(); waiting.cancel();
      job.promise.catch((error) => console.log("first", error.code));
      setTimeout(() => job.cancel(), 50);`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
    expect({ status, stderr, lines: stdout.trim().split("\n") }).toEqual({ status: 0, stderr: "", lines: ["second NATIVE_CANCELLED", "first NATIVE_CANCELLED"] });
  });

  it("fails a job with what its progress call-back threw, even without the seam", () => {
    const script = `${endlessJob}
      addon.lightGcnEpoch({ state, input }, { device: "cpu", isa: "base", threads: 2, progress: () => { throw new TypeError("mine"); } }).promise.catch((error) => console.log(error.name, error.message));
      setTimeout(() => job.cancel(), 20);`;
    expect(execFileSync(process.execPath, ["-e", script], { encoding: "utf8" })).toBe("TypeError mine\n");
  });

  it("survives callers that go around the seam: junk in every argument gives an error or a result", () => {
    const script = `${endlessJob}
      job.cancel();
      const held = (chunk) => {
        const array = addon.allocate({ kind: chunk.constructor.name.slice(0, -5).toLowerCase(), length: chunk.length });
        addon.fill({ array, chunk });
        return array;
      };
      const junk = [undefined, null, -1, 0.5, NaN, 2 ** 31, 2 ** 53, 1e300, "x", Symbol("s"), 5n, [], {}, () => 1, new Float32Array(3), new Float32Array(20).fill(NaN), new Float64Array(8),
        held(new Float32Array(20)), held(new Uint32Array(4)), held(new Float64Array(3)), addon.allocate({ kind: "float32", length: 20 }),
        new Uint32Array(4), Uint32Array.of(0, 9, 9), Uint32Array.of(0, 2, 1, 2), { offsets: Uint32Array.of(0, 4294967295, 1), columns: Uint32Array.of(1) }, new DataView(new ArrayBuffer(8)),
        new Proxy({}, { get() { throw new Error("trap"); } })];
      const loss = { userCount: 2, itemCount: 3, dimension: 4, parameters: new Float32Array(20), layers: 1, positives: input.positives, loss: "bpr", users: Uint32Array.of(0, 1),
        items: Uint32Array.of(0, 2), negatives: Uint32Array.of(1, 1), regularisation: 0.1, hessian: "full" };
      const calls = {
        scoreTopK: () => ({ users: new Float32Array(6), items: new Float32Array(8), dimension: 2, k: 3, mask: { offsets: Uint32Array.of(0, 1, 1, 2), columns: Uint32Array.of(3, 0) } }),
        bprEpoch: () => ({ state: { ...state }, input: { ...input, epochs: 2, layers: 0 } }),
        lightGcnEpoch: () => ({ state: { ...state }, input: { ...input, epochs: 2 } }),
        propagate: () => ({ userCount: 2, itemCount: 3, dimension: 4, parameters: new Float32Array(20), positives: input.positives, layers: 1, operand: "bf16" }),
        attentionWeights: () => ({ queries: new Float32Array(12), queryOffsets: Uint32Array.of(0, 2, 3), keys: new Float32Array(20), keyOffsets: Uint32Array.of(0, 1, 5), dimension: 4, heads: 2,
          bias: new Float32Array(5), output: "max" }),
        knapsack: () => ({ categoryOffsets: Uint32Array.of(0, 2, 4), levels: Uint32Array.of(2, 2, 2, 2), values: new Float64Array(8), capacities: Uint32Array.of(3, 3), boundary: "exact" }),
        kmeans: () => ({ points: new Float64Array(8), dimension: 2, centroids: new Float64Array(4), rounds: 3 }),
        gram: () => ({ positives: input.positives, columnCount: 3 }),
        itemCooccurrence: () => ({ positives: input.positives, columnCount: 3, k: 2 }),
        cholesky: () => ({ matrix: Float64Array.of(2, 1, 2), size: 2, output: "inverse" }),
        rankUpdate: () => ({ matrix: Float64Array.of(2, 1, 2), size: 2, vectors: new Float64Array(4), weights: new Float64Array(2) }),
        hessianProduct: () => ({ ...loss, vector: new Float64Array(20) }),
        conjugateGradient: () => ({ ...loss, gradient: new Float64Array(8), rows: Uint32Array.of(0, 4), damping: 1, tolerance: 0.1, iterations: 3 }),
        allocate: () => ({ kind: "float32", length: 3 }),
        fill: () => ({ array: addon.allocate({ kind: "float64", length: 20 }), chunk: new Float64Array(3) }),
        seal: () => ({ offsets: Uint32Array.of(0, 1, 2), columns: Uint32Array.of(0, 1), columnCount: 3 }),
        read: () => ({ array: held(new Uint32Array(3)) }),
        dispose: () => ({ array: held(new Float32Array(3)) }),
      };
      let errors = 0, results = 0;
      const attempt = async (name, ...values) => {
        try { await addon[name](...values).promise; results++; } catch { errors++; }
      };
      (async () => {
        for (const name of Object.keys(calls)) {
          await attempt(name);
          for (const value of junk) {
            await attempt(name, value, value);
            await attempt(name, calls[name](), value);
            await attempt(name, calls[name](), { device: value, isa: value, threads: value, progress: value });
            const fields = calls[name]();
            for (const [target, key] of Object.entries(fields).flatMap(([key, inner]) => inner?.constructor === Object ? Object.keys(inner).map((one) => [key, one]) : [[undefined, key]])) {
              const spoiled = calls[name]();
              if (target === undefined) spoiled[key] = value; else spoiled[target] = { ...spoiled[target], [key]: value };
              if (key !== "epochs") await attempt(name, spoiled, { device: "cpu", isa: "base", threads: 2 });
            }
            const sound = calls[name]();
            await attempt(name, sound, { device: "cpu", isa: "base", threads: 1 });
          }
        }
        console.log(errors > 500 && results > 100 ? "alive" : "reached too little: " + errors + " " + results);
      })();`;
    const { status, stdout, stderr } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "alive\n", stderr: "" });
  });

  it("reads shared memory safely while another thread spoils it", async () => {
    const kernels = loadKernels({ device: "cpu" });
    const offsets = new Uint32Array(new SharedArrayBuffer(16)), columns = new Uint32Array(new SharedArrayBuffer(24));
    const sound = csrOf([[0, 2], [1, 3], [0, 4]]);
    const spoiler = new Worker(`
      const { workerData: { offsets, columns }, parentPort } = require("node:worker_threads");
      const sound = [[0, 2, 4, 6], [0, 2, 1, 3, 0, 4]];
      parentPort.postMessage("ready");
      for (;;) { offsets.set(sound[0]); columns.set(sound[1]); columns[3] = 4294967295; offsets[1] = 4000000000; offsets[2] = 1; }`, { eval: true, workerData: { offsets, columns } });
    await new Promise((resolve) => { spoiler.once("message", resolve); });
    const input = { userCount: 3, itemCount: 5, dimension: 4, parameters: floats(32, 1), layers: 2 };
    const outcomes = new Set<string>();
    for (let round = 0; round < 3000; round++) {
      // A torn read may be valid rows of another shape; it must never be a read out of bounds.
      outcomes.add(await kernels.propagate({ ...input, positives: { offsets, columns } }).then(() => "result", (error: unknown) => (error instanceof NativeError ? error.code : String(error))));
    }
    await spoiler.terminate();
    expect([...outcomes].filter((one) => one !== "result" && one !== "NATIVE_CSR")).toEqual([]);
    offsets.set(sound.offsets);
    columns.set(sound.columns);
    expect(bytesOf(await kernels.propagate({ ...input, positives: { offsets, columns } }))).toBe(bytesOf(await kernels.propagate({ ...input, positives: sound })));
  });

  it("does not disturb JavaScript's own arithmetic: subnormal numbers survive", async () => {
    await loadKernels({ device: "cpu" }).knapsack({
      categoryOffsets: Uint32Array.of(0, 1), levels: Uint32Array.of(1), values: Float64Array.of(1), capacities: Uint32Array.of(1), boundary: "exact",
    });
    expect(Number.MIN_VALUE * 1.5).toBeGreaterThan(0);
  });
});
