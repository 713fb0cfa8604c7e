import { formatSeconds, Meter, type Pace, type RunOptions } from "../core/progress.js";
import { escapeHtml } from "../evaluation/table.js";
import { notebookKernel, type Display } from "./kernel.js";

/** The options of one long call, with a progress line behind them. */
export interface Live extends RunOptions {
  signal: AbortSignal;
  onProgress: (done: number, total: number, note?: string, kept?: number) => void;
  /** Ends the line and lets go of the interrupt key. Also happens when `done` reaches `total`, and on an interrupt. */
  end(): void;
}

const REDRAW_MS = 100;

/**
 * A progress line that is replaced in place, and an interrupt (Ctrl-C, the stop button) that stops the work itself and not
 * only the cell: `await live("learning", (run) => method.learn(split, run))`. The finished line holds no time, so saved
 * notebooks do not change from run to run.
 * @throws what the work throws; after an interrupt an AbortError
 */
export function live<T>(label: string, work: (run: RunOptions) => Promise<T>): Promise<T>;
/** The options alone, for a call that reports its last step: `await method.learn(split, live("learning"))`. */
export function live(label: string): Live;
export function live<T>(label: string, work?: (run: RunOptions) => Promise<T>): Live | Promise<T> {
  return work ? follow(new Line(label, false), work) : new Line(label, true).options;
}

async function follow<T>(line: Line, work: (run: RunOptions) => Promise<T>): Promise<T> {
  const { signal, onProgress } = line.options;
  try {
    const value = await work({ signal, onProgress });
    line.end("done");
    return value;
  } catch (error) {
    line.end(signal.aborted ? "stopped" : "failed");
    throw error;
  }
}

class Line {
  readonly options: Live;
  private readonly meter = new Meter();
  private readonly controller = new AbortController();
  private readonly canvas: Canvas;
  private listening = false;
  private ended = false;
  private drawn = -Infinity;

  constructor(private readonly label: string, private readonly endsAtTotal: boolean) {
    this.canvas = canvas();
    this.options = {
      signal: this.controller.signal,
      onProgress: (done, total, note, kept) => this.progress(done, total, note, kept),
      end: () => this.end("done"),
    };
    this.listen();
  }

  end(word: "done" | "stopped" | "failed"): void {
    if (this.ended) return;
    this.ended = true;
    if (this.listening) process.off("SIGINT", this.interrupt);
    this.listening = false;
    this.canvas.last(`${this.label}: ${word}`);
  }

  private progress(done: number, total: number, note?: string, kept?: number): void {
    if (this.ended) return;
    if (this.endsAtTotal && total > 0 && done >= total) return this.end("done");
    const now = performance.now();
    if (now - this.drawn < REDRAW_MS) return;
    this.drawn = now;
    this.canvas.draw(lineText(this.label, this.meter.at(done, total, note, kept)), total > 0 ? done / total : undefined);
  }

  /**
   * Never at once: a listener that is added while a cell or an import runs synchronously is lost behind Node's back, and the
   * next interrupt then kills the kernel.
   */
  private listen(): void {
    setImmediate(() => {
      if (this.ended) return;
      process.on("SIGINT", this.interrupt);
      this.listening = true;
    });
  }

  private readonly interrupt = (): void => {
    this.controller.abort(new DOMException(`${this.label}: stopped by an interrupt.`, "AbortError"));
    if (this.endsAtTotal) this.end("stopped");
  };
}

/** "learning: 12 / 40 (30 %), 3.2 a second, 9 s left, epoch 12". */
export function lineText(label: string, { done, total, rate, remaining, note }: Pace): string {
  const whole = Number.isInteger(done);
  const share = total > 0 ? `${Math.floor((100 * Math.min(done, total)) / total)} %` : "";
  const parts = [
    whole && total > 0 ? `${done} / ${total} (${share})` : whole ? String(done) : share,
    whole && rate > 0 ? `${rate.toPrecision(2)} a second` : "",
    remaining === undefined ? "" : `${formatSeconds(remaining)} left`,
    note ?? "",
  ];
  return `${label}: ${parts.filter((part) => part !== "").join(", ")}`;
}

interface Canvas {
  draw(text: string, share: number | undefined): void;
  /** The line that stays. */
  last(text: string): void;
}

function canvas(): Canvas {
  const kernel = notebookKernel();
  return kernel ? cellCanvas(kernel.newDisplay()) : terminalCanvas(process.stderr);
}

function cellCanvas(display: Display): Canvas {
  return {
    draw: (text, share) => display.html(`<div><progress max="1"${share === undefined ? "" : ` value="${share.toFixed(4)}"`}></progress> ${escapeHtml(text)}</div>`),
    last: (text) => display.html(`<div>${escapeHtml(text)}</div>`),
  };
}

/** One line rewritten in a terminal; in a file or a log only the last one. */
function terminalCanvas(stream: NodeJS.WriteStream): Canvas {
  const clear = stream.isTTY ? "\r\x1b[2K" : "";
  return {
    draw: (text) => {
      if (stream.isTTY) stream.write(`${clear}${text.slice(0, Math.max(20, (stream.columns || 80) - 1))}`);
    },
    last: (text) => void stream.write(`${clear}${text}\n`),
  };
}
