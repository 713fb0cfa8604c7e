import { Agent, request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { Agent as TlsAgent, request as httpsRequest } from "node:https";

/** Connections are kept and used again; idle ones keep no process alive. */
const PLAIN = new Agent({ keepAlive: true }), TLS = new TlsAgent({ keepAlive: true });
/** How long the end of an answer may take that has said "done". */
const TAIL_MS = 1000;

/**
 * The `fetch` of one call of the `ollama` client, over node:http. Node's own fetch gives up after five minutes without a header,
 * and costs more than everything else between a prompt and its answer (bench/generation.mjs). Every request hangs on
 * `signal`, which the client passes on for streams alone. Errors, and lines of a stream that are no JSON, are put into words
 * that the client understands: by itself it writes them to the console, where results stand, and skips a broken line as if it
 * had not been there.
 */
export class Wire {
  private response: IncomingMessage | undefined;

  constructor(private readonly signal: AbortSignal) {}

  /** What the client calls; the parts of a Response that it uses. */
  readonly fetch = (async (url: string, init: RequestInit = {}): Promise<unknown> => {
    const response = await this.open(new URL(url), init, false);
    this.response = response;
    const status = response.statusCode ?? 0, json = async (): Promise<unknown> => JSON.parse(await textOf(response)) as unknown;
    const head = { status, statusText: response.statusMessage ?? "", headers: { get: () => "application/json" } };
    if (status < 200 || status > 299) return { ...head, ok: false, json: async () => ({ error: errorIn(await textOf(response)) || head.statusText }) };
    return { ...head, ok: true, json, body: { getReader: () => new LineReader(response) } };
  }) as unknown as typeof fetch;

  /** Gives the connection back where its answer is complete, and gives it up where it is not. */
  close(isDone: boolean): void {
    const { response } = this;
    if (!response || response.complete || response.destroyed) return;
    if (!isDone) {
      response.destroy();
      return;
    }
    const timer = setTimeout(() => response.destroy(), TAIL_MS);
    response.once("close", () => clearTimeout(timer)).resume();
  }

  private open(url: URL, init: RequestInit, isAgain: boolean): Promise<IncomingMessage> {
    const { signal } = this, own = init.signal ?? undefined;
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const secure = url.protocol === "https:";
      const options: RequestOptions = { method: init.method ?? "GET", headers: init.headers as Record<string, string>, agent: secure ? TLS : PLAIN };
      const request = (secure ? httpsRequest : httpRequest)(url, options);
      const stop = (): void => void request.destroy(signal.aborted ? signal.reason as Error : new Error("The stream was left."));
      for (const one of [signal, own]) one?.addEventListener("abort", stop, { once: true });
      request.once("close", () => { for (const one of [signal, own]) one?.removeEventListener("abort", stop); });
      let answered = false;
      request.once("response", (response: IncomingMessage) => {
        answered = true;
        resolve(response);
      });
      // Also after the response, whose own reader then hears of it: an error nobody listens to ends the process.
      request.on("error", (error: NodeJS.ErrnoException) => {
        // A kept connection that the server closed meanwhile says nothing about the server.
        if (!answered && request.reusedSocket && !isAgain && !signal.aborted && (error.code === "ECONNRESET" || error.code === "EPIPE")) this.open(url, init, true).then(resolve, reject);
        else reject(error);
      });
      request.end(init.body as string | undefined);
    });
  }
}

/** The lines of a stream for the client: whole lines of JSON, and an error line in place of the first other one. */
class LineReader {
  private readonly pieces: AsyncIterator<string>;
  private rest = "";
  private isOver = false;

  constructor(response: IncomingMessage) {
    this.pieces = response.setEncoding("utf8")[Symbol.asyncIterator]() as AsyncIterator<string>;
  }

  async read(): Promise<{ done: boolean; value?: Uint8Array }> {
    while (!this.isOver) {
      const { value, done } = await this.pieces.next();
      const lines = (this.rest + (done ? "\n" : value)).split("\n");
      this.rest = lines.pop()!;
      this.isOver = done === true;
      const good: string[] = [];
      for (const line of lines) {
        if (line.trim() === "") continue;
        if (isJsonObject(line)) good.push(line);
        else {
          good.push(JSON.stringify({ error: "a line of the stream is not JSON" }));
          this.isOver = true;
          break;
        }
      }
      if (good.length > 0) return { done: false, value: Buffer.from(`${good.join("\n")}\n`) };
    }
    return { done: true };
  }

  releaseLock(): void {
    // Nothing is locked.
  }
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const piece of response.setEncoding("utf8")) text += piece as string;
  return text;
}

/** What the server says of an error; a gateway's page is its own message. */
function errorIn(text: string): string {
  let error: unknown = text;
  try {
    error = (JSON.parse(text) as { error?: unknown } | null)?.error ?? text;
  } catch {
    // No JSON: the text itself.
  }
  return typeof error === "string" ? error : JSON.stringify(error);
}

function isJsonObject(line: string): boolean {
  try {
    const value: unknown = JSON.parse(line);
    return value !== null && typeof value === "object";
  } catch {
    return false;
  }
}
