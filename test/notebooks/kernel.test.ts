import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kernelMissing, startKernel, type Kernel } from "../kernel.js";
import { collect, textOf, type Output } from "./notebook.js";

const missing = kernelMissing() ?? (existsSync(resolve(import.meta.dirname, "../../dist/notebook/index.js")) ? undefined : "dist/ is not built; `npm test` builds it");

const text = (outputs: readonly Output[]): string =>
  outputs.map((output) => output.output_type === "stream" ? textOf(output.text) : Object.values(output.data).map(textOf).join("")).join("");

describe.skipIf(missing)(`the notebook room in a real kernel${missing ? `: ${missing}` : ""}`, () => {
  let kernel: Kernel;
  beforeAll(async () => {
    kernel = await startKernel({ CRAGRU_PARAMETERS: '{"k":3}' });
    const reply = await kernel.execute('import { claim, frame, live, parameters, show, table } from "cragru/notebook";');
    expect(reply).toMatchObject({ status: "ok" });
  });
  afterAll(() => kernel?.close());

  it("runs the pinned kernel, whose private global is where we look for it", async () => {
    const { status, outputs } = await kernel.execute('import { versions } from "tslab"; console.log(versions.tslab, typeof globalThis["__tslab__"].require("tslab").newDisplay)');
    expect(status).toBe("ok");
    expect(text(collect(outputs))).toBe("1.0.22 function\n");
  });

  it("shows tables as HTML, and types parameters by their defaults", async () => {
    const { status, outputs } = await kernel.execute('const p = parameters({ k: 10, name: "x" }); const twice: number = p.k * 2; show(table([{ twice, name: p.name }]));');
    expect(status).toBe("ok");
    const [output] = collect(outputs);
    expect(output).toMatchObject({ output_type: "display_data" });
    expect(text([output!])).toContain('<td align="right">6</td>');
  });

  it("replaces the progress line in place and keeps its last state", async () => {
    const { status, outputs } = await kernel.execute(`
      const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
      const answer = await live("counting", async ({ onProgress }) => { for (let n = 1; n <= 4; n++) { await wait(60); onProgress(n, 4); } return 42; });
      console.log(answer);`);
    expect(status).toBe("ok");
    expect(outputs.filter(({ kind }) => kind === "update_display_data").length).toBeGreaterThan(1);
    expect(text(collect(outputs))).toBe("<div>counting: done</div>42\n");
  });

  it("stops the work behind an interrupted cell, and the kernel lives on", async () => {
    // Declared in a cell of its own: what an interrupted cell declares is lost.
    expect((await kernel.execute(`
      const count = { ticks: 0 };
      const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
      const loop = async ({ signal }: { signal?: AbortSignal }) => { for (;;) { signal.throwIfAborted(); count.ticks++; await pause(10); } };`)).status).toBe("ok");
    const running = kernel.execute('await live("looping", loop)');
    await new Promise((resolve) => setTimeout(resolve, 600));
    kernel.interrupt();
    expect((await running).status).toBe("error");
    const first = await kernel.execute("console.log(count.ticks)");
    await new Promise((resolve) => setTimeout(resolve, 300));
    const second = await kernel.execute("console.log(count.ticks)");
    expect(Number(text(collect(first.outputs)))).toBeGreaterThan(10);
    expect(text(collect(second.outputs))).toBe(text(collect(first.outputs)));
  });

  it("survives a second interrupt of idle cells and a false claim, which fails its cell with its words", async () => {
    const sleeping = kernel.execute("await pause(3000)");
    await new Promise((resolve) => setTimeout(resolve, 300));
    kernel.interrupt();
    expect((await sleeping).status).toBe("error");
    const { status, outputs } = await kernel.execute('claim("one is two", () => 1 + 1 === 1)');
    expect(status).toBe("error");
    expect(text(collect(outputs))).toMatch(/FALSE: one is two[^]*CLAIM_FALSE/);
    expect((await kernel.execute("1 + 1")).status).toBe("ok");
  });

  it("makes danfo data frames", async () => {
    const { status, outputs } = await kernel.execute('const made = frame([{ method: "a", value: 1 }, { method: "b", value: 2 }]); console.log(made.shape)');
    expect(text(collect(outputs))).toBe("[ 2, 2 ]\n");
    expect(status).toBe("ok");
  });
});

describe("what a notebook keeps of a cell's messages", () => {
  it("joins streams and keeps a replaced display once, in its place, in its last state", () => {
    const display = (kind: string, html: string) => ({ kind, data: { "text/html": html }, transient: { display_id: "a" } });
    expect(collect([
      { kind: "execute_input" }, { kind: "stream", name: "stdout", text: "one\ntw" }, { kind: "stream", name: "stdout", text: "o\n" },
      display("display_data", "10 %"), { kind: "stream", name: "stderr", text: "note" }, display("update_display_data", "done"),
    ])).toEqual([
      { output_type: "stream", name: "stdout", text: ["one\n", "two\n"] },
      { output_type: "display_data", data: { "text/html": ["done"] }, metadata: {} },
      { output_type: "stream", name: "stderr", text: ["note"] },
    ]);
  });
});
