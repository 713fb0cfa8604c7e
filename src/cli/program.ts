import { Command, CommanderError } from "commander";
import { ConfigError, CragruError } from "../core/errors.js";
import { isSystemError } from "../experiment/draft.js";
import { packageVersion } from "../experiment/version.js";
import { addCluster } from "./cluster.js";
import { addData } from "./data.js";
import { addDoctor } from "./doctor.js";
import { addEvaluate } from "./evaluate.js";
import { Interrupted, type Streams } from "./execute.js";
import { addPrompt } from "./prompt.js";
import { addQueue } from "./queue.js";
import { addRecommend } from "./recommend.js";
import { addRun } from "./run.js";
import { addSplit } from "./split.js";
import { addWorker } from "./worker.js";

const EXAMPLES = [
  "cragru run quick", "cragru run quick --dataset ml-100k",
  "cragru split ml-100k && cragru cluster && cragru prompt && cragru recommend && cragru evaluate",
];
const OK = 0, FAILED = 1, WRONG_USAGE = 2, INTERRUPTED = 130, TERMINATED = 143;

/**
 * The command line. Returns the exit code: 0 ok, 1 failed, 2 wrong usage, 130 or 143 after a signal. stdout carries the value
 * alone, everything else goes to stderr.
 */
export async function cli(argv: readonly string[], streams: Streams = { stdout: process.stdout, stderr: process.stderr }): Promise<number> {
  endWithoutReader(streams);
  const program = programOf(streams);
  try {
    await program.parseAsync(argv, { from: "user" });
    return OK;
  } catch (error) {
    return report(error, streams, argv.includes("--verbose") || process.env["CRAGRU_DEBUG"] === "1");
  }
}

/** The program with its verbs. */
export function programOf(streams: Streams): Command {
  const program = new Command("cragru")
    .description("A recommender that forgets a user's data and shows it: split, cluster, prompt, recommend, evaluate; or all of it with run.")
    .version(packageVersion())
    .exitOverride()
    .configureOutput({ writeOut: (text) => streams.stdout.write(text), writeErr: (text) => streams.stderr.write(text) })
    .showHelpAfterError("(cragru <verb> --help shows the options)")
    .addHelpText("after", `\nExamples:\n${EXAMPLES.map((example) => `  $ ${example}`).join("\n")}`);
  for (const add of [addSplit, addCluster, addPrompt, addRecommend, addEvaluate, addRun, addWorker, addQueue, addData, addDoctor]) add(program, streams);
  return program;
}

function report(error: unknown, { stderr }: Streams, isVerbose: boolean): number {
  if (error instanceof CommanderError) {
    // Commander has already printed what is wrong.
    return error.exitCode === 0 ? OK : WRONG_USAGE;
  }
  if (error instanceof Interrupted) {
    stderr.write("Stopped. The same command goes on where this one stopped.\n");
    return error.signalName === "SIGTERM" ? TERMINATED : INTERRUPTED;
  }
  if (!isVerbose && (error instanceof CragruError || isSystemError(error))) stderr.write(`cragru: ${error.message}\n`);
  else stderr.write(`cragru: ${error instanceof Error ? chainOf(error) : String(error)}\n`);
  // A missing or foreign earlier step is no wrong usage: the command is right, its time is not.
  return error instanceof ConfigError && !error.code.startsWith("STEP_") ? WRONG_USAGE : FAILED;
}

/** The stack of an error and of its causes. */
function chainOf(error: Error): string {
  const { stack, message, cause } = error;
  return `${stack ?? message}${cause instanceof Error ? `\ncaused by: ${chainOf(cause)}` : ""}`;
}

/** `cragru ... | head` closes the pipe early; that is the reader's choice and no error. A full disk is one. */
function endWithoutReader({ stdout, stderr }: Streams): void {
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(OK);
    stderr.write(`cragru: the result cannot be written: ${error.message}\n`);
    process.exit(FAILED);
  });
}
