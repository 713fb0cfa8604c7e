import type { Host } from "./hosts.js";

interface Slot {
  host: Host;
  busy: number;
  /** Lost connections in a row. */
  losses: number;
  pausedUntil: number;
}

/** How a leased host behaved: `down` counts towards a pause, `ok` ends the count. */
export type HostOutcome = "ok" | "down" | "other";

const LOSSES_TO_PAUSE = 3;
const PAUSE_MS = 15_000;

/**
 * Hands out hosts, at most `slots` requests each: a server that gets more would queue them, and queue time counts against
 * the five minutes that fetch waits for headers. The least busy host is next; three lost connections in a row pause a host
 * for 15 s while others work.
 */
export class HostPool {
  private readonly slots: Slot[];
  private readonly waiting: (() => void)[] = [];

  constructor(hosts: readonly Host[], private readonly width: number, private readonly clock: () => number = () => performance.now()) {
    this.slots = hosts.map((host) => ({ host, busy: 0, losses: 0, pausedUntil: 0 }));
  }

  /** Waits for a free place. `avoid` is taken only when there is no other host. Rejects with `signal.reason`. */
  async acquire(signal?: AbortSignal, avoid?: Host): Promise<Host> {
    for (;;) {
      signal?.throwIfAborted();
      const slot = this.choose(avoid);
      if (slot) {
        slot.busy++;
        return slot.host;
      }
      await this.turn(signal);
      // Woken for a place that this caller no longer wants: the next in line takes it.
      if (signal?.aborted) this.waiting.shift()?.();
    }
  }

  release(host: Host, outcome: HostOutcome): void {
    const slot = this.slots.find((one) => one.host === host)!;
    slot.busy--;
    if (outcome === "ok") slot.losses = 0;
    else if (outcome === "down" && ++slot.losses >= LOSSES_TO_PAUSE) slot.pausedUntil = this.clock() + PAUSE_MS;
    this.waiting.shift()?.();
  }

  private choose(avoid: Host | undefined): Slot | undefined {
    const now = this.clock();
    const awake = this.slots.filter(({ pausedUntil }) => pausedUntil <= now);
    // With every host paused there is nothing to prefer: the caller's own back-off paces the attempts.
    const usable = awake.length > 0 ? awake : this.slots;
    const others = usable.filter(({ host }) => host !== avoid);
    const free = (others.length > 0 ? others : usable).filter(({ busy }) => busy < this.width);
    return free.sort((a, b) => a.busy - b.busy)[0];
  }

  private turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const cancel = (): void => {
        this.waiting.splice(this.waiting.indexOf(go), 1);
        reject(signal!.reason as Error);
      };
      const go = (): void => {
        signal?.removeEventListener("abort", cancel);
        resolve();
      };
      this.waiting.push(go);
      signal?.addEventListener("abort", cancel, { once: true });
    });
  }
}
