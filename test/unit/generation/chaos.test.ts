import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { Prompt } from "../../../src/core/prompt.js";
import { KeyedRandom } from "../../../src/core/rng.js";
import { addCounts, emptyCounts } from "../../../src/generation/counts.js";
import type { GenerationCounts } from "../../../src/generation/generator.js";
import { ollama } from "../../../src/generation/ollama/ollama.js";
import { generateAll } from "../../../src/generation/schedule.js";
import type { Fault, LoggedRequest } from "../../fixtures/ollama-server.js";
import { makePrompts } from "../../fixtures/prompts.js";
import { testServers } from "../../fixtures/servers.js";

const CHAT = "/api/chat", CANDIDATES = 12, USERS = 500;
const serve = testServers();

/** A fault of an answer that arrives: what it adds to the counters, how many candidates it scores, and whether it is usable. */
interface Flaw extends Fault {
  counted: Partial<GenerationCounts>;
  found: number;
  usable?: true;
  /** Characters: the answer is whole where the limit leaves room for them. */
  length?: number;
}

let prompts: Prompt[];
let lost: Record<string, Fault>;
let flawed: Record<string, Flaw>;
beforeAll(async () => {
  prompts = await makePrompts({ userCount: USERS, candidateCount: CANDIDATES, historyCount: 5 });
  const keys = prompts[0]!.candidates.map(({ key }) => key);
  const answer = (score: (at: number) => string, pad = ""): string => `{${keys.map((key, at) => `${JSON.stringify(key)}:${pad}${score(at)}`).join(",")}}`;
  const wordy = answer(() => "5", " ".repeat(400));
  lost = {
    "a full queue": { status: 503, body: "server busy, please try again.  maximum pending requests exceeded" },
    "too many requests": { status: 429, body: "slow down" }, "dropped from the queue": { status: 499, body: "request cancelled" },
    "an odd 500": { status: 500, body: "something odd" }, "a killed runner": { status: 500, body: "model runner has unexpectedly stopped: unexpected EOF" },
    "a gateway's page": { html502: true }, "an error in mid-stream": { errorLine: "an error was encountered while running the model" },
    "a stream without its end": { cutStream: true }, "a line that is no JSON": { garbageLine: true },
    "a connection cut at once": { destroyAfterBytes: 0 }, "a connection cut in the answer": { destroyAfterBytes: 900 },
  };
  flawed = {
    prose: { answer: "I would rather not.", counted: { missingKeys: CANDIDATES }, found: 0 },
    nothing: { answer: "", counted: { missingKeys: CANDIDATES }, found: 0 },
    "a list instead of an object": { answer: "[85,23,40]", counted: { missingKeys: CANDIDATES }, found: 0 },
    "other people's keys alone": { answer: '{"m1":5,"m2":6}', counted: { missingKeys: CANDIDATES, unknownKeys: 2 }, found: 0 },
    "an answer that ends too early": { answer: `{"${keys[0]}":5,"${keys[1]}":6,"${keys[2]}`, counted: { missingKeys: CANDIDATES - 2 }, found: 2 },
    "a number cut in two at the end": { answer: `{"${keys[0]}":5,"${keys[1]}":6`, counted: { missingKeys: CANDIDATES - 1 }, found: 1 },
    "an answer cut at the token limit": { answer: wordy, length: wordy.length, counted: { lengthStops: 1, missingKeys: 4 }, found: 8 },
    "a missing key": { dropKey: true, counted: { missingKeys: 1 }, found: CANDIDATES - 1 },
    "a key that stands twice": { duplicateKey: true, counted: { duplicateKeys: 1 }, found: CANDIDATES },
    "a score that is no number": { answer: answer((at) => (at === 0 ? "null" : "7")), counted: { missingKeys: 1 }, found: CANDIDATES - 1 },
    "a foreign key": { answer: answer((at) => `${at + 1},"m99${at}":5`), counted: { unknownKeys: CANDIDATES }, found: CANDIDATES, usable: true },
    "scores out of range": { answer: answer((at) => (at < 2 ? "0" : at < 5 ? "4711" : `${at}`)), counted: { clamped: 5 }, found: CANDIDATES, usable: true },
    "scores that are not whole": { answer: answer((at) => (at < 3 ? "85.5" : at < 4 ? '"7"' : `${at}`)), counted: { coerced: 4 }, found: CANDIDATES, usable: true },
    "an answer in a fence with words around it": { answer: `Sure!\n\`\`\`json\n${answer((at) => `${at + 1}`)}\n\`\`\`\nHope this helps.`, counted: {}, found: CANDIDATES, usable: true },
  };
});

