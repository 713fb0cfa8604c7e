import { afterEach, describe, expect, it } from "vitest";
import { lineText, live } from "../../../src/notebook/live.js";
import { pretendKernel, written } from "./kernels.js";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
const listeners = (): number => process.listenerCount("SIGINT");
const before = listeners();

afterEach(() => expect(listeners()).toBe(before));

describe("live in a notebook", () => {
  const shown = pretendKernel();

  it("replaces one output in place and leaves a line without times", async () => {
    const value = await live("learning", async ({ onProgress }) => {
      onProgress!(1, 4, "epoch <1>");
      expect(shown).toHaveLength(1);
      expect(shown[0]!.text).toContain('value="0.2500"');
      expect(shown[0]!.text).toContain("epoch &#60;1&#62;");
      return 7;
    });
    expect(value).toBe(7);
    expect(shown).toEqual([{ kind: "html", text: "<div>learning: done</div>" }]);
  });

  it("aborts the work on an interrupt, and only registers once the cell's own code has run", async () => {
    const work = live("learning", ({ signal }) => new Promise((_, reject) => signal!.addEventListener("abort", () => reject(signal!.reason as Error))));
    expect(listeners()).toBe(before);
    await turn();
    expect(listeners()).toBe(before + 1);
    process.emit("SIGINT");
    await expect(work).rejects.toMatchObject({ name: "AbortError", message: expect.stringContaining("learning") as string });
    expect(shown[0]!.text).toContain("learning: stopped");
  });

  it("says when the work failed, and passes the failure on", async () => {
    await expect(live("fit", () => Promise.reject(new Error("no rows")))).rejects.toThrow("no rows");
    expect(shown[0]!.text).toContain("fit: failed");
  });

  it("as plain options ends when the last step is reported, or by hand", async () => {
    const run = live("scoring");
    await turn();
    expect(listeners()).toBe(before + 1);
    run.onProgress(1, 2);
    run.onProgress(2, 2);
    expect(listeners()).toBe(before);
    run.onProgress(1, 2);
    expect(shown).toEqual([{ kind: "html", text: "<div>scoring: done</div>" }]);
    const other = live("other");
    other.end();
    other.end();
    await turn();
    const stopped = live("stopped");
    await turn();
    process.emit("SIGINT");
    expect(stopped.signal.aborted).toBe(true);
  });
});

describe("live in a terminal", () => {
  it("writes one last line to stderr where it is no terminal", async () => {
    const text = await written(process.stderr, () => live("fit", async ({ onProgress }) => onProgress!(1, 2)));
    if (!process.stderr.isTTY) expect(text).toBe("fit: done\n");
    expect(text.endsWith("fit: done\n")).toBe(true);
  });
});

describe("lineText", () => {
  it.each([
    [{ done: 12, total: 40, rate: 3.2, remaining: 9, note: "epoch 12" }, "x: 12 / 40 (30 %), 3.2 a second, 9.0 s left, epoch 12"],
    [{ done: 0.5, total: 4, rate: 0.1, remaining: 35, note: undefined }, "x: 12 %, 35 s left"],
    [{ done: 7, total: 0, rate: 0, remaining: undefined, note: undefined }, "x: 7"],
  ])("%o", (pace, text) => expect(lineText("x", pace)).toBe(text));
});
