import { ConfigError, ForgettingError } from "../core/errors.js";
import { fingerprintRows } from "../core/fingerprint.js";
import type { Interactions } from "../core/interactions.js";
import { unlessAborted, type RunOptions } from "../core/progress.js";
import type { Ranking } from "../core/ranking.js";
import type { Split } from "../data/split.js";
import { Holdings } from "./holdings.js";
import type { ForgetRequest, Receipt, Unlearner } from "./unlearner.js";

/** What was made from one state of the held rows. */
export interface Current<Built> {
  readonly built: Built;
  readonly holdings: Holdings;
  /** Fires, with a ForgettingError, when a later request makes all of this stale. */
  readonly stale: AbortSignal;
}

/**
 * An unlearner that holds rows and derives everything else from them. A request swaps the rows in one step, before anything
 * new is computed; what was derived from the old ones is dropped, work in flight on them is stopped, and the rebuild is
 * shared by all who ask meanwhile. An interrupted rebuild is simply done again by the next call.
 */
export abstract class RebuildingUnlearner<Built> implements Unlearner {
  abstract readonly name: string;
  private rows: Holdings | undefined;
  private state: Current<Built> | undefined;
  private building: Promise<void> | undefined;
  private change = new AbortController();
  /** Forgotten rows whose traces outside are not removed yet. */
  private readonly unpurged: Interactions[] = [];

  abstract recommend(users: ArrayLike<number>, k: number, options?: RunOptions): Promise<Ranking[]>;

  /**
   * Makes everything that depends on the rows. `stale` fires when the result is no longer wanted; `options.signal` is the
   * caller's. Never runs twice at a time.
   */
  protected abstract build(holdings: Holdings, stale: AbortSignal, options: RunOptions): Promise<Built>;

  /** What `built` still owes to forgotten rows; asked only when there are some. */
  protected abstract residuals(built: Built, holdings: Holdings): string[];

  async learn(split: Split, options: RunOptions = {}): Promise<void> {
    this.hold(Holdings.of(split));
    await this.current(options);
  }

  async forget(request: ForgetRequest, options: RunOptions = {}): Promise<Receipt> {
    const holdings = this.held;
    const start = performance.now();
    const rows = holdings.locate(request);
    const located = performance.now();
    const remaining = rows.length > 0 ? holdings.without(rows) : holdings;
    if (remaining !== holdings) {
      this.hold(remaining);
      this.unpurged.push(rows);
    }
    const left = await this.purgeAll();
    const applied = performance.now();
    const { built } = await this.current(options);
    const rebuilt = performance.now();
    return {
      method: this.name,
      rows: rows.length,
      users: rows.presentUsers().length,
      seconds: { locate: (located - start) / 1000, apply: (applied - located) / 1000, rebuild: (rebuilt - applied) / 1000 },
      residuals: [...(remaining.forgotten.length > 0 ? this.residuals(built, remaining) : []), ...left],
      before: fingerprintRows(holdings.mask),
      after: fingerprintRows(remaining.mask),
    };
  }

  /** Removes what is kept outside this object about rows that were forgotten: answers, prompts on servers. Returns what is left, in words. */
  protected async purge(_rows: Interactions): Promise<string[]> {
    return [];
  }

  /** A purge that failed is done again by the next request, also by an empty one. */
  private async purgeAll(): Promise<string[]> {
    const left = new Set<string>();
    while (this.unpurged.length > 0) {
      const [rows] = this.unpurged;
      for (const residual of await this.purge(rows!)) left.add(residual);
      this.unpurged.splice(this.unpurged.indexOf(rows!), 1);
    }
    return [...left];
  }

  /** The rows held now. @throws ConfigError before `learn`. */
  protected get held(): Holdings {
    if (!this.rows) throw new ConfigError("CONFIG_NOT_LEARNED", `${this.name} has not learned anything yet.`, { hint: "Call learn(split) first." });
    return this.rows;
  }

  /** What is built for the rows held now; undefined while it is being made. */
  protected get built(): Built | undefined {
    return this.state?.built;
  }

  /** Fires at the next change of the rows. */
  protected get stale(): AbortSignal {
    return this.change.signal;
  }

  /** The rows held now with what is built from them; builds it first where it is missing. */
  protected async current(options: RunOptions): Promise<Current<Built>> {
    for (;;) {
      if (this.state) return this.state;
      options.signal?.throwIfAborted();
      if (this.building) {
        // Another caller's failure is not this caller's: look again, and build if nobody else did.
        await unlessAborted(this.building, options.signal).catch(() => options.signal?.throwIfAborted());
        continue;
      }
      const holdings = this.held, { stale } = this;
      this.building = this.build(holdings, stale, options).then((built) => {
        if (!stale.aborted) this.state = { built, holdings, stale };
      }).finally(() => { this.building = undefined; });
      try {
        await this.building;
      } catch (error) {
        // Made stale by a request: what it was asked for is now the state after that request.
        if (!stale.aborted) throw error;
      }
    }
  }

  private hold(holdings: Holdings): void {
    this.rows = holdings;
    this.state = undefined;
    const { change } = this;
    this.change = new AbortController();
    change.abort(new ForgettingError("FORGET_STALE_ANSWER", "A forget request arrived while this answer was being made; the answer was dropped.", {
      hint: "Ask again: the next answer is made from the remaining rows.",
    }));
  }
}

/** Signal options that fire with either signal. */
export function whileFresh(stale: AbortSignal, { signal }: RunOptions): { signal: AbortSignal } {
  return { signal: signal ? AbortSignal.any([signal, stale]) : stale };
}
