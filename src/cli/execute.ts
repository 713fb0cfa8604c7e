import { jsonOf } from "../experiment/draft.js";
import type { CommonOptions } from "./options.js";
import { ProgressDisplay } from "./progress.js";

/** Where the command line writes. */
export interface Streams {
  stdout: NodeJS.WriteStream;
  stderr: NodeJS.WriteStream;
}

/** Somebody pressed Ctrl-C, or asked the process to end. */
export class Interrupted extends Error {
  constructor(readonly signalName: NodeJS.Signals) {
    super("Stopped.");
    this.name = "Interrupted";
  }
}

/** What a verb is given besides its own options. */
export interface VerbContext {
  signal: AbortSignal;
  onProgress: (done: number, total: number, note?: string, kept?: number) => void;
  note: (text: string) => void;
}

/**
 * Runs one verb: progress and notes on stderr, the value on stdout (as text, or as JSON with --json). The first Ctrl-C aborts
 * the work, which then leaves everything in order; the second ends the process at once.
 * @throws what the verb throws; {@link Interrupted} after a signal.
 */
export async function execute(streams: Streams, options: CommonOptions, verb: (context: VerbContext) => Promise<unknown>): Promise<void> {
  const display = new ProgressDisplay(streams.stderr, options.quiet === true);
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals): void => {
    process.off("SIGINT", stop).off("SIGTERM", stop);
    display.close();
    display.note("Stopping; press Ctrl-C again to end at once.");
    controller.abort(new Interrupted(name));
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  let value: unknown;
  try {
    value = await verb({ signal: controller.signal, onProgress: display.show, note: (text) => display.note(text) });
  } catch (error) {
    // Work that was cut off reports it in its own words; the reason is what counts.
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
    display.close();
  }
  streams.stdout.write(`${options.json ? jsonOf(value) : textOf(value, streams.stdout.columns)}\n`);
}

/** As the value prints itself; as wide as the terminal, where it can and there is one. */
function textOf(value: unknown, columns: number | undefined): string {
  const isFlexible = typeof value === "object" && value !== null && "toText" in value;
  return isFlexible ? (value as { toText: (columns?: number) => string }).toText(columns) : String(value);
}