/** The counters that a fault decides; tokens and ties belong to the answers themselves. */
function decided({ tokensIn: _in, tokensOut: _out, ties: _ties, ...rest }: GenerationCounts): Omit<GenerationCounts, "tokensIn" | "tokensOut" | "ties"> {
  return rest;
}

interface Outcome {
  status: "ok" | "repaired" | "fallback";
  counts: GenerationCounts;
}

/** What must become of a user whose requests went as the servers say: the ladder written down a second time, from the outside. */
function outcomeOf(requests: readonly LoggedRequest[], limits: { transportRetries: number; qualityRetries: number }): Outcome {
  const counts = emptyCounts(), left = [...requests];
  let status: Outcome["status"] | undefined, repeats = 0, best = 0;
  while (status === undefined) {
    const request = left.shift();
    if (!request) throw new Error("the user was given up before anything said so");
    const flaw = Object.values(flawed).find((one) => sameFault(one, request.fault));
    const room = 4 * (request.body["options"] as Record<string, number>)["num_predict"]!;
    const kind = flaw?.length !== undefined && flaw.length <= room ? undefined : flaw;
    if (request.fault && !flaw) {
      if (repeats === limits.transportRetries) status = "fallback";
      else {
        repeats++;
        counts.transportRetries++;
      }
      continue;
    }
    repeats = 0;
    counts.answers++;
    if (kind) addCounts(counts, kind.counted);
    if (!kind || kind.usable) {
      status = "ok";
      if (counts.qualityRetries === 0) counts.okFirst++;
      continue;
    }
    best = Math.max(best, kind.found);
    if (counts.qualityRetries < limits.qualityRetries) counts.qualityRetries++;
    else status = best > 0 ? "repaired" : "fallback";
  }
  expect(left).toEqual([]);
  return { status, counts: addCounts(counts, status === "ok" ? {} : { [status]: 1 }) };
}

function sameFault(kind: Flaw, fault: Fault | undefined): boolean {
  return fault !== undefined && (kind.answer !== undefined ? kind.answer === fault.answer : kind.dropKey ? fault.dropKey === true : fault.duplicateKey === true);
}

const outside = <T extends object>(kind: T): Fault => {
  const { counted: _counted, found: _found, usable: _usable, length: _length, ...fault } = kind as T & Partial<Flaw>;
  return fault;
};

describe("every flaw of an answer, through the real client", () => {
  it("is counted as what it is, and ends as it must", async () => {
    for (const [name, flaw] of Object.entries(flawed)) {
      const server = await serve({ faults: [{ path: CHAT, ...outside(flaw) }] });
      const { completions, counts } = await generateAll([prompts[0]!], ollama({ model: "toy", mode: "listwise", host: server.url, backoffSeconds: 0, qualityRetries: 1 }), { onFailure: "backbone" });
      const { counted, found, usable, length } = flaw;
      const status = usable || length !== undefined ? "ok" : found > 0 ? "repaired" : "fallback";
      const expected = addCounts(emptyCounts(), usable ? { answers: 1, okFirst: 1 } : { answers: 2, qualityRetries: 1, ...(status === "ok" ? {} : { [status]: 1 }) });
      addCounts(expected, counted);
      // The second answer is as bad as the first, unless what it needed was room.
      if (status !== "ok") addCounts(expected, counted);
      expect(decided(counts), name).toEqual(decided(expected));
      expect([completions[0]!.status, server.callsOf(CHAT)], name).toEqual([status, usable ? 1 : 2]);
      expect([...completions[0]!.ranking].sort((a, b) => a - b), name).toEqual(prompts[0]!.candidates.map(({ item }) => item));
    }
  });
});

