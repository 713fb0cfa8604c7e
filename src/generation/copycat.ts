import type { RunOptions } from "../core/progress.js";
import type { Prompt } from "../core/prompt.js";
import { positionTau } from "./bias.js";
import { countTies, rankCandidates } from "./contract.js";
import { emptyCounts } from "./counts.js";
import type { Completion, EngineInfo, Generator } from "./generator.js";

const engine: EngineInfo = {
  engine: "copycat", label: "copycat (leak probe, no LLM)", isLanguageModel: false, model: undefined, digest: undefined,
  serverVersion: undefined, host: undefined, options: {}, replayed: false,
};

/**
 * A probe, not a ranker: lifts the candidates that already stand in the printed history and leaves the rest in backbone
 * order. A candidate can only be in the history when rows leak from test into prompts, so under an honest protocol its list
 * equals the backbone's for every user; every gain it shows is the size of the leak (docs/protocol.md).
 */
export function copycat(): Generator {
  return {
    name: "copycat",
    concurrency: 1,
    describe: async () => engine,
    async generate(prompt: Prompt, { signal }: RunOptions = {}): Promise<Completion> {
      signal?.throwIfAborted();
      const start = performance.now();
      const printed = new Set(prompt.history.map(({ item }) => item));
      const count = prompt.candidates.length;
      const scores = Float64Array.from(prompt.candidates, ({ item, rank }) => (printed.has(item) ? count : 0) + count - rank + 1);
      return {
        user: prompt.user, scores, ranking: rankCandidates(scores, prompt.candidates), status: "ok",
        counts: { ...emptyCounts(), answers: 1, okFirst: 1, ties: countTies(scores) },
        reply: "", positionTau: positionTau(scores), seconds: (performance.now() - start) / 1000, engine,
      };
    },
    close: async () => {},
  };
}
