import { GenerationError, type ErrorOptions } from "../core/errors.js";
import { emptyCounts } from "./counts.js";
import type { GenerationCounts } from "./generator.js";

/**
 * What a failure asks for: `permanent` ends the run, `retryable` is sent again, `quality` asks the model again with another
 * seed, `cancelled` was wanted and is never retried.
 */
export type FailureKind = "permanent" | "retryable" | "quality" | "cancelled";

export type FailureCode =
  | "GENERATION_MODEL_MISSING" | "GENERATION_REQUEST" | "GENERATION_CONTEXT" | "GENERATION_VERSION" | "GENERATION_MIXED_MODELS"
  | "GENERATION_SERVER_DOWN" | "GENERATION_SERVER_LOST" | "GENERATION_SERVER_BUSY" | "GENERATION_SERVER"
  | "GENERATION_MEMORY" | "GENERATION_TIMEOUT" | "GENERATION_ANSWER" | "GENERATION_CANCELLED"
  | "GENERATION_ENGINE" | "GENERATION_REPLAY_FILE" | "GENERATION_REPLAY_MISSING" | "GENERATION_REPLAY_MIXED";

/** A GenerationError that says what to do about it and what was counted until then. */
export class GenerationFailure extends GenerationError {
  declare readonly code: FailureCode;
  readonly kind: FailureKind;
  /** Answers, retries and tokens spent before the failure. */
  readonly counts: GenerationCounts;

  constructor(code: FailureCode, kind: FailureKind, message: string, options: ErrorOptions & { counts?: GenerationCounts } = {}) {
    super(code, message, options);
    this.kind = kind;
    this.counts = options.counts ?? emptyCounts();
  }

  /** No other prompt of the run would fare better: a fallback would hide a missing engine. */
  get endsRun(): boolean {
    return this.kind === "permanent" || this.code === "GENERATION_SERVER_DOWN" || this.code === "GENERATION_MEMORY";
  }
}

export interface FailureContext {
  model: string;
  /** Host without credentials. */
  host: string;
  /** The caller's signal: once it is aborted, every failure is a cancellation. */
  signal?: AbortSignal | undefined;
  timeoutSeconds: number;
}

const UNREACHABLE = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT", "ETIMEDOUT"]);
const BROKEN = new Set(["UND_ERR_SOCKET", "UND_ERR_HEADERS_TIMEOUT", "UND_ERR_BODY_TIMEOUT", "ECONNRESET", "EPIPE"]);
const NO_MEMORY = /out of memory|failed to allocate|unable to allocate|requires more system memory|cudamalloc failed/i;
const CONTEXT = /exceed_context_size|exceeds? the (?:available |maximum )?context|input length exceeds/i;