describe("500 users, several servers, one request in five goes wrong", () => {
  it("answers everybody and counts exactly what the servers did", async () => {
    const seed = 1;
    const random = new KeyedRandom(seed, "probe");
    const kinds = [...Object.values(lost), ...Object.values(flawed)].map(outside);
    const warnings: Error[] = [], warn = (warning: Error): void => void warnings.push(warning);
    process.on("warning", warn);
    onTestFinished(() => void process.off("warning", warn));
    const hosts = await Promise.all([0, 1, 2].map((host) => serve({
      slots: 4,
      faults: [
        // One answer a host comes too late: the deadline below passes meanwhile.
        { path: CHAT, calls: [5], delayMs: 60_000 },
        // Which call goes wrong is drawn; the kinds take turns, so that each host has all of them early on.
        ...Array.from({ length: 4000 }, (_, call) => call + 1).filter((call) => call !== 5 && random.uniform(host, call, 0) < 0.2)
          .map((call, turn) => ({ path: CHAT, calls: [call], ...kinds[(turn + 8 * host) % kinds.length]! })),
      ],
    })));
    const limits = { transportRetries: 1, qualityRetries: 1 };
    const generator = ollama({ model: "toy", mode: "listwise", hosts: hosts.map(({ url }) => url), concurrency: 4, backoffSeconds: 0, timeoutSeconds: 6, seed, ...limits });
    const { completions, counts } = await generateAll(prompts, generator, { onFailure: "backbone" });

    const log = hosts.flatMap(({ requests }) => requests).filter(({ path }) => path === CHAT).sort((a, b) => a.time - b.time);
    const ofUser = new Map(prompts.map(({ messages, user }) => [messages[1]!.content, user]));
    const requests = prompts.map((): LoggedRequest[] => []);
    for (const request of log) requests[ofUser.get((request.body["messages"] as { content: string }[])[1]!.content)!]!.push(request);
    const expected = requests.map((one) => outcomeOf(one, limits));

    expect(completions.map(({ user, status }) => [user, status])).toEqual(expected.map(({ status }, user) => [user, status]));
    completions.forEach((completion, user) => expect(decided(completion.counts), `user ${user}`).toEqual(decided(expected[user]!.counts)));
    const sum = expected.reduce((total, one) => addCounts(total, one.counts), emptyCounts());
    expect(decided(counts)).toEqual(decided(sum));
    for (const { ranking, user } of completions) expect([...ranking].sort((a, b) => a - b)).toEqual(prompts[user]!.candidates.map(({ item }) => item));
    for (const [user, { status }] of expected.entries()) if (status === "fallback") expect([...completions[user]!.ranking]).toEqual(prompts[user]!.candidates.map(({ item }) => item));

    // The run was what it is called: about a fifth went wrong, in every way, and some users ended on every rung.
    const faulty = log.filter(({ fault }) => fault);
    expect(faulty.length / log.length).toBeGreaterThan(0.15);
    expect(new Set(faulty.map(({ fault: { calls: _calls, ...fault } = { path: "" } }) => JSON.stringify(fault))).size).toBe(kinds.length + 1);
    for (const status of ["ok", "repaired", "fallback"] as const) expect(completions.some((one) => one.status === status), status).toBe(true);
    for (const host of hosts) expect(host.busy).toBe(0);
    // Node complains about more than ten listeners on one signal; a dozen requests in flight are no leak.
    expect(warnings).toEqual([]);
  }, 60_000);
});
