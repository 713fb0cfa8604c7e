import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { data } from "../../../src/experiment/data.js";
import { doctor, DoctorReport } from "../../../src/experiment/doctor.js";
import { SMALL } from "../../../src/experiment/kernelcases.js";
import { checkKernels } from "../../../src/experiment/kernelcheck.js";
import { KERNEL_NAMES, type Kernels } from "../../../src/native/kernels.js";
import { referenceKernels } from "../../../src/native/reference.js";
import { OllamaServer } from "../../fixtures/ollama-server.js";
import { temporaryFolder } from "./tiny.js";

const root = temporaryFolder();

describe("the kernel check", () => {
  it("covers every kernel of the contract, and sees a face that computes something else", async () => {
    const reference = referenceKernels();
    const wrong: Kernels = {
      ...reference, face: "cpu", device: "wrong",
      propagate: async (input, options) => (await reference.propagate(input, options)).map((value) => value + 1e-6),
    };
    const checks = await checkKernels([reference, wrong], {}, { floats: 100, doubles: 50, cache: 50, memory: 10 }, SMALL);
    expect(checks.filter(({ face }) => face === "js").map(({ kernel }) => kernel)).toEqual([...KERNEL_NAMES]);
    expect(checks.filter(({ face }) => face === "cpu").map(({ kernel, agrees }) => [kernel, agrees])).toEqual(KERNEL_NAMES.map((name) => [name, name !== "propagate"]));
    for (const { rate, face, share } of checks) {
      expect(rate).toBeGreaterThan(0);
      expect(share === undefined).toBe(face === "js");
    }
    const report = new DoctorReport({ ...(await doctor({ device: "js", root })).parts, kernels: checks });
    expect(report.healthy).toBe(false);
    expect(String(report)).toContain("DIFFERS");
  });
});

describe("doctor", () => {
  it("says what is there and what is not, and the one command that helps", async () => {
    mkdirSync(join(root, "ml-1m"));
    const server = await new OllamaServer({ models: ["toy:latest"] }).start();
    try {
      const report = await doctor({ device: "js", root, host: server.url });
      const text = String(report);
      expect(report.healthy).toBe(true);
      expect(text).toMatch(/ml-100k no, ml-1m yes/);
      expect(text).toContain("toy:latest");
      expect(text).toContain("Faster: npm run build:native");
      expect(text).toMatch(/TensorFlow\.js/);
      expect(JSON.parse(JSON.stringify(report))).toMatchObject({ healthy: true, native: { face: "js" }, ollama: [{ models: ["toy:latest"] }] });
    } finally {
      await server.stop();
    }
    const silent = await doctor({ device: "js", root, host: server.url });
    expect(silent.parts.ollama[0]!.version).toBeUndefined();
    expect(String(silent)).toContain("does not answer");
  });
});

describe("data", () => {
  it("counts what needs no download, and shows the terms of what does", async () => {
    expect(String(await data("synthetic"))).toMatch(/interactions +[\d,]+/);
    await expect(data("ml-latest-small", { root })).rejects.toThrow(/--accept-licence/);
    await expect(data("nothing-of-the-kind", { root })).rejects.toThrow(/The option dataset cannot be "nothing-of-the-kind"/);
  });
});
