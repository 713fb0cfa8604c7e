import { spawn } from "node:child_process";
import { createHmac, randomUUID } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** The folder that holds the notebooks and, in its own node_modules, the kernel. */
export const notebooksFolder = resolve(import.meta.dirname, "../notebooks");
/** A kernel that is not up by then never will be: it is killed, and its own words stand in the error. */
const READY_MS = 30_000;
const kernelScript = join(notebooksFolder, "node_modules/tslab/bin/tslab");

/** Why no kernel can be started here; undefined when one can. */
export function kernelMissing(): string | undefined {
  if (!existsSync(kernelScript)) return "the notebook kernel is not installed; `npm test` installs it";
  try {
    zeromq();
    return undefined;
  } catch (error) {
    return `zeromq does not load here: ${(error as Error).message.split("\n")[0]}`;
  }
}

/** One message of the kernel's output channel: `kind` is the Jupyter message type, the rest its content. */
export interface KernelOutput {
  kind: string;
  /** stream */
  name?: string;
  text?: string;
  /** display_data, update_display_data, execute_result: MIME type -> value */
  data?: Record<string, unknown>;
  transient?: { display_id?: string };
}

export interface Reply {
  status: "ok" | "error" | "aborted";
  outputs: KernelOutput[];
}

export interface Kernel {
  /** Runs one cell and waits until the kernel is idle again. */
  execute(code: string): Promise<Reply>;
  /** What Jupyter's stop button sends. */
  interrupt(): void;
  close(): Promise<void>;
}

type Content = Record<string, unknown>;

interface Socket extends AsyncIterable<Buffer[]> {
  connect(address: string): void;
  send(frames: string[]): Promise<void>;
  close(): void;
}
interface Zeromq {
  Dealer: new (options: object) => Socket;
  Subscriber: new (options: object) => Socket & { subscribe(): void };
}

function zeromq(): Zeromq {
  return createRequire(join(notebooksFolder, "package.json"))("zeromq") as Zeromq;
}

/**
 * The real tslab kernel in a process of its own, spoken to as Jupyter does (message protocol 5.3) over local sockets: no
 * Python, no ports. Rejects when the kernel ends before it answers.
 */
export async function startKernel(environment: NodeJS.ProcessEnv = {}, cwd = notebooksFolder): Promise<Kernel> {
  const { Dealer, Subscriber } = zeromq();
  const fast = { reconnectInterval: 20 }, key = randomUUID();
  // A socket path holds at most about 100 characters.
  const folder = mkdtempSync(join(tmpdir(), "tslab-")), file = join(folder, "c.json"), ip = join(folder, "k");
  const ports = { shell_port: 1, iopub_port: 2, stdin_port: 3, control_port: 4, hb_port: 5 };
  writeFileSync(file, JSON.stringify({ transport: "ipc", ip, ...ports, key, signature_scheme: "hmac-sha256" }));
  const child = spawn(process.execPath, [kernelScript, "kernel", "--config-path", file], {
    cwd, env: { ...process.env, NODE_OPTIONS: "", ...environment }, stdio: ["ignore", "ignore", "pipe"],
  });
  const shell = new Dealer(fast), iopub = new Subscriber(fast), control = new Dealer(fast);
  shell.connect(`ipc://${ip}:${ports.shell_port}`);
  iopub.connect(`ipc://${ip}:${ports.iopub_port}`);
  iopub.subscribe();
  control.connect(`ipc://${ip}:${ports.control_port}`);

  let log = "";
  child.stderr.on("data", (text: Buffer) => (log += text.toString()));
  const kill = (): void => void child.kill("SIGKILL");
  process.once("exit", kill);
  const ended = new Promise<never>((_, reject) => {
    child.once("exit", (code, signal) => {
      // Here and nowhere else: a socket left open aborts the process that holds it.
      process.off("exit", kill);
      for (const socket of [shell, iopub, control]) socket.close();
      rmSync(folder, { recursive: true, force: true });
      reject(new Error(`The kernel ended (${signal ?? code}).\n${log}`));
    });
  });
  ended.catch(() => undefined);

  const waiting = new Map<string, (kind: string, content: Content) => void>();
  const listen = async (socket: Socket): Promise<void> => {
    for await (const frames of socket) {
      // ..., <IDS|MSG>, signature, header, parent header, metadata, content
      const at = frames.findIndex((frame) => frame.toString() === "<IDS|MSG>") + 2;
      const [header, parent, , content] = frames.slice(at, at + 4).map((frame) => JSON.parse(frame.toString()) as Content);
      waiting.get(String(parent?.msg_id))?.(String(header?.msg_type), content ?? {});
    }
  };
  for (const socket of [shell, iopub]) listen(socket).catch(() => undefined);

  const send = (socket: Socket, kind: string, content: Content, id: string = randomUUID()): Promise<void> => {
    const header = { msg_id: id, msg_type: kind, username: "test", date: new Date().toISOString(), version: "5.3" };
    const parts = [header, {}, {}, content].map((part) => JSON.stringify(part));
    return socket.send(["<IDS|MSG>", createHmac("sha256", key).update(parts.join("")).digest("hex"), ...parts]);
  };
  /** Finished means: a reply on shell and "idle" on iopub, in whichever order they arrive. */
  const ask = (kind: string, content: Content): Promise<Reply> => Promise.race([ended, new Promise<Reply>((done, fail) => {
    const id = randomUUID(), outputs: KernelOutput[] = [];
    let reply: Content | undefined, idle = false;
    waiting.set(id, (type, body) => {
      if (type.endsWith("_reply")) reply = body;
      else if (type === "status") idle ||= body.execution_state === "idle";
      else outputs.push({ ...body, kind: type });
      if (!reply || !idle) return;
      waiting.delete(id);
      done({ status: (reply.status ?? "ok") as Reply["status"], outputs });
    });
    send(shell, kind, content, id).catch(fail);
  })]);
  const pause = (milliseconds: number): Promise<undefined> => new Promise((resolve) => setTimeout(resolve, milliseconds, undefined));

  // The output channel joins late: ask until an answer comes back on both.
  const patience = setTimeout(kill, READY_MS);
  while (!(await Promise.race([ask("kernel_info_request", {}), pause(100)])));
  clearTimeout(patience);

  return {
    async execute(code) {
      const reply = await ask("execute_request", { code, silent: false, store_history: true, user_expressions: {}, allow_stdin: false, stop_on_error: true });
      // After an error the kernel drops what arrives within its next 200 ms.
      if (reply.status !== "ok") await pause(300);
      return reply;
    },
    interrupt: () => void child.kill("SIGINT"),
    async close() {
      const timer = setTimeout(kill, 2000);
      await send(control, "shutdown_request", { restart: false }).catch(() => undefined);
      await ended.catch(() => undefined);
      clearTimeout(timer);
    },
  };
}
