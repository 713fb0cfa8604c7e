import { Option, type Command } from "commander";
import type { ForgetUnit } from "../experiment/config.js";
import { split } from "../experiment/steps/split.js";
import type { Protocol, SplitRatio } from "../data/split.js";
import { defined } from "../experiment/defined.js";
import { execute, type Streams } from "./execute.js";
import { common, runFolder, share, synthetic, syntheticOf, whole, type CommonOptions, type SyntheticFlags } from "./options.js";

interface Flags extends CommonOptions, SyntheticFlags {
  run: string;
  forget?: number;
  unit?: ForgetUnit;
  protocol?: Protocol;
  ratio?: SplitRatio;
  acceptLicence?: boolean;
  seed?: number;
}

/** `cragru split` */
export function addSplit(program: Command, streams: Streams): void {
  const command = program.command("split")
    .summary("1: split a data set, and mark what is to be forgotten")
    .description("Step 1: splits each user's rows 70/10/20 by key and draws what is to be forgotten from train and valid.")
    .argument("<dataset>", "synthetic, ml-100k, ml-1m, ml-latest-small, netflix, or a folder of RecBole atomic files")
    .option("--forget <share>", "share to forget (default 0.1)", share)
    .addOption(new Option("--unit <unit>", "what the share counts (default interactions)").choices(["interactions", "users"]))
    .addOption(new Option("--protocol <name>", "strict (default), or released: as the authors coded it, with known leaks")
      .choices(["strict", "released"]))
    .addOption(new Option("--ratio <ratio>", "train, valid and test (default 70/10/20)").choices(["70/10/20", "80/10/10"]))
    .option("--seed <n>", "seed of every draw of the run (default 2020)", whole)
    .option("--accept-licence", "download the data if need be; you have read its terms (cragru data <name>)");
  common(synthetic(runFolder(command)), "cragru split ml-100k --forget 0.1 --unit interactions --seed 2020", "cragru split synthetic --unit users");
  command.action(async (dataset: string, flags: Flags) => {
    const { run, forget, unit, protocol, ratio, acceptLicence, seed } = flags;
    await execute(streams, flags, (context) => split(dataset, {
      run, ...defined({ forget, unit, protocol, ratio, acceptLicence, seed }), ...syntheticOf(flags), ...context,
    }));
  });
}
