/**
 * The error tree. Every error names what happened, with which value, and what to do next (`hint`).
 * Code and hint stand in the message because a notebook cell shows nothing else.
 */
export interface ErrorOptions {
  /** The next thing to do: a command, an option, a file to fix. */
  hint?: string;
  cause?: unknown;
}

/** Everything the library throws on purpose: a stable `code`, the value at fault in the message, the cure as `hint`. */
export class CragruError extends Error {
  /** Stable, machine readable, for example `DATA_RATING_RANGE`. */
  readonly code: string;
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: ErrorOptions = {}) {
    super(options.hint ? `${message}\n  ${options.hint} [${code}]` : `${message} [${code}]`, { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
  }
}

/** Input files, ids, rows, checksums, downloads. */
export class DataError extends CragruError {}
/** Options that cannot be honoured: wrong values, missing peers, a missing earlier step. */
export class ConfigError extends CragruError {}
/** The native core or its seam: a face that is absent, a shape the kernel refuses, out of memory. */
export class NativeError extends CragruError {}
/** A language model, its server, or its answer. */
export class GenerationError extends CragruError {}
/** A forgotten row was about to be used. Never caught and ignored inside the library. */
export class ForgettingError extends CragruError {}
/** The durable request ledger. */
export class LedgerError extends CragruError {}
