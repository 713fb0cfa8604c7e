import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Writable } from "node:stream";
import { afterAll, describe, expect, it } from "vitest";
import type { Streams } from "../../../src/cli/execute.js";
import { cli, programOf } from "../../../src/cli/program.js";

const folder = mkdtempSync(join(tmpdir(), "cragru-cli-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const TINY = ["--synthetic-users", "40", "--synthetic-items", "60", "--synthetic-mean", "20"];
const VERBS = ["split", "cluster", "prompt", "recommend", "evaluate", "run", "worker", "queue", "data", "doctor"];

interface Said {
  code: number;
  out: string;
  err: string;
}

async function cragru(...argv: string[]): Promise<Said> {
  let out = "", err = "";
  const sink = (take: (text: string) => void): NodeJS.WriteStream => new Writable({
    write(chunk: Buffer, _, done) {
      take(chunk.toString());
      done();
    },
  }) as unknown as NodeJS.WriteStream;
  const streams: Streams = { stdout: sink((text) => { out += text; }), stderr: sink((text) => { err += text; }) };
  const code = await cli(argv, streams);
  return { code, out, err };
}

describe("the command line", () => {
  it("offers the verbs of this version and no others", async () => {
    const program = programOf({ stdout: process.stdout, stderr: process.stderr });
    expect(program.commands.map((command) => command.name())).toEqual(VERBS);
    const { code, out } = await cragru("--help");
    expect(code).toBe(0);
    for (const verb of VERBS) expect(out).toContain(verb);
    expect((await cragru("--version")).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.each(VERBS)("shows an example in the help of %s", async (verb) => {
    const { code, out, err } = await cragru(verb, "--help");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/\nExamples?:\n {2}\$ .*cragru /);
    expect(out).toContain("--json");
  });

  it.each([
    [[]], [["forget"]], [["audit"]], [["split"]], [["split", "synthetic", "--forget", "lots"]], [["split", "synthetic", "--unit", "genres"]],
    [["split", "synthetic", "--forget", "1.5"]], [["cluster", "--k", "-1"]], [["prompt", "--backbone", "svd"]], [["run", "table-2"]], [["run", "quick", "--device", "tpu"]],
    [["run", "quick", "--retrievers", "magic"]], [["run", "quick", "--users", "many"]], [["evaluate", "extra"]], [["split", "no-such-folder"]], [["doctor", "--bogus"]],
    // Options that would change nothing are refused rather than taken and forgotten.
    [["prompt", "--seed", "7"]], [["cluster", "--seed", "7"]], [["evaluate", "--threads", "2"]], [["data", "synthetic", "--device", "js"]],
    [["cluster", "--run", ""]], [["run", "quick", "--results", " "]], [["data", "no-such-set"]],
  ])("ends wrong usage %j with 2", async (argv) => {
    const { code, out, err } = await cragru(...argv);
    expect([code, out]).toEqual([2, ""]);
    expect(err.length).toBeGreaterThan(20);
    expect(err).not.toContain("    at ");
  });

  it.each([["cluster", "cragru split ml-100k"], ["prompt", "cragru split ml-100k"], ["recommend", "cragru split ml-100k"], ["evaluate", "cragru split ml-100k"]])(
    "ends a missing input of %s with 1 and names the verb", async (verb, cure) => {
      const { code, out, err } = await cragru(verb, "--run", join(folder, "nothing"));
      expect([code, out]).toEqual([1, ""]);
      expect(err).toContain(cure);
      expect(err).not.toContain("    at ");
    });

  it.each(["split", "run"])("says in one sentence that the results folder of %s cannot be written", async (verb) => {
    const file = join(folder, "a-file");
    writeFileSync(file, "");
    const place = join(file, "run");
    const { code, out, err } = verb === "split" ? await cragru("split", "synthetic", ...TINY, "--run", place)
      : await cragru("run", "quick", ...TINY, "--backbones", "bpr", "--retrievers", "none", "--candidate-sources", "full", "--results", place);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(/a-file.run.* cannot be written[^]*A file stands where a folder should be/);
    expect(err).not.toContain("    at ");
  });

  it("shows the stack when asked, and the terms of a data set that is not there", async () => {
    const { code, err } = await cragru("cluster", "--verbose", "--run", join(folder, "nothing"));
    expect(code).toBe(1);
    expect(err).toContain("    at ");
    const before = process.env["CRAGRU_DATA"];
    process.env["CRAGRU_DATA"] = folder;
    try {
      const refused = await cragru("data", "ml-100k");
      expect([refused.code, refused.out]).toEqual([1, ""]);
      expect(refused.err).toMatch(/GroupLens[^]*cragru data ml-100k --accept-licence/);
    } finally {
      if (before === undefined) delete process.env["CRAGRU_DATA"];
      else process.env["CRAGRU_DATA"] = before;
    }
  });
});

describe("the verbs, one after the other", () => {
  const run = join(folder, "run");
  const json = <T>({ code, out, err }: Said): T => {
    expect([code, err]).toEqual([0, ""]);
    return JSON.parse(out) as T;
  };

  it("print JSON on stdout and nothing else there", async () => {
    const quiet = ["--json", "--quiet", "--run", run];
    const split = json<{ hash: string; rows: { forget: number } }>(await cragru("split", "synthetic", ...TINY, "--forget", "20%", "--seed", "9", ...quiet));
    expect(split.rows.forget).toBeGreaterThan(100);
    const clusters = json<{ splitHash: string; sizes: number[] }>(await cragru("cluster", "--k", "3", ...quiet));
    expect(clusters.splitHash).toBe(split.hash);
    expect(clusters.sizes.reduce((sum, size) => sum + size, 0)).toBe(60);
    const prompts = json<{ prompts: number; settings: { retriever: string } }>(await cragru("prompt", "--retriever", "preference", "--candidates", "15", "--history", "10", "--users", "25", "--device", "js", ...quiet));
    expect([prompts.prompts, prompts.settings.retriever]).toEqual([25, "preference"]);
    const lists = json<{ users: number; engine: { label: string } }>(await cragru("recommend", "--generator", "embedded", ...quiet));
    expect([lists.users, lists.engine.label]).toEqual([25, "embedded (no LLM)"]);
    const metrics = json<{ groups: { remaining: { n: number; metrics: Record<string, { value: number }> } } }>(await cragru("evaluate", ...quiet));
    expect(metrics.groups.remaining.n).toBe(25);
    expect(metrics.groups.remaining.metrics["hr@10"]!.value).toBeGreaterThan(0);
    expect(existsSync(join(run, "5-metrics", "per-user.parquet"))).toBe(true);
    expect(JSON.parse(readFileSync(join(run, "5-metrics", "metrics.json"), "utf8"))).toMatchObject({ splitHash: split.hash });
  });

  it("print for people without --json, and notes on stderr", async () => {
    const { code, out, err } = await cragru("recommend", "--generator", "embedded", "--run", run);
    expect(code).toBe(0);
    expect(out).toMatch(/25 lists by embedded \(no LLM\), 25 answers from an earlier run/);
    expect(err).toMatch(/Generator: embedded[^]*25 of 25 answers are there/);
    expect((await cragru("evaluate", "--run", run)).out).toContain("backbone order");
    expect((await cragru("doctor", "--quiet", "--device", "js", "--host", "127.0.0.1:9")).out).toContain("npm run build:native");
    expect((await cragru("data", "synthetic", "--quiet")).out).toContain("600");
  });

  it("run a preset end to end", async () => {
    const results = join(folder, "results");
    const options = [...TINY, "--backbones", "bpr", "--retrievers", "recent,none", "--candidate-sources", "full", "--generator", "embedded", "--candidates", "15", "--results", results];
    const { code, out, err } = await cragru("run", ...options, "--unit", "users", "--forget", "0.2");
    expect(code).toBe(0);
    expect(err).toContain("Generator: embedded");
    expect(out).toMatch(/cragru recent +full bpr[^]*One user, before and after/);
    const again = await cragru("run", "quick", ...options, "--unit", "users", "--forget", "0.2", "--json", "--quiet");
    expect(json<{ rows: unknown[] }>(again).rows).toHaveLength(6);
    expect((await cragru("run", "table-1", "--dataset", "synthetic", ...TINY)).out).toContain("interactions");
  });
});
