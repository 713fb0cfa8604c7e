import { ConfigError } from "../../core/errors.js";
import { GenerationFailure, type FailureCode, type FailureKind } from "../failures.js";

/** Why a job failed, as the queue keeps it. */
export interface JobFailure {
  code: FailureCode;
  kind: FailureKind;
  message: string;
  hint?: string;
}

const ILL = new Set<FailureCode>(["GENERATION_SERVER_LOST", "GENERATION_SERVER", "GENERATION_TIMEOUT", "GENERATION_MEMORY"]);
const UNFIT = new Set<FailureCode>(["GENERATION_MODEL_MISSING", "GENERATION_VERSION", "GENERATION_MIXED_MODELS"]);

/** The one text that the queue keeps of a failure. */
export function failureText(error: GenerationFailure): string {
  const { code, kind, hint } = error;
  const tail = hint === undefined ? ` [${code}]` : `\n  ${hint} [${code}]`;
  const message = error.message.endsWith(tail) ? error.message.slice(0, -tail.length) : error.message;
  return JSON.stringify({ code, kind, message, ...(hint === undefined ? {} : { hint }) } satisfies JobFailure);
}

/** Reads {@link failureText}; the queue's own reasons, such as a job whose workers died again and again, are lost servers. */
export function readFailure(text: string): JobFailure {
  try {
    const found = JSON.parse(text) as Partial<JobFailure> | null;
    if (typeof found?.code === "string" && typeof found.message === "string") return found as JobFailure;
  } catch {
    // Not ours.
  }
  return { code: "GENERATION_SERVER_LOST", kind: "retryable", message: `The queue gave a job up: ${text}.`, hint: "Look at the workers' output, then: cragru queue --retry" };
}

/** The failure as if it had happened here. */
export function failureOf({ code, kind, message, hint }: JobFailure): GenerationFailure {
  return new GenerationFailure(code, kind, message, hint === undefined ? {} : { hint });
}

/** Ends the wait for a job whose rows were purged. */
export function forgotten(user: number): GenerationFailure {
  return new GenerationFailure("GENERATION_CANCELLED", "cancelled", `The job of user ${user} was purged from the queue: a row behind it was forgotten.`);
}

/** Refuses a prompt that was made before a row behind it was forgotten. */
export function outdated(user: number): GenerationFailure {
  return new GenerationFailure("GENERATION_CANCELLED", "cancelled", `A row behind the prompt of user ${user} was forgotten since this run began.`, {
    hint: "Make the prompts again without the forgotten rows, and start the run again.",
  });
}

/** Ends every wait. */
export function closed(): GenerationFailure {
  return new GenerationFailure("GENERATION_CANCELLED", "cancelled", "The queue was closed before all answers came.");
}

/** No server was reached: the job is as good as new. After a connection that broke it may be the job that broke it. */
export function isAway(error: unknown): error is GenerationFailure {
  return error instanceof GenerationFailure && error.code === "GENERATION_SERVER_DOWN";
}

/** The worker's server is ill: others may do better, and it should not eat the queue. */
export function isIll(error: GenerationFailure): boolean {
  return ILL.has(error.code);
}

/** This worker can serve no job of the queue. */
export function isUnfit(error: unknown): boolean {
  return error instanceof GenerationFailure ? UNFIT.has(error.code) : error instanceof ConfigError && error.code === "CONFIG_QUEUE_KEY";
}

/** Settings of a run that the engine refuses are the run's fault, not the worker's. */
export function asRunFailure(error: unknown): unknown {
  if (!(error instanceof ConfigError) || error.code === "CONFIG_QUEUE_KEY") return error;
  return new GenerationFailure("GENERATION_REQUEST", "permanent", `A worker refused the run's settings: ${error.message}`, { cause: error });
}
