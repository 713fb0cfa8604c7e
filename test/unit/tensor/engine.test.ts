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
