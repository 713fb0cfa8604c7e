/** Options of every call that can take longer than a few milliseconds. */
export interface RunOptions {
  /** Aborts the call; it rejects with `signal.reason`. */
  signal?: AbortSignal;
  /**
   * Called a few times a second at most by our own code. `total` 0 means unknown. `kept` of those `done` were there before
   * (default 0): they cost no time and say nothing about the pace.
   */
  onProgress?: (done: number, total: number, note?: string, kept?: number) => void;
  /** Set by `partOf`: whoever reads `onProgress` sees a share of the whole, so counts and rates of the part belong into its note. */
  isPart?: true;
}

export interface Pace {
  done: number;
  total: number;
  /** Units a second since the meter started, without what was there before. */
  rate: number;
  /** Seconds left at that rate; undefined while unknown. */
  remaining: number | undefined;
  note: string | undefined;
}

/** Rate and remaining time, shared by the terminal's progress bar and the notebook's. */
export class Meter {
  private started: number;
  private kept = 0;

  constructor(private readonly clock: () => number = () => performance.now()) {
    this.started = clock();
  }

  /** Of `done`, `kept` were there before: the time to read them counts as little as they do. */
  at(done: number, total: number, note?: string, kept = 0): Pace {
    const now = this.clock();
    if (kept > this.kept && done === kept) this.started = now;
    this.kept = kept;
    const seconds = (now - this.started) / 1000;
    const rate = seconds > 0 ? Math.max(0, done - kept) / seconds : 0;
    const remaining = total > 0 && rate > 0 ? Math.max(0, (total - done) / rate) : undefined;
    return { done, total, rate, remaining, note };
  }
}

/** "3 s", "2 min 05 s", "1 h 12 min": for progress lines and tables. */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "unknown";
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} us`;
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const whole = Math.round(seconds);
  const pad = (n: number): string => String(n).padStart(2, "0");
  return whole < 3600
    ? `${Math.floor(whole / 60)} min ${pad(whole % 60)} s`
    : `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} min`;
}

const SLICE_MS = 12;

/**
 * Keeps the event loop alive inside long JavaScript loops: call `await breather.pause()` often; it returns at once
 * until the time slice is used up, then lets timers, display and the interrupt button run, and honours `signal`.
 */
export class Breather {
  private until = performance.now() + SLICE_MS;

  constructor(private readonly signal?: AbortSignal) {}

  /** True when it is time to pause: cheap enough for inner loops. */
  due(): boolean {
    return performance.now() >= this.until;
  }

  async pause(): Promise<void> {
    if (!this.due()) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.signal?.throwIfAborted();
    this.until = performance.now() + SLICE_MS;
  }
}

/** Progress of one part of a longer piece of work: part `index` of `count`, equal shares. */
export function partOf(options: RunOptions, index: number, count: number, label: string): RunOptions {
  const { onProgress, signal } = options;
  const part: RunOptions = {};
  if (signal) part.signal = signal;
  if (onProgress) {
    part.isPart = true;
    part.onProgress = (done, total, note, kept = 0) => {
      const share = (units: number): number => (total > 0 ? Math.min(1, units / total) : 0);
      onProgress(index + share(done), count, note ? `${label}: ${note}` : label, share(kept));
    };
  }
  return part;
}

/** Waits for work that others share: rejects with `signal.reason` at once when `signal` fires, while the work goes on. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
