import { Option, type Command } from "commander";
import { evaluate } from "../experiment/steps/evaluate.js";
import { defined } from "../experiment/defined.js";
import { execute, type Streams } from "./execute.js";
import { common, runFolder, type CommonOptions } from "./options.js";

interface Flags extends CommonOptions {
  run: string;
  mask?: "eval" | "serve";
}

/** `cragru evaluate` */
export function addEvaluate(program: Command, streams: Streams): void {
  const command = program.command("evaluate")
    .summary("5: metrics")
    .description("Step 5: HR@K and NDCG@K of the lists against the test rows, remaining users first, beside the backbone's order.")
    .addOption(new Option("--mask <name>", "eval (default): forgotten items are taken out before the cut; serve: they count as misses")
      .choices(["eval", "serve"]));
  common(runFolder(command), "cragru evaluate", "cragru evaluate --json > metrics.json");
  command.action(async (flags: Flags) => {
    const { run, mask } = flags;
    await execute(streams, flags, (context) => evaluate({ run, ...defined({ mask }), ...context }));
  });
}
