import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Ranking } from "../../../src/core/ranking.js";
import { splitDataset } from "../../../src/data/split.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { evaluate } from "../../../src/evaluation/evaluate.js";
import { writeFolder } from "../../../src/experiment/draft.js";
import { meansOf, METRICS } from "../../../src/experiment/method.js";
import { perUserOf, readPerUser, writePerUser } from "../../../src/experiment/peruser.js";
import {
  cacheKey, evaluationOf, readResult, resultName, storedResult, writeResult, type ResultArtefacts,
} from "../../../src/experiment/results.js";
import { formatTrec, parseTrec } from "../../../src/experiment/trec.js";
import { temporaryFolder, TINY } from "./tiny.js";

const folder = temporaryFolder();
const dataset = synthesize(TINY);
const split = splitDataset(dataset, { seed: 1 });
const users = split.test.presentUsers();
const rankings: Ranking[] = Array.from(users, (user) => {
  const items = Uint32Array.from({ length: 20 }, (_, at) => (user * 7 + at * 3) % dataset.itemCount);
  return { user, items, scores: Float32Array.from(items, (_, at) => 20 - at) };
});
const evaluation = evaluate(rankings, split.test, METRICS);
const isForgotten = (user: number): boolean => user % 5 === 0;

function artefacts(): ResultArtefacts {
  return {
    config: { seed: 1 },
    manifest: {
      format: "cragru-result-1", key: "key-1", method: { name: "before", label: "bpr, before", backbone: "bpr", source: "full bpr" },
      dataset: { name: "synthetic", fingerprint: dataset.fingerprint, source: dataset.source, users: 40, items: 60, rows: dataset.length },
      split: split.toJSON(), device: "js", versions: { node: "v20", cragru: "0" }, seconds: { learn: 1.5 }, details: { x: [1, 2] },
    },
    groups: {
      remaining: meansOf(rankings, split.test, split.train, users.filter((user) => !isForgotten(user)))!,
      forgotten: meansOf(rankings, split.test, split.train, users.filter(isForgotten))!,
    },
    perUser: perUserOf(evaluation, dataset, isForgotten),
    receipts: [{ method: "m", rows: 3, users: 2, seconds: { locate: 0, apply: 0.1, rebuild: 0.2 }, residuals: ["weights"], before: "a", after: "b" }],
    failures: [{ user: "7", status: "fallback" }],
  };
}

describe("a results folder", () => {
  it("comes back as it was written", async () => {
    const target = join(folder, resultName("synthetic", "bpr", "before", { seed: 1, protocol: "strict", generator: "embedded" }));
    expect(target.endsWith("synthetic.bpr.before.s1")).toBe(true);
    const written = artefacts();
    await writeResult(target, written, rankings, dataset);
    const { folder: where, ...read } = await readResult(target);
    expect(where).toBe(target);
    expect(read).toEqual(written);
    expect(readdirSync(target).sort()).toEqual(
      ["config.json", "failures.jsonl", "manifest.json", "metrics.json", "per-user.parquet", "rankings.run", "receipts.json"]);
    expect(parseTrec(readFileSync(join(target, "rankings.run"), "utf8"), dataset).map(({ items }) => items)).toEqual(rankings.map(({ items }) => items));
  });

  it("gives evaluations of its groups that compare like the first ones", async () => {
    const target = join(folder, "groups");
    await writeResult(target, artefacts(), rankings, dataset);
    const stored = await readResult(target);
    const own = evaluationOf(stored, "forgotten")!;
    const direct = evaluate(rankings, split.test, METRICS, { users: users.filter(isForgotten) });
    expect(own.users).toEqual(direct.users);
    expect(own.perUser).toEqual(direct.perUser);
    expect(evaluationOf({ ...stored, groups: {} }, "remaining")).toBeUndefined();
  });

  it("is taken for its own key alone", async () => {
    const target = join(folder, "keyed");
    expect(await storedResult(target, "key-1")).toBeUndefined();
    await writeResult(target, artefacts(), rankings, dataset);
    expect(await storedResult(target, "key-2")).toBeUndefined();
    expect((await storedResult(target, "key-1"))!.manifest.seconds).toEqual({ learn: 1.5 });
    writeFileSync(join(target, "metrics.json"), "{");
    await expect(storedResult(target, "key-1")).rejects.toThrow(/metrics.json is not JSON/);
  });

  it("has a key that changes with every part of it, and not with the order of fields", () => {
    const parts = { config: { a: 1, b: 2 }, dataset: "d", split: "s", code: "c", engine: { x: 1 }, method: "m" };
    const key = cacheKey(parts);
    expect(cacheKey({ ...parts, config: { b: 2, a: 1 } })).toBe(key);
    const others = [{ config: { a: 1, b: 3 } }, { dataset: "e" }, { split: "t" }, { code: "d" }, { engine: { x: 2 } }, { method: "n" }];
    for (const other of others) expect(cacheKey({ ...parts, ...other })).not.toBe(key);
  });
});

