// Does the output contract hold whatever a model wants to say? Prompts through the real engine with random weights at
// temperature 1: every answer is read by a plain JSON parser besides our own.
//   node scripts/build.mjs --engine && node bench/contract.mjs            10,000 prompts, 200 of them with 50 candidates
//   node bench/contract.mjs --prompts 500 --wide 10 --json
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { register } from "tsx/esm/api";

register();
const root = resolve(import.meta.dirname, "..");
const { llamaCpp } = await import("../src/generation/llamacpp/llamacpp.ts");
const { generateAll } = await import("../src/generation/schedule.ts");
const { addCounts, emptyCounts } = await import("../src/generation/counts.ts");
const { makePrompts } = await import("../test/fixtures/prompts.ts");
const { tinyGguf } = await import("../test/fixtures/tiny-gguf.ts");

const { values } = parseArgs({ options: { prompts: { type: "string", default: "10000" }, wide: { type: "string", default: "200" }, json: { type: "boolean", default: false } } });
const total = Number(values.prompts), wide = Number(values.wide);
const models = ["bytes", "numbers"].flatMap((kind) => [1, 2, 3, 4, 5].map((seed) => ({ kind, seed })));
const folder = mkdtempSync(join(tmpdir(), "cragru-contract-"));
const counts = emptyCounts(), found = { prompts: 0, complete: 0, valid: 0, wide: 0 };
const started = performance.now();

/** The words of a prompt bind nothing: short ones leave the time to the answers. */
function briefly(prompt) {
  return { ...prompt, messages: [{ role: "user", content: `${prompt.user}: ${prompt.candidates.map(({ key }) => key).join(" ")}` }] };
}

/** All keys in candidate order, each a whole number 1..100: as JSON.parse sees the answer. */
function check({ reply, scores, status }, { candidates }) {
  found.prompts++;
  if (candidates.length === 50) found.wide++;
  let answer = {};
  try {
    answer = JSON.parse(reply);
  } catch {
    // Counted as neither complete nor valid.
  }
  const keys = Object.keys(answer);
  if (keys.length === candidates.length && keys.every((key, at) => key === candidates[at].key)) found.complete++;
  const whole = Object.values(answer).every((score, at) => Number.isInteger(score) && score >= 1 && score <= 100 && score === scores[at]);
  if (status === "ok" && whole && keys.length > 0) found.valid++;
}

try {
  for (const [at, { kind, seed }] of models.entries()) {
    const modelPath = join(folder, `${kind}-${seed}.gguf`);
    writeFileSync(modelPath, tinyGguf(kind, { seed }));
    const share = (count) => Math.floor((count * (at + 1)) / models.length) - Math.floor((count * at) / models.length);
    const generator = llamaCpp({
      modelPath, from: join(root, "test/engine"), mode: "listwise", temperature: 1, seed, gpu: false, threads: 1, concurrency: 16, qualityRetries: 0,
    });
    for (const [userCount, candidateCount] of [[share(wide), 50], [share(total - wide), 3]]) {
      if (userCount === 0) continue;
      const prompts = (await makePrompts({ userCount, candidateCount, historyCount: 1 })).map(briefly);
      const result = await generateAll(prompts, generator, { onFailure: "backbone" });
      addCounts(counts, result.counts);
      result.completions.forEach((completion, user) => check(completion, prompts[user]));
    }
    await generator.close();
    process.stderr.write(`${kind} ${seed}: ${found.prompts} / ${total} prompts, ${((performance.now() - started) / 1000).toFixed(0)} s\n`);
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
const seconds = (performance.now() - started) / 1000;
if (values.json) process.stdout.write(`${JSON.stringify({ ...found, seconds, counts })}\n`);
else {
  process.stdout.write(`${found.prompts} prompts (${found.wide} with 50 candidates), ${models.length} models of random weights, temperature 1\n`);
  process.stdout.write(`complete ${found.complete}, valid ${found.valid}, repaired ${counts.repaired}, fallback ${counts.fallback}, cut ${counts.lengthStops}\n`);
  process.stdout.write(`${counts.tokensIn} tokens read, ${counts.tokensOut} written, ${seconds.toFixed(0)} s\n`);
}
process.exitCode = found.valid === total && found.complete === total ? 0 : 1;
