import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { LlamaEngine } from "../../src/generation/llamacpp/engine.js";
import { tinyGguf, tinyLora, type ToyKind } from "../fixtures/tiny-gguf.js";

/** Where node-llama-cpp lies for the tests: a package of its own, because of its size. */
export const engineFolder = import.meta.dirname;

/** Why no engine can run here; undefined when one can. */
export function engineMissing(): string | undefined {
  const modules = join(engineFolder, "node_modules");
  if (!existsSync(join(modules, "node-llama-cpp/package.json"))) return "node-llama-cpp is not installed; `npm test` or `node scripts/build.mjs --engine` installs it";
  const binaries = existsSync(join(modules, "@node-llama-cpp")) ? readdirSync(join(modules, "@node-llama-cpp")) : [];
  const wanted = { linux: "linux", darwin: "mac", win32: "win" }[process.platform as string] ?? process.platform;
  return binaries.some((name) => name.startsWith(`${wanted}-${process.arch}`)) ? undefined : `node-llama-cpp has no binary for ${process.platform} ${process.arch}`;
}

/** Title of a suite of the engine: its name, or why it is skipped. */
export function titled(name: string): string {
  const missing = engineMissing();
  return missing === undefined ? name : `no language model engine: ${missing}`;
}

/** Model files in a folder of their own. */
export class Toys {
  readonly folder = mkdtempSync(join(tmpdir(), "cragru-toys-"));

  file(kind: ToyKind, seed = 1): string {
    const path = join(this.folder, `${kind}-${seed}.gguf`);
    if (!existsSync(path)) writeFileSync(path, tinyGguf(kind, { seed }));
    return path;
  }

  lora(): string {
    return this.put("adapter.gguf", tinyLora());
  }

  put(name: string, content: Buffer): string {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    return path;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/**
 * Probability of `valued` tokens after `tokens` and the mean of their numbers, by plain exponentials over the logits of the
 * whole vocabulary, evaluated from an empty memory. `valued[0]` counts `first`, the next one more, and so on.
 */
export async function rawExpectation(engine: LlamaEngine, tokens: readonly number[], valued: readonly number[], first: number): Promise<{ mean: number; mass: number }> {
  const seat = await engine.seats.acquire(tokens.length + 1, undefined);
  try {
    const last = tokens.at(-1)!;
    await seat.sequence.evaluateWithoutGeneratingNewTokens(tokens.slice(0, -1));
    const [reply] = await seat.sequence.controlledEvaluate([[last, { generateNext: { logits: true, totalLogitWeight: true } }]]);
    const logits = reply!.next.logits!;
    let total = 0, mass = 0, sum = 0;
    for (const logit of logits.values()) total += Math.exp(logit);
    for (const [at, token] of valued.entries()) {
      const p = Math.exp(logits.get(token)!) / total;
      mass += p;
      sum += p * (first + at);
    }
    return { mean: sum / mass, mass };
  } finally {
    await engine.seats.release(seat);
  }
}
