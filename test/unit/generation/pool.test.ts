import { describe, expect, it } from "vitest";
import { parseHosts } from "../../../src/generation/ollama/hosts.js";
import { HostPool } from "../../../src/generation/ollama/pool.js";

const [a, b] = parseHosts("a,b") as [ReturnType<typeof parseHosts>[0], ReturnType<typeof parseHosts>[0]];
const settled = async (promise: Promise<unknown>): Promise<boolean> =>
  Promise.race([promise.then(() => true), new Promise<false>((resolve) => setImmediate(() => resolve(false)))]);

describe("HostPool", () => {
  it("hands out the least busy host, up to its places, then waits", async () => {
    const pool = new HostPool([a, b], 2);
    expect([await pool.acquire(), await pool.acquire(), await pool.acquire(), await pool.acquire()]).toEqual([a, b, a, b]);
    const first = pool.acquire(), second = pool.acquire();
    expect(await settled(first)).toBe(false);
    pool.release(b, "ok");
    expect(await first).toBe(b);
    expect(await settled(second)).toBe(false);
    pool.release(a, "other");
    expect(await second).toBe(a);
  });

  it("goes to another host after a failure, and back when there is no other", async () => {
    const pool = new HostPool([a, b], 1);
    expect(await pool.acquire(undefined, a)).toBe(b);
    expect(await new HostPool([a], 1).acquire(undefined, a)).toBe(a);
  });

  it("pauses a host after three losses in a row, for a while", async () => {
    let now = 0;
    const pool = new HostPool([a, b], 5, { clock: () => now });
    const use = async (outcome: "ok" | "down", avoid = b): Promise<void> => pool.release(await pool.acquire(undefined, avoid), outcome);
    await use("down");
    await use("down");
    await use("ok");
    await use("down");
    await use("down");
    expect(await pool.acquire()).toBe(a);
    pool.release(a, "down");
    expect([await pool.acquire(), await pool.acquire(), await pool.acquire()]).toEqual([b, b, b]);
    now = 15_001;
    expect(await pool.acquire()).toBe(a);
    // With all hosts paused, work goes on; the caller's pauses pace it.
    const alone = new HostPool([a], 1, { clock: () => 0 });
    for (let loss = 0; loss < 5; loss++) alone.release(await alone.acquire(), "down");
    expect(await alone.acquire()).toBe(a);
  });

  it("lets a waiting caller leave, and wakes the next one in its place", async () => {
    const pool = new HostPool([a], 1);
    await pool.acquire();
    const controller = new AbortController();
    const leaving = pool.acquire(controller.signal), staying = pool.acquire();
    controller.abort(new Error("left"));
    await expect(leaving).rejects.toThrow("left");
    pool.release(a, "ok");
    expect(await staying).toBe(a);

    const late = new AbortController();
    const woken = pool.acquire(late.signal), next = pool.acquire();
    const gone = expect(woken).rejects.toThrow("late");
    pool.release(a, "ok");
    late.abort(new Error("late"));
    await gone;
    expect(await next).toBe(a);
    await expect(pool.acquire(late.signal)).rejects.toThrow("late");
  });

  it("lets one caller check a host that was lost, and doubles its pause while it fails", async () => {
    let now = 0, healthy = false;
    const checks: number[] = [];
    const pool = new HostPool([a, b], 9, { clock: () => now, check: async (host) => {
      checks.push(now);
      expect(host).toBe(a);
      if (!healthy) throw new Error("still away");
    } });
    pool.suspend(a);
    expect(pool.load()).toEqual([{ host: a.url, busy: 0, answered: 0, isPaused: true }, { host: b.url, busy: 0, answered: 0, isPaused: false }]);
    for (let turn = 0; turn < 40; turn++) {
      now += 5_000;
      pool.release(await pool.acquire(), "ok");
    }
    // 15 s, then 30, 60 and 120; meanwhile everybody goes to the other host.
    expect(checks).toEqual([15_000, 45_000, 105_000]);
    healthy = true;
    now = 300_000;
    const [first, second] = [pool.acquire(), pool.acquire()];
    expect([await first, await second]).toEqual([a, b]);
    expect(checks.length).toBe(4);
    pool.release(a, "ok");
    expect(await pool.acquire()).toBe(a);
    expect(checks.length).toBe(4);
  });

  it("pauses once for one death, however many requests were lost in it", async () => {
    let now = 0;
    const pool = new HostPool([a, b], 8, { clock: () => now, check: async () => undefined });
    const held = await Promise.all(Array.from({ length: 16 }, () => pool.acquire()));
    for (const host of held) pool.release(host, host === a ? "down" : "ok");
    now = 15_001;
    expect(pool.load()[0]!.isPaused).toBe(false);
  });

  it("tells of a host that came back and did not pass", async () => {
    let now = 0;
    const refused: string[] = [];
    const pool = new HostPool([a, b], 1, { clock: () => now, check: async () => { throw new Error("another file"); }, onRefused: (host, reason) => refused.push(`${host.url} ${String(reason)}`) });
    pool.suspend(a);
    now = 20_000;
    expect(await pool.acquire()).toBe(b);
    expect(refused).toEqual([`${a.url} Error: another file`]);
  });

  it("says what the check said where there is no other host", async () => {
    const pool = new HostPool([a], 1, { clock: () => 0, check: async () => { throw new Error("no model"); } });
    pool.suspend(a);
    await expect(pool.acquire()).rejects.toThrow("no model");
    expect(pool.load()[0]).toMatchObject({ busy: 0, isPaused: true });
  });
});
