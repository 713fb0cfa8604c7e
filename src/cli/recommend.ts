import { Option, type Command } from "commander";
import { recommend } from "../experiment/steps/recommend.js";
import { defined } from "../experiment/defined.js";
import { execute, type Streams } from "./execute.js";
import { common, runFolder, speaking, speakingOf, whole, type CommonOptions, type SpeakingFlags } from "./options.js";

interface Flags extends CommonOptions, SpeakingFlags {
  run: string;
  queue?: string;
  restart?: boolean;
  seed?: number;
}

/** `cragru recommend` */
export function addRecommend(program: Command, streams: Streams): void {
  const command = program.command("recommend")
    .summary("4: let the generator score the candidates; resumes")
    .description("Step 4: sends every prompt and writes the lists. Each answer is kept as it arrives: "
      + "after Ctrl-C or a crash the same command goes on.");
  speaking(command)
    .option("--queue <url>", "let the workers on this Redis ask the model instead (redis://...; see cragru worker)")
    .option("--seed <n>", "seed of the language model (default: the split's)", whole)
    .addOption(new Option("--resume", "go on with the answers of an earlier run (the default)").conflicts("restart"))
    .option("--restart", "throw the answers of an earlier run away");
  common(runFolder(command), "cragru recommend --generator ollama:llama3.1:8b", "cragru recommend --generator embedded");
  command.action(async (flags: Flags) => {
    const { run, queue, restart, seed } = flags;
    await execute(streams, flags, (context) => recommend({ run, ...speakingOf(flags), ...defined({ queue, restart, seed }), ...context }));
  });
}
