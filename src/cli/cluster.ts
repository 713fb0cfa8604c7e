import type { Command } from "commander";
import { cluster } from "../experiment/steps/cluster.js";
import { defined } from "../experiment/defined.js";
import { execute, type Streams } from "./execute.js";
import { common, runFolder, whole, type CommonOptions } from "./options.js";

interface Flags extends CommonOptions {
  run: string;
  k?: number;
  vectors?: string;
}

/** `cragru cluster` */
export function addCluster(program: Command, streams: Streams): void {
  const command = program.command("cluster")
    .summary("2: cluster the items into categories")
    .description("Step 2: clusters genre words (or titles) by their vectors; an item belongs to the cluster of most of its words. "
      + "Reads no interactions.")
    .option("--k <n>", "number of categories (default 5)", whole)
    .option("--vectors <file>", "word vectors in the word2vec binary format (default: from the catalogue's own text)");
  common(runFolder(command), "cragru cluster --k 5", "cragru cluster --vectors GoogleNews-vectors-negative300.bin");
  command.action(async (flags: Flags) => {
    const { run, k, vectors } = flags;
    await execute(streams, flags, (context) => cluster({ run, ...defined({ k, vectors }), ...context }));
  });
}
