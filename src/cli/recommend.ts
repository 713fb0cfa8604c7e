import { Option, type Command } from "commander";
import { recommend } from "../experiment/steps/recommend.js";
import { defined } from "../experiment/defined.js";
import { execute, type Streams } from "./execute.js";
import { common, runFolder, whole, type CommonOptions } from "./options.js";

interface Flags extends CommonOptions {
  run: string;
  generator?: string;
  host?: string;
  onFailure?: "throw" | "backbone";
  concurrency?: number;
  restart?: boolean;
  seed?: number;
}

/** `cragru recommend` */
export function addRecommend(program: Command, streams: Streams): void {
  const command = program.command("recommend")
    .summary("4: let the generator score the candidates; resumes")
    .description("Step 4: sends every prompt and writes the lists. Each answer is kept as it arrives: "
      + "after Ctrl-C or a crash the same command goes on.")
    .option("--generator <spec>", "embedded (default, no LLM), ollama:<model>, llamacpp:<file.gguf>, auto, replay:<file> or copycat (leak probe)")
    .option("--host <address>", "Ollama server (default OLLAMA_HOST)")
    .addOption(new Option("--on-failure <choice>", "what a failed answer becomes: an error (default), or the backbone's order, counted")
      .choices(["throw", "backbone"]))
    .option("--concurrency <n>", "requests in flight at once", whole)
    .option("--seed <n>", "seed of the language model (default: the split's)", whole)
    .option("--restart", "throw the answers of an earlier run away");
  common(runFolder(command), "cragru recommend --generator ollama:llama3.1:8b", "cragru recommend --generator embedded");
  command.action(async (flags: Flags) => {
    const { run, generator, host, onFailure, concurrency, restart, seed } = flags;
    await execute(streams, flags, (context) => recommend({
      run, ...defined({ generator, host, onFailure, concurrency, restart, seed }), ...context,
    }));
  });
}
