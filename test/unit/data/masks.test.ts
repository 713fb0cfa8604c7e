import { describe, expect, it } from "vitest";
import { evalMask, serveMask } from "../../../src/data/masks.js";
import { splitDataset } from "../../../src/data/split.js";
import { pairs, rowsOf, tableOf } from "./table.js";

const dataset = tableOf(rowsOf([40, 25, 31, 12], 60), 4, 60);

describe("masks under strict", () => {
  const split = splitDataset(dataset);

  it("serveMask is D_r, evalMask is D_r and D_f, neither holds a test row", () => {
    expect(pairs(serveMask(split))).toEqual(pairs(split.remain));
    expect(pairs(evalMask(split))).toEqual(pairs(split.remain.union(split.forget)));
    expect(evalMask(split).intersect(split.test).length).toBe(0);
  });

  it("serveMask follows the rows forgotten so far", () => {
    const nothing = split.forget.slice(0, 0);
    expect(pairs(serveMask(split, nothing))).toEqual(pairs(evalMask(split)));
    const more = split.forget.union(split.train.of(1));
    expect(pairs(serveMask(split, more))).toEqual(pairs(split.remain.without(split.train.of(1))));
  });
});

describe("masks under released", () => {
  it("are all of train and valid, forgotten or not", () => {
    const split = splitDataset(dataset, { protocol: "released", forget: { unit: "users", ratio: 0.5 } });
    const all = pairs(split.train.union(split.valid));
    expect(pairs(serveMask(split))).toEqual(all);
    expect(pairs(evalMask(split))).toEqual(all);
  });
});