/** Sorts whatever the `ollama` client, fetch or the server threw into our codes. Never throws. */
export function classifyFailure(error: unknown, context: FailureContext): GenerationFailure {
  if (error instanceof GenerationFailure) return error;
  const { model, host, timeoutSeconds } = context;
  const name = error instanceof Error ? error.name : "";
  const fail = (code: FailureCode, kind: FailureKind, message: string, hint?: string): GenerationFailure =>
    new GenerationFailure(code, kind, message, { cause: error, ...(hint === undefined ? {} : { hint }) });

  if (context.signal?.aborted || name === "AbortError") return fail("GENERATION_CANCELLED", "cancelled", "The generation was cancelled.");
  if (name === "TimeoutError") {
    return fail("GENERATION_TIMEOUT", "retryable", `${host} gave no complete answer within ${timeoutSeconds} s.`, "Raise timeoutSeconds, or use a smaller model.");
  }
  const status = statusOf(error);
  const text = serverText(error);
  if (CONTEXT.test(text.type) || CONTEXT.test(text.message)) {
    const size = text.promptTokens ? `${text.promptTokens} tokens, ` : "";
    const room = text.context ? ` of ${text.context}` : "";
    return fail("GENERATION_CONTEXT", "permanent", `${host} refused a prompt of ${size}more than its context${room} holds: ${text.message}`,
      "Raise numCtx for the whole run and start again.");
  }
  if (NO_MEMORY.test(text.message)) {
    return fail("GENERATION_MEMORY", "retryable", `${host} has not enough memory for ${model}: ${text.message}`,
      "Use a smaller or more quantised model, a smaller numCtx, or fewer parallel requests.");
  }
  if (status === 404 && /model/i.test(text.message)) return modelMissing(model, host, error);
  if (status === 503 || status === 429 || status === 499) return fail("GENERATION_SERVER_BUSY", "retryable", `${host} is busy (${status}): ${text.message}`);
  if (status !== undefined && ((status >= 400 && status < 500) || status === 501 || /invalid format|pull model manifest/i.test(text.message))) {
    return fail("GENERATION_REQUEST", "permanent", `${host} refused the request (${status}): ${text.message}`,
      status === 401 || status === 403 ? "Put the user and password into the host: https://user:password@host." : undefined);
  }
  if (/unexpected EOF|did not receive done|stream is not JSON/i.test(text.message)) return fail("GENERATION_SERVER_LOST", "retryable", `${host} broke off its answer: ${text.message}`);
  if (status !== undefined) return fail("GENERATION_SERVER", "retryable", `${host} failed (${status}): ${text.message}`);

  const cause = networkCode(error);
  if (BROKEN.has(cause) || text.message === "terminated") {
    return fail("GENERATION_SERVER_LOST", "retryable", `The connection to ${host} broke (${cause || text.message}).`);
  }
  if (UNREACHABLE.has(cause) || text.message === "fetch failed") {
    return fail("GENERATION_SERVER_DOWN", "retryable", `No server answers at ${host} (${cause || text.message}).`,
      "Start it with `ollama serve`, or name another one with OLLAMA_HOST.");
  }
  return fail("GENERATION_SERVER", "retryable", `${host} failed: ${text.message}`);
}

/** The error for a model that a server does not have, with the one command that cures it. */
export function modelMissing(model: string, host: string, cause?: unknown): GenerationFailure {
  return new GenerationFailure("GENERATION_MODEL_MISSING", "permanent", `${host} has no model "${model}".`, { hint: `Run: ollama pull ${model}`, cause });
}

function statusOf(error: unknown): number | undefined {
  const status = (error as { status_code?: unknown } | null | undefined)?.status_code;
  return typeof status === "number" ? status : undefined;
}

/** Node hides the system's code one or two causes deep. */
function networkCode(error: unknown): string {
  let at = error as { code?: unknown; cause?: unknown } | null | undefined;
  for (let depth = 0; at && depth < 4; depth++) {
    if (typeof at.code === "string") return at.code;
    at = at.cause as typeof at;
  }
  return "";
}

interface ServerText {
  message: string;
  type: string;
  promptTokens: number | undefined;
  context: number | undefined;
}

/** What the server said. It may send text, an object, or an object written as text (the runner's own errors). */
function serverText(error: unknown): ServerText {
  const own = (error as { error?: unknown } | null | undefined)?.error;
  let found: unknown = own ?? (error instanceof Error ? error.message : String(error));
  if (typeof found === "string" && found.trimStart().startsWith("{")) {
    try {
      found = JSON.parse(found);
    } catch {
      // Not JSON after all: the text itself is the message.
    }
  }
  if (found !== null && typeof found === "object" && "error" in found) found = found.error;
  if (found === null || typeof found !== "object") return { message: shorten(String(found)), type: "", promptTokens: undefined, context: undefined };
  const fields = found as { message?: unknown; type?: unknown; n_prompt_tokens?: unknown; n_ctx?: unknown };
  return {
    message: shorten(typeof fields.message === "string" ? fields.message : JSON.stringify(found)),
    type: typeof fields.type === "string" ? fields.type : "",
    promptTokens: typeof fields.n_prompt_tokens === "number" ? fields.n_prompt_tokens : undefined,
    context: typeof fields.n_ctx === "number" ? fields.n_ctx : undefined,
  };
}

/** One line of at most 300 characters: a gateway may answer with a whole page. */
function shorten(text: string): string {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > 300 ? `${line.slice(0, 297)}...` : line;
}
