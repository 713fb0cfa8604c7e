import { GenerationFailure, type FailureCode, type FailureKind } from "./failures.js";

/** Why a job failed, as the queue keeps it. */
export interface JobFailure {
  code: FailureCode;
  kind: FailureKind;
  message: string;
  hint?: string;
}

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

/** Ends every wait. */
export function closed(): GenerationFailure {
  return new GenerationFailure("GENERATION_CANCELLED", "cancelled", "The queue was closed before all answers came.");
}
