import { createRequire } from "node:module";
import { afterEach, describe, expect, it, vi } from "vitest";
import { ConfigError } from "../../../src/core/errors.js";
import { loadTensorEngine } from "../../../src/tensor/engine.js";

afterEach(() => vi.unstubAllEnvs());
const gpuInstalled = ((): boolean => {
  try {
    createRequire(import.meta.url).resolve("@tensorflow/tfjs-node-gpu");
    return true;
  } catch {
    return false;
  }
})();

describe("loadTensorEngine", () => {
  it.each(["cpu", "wasm"] as const)("starts the backend that is asked for: %s", async (backend) => {
    const engine = await loadTensorEngine({ backend });
    expect(engine.backend).toBe(backend);
    expect(engine.tf.getBackend()).toBe(backend);
    expect(engine.description).toMatch(new RegExp(`^TensorFlow\\.js \\d+\\.\\d+\\.\\d+ \\(${backend}\\)$`));
    const product = engine.tf.tidy(() => [...engine.tf.tensor2d([[1, 2], [3, 4]]).matMul(engine.tf.tensor2d([[5], [6]])).dataSync()]);
    expect(product).toEqual([17, 39]);
  });

  it("reads CRAGRU_TENSOR, and an option wins over it", async () => {
    vi.stubEnv("CRAGRU_TENSOR", "cpu");
    expect((await loadTensorEngine()).backend).toBe("cpu");
    expect((await loadTensorEngine({ backend: "wasm" })).backend).toBe("wasm");
  });

  it("refuses a backend that does not exist", async () => {
    vi.stubEnv("CRAGRU_TENSOR", "quantum");
    const failure = await loadTensorEngine().catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConfigError);
    expect((failure as ConfigError).message).toMatch(/quantum.*auto, gpu, wasm, cpu.*CONFIG_TENSOR/s);
  });

  it.skipIf(gpuInstalled)("takes wasm by itself without a GPU package, and a forced gpu is an error with its cause", async () => {
    expect((await loadTensorEngine({ backend: "auto" })).backend).toBe("wasm");
    const failure = await loadTensorEngine({ backend: "gpu" }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConfigError);
    expect((failure as ConfigError).code).toBe("CONFIG_TENSOR_GPU");
    expect((failure as ConfigError).hint).toContain("tfjs-node-gpu");
    expect((failure as ConfigError).cause).toBeInstanceOf(Error);
  });
});

describe("loadTensorEngine with other packages", () => {
  afterEach(() => {
    vi.doUnmock("@tensorflow/tfjs-node-gpu");
    vi.doUnmock("@tensorflow/tfjs");
    vi.resetModules();
  });
  const fresh = async (): Promise<typeof loadTensorEngine> => {
    vi.resetModules();
    return (await import("../../../src/tensor/engine.js")).loadTensorEngine;
  };

  it("prefers the GPU package where it loads", async () => {
    let ready = false;
    vi.doMock("@tensorflow/tfjs-node-gpu", () => ({ default: { version: { tfjs: "4.22.0" }, ready: async () => { ready = true; } } }));
    const engine = await (await fresh())();
    expect([engine.backend, engine.description, ready]).toEqual(["gpu", "TensorFlow.js 4.22.0 (tfjs-node-gpu)", true]);
  });

  it("goes on to cpu where wasm does not start, and names a forced one that fails", async () => {
    vi.doMock("@tensorflow/tfjs-node-gpu", () => { throw new Error("no libtensorflow"); });
    const tf = { version: {}, enableProdMode: () => undefined, ready: async () => undefined, setBackend: async (name: string) => name === "cpu" };
    vi.doMock("@tensorflow/tfjs", () => tf);
    vi.doMock("@tensorflow/tfjs-backend-wasm", () => ({}));
    const load = await fresh();
    expect(await load()).toMatchObject({ backend: "cpu", description: "TensorFlow.js  (cpu)" });
    await expect(load({ backend: "wasm" })).rejects.toThrow(/"wasm" did not start.*CONFIG_TENSOR/s);
  });
});
