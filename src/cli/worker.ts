import { hostname } from "node:os";
import type { Command } from "commander";
import { ConfigError } from "../core/errors.js";
import { formatSeconds } from "../core/progress.js";
import { defined } from "../experiment/defined.js";
import { DEFAULT_MODEL } from "../generation/choose.js";
import { parseHosts } from "../generation/ollama/hosts.js";
import { ollama } from "../generation/ollama/ollama.js";
import { startWorker, type WorkerReport } from "../generation/queue/worker.js";
import { execute, type Streams } from "./execute.js";
import { common, seconds, whole, type CommonOptions } from "./options.js";

interface Flags extends CommonOptions {
  queue: string;
  host?: string;
  model: string;
  concurrency: number;
  name?: string;
  timeout?: number;
  lock?: number;
}

/** `cragru worker` */
export function addWorker(program: Command, streams: Streams): void {
  const command = program.command("worker")
    .summary("serve the queue of a run from one Ollama server")
    .description("Takes prompts from the queue, asks the Ollama server beside it, and hands the answers back, until it is stopped. "
      + "Ctrl-C or SIGTERM: no new prompt, those under way are ended. The key of the queue stands in CRAGRU_QUEUE_KEY.")
    .requiredOption("--queue <url>", "Redis of the queue, for example redis://queue1:6379")
    .option("--host <address>", "Ollama server (default OLLAMA_HOST)")
    .option("--model <name>", "model to serve, as `ollama list` prints it", DEFAULT_MODEL)
    .option("--concurrency <n>", "prompts at once: the server's OLLAMA_NUM_PARALLEL", whole, 1)
    .option("--name <name>", "name in counts (default: this machine and the server's port)")
    .option("--timeout <seconds>", "deadline of one answer (default 600)", seconds)
    .option("--lock <seconds>", "a worker that gives no sign of life this long is taken for dead (default 30)", seconds);
  common(command, "cragru worker --queue redis://queue1:6379 --host http://127.0.0.1:11434 --model llama3.1:8b --concurrency 4");
  command.action(async (flags: Flags) => {
    await execute(streams, flags, async ({ signal, onProgress, note }) => {
      const { queue: url, model, concurrency, timeout, lock } = flags;
      const address = flags.host ?? process.env["OLLAMA_HOST"];
      const [host, ...others] = parseHosts(address);
      if (others.length > 0) {
        throw new ConfigError("CONFIG_HOST", `A worker serves one server, not ${1 + others.length}.`, { hint: "Start a worker for each: cragru worker --host <server>" });
      }
      const name = flags.name ?? `${hostname()}:${portOf(host!.url)}`;
      const worker = await startWorker({
        queue: { url, model }, concurrency, name, signal, onProgress, note, ...defined({ lockSeconds: lock, stalledSeconds: lock }),
        // Faults go back to the queue at once: another worker may do better.
        generator: (settings) => ollama({ ...settings, model, concurrency, transportRetries: 0, ...defined({ host: address, timeoutSeconds: timeout }) }),
      });
      note(`Worker ${name} serves ${model}. Stop it with Ctrl-C.`);
      return new WorkerEnd(await worker.finished);
    });
  });
}

/** The port, also where it is the scheme's own and the address leaves it out. */
export function portOf(url: string): string {
  const { port, protocol } = new URL(url);
  return port || (protocol === "https:" ? "443" : "80");
}

/** What the verb prints at the end. */
class WorkerEnd {
  constructor(private readonly report: WorkerReport) {}

  toJSON(): WorkerReport {
    return this.report;
  }

  toString(): string {
    const { name, answered, failed, returned, seconds: taken } = this.report;
    const rate = answered > 0 ? `, ${(answered / taken).toFixed(2)}/s` : "";
    return `Worker ${name}: ${answered} answered in ${formatSeconds(taken)}${rate}, ${failed} failed, ${returned} returned to the queue.`;
  }
}
