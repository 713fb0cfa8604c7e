import { Option, type Command } from "commander";
import type { BackboneName, ForgetUnit, RetrieverName } from "../experiment/config.js";
import { PRESETS } from "../experiment/presets.js";
import { run } from "../experiment/run.js";
import type { Protocol } from "../data/split.js";
import type { CandidateSource } from "../unlearning/options.js";
import { defined } from "../experiment/defined.js";
import { execute, type Streams } from "./execute.js";
import { common, folder, kernels, list, share, speaking, speakingOf, synthetic, syntheticOf, whole, type CommonOptions, type KernelFlags, type SpeakingFlags, type SyntheticFlags } from "./options.js";

interface Flags extends CommonOptions, KernelFlags, SpeakingFlags, SyntheticFlags {
  dataset?: string;
  protocol?: Protocol;
  forget?: number;
  unit?: ForgetUnit;
  backbones?: BackboneName[];
  retrievers?: RetrieverName[];
  candidateSources?: CandidateSource[];
  candidates?: number;
  history?: number;
  clusters?: number;
  users?: number;
  similar?: number;
  results: string;
  seed?: number;
}

/** `cragru run` */
export function addRun(program: Command, streams: Streams): void {
  const command = program.command("run")
    .summary("all five steps, as a named experiment")
    .description([
      "A named experiment:", ...Object.values(PRESETS).map(({ name, summary }) => `  ${name.padEnd(9)}${summary}`),
      "Methods with a result of the same configuration, data and code are not computed again.",
    ].join("\n"))
    .argument("[preset]", "which experiment", "quick")
    .option("--dataset <name>", "synthetic (default), ml-100k, ml-1m, ml-latest-small, netflix, or a folder")
    .addOption(new Option("--protocol <name>", "strict (default), or released: as the authors coded it, with known leaks")
      .choices(["strict", "released"]))
    .option("--forget <share>", "share to forget (default 0.1)", share)
    .addOption(new Option("--unit <unit>", "what the share counts (default interactions)").choices(["interactions", "users"]))
    .option("--backbones <names>", "bpr,lightgcn (default) or ease", list)
    .option("--retrievers <names>", "attention,preference,diversity,random,recent,none (default) or attention-trained", list)
    .option("--candidate-sources <names>", "full,remain,popularity (default) or exact (ease alone)", list)
    .option("--candidates <n>", "candidates in a prompt (default 50)", whole)
    .option("--history <n>", "rows of history in a prompt, at most (default 100; invented data 20)", whole)
    .option("--clusters <n>", "item categories (default 5)", whole)
    .option("--users <n>", "users to evaluate, 0 for all (default 1000)", whole)
    .option("--similar <rows>", "rows of similar users beside a short history, at most (default 0)", whole)
    .option("--results <folder>", "folder of all results", folder, "results")
    .option("--seed <n>", "seed of every draw (default 2020)", whole);
  common(kernels(synthetic(speaking(command))), "cragru run quick", "cragru run quick --dataset ml-100k --unit users", "cragru run table-1");
  command.action(async (preset: string, flags: Flags) => {
    const { dataset, protocol, unit, backbones, retrievers, candidateSources, candidates, history, clusters, users } = flags;
    const { similar, results, device, threads, seed, forget: ratio } = flags;
    const forget = unit === undefined && ratio === undefined ? undefined
      : { unit: unit ?? (protocol === "released" ? "users" : "interactions"), ratio: ratio ?? 0.1 };
    await execute(streams, flags, (context) => run(preset, {
      results, ...defined({
        dataset, protocol, forget, backbones, retrievers, candidateSources, candidates, history, clusters, users,
        similar, device, threads, seed,
      }), ...speakingOf(flags), ...syntheticOf(flags), ...context,
    }));
  });
}
