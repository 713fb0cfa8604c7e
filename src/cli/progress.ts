import { SingleBar, type Params } from "cli-progress";
import { formatSeconds, Meter, type Pace } from "../core/progress.js";

/** Work that ends sooner shows no bar. */
const PATIENCE_MS = 400;

/**
 * Progress on a stream: a bar on a terminal, a plain line every two seconds elsewhere. Done, total, rate, remaining time.
 * Draws nothing until work has taken a moment.
 */
export class ProgressDisplay {
  private bar: SingleBar | undefined;
  private pace: Pace | undefined;
  private isClosed = false;
  private readonly meter = new Meter();
  private readonly started = performance.now();

  constructor(private readonly stream: NodeJS.WriteStream, private readonly isQuiet: boolean) {}

  /** For `onProgress`. */
  readonly show = (done: number, total: number, note?: string, kept?: number): void => {
    if (this.isQuiet || this.isClosed) return;
    this.pace = this.meter.at(done, total, note, kept);
    if (!this.bar) {
      if (performance.now() - this.started < PATIENCE_MS) return;
      this.bar = new SingleBar({
        stream: this.stream, noTTYOutput: true, notTTYSchedule: 2000, fps: 8, clearOnComplete: true, hideCursor: true,
        gracefulExit: false, linewrap: false, emptyOnZero: true,
        format: (_: unknown, params: Params) => this.line(params),
      });
      this.bar.start(Math.max(1, total), done);
    }
    this.bar.setTotal(Math.max(1, total));
    this.bar.update(done);
  };

  /** A line of text beside the bar. */
  note(text: string): void {
    if (this.isQuiet) return;
    const clear = this.bar && this.stream.isTTY ? "\r\u001b[K" : "";
    this.stream.write(`${clear}${text}\n`);
  }

  /** Takes the bar away for good. */
  close(): void {
    this.isClosed = true;
    this.bar?.stop();
    this.bar = undefined;
  }

  private line({ progress }: Params): string {
    return progressLine(this.pace ?? this.meter.at(0, 0), this.stream.isTTY ? progress : undefined);
  }
}

/**
 * "[#####     ] 12/943, 3.2/s, 4 min 50 s left, generation"; the bar only where `share` is given. Work made of unequal parts
 * reports fractions of its parts: there a percentage says more than a count and a rate.
 */
export function progressLine({ done, total, rate, remaining, note }: Pace, share?: number): string {
  const filled = share === undefined ? "" : `[${"#".repeat(Math.round(Math.min(1, share) * 24)).padEnd(24)}] `;
  const count = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: 1 });
  const isCounted = total <= 0 || Number.isInteger(done);
  const parts = [
    isCounted ? (total > 0 ? `${count(done)}/${count(total)}` : count(done)) : `${Math.floor((100 * done) / total)} %`,
    ...(isCounted && rate > 0 ? [rate >= 1 ? `${count(rate)}/s` : `${formatSeconds(1 / rate)} each`] : []),
    ...(remaining === undefined || done >= total ? [] : [`${formatSeconds(remaining)} left`]),
    ...(note === undefined ? [] : [note]),
  ];
  return `${filled}${parts.join(", ")}`;
}
