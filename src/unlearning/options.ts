import { isExactBackbone } from "../backbone/exact.js";
import type { Backbone } from "../backbone/backbone.js";
import { ConfigError } from "../core/errors.js";
import { refuseUnknown } from "../core/options.js";
import type { Generator } from "../generation/generator.js";
import type { Kernels } from "../native/kernels.js";
import type { Retriever } from "../retrieval/retriever.js";
import type { SimilarOptions } from "../retrieval/similar.js";
import type { WordVectors } from "../retrieval/wordvectors.js";
import type { Template } from "../augmentation/templates.js";

/**
 * Which model proposes the candidates (protocol section "candidates"): `full` is the paper's frozen backbone, which saw the
 * forgotten rows; `remain` is fitted again on D_r; `exact` is a backbone that takes the rows out of itself (`ease()`), with the lists of a
 * fit on D_r; `popularity` counts D_r.
 */
export type CandidateSource = "full" | "remain" | "exact" | "popularity";
export const CANDIDATE_SOURCES: readonly CandidateSource[] = ["full", "remain", "exact", "popularity"];

export interface CragruOptions {
  backbone: Backbone;
  retriever: Retriever;
  generator: Generator;
  /** Candidates per user, Eq. 1 (default 50, as in the paper). */
  candidates?: number;
  candidateSource?: CandidateSource;
  /**
   * Which of the user's own rows never become candidates: those that remain (default), or forgotten ones too ("full", as
   * released, with candidate source `full` alone). The latter leaks: an item that every other list would hold is absent from
   * exactly the lists of those who forgot it.
   */
  mask?: "remain" | "full";
  /** What a failed generation becomes: an error (default), or the backbone's order, flagged and counted. */
  onFailure?: "throw" | "backbone";
  /** Item categories: k clusters of genre words (default 5). */
  clusters?: { k?: number; vectors?: WordVectors };
  template?: Template;
  seed?: number;
  kernels?: Kernels;
  /** Requests in flight at once (default: the generator's own). */
  concurrency?: number;
  /**
   * Weight of the backbone's opinion in the final order, 0 (the model alone, default) to 1 (the backbone alone). "tuned": chosen
   * by `Cragru.tune` on validation rows; where the model does not beat the backbone there, it becomes 1.
   */
  blend?: number | "tuned";
  /** Rows of similar users beside a short history: what the budget leaves free, at most `rows` (default: none). */
  similar?: SimilarOptions;
}

export type ResolvedOptions = Readonly<Required<Omit<CragruOptions, "clusters" | "template" | "kernels" | "concurrency" | "similar">> & CragruOptions>;

/** The options with their defaults. @throws ConfigError that names the option, the value and what is allowed. */
export function resolveOptions(options: CragruOptions): ResolvedOptions {
  refuseUnknown("Cragru", options, [
    "backbone", "retriever", "generator", "candidates", "candidateSource", "mask", "onFailure", "clusters", "template", "seed", "kernels", "concurrency", "blend", "similar",
  ]);
  const resolved: ResolvedOptions = { candidates: 50, candidateSource: "full", mask: "remain", onFailure: "throw", seed: 2020, blend: 0, ...options };
  const { candidates, candidateSource, mask, backbone, retriever, generator, blend, similar } = resolved;
  const parts: [string, unknown, string][] = [
    ["backbone", backbone?.fit, "bpr()"], ["retriever", retriever?.prepare, "attentionRetriever()"], ["generator", generator?.generate, "embedded()"],
  ];
  for (const [part, method, example] of parts) {
    if (typeof method === "function") continue;
    throw new ConfigError("CONFIG_CRAGRU", `Cragru was given no ${part}.`, { hint: `Pass { ${part}: ${example} }, with the parentheses.` });
  }
  if (!Number.isInteger(candidates) || candidates < 1 || candidates > 1000) {
    throw new ConfigError("CONFIG_CANDIDATES", `candidates must be a whole number from 1 to 1000, not ${candidates}.`, { hint: "The paper uses 50." });
  }
  if (!CANDIDATE_SOURCES.includes(candidateSource)) {
    throw new ConfigError("CONFIG_CANDIDATE_SOURCE", `There is no candidate source "${String(candidateSource)}".`, {
      hint: `Choose one of ${CANDIDATE_SOURCES.join(", ")}.`,
    });
  }
  if (candidateSource === "exact" && !isExactBackbone(backbone)) {
    throw new ConfigError("CONFIG_CANDIDATE_SOURCE", `${backbone.name} cannot forget exactly.`, { hint: 'Use ease() with candidateSource "exact", or "remain", which fits again.' });
  }
  if (mask !== "remain" && (mask !== "full" || candidateSource !== "full")) {
    throw new ConfigError("CONFIG_MASK", `The mask "${String(mask)}" does not go with candidates from "${candidateSource}".`, {
      hint: 'Leave it out; mask: "full" exists to show how the frozen backbone\'s lists leak by absence.',
    });
  }
  if (blend !== "tuned" && !(blend >= 0 && blend <= 1)) {
    throw new ConfigError("CONFIG_BLEND", `blend must be a number from 0 to 1 or "tuned", not ${String(blend)}.`);
  }
  for (const [name, value] of Object.entries(similar ?? {})) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new ConfigError("CONFIG_SIMILAR", `similar.${name} must be a whole number of 1 or more, not ${String(value)}.`, { hint: "Leave similar out to show no rows of other users." });
  }
  return resolved;
}
