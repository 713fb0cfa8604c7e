import { Option, type Command } from "commander";
import { BACKBONE_NAMES, RETRIEVER_NAMES, type BackboneName, type RetrieverName } from "../experiment/config.js";
import { prompt } from "../experiment/steps/prompt.js";
import { showPrompt } from "../experiment/steps/showprompt.js";
import type { ProfileChoice } from "../experiment/steps/promptfile.js";
import { CANDIDATE_SOURCES, type CandidateSource } from "../unlearning/options.js";
import { defined } from "../experiment/defined.js";
import { execute, type Streams } from "./execute.js";
import { common, kernels, runFolder, whole, type CommonOptions, type KernelFlags } from "./options.js";

interface Flags extends CommonOptions, KernelFlags {
  run: string;
  backbone?: BackboneName;
  retriever?: RetrieverName;
  candidateSource?: CandidateSource;
  candidates?: number;
  history?: number;
  similar?: number;
  users?: number;
  profile?: ProfileChoice;
  show?: string;
}

/** `cragru prompt` */
export function addPrompt(program: Command, streams: Streams): void {
  const command = program.command("prompt")
    .summary("3: candidates, filtered history, prompts")
    .description("Step 3: fits the backbone if need be, takes its candidates, filters each user's remaining history and writes the prompts.")
    .addOption(new Option("--backbone <name>", "model that proposes candidates (default bpr)").choices(BACKBONE_NAMES))
    .addOption(new Option("--retriever <name>", "filter of the history (default attention)").choices(RETRIEVER_NAMES))
    .addOption(new Option("--candidate-source <name>",
      "what the candidates' model saw: full (frozen, the paper; default), remain (fitted on D_r), exact (ease: the rows taken out), popularity").choices(CANDIDATE_SOURCES))
    .option("--candidates <n>", "candidates in a prompt (default 50)", whole)
    .option("--history <n>", "rows of history in a prompt, at most (default 100; invented data 20)", whole)
    .option("--similar <rows>", "rows of similar users beside a short history, at most (default 0)", whole)
    .option("--users <n>", "users to write prompts for, 0 for all (default 1000)", whole)
    .addOption(new Option("--profile <choice>", "print the user's profile (default auto: where the data has profiles)").choices(["auto", "on", "off"]));
  command.addOption(new Option("--show <user>", "print the prompt that is there for one user, its tokens and its evidence, and write nothing")
    .conflicts(["backbone", "retriever", "candidateSource", "candidates", "history", "similar", "users", "profile"]));
  common(kernels(runFolder(command)), "cragru prompt --backbone lightgcn --retriever attention --candidates 50", "cragru prompt --candidate-source remain", "cragru prompt --show 42");
  command.action(async (flags: Flags) => {
    const { run, backbone, retriever, candidateSource, candidates, history, similar, users, profile, device, threads } = flags;
    if (flags.show !== undefined) {
      const { show: user } = flags;
      await execute(streams, flags, (context) => showPrompt({ run, user, ...context }));
      return;
    }
    await execute(streams, flags, (context) => prompt({
      run, ...defined({ backbone, retriever, candidateSource, candidates, history, similar, users, profile, device, threads }), ...context,
    }));
  });
}
