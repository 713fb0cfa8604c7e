import { describe, expect, it } from "vitest";
import { addonKernels } from "../../../src/native/addon.js";
import type { Addon } from "../../../src/native/binding.js";

interface Control { isa: string; threads: number; progress?: (done: number, total: number) => void }

/** An addon whose one call is played by the test. */
function played(knapsack: (input: object, control: Control) => { promise: Promise<unknown>; cancel(): void }): ReturnType<typeof addonKernels> {
  return addonKernels({ knapsack } as unknown as Addon, { isa: "base", threads: 2 });
}

const input = {
  categoryOffsets: Uint32Array.of(0, 1), levels: Uint32Array.of(2), values: Float64Array.of(1, 2), capacities: Uint32Array.of(2), boundary: "exact",
} as const;
const coded = (message: string, more: object): Error => Object.assign(new Error(message), more);

describe("the seam", () => {
  it("hands over a fresh object, the instruction set and the threads, and no progress when nobody listens", async () => {
    const result = { choices: Uint32Array.of(2), totals: Float64Array.of(2) };
    const kernels = played((given, control) => {
      expect(given).toMatchObject(input);
      expect(given).not.toBe(input);
      expect(control).toEqual({ device: "cpu", isa: "base", threads: 2 });
      return { promise: Promise.resolve(result), cancel: () => undefined };
    });
    expect(await kernels.knapsack(input)).toBe(result);
  });

  it("makes NativeErrors of native failures, thrown or rejected, and passes others on", async () => {
    const failure = coded("no memory.", { code: "NATIVE_MEMORY", hint: "Pass less." });
    for (const knapsack of [() => { throw failure; }, () => ({ promise: Promise.reject(failure), cancel: () => undefined })]) {
      await expect(played(knapsack).knapsack(input)).rejects.toMatchObject({ name: "NativeError", code: "NATIVE_MEMORY", hint: "Pass less.", cause: failure });
    }
    const foreign = coded("elsewhere", { code: "ENOENT" });
    await expect(played(() => ({ promise: Promise.reject(foreign), cancel: () => undefined })).knapsack(input)).rejects.toBe(foreign);
  });

  it("cancels on abort and rejects with the reason, even when the job was done first", async () => {
    const reason = new Error("enough"), controller = new AbortController();
    let cancelled = 0;
    const kernels = played(() => {
      let reject: (error: Error) => void = () => undefined;
      const promise = new Promise((_, no) => { reject = no; });
      return { promise, cancel: () => { cancelled++; reject(coded("cancelled", { code: "NATIVE_CANCELLED" })); } };
    });
    const call = kernels.knapsack(input, { signal: controller.signal });
    setTimeout(() => controller.abort(reason), 5);
    await expect(call).rejects.toBe(reason);
    expect(cancelled).toBe(1);

    const late = new AbortController();
    const finished = played(() => ({ promise: Promise.resolve("done").then((value) => { late.abort(reason); return value; }), cancel: () => undefined }));
    await expect(finished.knapsack(input, { signal: late.signal })).rejects.toBe(reason);
  });

  it("passes progress on, ends it with the whole, and fails with what the listener threw", async () => {
    const seen: number[][] = [];
    const kernels = played((_, control) => {
      control.progress?.(1, 4);
      return { promise: Promise.resolve("done"), cancel: () => undefined };
    });
    await kernels.knapsack(input, { onProgress: (done, total) => seen.push([done, total]) });
    expect(seen).toEqual([[1, 4], [1, 1]]);
    const thrown = new Error("display gone");
    let cancelled = false;
    const failing = played((_, control) => ({
      promise: Promise.resolve().then(() => { control.progress?.(1, 4); control.progress?.(2, 4); }), cancel: () => { cancelled = true; },
    }));
    await expect(failing.knapsack(input, { onProgress: () => { throw thrown; } })).rejects.toBe(thrown);
    expect(cancelled).toBe(true);
  });
});
