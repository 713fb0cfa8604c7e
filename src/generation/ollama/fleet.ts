import { classifyFailure, GenerationFailure, modelMissing } from "../failures.js";
import type { Host } from "./hosts.js";
import { HostPool } from "./pool.js";
import { askCapabilities, askModels, askVersion, loadModel, type CallOptions } from "./transport.js";
import { atLeast } from "./versions.js";

/** Servers since 0.5.0 bind an answer to a schema, since 0.12.6 can refuse to cut a prompt, since 0.12.11 report probabilities. */
const SCHEMA_FLOOR = "0.5.0", TRUNCATE_FLOOR = "0.12.6", LOGPROBS_FLOOR = "0.12.11";
/** Deadline of the short questions: version, models, capabilities. */
const CONNECT_SECONDS = 10;

/** What the servers are, as far as it decides how they are used: the oldest version, the one model file. */
export interface Served {
  version: string;
  digest: string;
  /** The model can think aloud, and is told not to. */
  thinking: boolean;
  /** Probabilities of tokens are reported by every server. */
  logprobs: boolean;
  /** Servers that did not answer when they were first asked; they are asked again later. */
  absent: string[];
}

export interface FleetOptions {
  model: string;
  timeoutSeconds: number;
  keepAlive: string | number;
  concurrency: number;
}

/** The servers of one generator: who they are, who is free, who has the model loaded. */
export class OllamaHosts {
  readonly pool: HostPool;
  served: Served | undefined;
  /** Servers that came back and may not take part in this run, with the reason. */
  readonly refused = new Map<string, string>();
  private readonly warm = new Map<Host, { context: number; loading: Promise<void> }>();

  constructor(readonly hosts: readonly Host[], private readonly options: FleetOptions) {
    this.pool = new HostPool(hosts, options.concurrency, {
      check: (host, signal) => this.check(host, signal),
      onRefused: (host, reason) => {
        if (reason instanceof GenerationFailure && reason.kind === "permanent") this.refused.set(host.url, reason.message.split("\n")[0]!);
      },
    });
  }

  /**
   * Asks every server for its version and for the model; at least one must answer, and all that do must hold the same file.
   * Servers that are away are left out until they come back and pass the same questions.
   * @throws GenerationFailure as `ollama(...).describe` says.
   */
  async serve(signal: AbortSignal | undefined): Promise<Served> {
    if (this.served) return this.served;
    const found = await Promise.allSettled(this.hosts.map((host) => this.inspect(host, signal)));
    signal?.throwIfAborted();
    const present: { host: Host; served: Served }[] = [], absent: Host[] = [];
    let away: unknown;
    for (const [at, one] of found.entries()) {
      if (one.status === "fulfilled") present.push({ host: this.hosts[at]!, served: one.value });
      else if (one.reason instanceof GenerationFailure && one.reason.kind === "retryable") {
        absent.push(this.hosts[at]!);
        away ??= one.reason;
      } else throw one.reason;
    }
    const [first] = present;
    if (!first) throw away;
    const other = present.find(({ served }) => served.digest !== first.served.digest);
    if (other) throw this.mixed(first.host, first.served.digest, other.host, other.served.digest);
    for (const host of absent) this.pool.suspend(host);
    const oldest = present.reduce((a, b) => (atLeast(a.served.version, b.served.version) ? b : a)).served;
    this.served = {
      version: oldest.version, digest: oldest.digest, logprobs: present.every(({ served }) => served.logprobs),
      thinking: present.every(({ served }) => served.thinking), absent: absent.map(({ url }) => url),
    };
    return this.served;
  }

  /** Loads the model into the memory of `host` for contexts of `context` tokens, once: the first answer does not pay for it. */
  async warmUp(host: Host, context: number): Promise<void> {
    let known = this.warm.get(host);
    if (known?.context !== context) {
      const { model, keepAlive, timeoutSeconds } = this.options;
      // Shared by all who wait for it, so it hangs on nobody's signal.
      known = { context, loading: loadModel(host, { model, keep_alive: keepAlive, options: { num_ctx: context } }, { timeoutSeconds }) };
      this.warm.set(host, known);
      known.loading.catch(() => { if (this.warm.get(host) === known) this.warm.delete(host); });
    }
    await known.loading;
  }

