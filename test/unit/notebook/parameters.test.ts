import { describe, expect, expectTypeOf, it, vi } from "vitest";
import { ConfigError, CragruError } from "../../../src/core/errors.js";
import { claim } from "../../../src/notebook/claim.js";
import { frame } from "../../../src/notebook/frame.js";
import { parameters } from "../../../src/notebook/parameters.js";
import { pretendKernel, written } from "./kernels.js";

const defaults = { dataset: "synthetic", seeds: [2020, 1], rerun: false, k: 10 };

describe("parameters", () => {
  it("are the defaults, with what the JSON text sets, typed by the defaults", () => {
    expect(parameters(defaults, undefined)).toEqual(defaults);
    expect(parameters(defaults, " ")).toEqual(defaults);
    const merged = parameters(defaults, '{"dataset":"ml-100k","seeds":[7],"rerun":true}');
    expect(merged).toEqual({ dataset: "ml-100k", seeds: [7], rerun: true, k: 10 });
    expectTypeOf(merged).toEqualTypeOf<{ dataset: string; seeds: number[]; rerun: boolean; k: number }>();
  });

  it("come from CRAGRU_PARAMETERS", () => {
    process.env.CRAGRU_PARAMETERS = '{"k":3}';
    try {
      expect(parameters(defaults).k).toBe(3);
    } finally {
      delete process.env.CRAGRU_PARAMETERS;
    }
  });

  it.each([
    ["{", "is not JSON"], ["[1]", "not an object"], ["null", "not an object"], ['{"Dataset":"x"}', "does not have"],
    ['{"k":"3"}', "a string; it is a number"], ['{"seeds":["a"]}', "list of strings"], ['{"rerun":null}', "a null"],
  ])("refuse %s", (text, message) => {
    expect(() => parameters(defaults, text)).toThrow(ConfigError);
    expect(() => parameters(defaults, text)).toThrow(message);
  });
});

describe("claim", () => {
  const shown = pretendKernel();
  it("shows its verdict, and throws when it is false", () => {
    claim("one is one", () => true);
    expect(() => claim("one is two", () => false)).toThrow(CragruError);
    expect(shown.map(({ text }) => text)).toEqual(["true: one is one", "FALSE: one is two"]);
  });
});

describe("claim in a terminal", () => {
  it("prints", async () => {
    expect(await written(process.stdout, () => claim("it prints", () => true))).toBe("true: it prints\n");
  });
});

describe("frame", () => {
  it("is a danfo DataFrame with every column of every row", () => {
    const made = frame([{ method: "a", value: 0.5 }, { method: "b", value: 1, note: "x" }]);
    expect(made.columns).toEqual(["method", "value", "note"]);
    expect(made.shape).toEqual([2, 3]);
    expect(made.column("value").values).toEqual([0.5, 1]);
  });
});

describe("frame without danfojs-node", () => {
  it("says what to install", async () => {
    vi.resetModules();
    vi.doMock("node:module", () => ({ createRequire: () => () => { throw new Error("Cannot find module"); } }));
    try {
      const { frame: absent } = await import("../../../src/notebook/frame.js");
      expect(() => absent([{ a: 1 }])).toThrow(/danfojs-node@1\.2\.0 \[CONFIG_NO_DANFO\]/);
    } finally {
      vi.doUnmock("node:module");
      vi.resetModules();
    }
  });
});
