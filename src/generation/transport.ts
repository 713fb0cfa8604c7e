import { Ollama, type ChatRequest } from "ollama";
import type { Host } from "./hosts.js";
import type { Reply } from "./ladder.js";
import type { Token } from "./speaker.js";

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

/** One streamed answer. The connection is given up on every way out, so that the server stops working too. */
export function chat(host: Host, request: StreamRequest, options: CallOptions): Promise<Omit<Reply, "transportRetries">> {
  return call(host, options, async (client) => {
    const stream = await client.chat(request);
    const reply = { text: "", doneReason: "", tokensIn: 0, tokensOut: 0 }, tokens: Token[] = [];
    try {
      for await (const part of stream) {
        reply.text += part.message?.content ?? "";
        for (const { token, logprob, top_logprobs } of part.logprobs ?? []) {
          tokens.push({ text: token, alternatives: top_logprobs?.map(({ token: text, logprob: own }) => ({ text, logprob: own })) ?? [{ text: token, logprob }] });
        }
        if (part.done) {
          reply.doneReason = part.done_reason ?? "";
          reply.tokensIn = part.prompt_eval_count ?? 0;
          reply.tokensOut = part.eval_count ?? 0;
        } else if (reply.text.length > LONGEST_REPLY) {
          reply.doneReason = "length";
          break;
        }
      }
    } finally {
      stream.abort();
    }
    return request.logprobs ? { ...reply, tokens } : reply;
  });
}

/**
 * Runs one call on a client of its own (the client keeps every failed stream for ever), under a deadline and the caller's
 * signal; afterwards neither a timer nor a listener is left.
 */
async function call<T>(host: Host, { signal, timeoutSeconds }: CallOptions, use: (client: Ollama) => Promise<T>): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const cancel = (): void => controller.abort(signal!.reason);
  const timer = setTimeout(
    () => controller.abort(new DOMException(`No complete answer within ${timeoutSeconds} s.`, "TimeoutError")), timeoutSeconds * 1000);
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    return await use(new Ollama({ host: host.url, headers: host.headers, fetch: quietFetch(controller.signal) }));
  } catch (error) {
    // Whatever broke first inside the client: with the signal fired, its reason is the truth.
    throw controller.signal.aborted ? controller.signal.reason : error;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
  }
}

/**
 * fetch with a signal for every call of the client, which passes one for streams alone. Errors and stream lines that are no
 * JSON are put into words the client understands: by itself it writes them to the console, where results stand, and skips
 * a broken line as if it had not been there.
 */
function quietFetch(signal: AbortSignal): typeof fetch {
  return async (url, init) => {
    const own = init?.signal;
    const response = await fetch(url, { ...init, signal: own ? AbortSignal.any([signal, own]) : signal });
    if (!response.ok) return readableError(response);
    const streamed = String(url).endsWith("/api/chat") && response.body;
    return streamed ? new Response(streamed.pipeThrough(jsonLines()), { status: response.status, headers: response.headers }) : response;
  };
}

async function readableError(response: Response): Promise<Response> {
  const text = await response.text();
  let error: unknown = text || response.statusText;
  try {
    error = (JSON.parse(text) as { error?: unknown } | null)?.error ?? text;
  } catch {
    // A gateway's page: its text is the message.
  }
  return new Response(JSON.stringify({ error: typeof error === "string" ? error : JSON.stringify(error) }), {
    status: response.status, headers: { "content-type": "application/json" },
  });
}

/** Passes lines of JSON on and turns the first other line into an error line. */
function jsonLines(): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let rest = "";
  const pass = (line: string, controller: TransformStreamDefaultController<Uint8Array>): boolean => {
    if (line.trim() === "") return true;
    const fine = isJsonObject(line);
    controller.enqueue(encoder.encode(fine ? `${line}\n` : `${JSON.stringify({ error: "a line of the stream is not JSON" })}\n`));
    if (!fine) controller.terminate();
    return fine;
  };
  return new TransformStream({
    transform(chunk, controller) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()!;
      for (const line of lines) if (!pass(line, controller)) return;
    },
    flush(controller) {
      pass(rest + decoder.decode(), controller);
    },
  });
}

function isJsonObject(line: string): boolean {
  try {
    const value: unknown = JSON.parse(line);
    return value !== null && typeof value === "object";
  } catch {
    return false;
  }
}
