import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { hashMessages, type Message } from "../../../src/core/prompt.js";
import { KeyedRandom } from "../../../src/core/rng.js";
import type { ReplayEntry } from "../../../src/generation/replayfile.js";
import { OllamaServer, type LoggedRequest } from "../../fixtures/ollama-server.js";

/**
 * CRAGRU_KILLS=50 npx vitest run test/unit/experiment/kill9.test.ts   kills the built program (dist/) that often and says how it went;
 * without the variable a few kills of the sources.
 */
const given = process.env["CRAGRU_KILLS"], KILLS = Number(given ?? 5), USERS = 40;
const root = resolve(import.meta.dirname, "../../..");
const program = given === undefined ? ["--import", "tsx", join(root, "src/cli/main.ts")] : [join(root, "dist/cli/main.js")];
const folder = mkdtempSync(join(tmpdir(), "cragru-kill9-"));
const prepared = join(folder, "prepared"), whole = join(folder, "whole");
const server = new OllamaServer({ models: ["toy:latest"], pieceDelayMs: 1 });
const random = new KeyedRandom(2020, "probe");
const replies = (run: string): string => join(run, "4-rankings", "replies.jsonl");
const rankings = (run: string): string => readFileSync(join(run, "4-rankings", "rankings.run"), "utf8");

function start(...argv: string[]) {
  const child = spawn(process.execPath, [...program, ...argv], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let out = "", err = "";
  child.stdout.on("data", (chunk: Buffer) => { out += chunk.toString(); });
  child.stderr.on("data", (chunk: Buffer) => { err += chunk.toString(); });
  return { child, ended: new Promise<{ code: number | null; signal: string | null; out: string; err: string }>((done) => child.once("close", (code, signal) => done({ code, signal, out, err }))) };
}
const recommend = (run: string): ReturnType<typeof start> => start("recommend", "--generator", "ollama:toy", "--host", server.url, "--concurrency", "3", "--run", run, "--json");
interface Finished {
  resumed: number;
  counts: object;
  rankingsHash: string;
}
async function finish(run: string): Promise<Finished> {
  const { code, out, err } = await recommend(run).ended;
  expect([code, err.includes("cragru:")], err).toEqual([0, false]);
  return JSON.parse(out) as Finished;
}

/** Prompt hashes of the answers whose line is whole. */
function journaled(run: string): string[] {
  if (!existsSync(replies(run))) return [];
  return readFileSync(replies(run), "utf8").split("\n").slice(0, -1).map((line) => (JSON.parse(line) as ReplayEntry).promptHash);
}
const asked = (requests: readonly LoggedRequest[]): string[] => requests.filter(({ path }) => path === "/api/chat").map(({ body }) => hashMessages(body["messages"] as Message[]));

let undisturbed: Finished, startup: number, answering: number;
beforeAll(async () => {
  await server.start();
  const tiny = ["--synthetic-users", String(USERS), "--synthetic-items", "60", "--synthetic-mean", "20"];
  for (const step of [["split", "synthetic", ...tiny], ["prompt", "--retriever", "recent", "--candidates", "15", "--history", "10"]]) {
    const { code, err } = await start(...step, "--run", prepared).ended;
    expect(code, err).toBe(0);
  }
  cpSync(prepared, whole, { recursive: true });
  const began = performance.now();
  undisturbed = await finish(whole);
  const chats = server.requests.filter(({ path }) => path === "/api/chat");
  expect(chats.length).toBe(USERS);
  startup = chats[0]!.time - began;
  answering = chats.at(-1)!.time - chats[0]!.time;
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

it(`survives ${KILLS} kills at random moments: the same bytes, and no journaled answer asked for again`, async () => {
  const seen: number[] = [];
  for (let round = 0; round < KILLS; round++) {
    const run = join(folder, `run${round}`);
    cpSync(prepared, run, { recursive: true });
    const before = server.requests.length;
    const { child, ended } = recommend(run);
    // One kill in ten falls before the first question; of the others half anywhere between it and the end by the clock, half by
    // the number of answers kept, which a busy machine does not shift.
    const moment = random.uniform(round, 0);
    const running = (): boolean => child.exitCode === null;
    if (round % 10 === 9) await sleep(moment * startup);
    else if (round % 2 === 0) {
      while (running() && journaled(run).length < Math.floor(moment * USERS)) await sleep(1);
      await sleep(random.uniform(round, 2) * 20);
    } else {
      while (running() && asked(server.requests.slice(before)).length === 0) await sleep(1);
      await sleep(moment * (answering + 50));
    }
    child.kill("SIGKILL");
    const { signal } = await ended;
    // What a power failure may leave besides: half a line at the end.
    if (round % 3 === 1 && journaled(run).length > 0) truncateSync(replies(run), readFileSync(replies(run)).length - 1 - Math.floor(random.uniform(round, 1) * 200));
    const kept = journaled(run), log = server.requests.length;
    const first = asked(server.requests.slice(before));
    expect(new Set(first).size, `round ${round}: asked twice before the kill`).toBe(first.length);
    seen.push(kept.length);

    const finished = await finish(run);
    expect(finished.resumed, `round ${round}`).toBe(new Set(kept).size);
    const again = asked(server.requests.slice(log));
    expect(again.filter((hash) => kept.includes(hash)), `round ${round}: asked again`).toEqual([]);
    // Only the rest was asked for, once each; a question that the killed process had sent may still have been on its way.
    expect(new Set(again).size).toBe(USERS - kept.length);
    expect(again.length).toBeLessThanOrEqual(USERS - kept.length + (signal === null ? 0 : 3));
    expect(rankings(run) === rankings(whole), `round ${round}: rankings`).toBe(true);
    expect([finished.rankingsHash, finished.counts]).toEqual([undisturbed.rankingsHash, undisturbed.counts]);
    const all = journaled(run);
    expect([all.length, new Set(all).size]).toEqual([USERS, USERS]);
    rmSync(run, { recursive: true });
  }
  const inside = seen.filter((kept) => kept > 0 && kept < USERS).length;
  // Kills that struck while answers were being written are the point.
  expect(inside).toBeGreaterThanOrEqual(Math.floor(KILLS / 2));
  if (given !== undefined) process.stderr.write(`${KILLS} kills, ${inside} of them with some answers kept: ${seen.join(" ")} of ${USERS}\n`);
}, 60_000 + KILLS * 20_000);
