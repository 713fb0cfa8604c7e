import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { NativeError } from "../../../src/core/errors.js";
import { ADDON_CONTRACT } from "../../../src/native/binding.js";
import { KERNEL_NAMES } from "../../../src/native/kernels.js";
import { describeNative, loadKernels } from "../../../src/native/load.js";

let folder = "";
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), "cragru-load-")); });
afterAll(() => { rmSync(folder, { recursive: true }); });
afterEach(() => { vi.unstubAllEnvs(); });

/** A module that looks like an addon of the given contract. */
function fakeAddon(name: string, contract: number, more = ""): string {
  const path = join(folder, `${name}.cjs`);
  writeFileSync(path, `
    const say = () => ({ contract: ${contract}, isas: ["base", "avx2"], cores: 4, cuda: { devices: [], text: "no usable GPU" } });
    const done = (value) => () => ({ promise: Promise.resolve(value), cancel() {} });
    module.exports = { describe: say };
    for (const name of ${JSON.stringify(KERNEL_NAMES)}) module.exports[name] = done(name);
    ${more}`);
  return path;
}

const codeOf = (run: () => unknown): string => {
  try {
    run();
    return "no error";
  } catch (error) {
    return error instanceof NativeError && error.hint ? error.code : `another error: ${String(error)}`;
  }
};

describe("loadKernels", () => {
  it("gives the TypeScript face when asked, whatever is built", () => {
    vi.stubEnv("CRAGRU_DEVICE", "js");
    vi.stubEnv("CRAGRU_ADDON", join(folder, "absent.node"));
    expect(loadKernels()).toMatchObject({ face: "js", device: "js (TypeScript)" });
    expect(describeNative()).toMatchObject({ face: "js", isa: "js", threads: 1 });
    expect(describeNative().reason).toBeUndefined();
  });

  it("lets an option win over the environment", () => {
    vi.stubEnv("CRAGRU_DEVICE", "nonsense");
    expect(loadKernels({ device: "js" }).face).toBe("js");
  });

  it("takes the addon that CRAGRU_ADDON names, with the threads and the instruction set asked for", () => {
    const path = fakeAddon("good", ADDON_CONTRACT);
    vi.stubEnv("CRAGRU_ADDON", path);
    vi.stubEnv("CRAGRU_DEVICE", "");
    vi.stubEnv("CRAGRU_THREADS", "3");
    expect(describeNative()).toMatchObject({ face: "cpu", device: "cpu (avx2, 3 threads)", addonPath: path, isa: "avx2", threads: 3 });
    vi.stubEnv("CRAGRU_ISA", "base");
    expect(describeNative({ threads: 1 }).device).toBe("cpu (base, 1 thread)");
    vi.stubEnv("CRAGRU_ISA", "avx512");
    expect(codeOf(() => loadKernels())).toBe("NATIVE_ISA");
  });

  it("names the cure for every setting that cannot be honoured", () => {
    expect(codeOf(() => loadKernels({ device: "gpu" as never }))).toBe("NATIVE_DEVICE");
    expect(codeOf(() => loadKernels({ threads: 0 }))).toBe("NATIVE_THREADS");
    expect(codeOf(() => loadKernels({ isa: "mmx" as never }))).toBe("NATIVE_ISA");
    vi.stubEnv("CRAGRU_THREADS", "many");
    expect(codeOf(() => loadKernels())).toBe("NATIVE_THREADS");
  });

  it("refuses an addon path that is absent, broken or of another version, even on auto", () => {
    const stale = fakeAddon("stale", 99), broken = fakeAddon("broken", ADDON_CONTRACT, "throw new Error('half a file');"), partial = fakeAddon("partial", ADDON_CONTRACT, "delete module.exports.knapsack;");
    for (const path of [join(folder, "absent.node"), stale, broken, partial]) {
      vi.stubEnv("CRAGRU_ADDON", path);
      expect(codeOf(() => loadKernels({ device: "auto" }))).toBe("NATIVE_ADDON");
      expect(codeOf(() => loadKernels({ device: "cpu" }))).toBe("NATIVE_ADDON");
    }
    vi.stubEnv("CRAGRU_ADDON", stale);
    expect(() => loadKernels()).toThrow(/contract 99, wanted \d+/);
  });

  it("gives the CUDA face by name alone, and where there is a GPU", () => {
    const path = fakeAddon("cuda", ADDON_CONTRACT);
    vi.stubEnv("CRAGRU_ADDON", path);
    expect(codeOf(() => loadKernels({ device: "cuda" }))).toBe("NATIVE_CUDA");
    expect(() => loadKernels({ device: "cuda" })).toThrow(/CUDA was asked for, but no usable GPU/);
    const gpu = '{ name: "GPU X", memoryBytes: 2 ** 36, computeCapability: "9.0" }';
    vi.stubEnv("CRAGRU_ADDON", fakeAddon("gpu", ADDON_CONTRACT, `module.exports.describe = () => ({ ...say(), cuda: { devices: [${gpu}], text: "1 GPU found" } });`));
    expect(loadKernels({ device: "cuda" })).toMatchObject({ face: "cuda", device: "cuda (GPU X, 9.0)" });
    expect(loadKernels({ device: "auto" }).face).toBe("cpu");
  });
});
