import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { ProgressDisplay, progressLine } from "../../../src/cli/progress.js";

function sink(): { stream: NodeJS.WriteStream; text: () => string } {
  let text = "";
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      text += chunk.toString();
      done();
    },
  });
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => text };
}

describe("a progress line", () => {
  it("tells done, total, rate, remaining time and note", () => {
    expect(progressLine({ done: 12, total: 1943, rate: 3.21, remaining: 290, note: "generation" })).toBe("12/1,943, 3.2/s, 4 min 50 s left, generation");
    expect(progressLine({ done: 2, total: 8, rate: 0.1, remaining: 60, note: undefined })).toBe("2/8, 10 s each, 1 min 00 s left");
    expect(progressLine({ done: 7, total: 0, rate: 7, remaining: undefined, note: undefined })).toBe("7, 7/s");
    expect(progressLine({ done: 4, total: 4, rate: 1, remaining: 0, note: "done" }, 1)).toBe(`[${"#".repeat(24)}] 4/4, 1/s, done`);
  });

  it("shows a percentage where the parts are unequal", () => {
    expect(progressLine({ done: 2.5, total: 10, rate: 0.5, remaining: 15, note: "fit" })).toBe("25 %, 15 s left, fit");
  });
});

describe("the display", () => {
  it("stays silent for short work, prints plain lines without a terminal, and can be told to be quiet", async () => {
    const plain = sink();
    const display = new ProgressDisplay(plain.stream, false);
    display.show(0, 10);
    expect(plain.text()).toBe("");
    await sleep(450);
    display.show(5, 10, "half");
    display.note("a remark");
    display.close();
    // Work that is being stopped may still report: nothing is drawn any more.
    display.show(6, 10, "late");
    expect(plain.text()).not.toContain("late");
    expect(plain.text()).toContain("5/10");
    expect(plain.text()).toContain("a remark\n");
    expect(plain.text()).not.toContain("\u001b[K");
    const quiet = sink();
    const silent = new ProgressDisplay(quiet.stream, true);
    await sleep(450);
    silent.show(5, 10);
    silent.note("a remark");
    silent.close();
    expect(quiet.text()).toBe("");
  });

  it("gives no rate and no remaining time while only answers of an earlier run were read", async () => {
    const plain = sink();
    const display = new ProgressDisplay(plain.stream, false);
    await sleep(450);
    display.show(900, 1000, "900 kept", 900);
    display.close();
    expect(plain.text()).toContain("900/1,000, 900 kept");
    expect(plain.text()).not.toMatch(/\/s|left/);
  });
});
