import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { splitDataset } from "../../../src/data/split.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { run } from "../../../src/experiment/run.js";
import type { ReplayEntry } from "../../../src/generation/replayfile.js";
import { testServers } from "../../fixtures/servers.js";
import { temporaryFolder, TINY, TINY_RUN } from "./tiny.js";

const folder = temporaryFolder(), serve = testServers();
const CHAT = "/api/chat";

it("a run by a language model that was stopped goes on with the answers it has, and keeps none that printed a forgotten row", async () => {
  const server = await serve({ models: ["toy"] });
  const asked = (): string[] => server.requests.filter(({ path }) => path === CHAT).map(({ body }) => JSON.stringify(body["messages"]));
  const config = { ...TINY_RUN, retrievers: ["attention" as const], candidateSources: ["full" as const], generator: "ollama:toy", host: server.url, results: join(folder, "results") };
  const stop = new AbortController();
  const watch = setInterval(() => { if (asked().length >= 12) stop.abort(new Error("stopped")); }, 1);
  await expect(run("quick", { ...config, signal: stop.signal })).rejects.toThrow("stopped");
  clearInterval(watch);
  const file = join(folder, "results", "replies.jsonl");
  const kept = (): ReplayEntry[] => readFileSync(file, "utf8").split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as ReplayEntry);
  expect(existsSync(file)).toBe(true);
  const before = new Set(kept().map(({ promptHash }) => promptHash)), questions = asked().length;
  expect(before.size).toBeGreaterThan(0);
  expect(before.size).toBeLessThan(40);

  await run("quick", config);
  // What was under way when it was stopped is asked again, and nothing else.
  const repeated = asked().slice(questions).filter((question) => asked().slice(0, questions).includes(question));
  expect(repeated.length).toBeLessThanOrEqual(questions - before.size);
  const split = splitDataset(synthesize(TINY), { seed: TINY_RUN.seed! });
  expect(kept().length).toBeGreaterThanOrEqual(40);
  for (const { user, evidence } of kept()) for (const item of evidence) expect(split.forget.has(user, item)).toBe(false);
});
