import { describe, expect, it } from "vitest";
import { assertEvidence, assertSplit, assertSplitHash, type SplitSets } from "../../../src/data/guards.js";
import { splitDataset } from "../../../src/data/split.js";
import { caught } from "../../fixtures/caught.js";
import { rowsOf, tableOf } from "./table.js";

const dataset = tableOf(rowsOf([40, 25, 31, 1], 60), 4, 60);
const split = splitDataset(dataset, { forget: { unit: "interactions", ratio: 0.3 } });
const sets = (): SplitSets => {
  const { protocol, train, valid, test, forget, remain, history } = split;
  return { dataset, protocol, train, valid, test, forget, remain, history };
};
const first = (rows: typeof split.test): typeof split.test => rows.slice(0, 1);
const name = (rows: typeof split.test): string => `user u${rows.users[0]}, item i${rows.items[0]}`;

describe("assertSplit", () => {
  it("passes an honest split with no overlap", () => {
    expect(assertSplit(split)).toEqual({ forgetAndTest: 0, forgetAndRemain: 0, historyAndTest: 0, historyAndValid: 0 });
  });

  it("throws on every planted overlap and names the row", () => {
    const { train, valid, test, forget, remain, history } = split;
    const planted: [Partial<SplitSets>, string, typeof test][] = [
      [{ train: train.union(first(test)) }, "DataError", test],
      [{ valid: valid.union(first(test)) }, "DataError", test],
      [{ train: train.union(first(valid)) }, "DataError", valid],
      [{ test: test.union(first(train)) }, "DataError", train],
      [{ forget: forget.union(first(test)) }, "ForgettingError", test],
      [{ remain: remain.union(first(forget)) }, "ForgettingError", forget],
      [{ forget: forget.union(first(remain)) }, "ForgettingError", remain],
      [{ history: history.union(first(test)) }, "DataError", test],
      [{ history: history.union(first(valid)) }, "DataError", valid],
    ];
    for (const [change, error, rows] of planted) {
      expect(caught(() => assertSplit({ ...sets(), ...change }))).toMatchObject({ name: error, message: expect.stringContaining(name(rows)) });
    }
  });

  it("throws when rows are missing, foreign, or a user has no train row", () => {
    const { train, valid, test, remain } = split;
    expect(caught(() => assertSplit({ ...sets(), valid: valid.without(first(valid)) })).code).toBe("DATA_SPLIT_COVER");
    expect(caught(() => assertSplit({ ...sets(), remain: remain.without(first(remain)) })).code).toBe("DATA_SPLIT_COVER");
    const other = tableOf(rowsOf([40, 25, 31, 1], 60, 9), 4, 60);
    expect(caught(() => assertSplit({ ...sets(), dataset: other })).code).toBe("DATA_SPLIT_COVER");
    const last = train.of(3);
    const error = caught(() => assertSplit({ ...sets(), train: train.without(last), test: test.union(last) }));
    expect(error).toMatchObject({ name: "DataError", code: "DATA_SPLIT_NO_TRAIN", message: expect.stringContaining("u3") });
  });

  it("counts the overlaps of forgetting under released, but not broken parts", () => {
    const { test, history, train } = split;
    const released = { ...sets(), protocol: "released" as const };
    expect(assertSplit({ ...released, history: history.union(test) })).toMatchObject({ historyAndTest: test.length });
    expect(caught(() => assertSplit({ ...released, train: train.union(first(test)) })).name).toBe("DataError");
  });
});

describe("assertEvidence", () => {
  const user = 0;
  const forgotten = split.forget;
  const history = split.history.of(user).without(forgotten);
  const candidates = Array.from({ length: 60 }, (_, item) => item).filter((item) => !dataset.has(user, item));

  it("passes evidence from the remaining history", () => {
    expect(assertEvidence({ user, evidence: history, candidates, split })).toEqual({ rows: history.length, forgotten: 0, test: 0, candidates: 0 });
  });

  it("throws on each planted overlap and names the row by the publisher's ids", () => {
    const gone = forgotten.of(user).intersect(split.train), test = split.test.of(user), valid = split.valid.of(user);
    expect(gone.length).toBeGreaterThan(0);
    const cases: [Parameters<typeof assertEvidence>[0], string, typeof test][] = [
      [{ user, evidence: history.union(first(gone)), candidates, split }, "ForgettingError", gone],
      [{ user, evidence: history, candidates, split, forgotten: first(history) }, "ForgettingError", history],
      [{ user, evidence: history.union(first(test)), candidates, split }, "DataError", test],
      [{ user, evidence: history.union(first(valid)), candidates, split }, "DataError", valid],
      [{ user, evidence: history, candidates: [...candidates, history.items[0]!], split }, "DataError", history],
      [{ user, evidence: history.union(first(split.train.of(1))), candidates, split }, "DataError", split.train.of(1)],
    ];
    for (const [check, error, rows] of cases) {
      expect(caught(() => assertEvidence(check))).toMatchObject({ name: error, message: expect.stringContaining(name(rows)) });
    }
  });

  it("throws on a candidate that the user still holds, printed or not", () => {
    for (const held of [history, split.valid.of(user).without(forgotten)]) {
      const check = { user, evidence: history.slice(0, 0), candidates: [...candidates, held.items[0]!], split };
      expect(caught(() => assertEvidence(check))).toMatchObject({ code: "DATA_CANDIDATE_HELD", message: expect.stringContaining(name(held)) });
    }
    // What was forgotten may come up again like any other item.
    expect(assertEvidence({ user, evidence: history, candidates: [...candidates, ...forgotten.itemsOf(user)], split }).candidates).toBe(0);
  });

  it("counts instead of throwing under released, save for rows that are no history at all", () => {
    const released = splitDataset(dataset, { protocol: "released", forget: { users: [] } });
    const evidence = released.history.of(user);
    const leaked = evidence.intersect(released.test);
    expect(leaked.length).toBeGreaterThan(0);
    const report = assertEvidence({ user, evidence, candidates: Array.from(released.test.itemsOf(user)), split: released });
    expect(report).toEqual({ rows: evidence.length, forgotten: evidence.intersect(released.forget).length, test: leaked.length, candidates: leaked.length });
    const outside = dataset.of(user).without(evidence);
    expect(caught(() => assertEvidence({ user, evidence: evidence.union(outside), candidates: [], split: released })).code).toBe("DATA_EVIDENCE_UNKNOWN");
  });
});

describe("assertSplitHash", () => {
  it("lets artefacts of this split pass and no others", () => {
    assertSplitHash(split, split.hash, "prompts.jsonl");
    const other = splitDataset(dataset, { seed: 1 });
    expect(caught(() => assertSplitHash(split, other.hash, "prompts.jsonl"))).toMatchObject({ code: "DATA_SPLIT_HASH", message: expect.stringContaining(other.hash) });
  });
});
