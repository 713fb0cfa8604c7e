import { GenerationFailure } from "../failures.js";
import type { LlamaContext, LlamaModel, LlamaSequence } from "./package.js";

/** Tokens evaluated in one go, and so the longest wait before an abort is seen. */
export const BATCH = 512;
const STEP = 1024;

/** A LoRA adapter in GGUF form. */
export interface Adapter {
  path: string;
  /** Default 1. */
  scale?: number;
}

/** One sequence of the model's memory, in use by one user. */
export interface Seat {
  readonly sequence: LlamaSequence;
  readonly contextSize: number;
}

export interface SeatOptions {
  concurrency: number;
  threads: number;
  /** Tokens of each sequence; when absent as many as the longest prompt needs. */
  contextSize: number | undefined;
  lora: readonly Adapter[];
}

/**
 * The sequences of one context, handed out one by one and always empty: what a user's prompt left in memory is dropped before
 * the next one, so that no answer depends on who was asked before. A longer prompt than ever rebuilds the context once
 * everybody has left it.
 */
export class LlamaSeats {
  private context: LlamaContext | undefined;
  private free: Seat[] = [];
  private busy = 0;
  private building: Promise<void> | undefined;
  private readonly waiting: (() => void)[] = [];

  constructor(private readonly model: LlamaModel, private readonly options: SeatOptions) {
    const { contextSize } = options;
    if (contextSize !== undefined && contextSize > model.trainContextSize) {
      throw new GenerationFailure("GENERATION_CONTEXT", "permanent", `contextSize ${contextSize} is more than the ${model.trainContextSize} tokens that the model was trained on.`, {
        hint: `Pass ${model.trainContextSize} or less.`,
      });
    }
  }

  /** The most tokens that a prompt and its answer may take together. */
  get limit(): number {
    return this.options.contextSize ?? this.model.trainContextSize;
  }

  /** Waits for a sequence that holds `tokens` tokens (at most `limit`). Rejects with `signal.reason`. */
  async acquire(tokens: number, signal: AbortSignal | undefined): Promise<Seat> {
    for (;;) {
      signal?.throwIfAborted();
      const fits = this.context !== undefined && this.sizeFor(tokens) <= this.context.contextSize;
      if (fits && !this.building && this.free.length > 0) {
        this.busy++;
        return this.free.pop()!;
      }
      if (!fits && !this.building && this.busy === 0) {
        this.building = this.build(this.sizeFor(tokens)).finally(() => {
          this.building = undefined;
          this.wake();
        });
        await this.building;
      } else await this.turn(signal);
    }
  }

  /** Takes a seat back and drops what it holds. One that cannot be emptied went with its context and is not handed out again. */
  async release(seat: Seat): Promise<void> {
    const { context } = this;
    const isEmpty = await seat.sequence.clearHistory().then(() => true, () => false);
    if (isEmpty && context === this.context) this.free.push(seat);
    this.busy--;
    this.wake();
  }

  async close(): Promise<void> {
    this.free = [];
    await this.context?.dispose();
    this.context = undefined;
  }

  private sizeFor(tokens: number): number {
    return this.options.contextSize ?? Math.min(this.model.trainContextSize, Math.max(4 * STEP, Math.ceil(tokens / STEP) * STEP));
  }

  private async build(contextSize: number): Promise<void> {
    const { concurrency, threads, lora } = this.options;
    await this.close();
    const context = await this.model.createContext({
      // With it, logits depend on how many tokens share a batch: on the processor a score moved by three of a hundred.
      flashAttention: false,
      contextSize, sequences: concurrency, batchSize: Math.min(BATCH, contextSize), threads,
      ...(lora.length > 0 ? { lora: { adapters: lora.map(({ path, scale = 1 }) => ({ filePath: path, scale })) } } : {}),
    });
    this.context = context;
    this.free = Array.from({ length: concurrency }, () => ({ sequence: context.getSequence(), contextSize: context.contextSize }));
  }

  private wake(): void {
    for (const go of this.waiting.splice(0)) go();
  }

  private turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        signal?.removeEventListener("abort", go);
        resolve();
      };
      this.waiting.push(go);
      signal?.addEventListener("abort", go, { once: true });
    });
  }
}
