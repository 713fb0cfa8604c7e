import { execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const FOLDER = fileURLToPath(new URL("../peers/", import.meta.url));

/** The distribution's Python, where its packages are, even when another one is first on the path. */
export function python() {
  return process.env.PYTHON || execFileSync("sh", ["-c", "command -p -v python3 || command -v python3"], { encoding: "utf8" }).trim();
}

/** A running peer program: see peers/protocol.py. */
export class Peer {
  #child;
  #lines;
  name = "";

  /**
   * Starts it and waits for its warm-up. @throws Error with what to install where something is missing, or with its last words.
   */
  static async start(command, args) {
    const peer = new Peer();
    let errors = "";
    peer.#child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    peer.#child.stderr.on("data", (data) => { errors = (errors + data).slice(-2000); });
    peer.#child.on("error", (error) => { errors += error.message; });
    peer.#child.stdin.on("error", () => {}); // said by the missing answer
    peer.#lines = createInterface({ input: peer.#child.stdout })[Symbol.asyncIterator]();
    const first = await peer.#answer().catch(() => undefined);
    if (first?.missing) throw new Error(`${first.missing} is not installed: ${first.install}`);
    if (!first?.peer) throw new Error(`${args[0]} failed: ${errors.trim().split("\n").pop() || "no answer"}`);
    peer.name = first.peer;
    return peer;
  }

  static python(program, options) {
    return Peer.start(python(), [`${FOLDER}${program}.py`, JSON.stringify(options)]);
  }

  async go() {
    this.#child.stdin.write("go\n");
    return this.#answer();
  }

  close() {
    this.#child.stdin.end();
    this.#child.kill();
  }

  async #answer() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`the peer ${this.name} ended`);
    return JSON.parse(value);
  }
}
