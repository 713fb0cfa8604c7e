import { describe, expect, it } from "vitest";
import { describeNative } from "../../src/native/load.js";

const { face, reason, cuda } = describeNative({ device: "auto" });
const why = face === "cpu" ? cuda.text : reason ?? "the TypeScript face was asked for";

describe.skipIf(cuda.devices.length === 0)(cuda.devices.length === 0 ? `no GPU: ${why}` : "the CUDA device probe", () => {
  it("describes every GPU of this machine", () => {
    for (const device of cuda.devices) {
      expect(device.name.length).toBeGreaterThan(3);
      expect(device.memoryBytes).toBeGreaterThan(2 ** 28);
      expect(device.computeCapability).toMatch(/^\d+\.\d+$/);
    }
    expect(cuda.text).toBe(`${cuda.devices.length} ${cuda.devices.length === 1 ? "GPU" : "GPUs"} found`);
  });
});
