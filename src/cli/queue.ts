import { Option, type Command } from "commander";
import { clearQueue, queueStatus, retryFailed, type DeadLetter, type QueueStatus } from "../generation/queue/admin.js";
import { execute, type Streams } from "./execute.js";
import { common, type CommonOptions } from "./options.js";

interface Flags extends CommonOptions {
  queue: string;
  model?: string;
  retry?: boolean;
  clear?: boolean;
}

/** `cragru queue` */
export function addQueue(program: Command, streams: Streams): void {
  const command = program.command("queue")
    .summary("what waits, runs, is done and failed on a queue")
    .description("Shows each model's queue: jobs by state, answers by worker, and the jobs that were given up with their reasons.")
    .requiredOption("--queue <url>", "Redis of the queue, for example redis://queue1:6379")
    .option("--model <name>", "this model's queue only")
    .option("--retry", "put the failed jobs back first")
    .addOption(new Option("--clear", "remove everything: jobs, prompts, answers, counts, and the key they were sealed with").conflicts("retry"));
  common(command, "cragru queue --queue redis://queue1:6379", "cragru queue --queue redis://queue1:6379 --retry");
  command.action(async (flags: Flags) => {
    await execute(streams, flags, async ({ note }) => {
      const selection = { url: flags.queue, ...(flags.model === undefined ? {} : { models: [flags.model] }) };
      if (flags.clear) note(`Removed: ${(await clearQueue(selection)).join(", ") || "nothing"}.`);
      else if (flags.retry) note(`${await retryFailed(selection)} jobs put back.`);
      return new QueueReport(await queueStatus(selection));
    });
  });
}

/** What the verb prints. */
class QueueReport {
  constructor(private readonly queues: readonly QueueStatus[]) {}

  toJSON(): readonly QueueStatus[] {
    return this.queues;
  }

  toString(): string {
    return this.queues.length === 0 ? "No queue here." : this.queues.map(textOf).join("\n");
  }
}

function textOf({ model, workers, waiting, active, delayed, failed, done, failures }: QueueStatus): string {
  const answers = Object.values(done).reduce((sum, count) => sum + count, 0);
  const shares = Object.entries(done).sort(([a], [b]) => (a < b ? -1 : 1)).map(([worker, count]) => `${worker} ${count}`).join(", ");
  return [
    `${model}: ${workers} ${workers === 1 ? "worker" : "workers"}`,
    `  waiting ${waiting}, active ${active}, between attempts ${delayed}, failed ${failed}, answered ${answers}${shares === "" ? "" : ` (${shares})`}`,
    ...failures.map(lineOf),
    ...(failed > failures.length ? [`  ... and ${failed - failures.length} more`] : []),
    ...(failed > 0 ? ["  Put them back with --retry; the run's own command asks them again too."] : []),
  ].join("\n");
}

function lineOf({ user, attempts, code, message, hint }: DeadLetter): string {
  return `  failed: user ${user ?? "none"} after ${attempts} ${attempts === 1 ? "attempt" : "attempts"}: ${message} [${code}]${hint === undefined ? "" : ` ${hint}`}`;
}