describe("a folder that is written in one step", () => {
  it("is not there when the work fails, and keeps the older one", async () => {
    const target = join(folder, "atomic");
    await writeFolder(target, async (draft) => writeFileSync(join(draft, "a"), "old"));
    await expect(writeFolder(target, async (draft) => {
      writeFileSync(join(draft, "a"), "new");
      throw new Error("stopped");
    })).rejects.toThrow("stopped");
    expect(readFileSync(join(target, "a"), "utf8")).toBe("old");
    expect(readdirSync(folder).filter((name) => name.startsWith(".atomic"))).toEqual([]);
  });

  it("sweeps what a dead process left, and leaves a living one's draft alone", async () => {
    const dead = join(folder, ".swept.draft-999999999-x"), alive = join(folder, `.swept.draft-${process.pid}-x`);
    mkdirSync(dead);
    mkdirSync(alive);
    await writeFolder(join(folder, "swept"), async () => undefined);
    expect([existsSync(dead), existsSync(alive)]).toEqual([false, true]);
  });
});

describe("a results folder that many write at once", () => {
  it("is whole at every moment that somebody looks", async () => {
    const target = join(folder, "contested"), names = ["a", "b", "c"];
    const write = (text: string) => writeFolder(target, async (draft) => names.forEach((name) => writeFileSync(join(draft, name), text)));
    await write("first");
    await Promise.all(Array.from({ length: 12 }, (_, at) => write(String(at))));
    expect(readdirSync(target).sort()).toEqual(names);
    expect(new Set(names.map((name) => readFileSync(join(target, name), "utf8"))).size).toBe(1);
    expect(readdirSync(folder).filter((name) => name.startsWith(".contested"))).toEqual([]);
  });
});

describe("per-user values", () => {
  it("survive parquet exactly, whatever the numbers", async () => {
    const file = join(folder, "values.parquet");
    await fc.assert(fc.asyncProperty(fc.array(fc.double({ noNaN: true }), { minLength: 1, maxLength: 50 }), async (values) => {
      const rows = {
        users: Uint32Array.from(values, (_, at) => at * 3), ids: values.map((_, at) => `user "${at}" \u00e9`),
        groups: values.map((_, at) => (at % 2 ? "forgotten" : "remaining") as "forgotten" | "remaining"), metrics: { "ndcg@10": Float64Array.from(values) },
      };
      await writePerUser(file, rows);
      expect(await readPerUser(file)).toEqual(rows);
    }), { numRuns: 25 });
  });

  it("are refused when the file is another one", async () => {
    writeFileSync(join(folder, "odd.parquet"), "no parquet");
    await expect(readPerUser(join(folder, "odd.parquet"))).rejects.toThrow(/odd.parquet cannot be read/);
    await expect(readPerUser(join(folder, "absent.parquet"))).rejects.toThrow(/cannot be read/);
  });
});

describe("a TREC run file", () => {
  it("has scores that fall strictly, so that no evaluator reorders it", () => {
    const text = formatTrec([{ user: 0, items: Uint32Array.of(5, 2, 9), scores: Float32Array.of(1, 1, 1) }], dataset, "my tag");
    expect(text).toBe(`1 Q0 6 1 3 my_tag\n1 Q0 3 2 2 my_tag\n1 Q0 10 3 1 my_tag\n`);
    expect(formatTrec([], dataset, "t")).toBe("");
  });

  it.each([
    ["1 Q0 6 1 3", "is not"], ["1 Q0 6 x 3 t", "is not"], ["99 Q0 6 1 3 t", "user 99"], ["1 Q0 6000 1 3 t", "item 6000"], ["1 Q0 6 2 3 t", "rank 2"],
  ])("refuses the line %j", (line, message) => {
    expect(() => parseTrec(`${line}\n`, dataset, "some.run")).toThrow(/some.run, line 1/);
    expect(() => parseTrec(`${line}\n`, dataset)).toThrow(message);
  });
});
