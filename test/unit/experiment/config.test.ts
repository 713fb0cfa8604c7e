import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/core/errors.js";
import { DEFAULT_CONFIG, nativeOptions, resolveConfig, type RunConfig } from "../../../src/experiment/config.js";
import { presetOf, PRESETS } from "../../../src/experiment/presets.js";

describe("the configuration of a run", () => {
  it("leaves device and threads to the environment unless they are asked for", () => {
    expect(nativeOptions(resolveConfig())).toEqual({});
    expect(nativeOptions(resolveConfig({ device: "js", threads: 2 }))).toEqual({ device: "js", threads: 2 });
  });

  it("gives prompts the paper's 100 rows of history, and 20 on invented data", () => {
    expect([resolveConfig({ dataset: "ml-100k" }).history, resolveConfig().history]).toEqual([100, 20]);
    expect(resolveConfig({ dataset: "synthetic", history: 7 }).history).toBe(7);
  });

  it("is the default when nothing is given, and undefined counts as not given", () => {
    expect(resolveConfig()).toEqual(DEFAULT_CONFIG);
    expect(resolveConfig({ seed: undefined as never, users: 7 })).toEqual({ ...DEFAULT_CONFIG, users: 7 });
  });

  it("forgets users under the released protocol unless told otherwise", () => {
    expect(resolveConfig({ protocol: "released" }).forget).toEqual({ unit: "users", ratio: 0.1 });
    expect(resolveConfig({ protocol: "released", forget: { unit: "users", ratio: 0.3 } }).forget.ratio).toBe(0.3);
  });

  const wrong: [keyof RunConfig | "forget.unit" | "forget.ratio", unknown, string][] = [
    ["protocol", "loose", "strict, released"], ["forget.unit", "genres", "interactions, users"], ["forget.ratio", 1.5, "below 1"],
    ["seed", -1, "0 to 4294967295"], ["backbones", ["svd"], "bpr, lightgcn, ease"], ["backbones", [], "names nothing"],
    ["retrievers", ["attention", "attention"], "attention twice"], ["candidateSources", ["fresh"], "full, remain, exact, popularity"],
    ["generator", "gpt", "ollama:<model>"], ["generator", "ollama:", "ollama:<model>"], ["candidates", 0, "1 to 1000"], ["history", 0.5, "1 to 10000"],
    ["clusters", 101, "1 to 100"], ["users", -3, "0 to"], ["onFailure", "ignore", "throw, backbone"], ["concurrency", 0, "1 to 1024"],
    ["device", "tpu", "auto, cuda, cpu, js"], ["threads", 999, "1 to 256"], ["dataset", "ml-3m", "ml-100k"],
  ];
  it.each(wrong)("refuses %s = %j and says what is allowed", (option, value, allowed) => {
    const [name, part] = option.split(".") as [keyof RunConfig, string | undefined];
    const given = part ? { [name]: { unit: "interactions", ratio: 0.1, [part]: value } } : { [name]: value };
    const attempt = (): RunConfig => resolveConfig(given as Partial<RunConfig>);
    expect(attempt).toThrow(ConfigError);
    expect(attempt).toThrow(option);
    expect(attempt).toThrow(allowed);
  });

  it("refuses sizes of invented data for real data, and interactions as the released unit", () => {
    const sized = (): RunConfig => resolveConfig({ dataset: "ml-100k", synthetic: { users: 5, meanPerUser: 9 } });
    expect(sized).toThrow(/synthetic \(--synthetic-users 5, --synthetic-mean 9\) does not go with the data set ml-100k/);
    expect(() => resolveConfig({ protocol: "released", forget: { unit: "interactions", ratio: 0.1 } })).toThrow(/whole users/);
    expect(() => resolveConfig({ sed: 1 } as never)).toThrow(/no option "sed"/);
  });

  it("names the flags where they are called otherwise than the option", () => {
    const flags: [Partial<RunConfig>, RegExp][] = [
      [{ clusters: 0 }, /option clusters \(--clusters, --k\) cannot be 0/],
      [{ forget: { unit: "interactions", ratio: 2 } }, /forget\.ratio \(--forget\) cannot be 2/],
      [{ backbones: ["bpr", "bpr"] }, /--backbone\) names bpr twice/], [{ retrievers: [] }, /--retriever\) names nothing/],
      [{ seed: -1 }, /^The option seed cannot be -1/],
    ];
    for (const [given, message] of flags) expect(() => resolveConfig(given)).toThrow(message);
  });
});

describe("presets", () => {
  it("lists what exists and nothing else", () => {
    expect(presetOf("quick").config.dataset).toBe("synthetic");
    for (const absent of ["table-2", "figure-4", "toString"]) {
      expect(() => presetOf(absent)).toThrow(`Presets of this version: ${Object.keys(PRESETS).join(", ")}.`);
    }
    expect(Object.keys(PRESETS)).toEqual(["quick", "table-1"]);
  });
});
