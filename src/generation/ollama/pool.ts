import type { Host } from "./hosts.js";

interface Slot {
  host: Host;
  busy: number;
  /** Answers given. */
  answered: number;
  /** Lost connections in a row. */
  losses: number;
  /** Pauses in a row; each is twice as long. */
  pauses: number;
  pausedUntil: number;
  /** It was paused or never seen: it must pass the check before the next lease. */
  suspect: boolean;
  checking: boolean;
}

/** How a leased host behaved: `down` counts towards a pause, `ok` ends the count. */
export type HostOutcome = "ok" | "down" | "other";

/** One host of a pool at a moment. */
export interface HostLoad {
  host: string;
  busy: number;
  answered: number;
  isPaused: boolean;
}

export interface PoolOptions {
  /** Asks a host that was lost whether it can serve again (version, model, digest). Rejects when it cannot. */
  check?: (host: Host, signal?: AbortSignal) => Promise<void>;
  /** Hears of a host that came back and did not pass. */
  onRefused?: (host: Host, reason: unknown) => void;
  clock?: () => number;
}

const LOSSES_TO_PAUSE = 3;
const PAUSE_MS = 15_000, LONGEST_PAUSE_MS = 120_000;

/**
 * Hands out hosts, at most `width` requests each: a server that gets more would queue them, and queue time counts against
 * the five minutes that fetch waits for headers. The least busy host is next. A circuit breaker for each host: three lost
 * connections in a row pause it for 15 s, then one caller checks it and the others go elsewhere until it has passed; each
 * further failure doubles the pause, up to two minutes.
 */
export class HostPool {
  private readonly slots: Slot[];
  private readonly waiting: (() => void)[] = [];
  private readonly clock: () => number;
  private readonly check: PoolOptions["check"];
  private readonly onRefused: PoolOptions["onRefused"];

  constructor(hosts: readonly Host[], private readonly width: number, { clock = () => performance.now(), check, onRefused }: PoolOptions = {}) {
    this.slots = hosts.map((host) => ({ host, busy: 0, answered: 0, losses: 0, pauses: 0, pausedUntil: 0, suspect: false, checking: false }));
    this.clock = clock;
    this.check = check;
    this.onRefused = onRefused;
  }

  /** Waits for a free place. `avoid` is taken only when there is no other host. Rejects with `signal.reason`, or with what the check of the last host says. */
  async acquire(signal?: AbortSignal, avoid?: Host): Promise<Host> {
    for (;;) {
      signal?.throwIfAborted();
      const slot = this.choose(avoid);
      if (slot) {
        slot.busy++;
        if (!slot.suspect || !this.check) return slot.host;
        const failure = await this.prove(slot, signal);
        if (!failure) return slot.host;
        if (signal?.aborted) continue;
        this.pause(slot);
        this.onRefused?.(slot.host, failure.reason);
        if (this.slots.every((one) => one === slot || one.pausedUntil > this.clock())) throw failure.reason;
        continue;
      }
      await this.turn(signal);
      // Woken for a place that this caller no longer wants: the next in line takes it.
      if (signal?.aborted) this.waiting.shift()?.();
    }
  }

  release(host: Host, outcome: HostOutcome): void {
    const slot = this.slotOf(host);
    slot.busy--;
    if (outcome === "ok") {
      slot.answered++;
      slot.losses = slot.pauses = 0;
    } else if (outcome === "down" && ++slot.losses >= LOSSES_TO_PAUSE && slot.pausedUntil <= this.clock()) this.pause(slot);
    this.waiting.shift()?.();
  }

  /** Takes a host out until its check passes, for example one that was down at the start. */
  suspend(host: Host): void {
    this.pause(this.slotOf(host));
  }

  load(): HostLoad[] {
    const now = this.clock();
    return this.slots.map(({ host, busy, answered, pausedUntil }) => ({ host: host.url, busy, answered, isPaused: pausedUntil > now }));
  }

  private slotOf(host: Host): Slot {
    return this.slots.find((one) => one.host === host)!;
  }

  private pause(slot: Slot): void {
    slot.pausedUntil = this.clock() + Math.min(LONGEST_PAUSE_MS, PAUSE_MS * 2 ** slot.pauses++);
    slot.suspect = true;
  }

  /** The check of a suspect host, one at a time. */
  private async prove(slot: Slot, signal: AbortSignal | undefined): Promise<{ reason: unknown } | undefined> {
    slot.checking = true;
    try {
      await this.check!(slot.host, signal);
      slot.suspect = false;
      slot.losses = 0;
      slot.pausedUntil = 0;
      return undefined;
    } catch (reason) {
      slot.busy--;
      return { reason };
    } finally {
      slot.checking = false;
      // Whoever passed this host over may look again.
      for (const go of this.waiting.splice(0)) go();
    }
  }

  private choose(avoid: Host | undefined): Slot | undefined {
    const now = this.clock();
    const present = this.slots.filter(({ checking }) => !checking);
    const awake = present.filter(({ pausedUntil }) => pausedUntil <= now);
    // With every host paused there is nothing to prefer: the caller's own back-off paces the attempts.
    const usable = awake.length > 0 || present.length < this.slots.length ? awake : present;
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