  /** Unloads the model everywhere: its slots keep the prompts they read last. Returns the servers that could not be reached. */
  async unload(): Promise<string[]> {
    this.warm.clear();
    const timeoutSeconds = Math.min(CONNECT_SECONDS, this.options.timeoutSeconds);
    const done = await Promise.allSettled(this.hosts.map((host) => loadModel(host, { model: this.options.model, keep_alive: 0 }, { timeoutSeconds })));
    return this.hosts.filter((_, at) => done[at]!.status === "rejected").map(({ url }) => url);
  }

  /** A server went away: what it had loaded is gone. */
  forget(host: Host): void {
    this.warm.delete(host);
  }

  failureContext(host: Host, signal: AbortSignal | undefined, timeoutSeconds = this.options.timeoutSeconds): Parameters<typeof classifyFailure>[1] {
    return { model: this.options.model, host: host.url, signal, timeoutSeconds };
  }

  /** A host that was lost may serve again when it holds the model file of this run. */
  private async check(host: Host, signal: AbortSignal | undefined): Promise<void> {
    const own = await this.inspect(host, signal);
    this.forget(host);
    const { served } = this;
    if (!served) return;
    if (own.digest !== served.digest) throw this.mixed(this.hosts.find((one) => one !== host) ?? host, served.digest, host, own.digest);
    if (served.logprobs && !own.logprobs) {
      throw new GenerationFailure("GENERATION_VERSION", "permanent", `${host.url} runs Ollama ${own.version}, which reports no probabilities of tokens; this run began with servers that do.`, {
        hint: 'Update it to 0.12.11 or later, or start the run with mode "listwise".',
      });
    }
    this.refused.delete(host.url);
  }

  private async inspect(host: Host, signal: AbortSignal | undefined): Promise<Served> {
    const timeoutSeconds = Math.min(CONNECT_SECONDS, this.options.timeoutSeconds);
    for (let repeat = 0; ; repeat++) {
      try {
        return await this.question(host, { signal, timeoutSeconds });
      } catch (error) {
        const failure = classifyFailure(error, this.failureContext(host, signal, timeoutSeconds));
        if (failure.kind === "cancelled" && signal?.aborted) throw signal.reason;
        // A kept-alive connection to a server that went away since breaks once and says nothing about the server.
        if (failure.code !== "GENERATION_SERVER_LOST" || repeat > 0) throw failure;
      }
    }
  }

  private async question(host: Host, options: CallOptions): Promise<Served> {
    const { model } = this.options;
    const version = await askVersion(host, options);
    if (!atLeast(version, TRUNCATE_FLOOR)) {
      const why = atLeast(version, SCHEMA_FLOOR) ? "it cuts prompts longer than its context and does not say so" : "it cannot bind an answer to a JSON schema";
      throw new GenerationFailure("GENERATION_VERSION", "permanent", `${host.url} runs Ollama ${version}: ${why}.`, { hint: `Update it to ${TRUNCATE_FLOOR} or later.` });
    }
    const wanted = model.includes(":", model.lastIndexOf("/") + 1) ? model : `${model}:latest`;
    const found = (await askModels(host, options)).find(({ name }) => name === wanted || name === model);
    if (!found) throw modelMissing(model, host.url);
    const thinking = (await askCapabilities(host, model, options)).includes("thinking");
    return { version, digest: found.digest, thinking, logprobs: atLeast(version, LOGPROBS_FLOOR), absent: [] };
  }

  private mixed(one: Host, digest: string, other: Host, otherDigest: string): GenerationFailure {
    return new GenerationFailure("GENERATION_MIXED_MODELS", "permanent", `"${this.options.model}" is not the same model everywhere: ${one.url} has ${digest.slice(0, 12)}, ${other.url} has ${otherDigest.slice(0, 12)}.`, {
      hint: `Run on each server: ollama pull ${this.options.model}`,
    });
  }
}

/** For a run's progress: "gpu1:11434 3 (120), gpu2:11434 paused". Nothing for a single host. */
export function describeLoad({ pool, hosts, refused }: OllamaHosts): string | undefined {
  if (hosts.length < 2) return undefined;
  return pool.load().map(({ host, busy, answered, isPaused }) => `${host.replace(/^https?:\/\//, "")} ${refused.has(host) ? "refused" : isPaused ? "paused" : busy} (${answered})`).join(", ");
}

