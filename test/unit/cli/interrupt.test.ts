import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { OllamaServer } from "../../fixtures/ollama-server.js";

const root = resolve(import.meta.dirname, "../../..");
const folder = mkdtempSync(join(tmpdir(), "cragru-interrupt-"));
const run = join(folder, "run");
const replies = join(run, "4-rankings", "replies.jsonl");
const server = new OllamaServer({ models: ["toy:latest"], pieceDelayMs: 1 });

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  out: string;
  err: string;
}

function start(...argv: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, ["--import", "tsx", join(root, "src/cli/main.ts"), ...argv], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let out = "", err = "";
  child.stdout.on("data", (chunk: Buffer) => { out += chunk.toString(); });
  child.stderr.on("data", (chunk: Buffer) => { err += chunk.toString(); });
  const ended = new Promise<Ended>((done) => child.once("close", (code, signal) => done({ code, signal, out, err })));
  return { child, ended };
}

const answered = (): number => (existsSync(replies) ? readFileSync(replies, "utf8").split("\n").length - 1 : 0);

/** Waits until `count` answers are on disk, then sends the signal. */
async function stopAfter(count: number, child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  while (answered() < count && child.exitCode === null) await sleep(5);
  child.kill(signal);
}

beforeAll(async () => {
  await server.start();
  const tiny = ["--synthetic-users", "60", "--synthetic-items", "60", "--synthetic-mean", "20"];
  expect((await start("split", "synthetic", ...tiny, "--run", run).ended).code).toBe(0);
  expect((await start("prompt", "--retriever", "recent", "--candidates", "20", "--history", "10", "--run", run).ended).code).toBe(0);
});
afterAll(async () => {
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe("a stopped recommend", () => {
  const recommend = ["recommend", "--generator", "ollama:toy", "--run", run];

  it("goes on after a kill that nothing can catch, and after Ctrl-C with a message", async () => {
    const ask = [...recommend, "--host", server.url];
    const killed = start(...ask);
    await stopAfter(5, killed.child, "SIGKILL");
    expect((await killed.ended).signal).toBe("SIGKILL");
    const first = answered();
    expect(first).toBeGreaterThanOrEqual(5);
    expect(first).toBeLessThan(60);

    const interrupted = start(...ask);
    await stopAfter(first + 5, interrupted.child, "SIGINT");
    const { code, out, err } = await interrupted.ended;
    expect([code, out]).toEqual([130, ""]);
    expect(err).toContain(`of 60 answers are there from an earlier run`);
    expect(err).toContain("The same command goes on where this one stopped.");

    const finished = await start(...ask, "--json").ended;
    expect(finished.code).toBe(0);
    const record = JSON.parse(finished.out) as { resumed: number; users: number; answers: { ok: number; repaired: number } };
    expect(record.resumed).toBeGreaterThanOrEqual(first + 5);
    expect(record.answers.ok + record.answers.repaired).toBe(60);
    const users = readFileSync(replies, "utf8").trim().split("\n").map((line) => (JSON.parse(line) as { user: number }).user);
    expect(users.sort((a, b) => a - b)).toEqual([...Array(60).keys()]);
  });

  it("ends quietly when its reader goes away", async () => {
    const child = spawn(process.execPath, ["--import", "tsx", join(root, "src/cli/main.ts"), "data", "synthetic", "--quiet"], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let err = "";
    child.stderr.on("data", (chunk: Buffer) => { err += chunk.toString(); });
    child.stdout.destroy();
    const code = await new Promise((done) => child.once("close", done));
    expect([code, err]).toEqual([0, ""]);
  });

  it.skipIf(!existsSync("/dev/full"))("says that the disk is full where its output goes", async () => {
    const full = openSync("/dev/full", "w");
    const child = spawn(process.execPath, ["--import", "tsx", join(root, "src/cli/main.ts"), "data", "synthetic", "--quiet"], { cwd: root, stdio: ["ignore", full, "pipe"] });
    let err = "";
    child.stderr!.on("data", (chunk: Buffer) => { err += chunk.toString(); });
    const code = await new Promise((done) => child.once("close", done));
    closeSync(full);
    expect([code, err]).toEqual([1, expect.stringMatching(/^cragru: the result cannot be written: ENOSPC[^\n]*\n$/)]);
  });
});
