import { Ollama, type ChatRequest } from "ollama";
import type { Host } from "./hosts.js";
import type { Reply, Token } from "../speaker.js";
import { Wire } from "./wire.js";

/** The client's request with the field that its types lack: without it a server cuts long prompts and says nothing. */
export type StreamRequest = ChatRequest & { stream: true; truncate: boolean };

export interface CallOptions {
  signal?: AbortSignal | undefined;
  timeoutSeconds: number;
}

export interface ServedModel {
  name: string;
  digest: string;
}

/** No answer to 50 keys is longer: a stream beyond it is stopped like one that hit its token limit. */
const LONGEST_REPLY = 1 << 20;

/** Version text of a server. Throws what the client and fetch throw. */
export function askVersion(host: Host, options: CallOptions): Promise<string> {
  return call(host, options, async (client) => String((await client.version()).version));
}

/** Models that a server holds. */
export function askModels(host: Host, options: CallOptions): Promise<ServedModel[]> {
  return call(host, options, async (client) => ((await client.list()).models ?? []).map(({ name, digest }) => ({ name, digest })));
}

/** Capabilities of a model, for example "completion" and "thinking"; empty for servers that list none. */
export function askCapabilities(host: Host, model: string, options: CallOptions): Promise<string[]> {
  return call(host, options, async (client) => (await client.show({ model })).capabilities ?? []);
}

/** Loads a model into the memory of a server, which the first answer would wait for; `keep_alive` 0 takes it out again. */
export function loadModel(host: Host, request: { model: string; keep_alive: string | number; options?: { num_ctx: number } }, options: CallOptions): Promise<void> {
  return call(host, options, async (client) => void (await client.generate({ ...request, prompt: "", stream: false })));
}

/** One streamed answer. Left before its end, its connection is given up, so that the server stops working too. */
export function chat(host: Host, request: StreamRequest, options: CallOptions): Promise<Omit<Reply, "transportRetries">> {
  return call(host, options, async (client, wire) => {
    const stream = await client.chat(request);
    const reply = { text: "", doneReason: "", tokensIn: 0, tokensOut: 0 }, tokens: Token[] = [];
    let isDone = false;
    try {
      for await (const part of stream) {
        reply.text += part.message?.content ?? "";
        for (const { token, logprob, top_logprobs } of part.logprobs ?? []) {
          tokens.push({ text: token, alternatives: top_logprobs?.map(({ token: text, logprob: own }) => ({ text, logprob: own })) ?? [{ text: token, logprob }] });
        }
        if (part.done) {
          isDone = true;
          reply.doneReason = part.done_reason ?? "";
          reply.tokensIn = part.prompt_eval_count ?? 0;
          reply.tokensOut = part.eval_count ?? 0;
        } else if (reply.text.length > LONGEST_REPLY) {
          reply.doneReason = "length";
          break;
        }
      }
    } finally {
      wire.close(isDone);
    }
    return request.logprobs ? { ...reply, tokens } : reply;
  });
}

/**
 * Runs one call on a client of its own (the client keeps every failed stream for ever), under a deadline and the caller's
 * signal; afterwards neither a timer nor a listener is left.
 */
async function call<T>(host: Host, { signal, timeoutSeconds }: CallOptions, use: (client: Ollama, wire: Wire) => Promise<T>): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const cancel = (): void => controller.abort(signal!.reason);
  const timer = setTimeout(
    () => controller.abort(new DOMException(`No complete answer within ${timeoutSeconds} s.`, "TimeoutError")), timeoutSeconds * 1000);
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    const wire = new Wire(controller.signal);
    return await use(new Ollama({ host: host.url, headers: host.headers, fetch: wire.fetch }), wire);
  } catch (error) {
    // Whatever broke first inside the client: with the signal fired, its reason is the truth.
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
  }
}
