import { describe, expect, it } from "vitest";
import { ConfigError, CragruError, DataError } from "../../../src/core/errors.js";
import { Breather, formatSeconds, Meter, partOf, unlessAborted } from "../../../src/core/progress.js";

describe("Meter", () => {
  it("gives rate and remaining time from its clock", () => {
    let now = 0;
    const meter = new Meter(() => now);
    now = 2000;
    expect(meter.at(50, 200)).toMatchObject({ rate: 25, remaining: 6 });
    expect(meter.at(50, 0).remaining).toBeUndefined();
    expect(meter.at(0, 10).remaining).toBeUndefined();
  });

  it("measures the pace without what was there before, and without the time that took to read", () => {
    let now = 0;
    const meter = new Meter(() => now);
    now = 5000;
    expect(meter.at(30, 100, undefined, 30)).toMatchObject({ done: 30, rate: 0, remaining: undefined });
    now = 6000;
    expect(meter.at(36, 100, undefined, 36)).toMatchObject({ rate: 0, remaining: undefined });
    // Nothing new is read: the clock runs on while the first answer is awaited.
    now = 10_000;
    expect(meter.at(36, 100, undefined, 36).rate).toBe(0);
    now = 14_000;
    expect(meter.at(40, 100, undefined, 36)).toMatchObject({ done: 40, rate: 0.5, remaining: 120 });
  });
});

describe("formatSeconds", () => {
  it.each([[0.0000042, "4 us"], [0.0042, "4.2 ms"], [0.42, "420 ms"], [4.2, "4.2 s"], [42, "42 s"], [125, "2 min 05 s"], [4320, "1 h 12 min"], [Infinity, "unknown"]])(
    "%d s reads %s", (seconds, text) => expect(formatSeconds(seconds)).toBe(text));
});

describe("Breather", () => {
  it("lets timers run inside a long loop and stops when aborted", async () => {
    const controller = new AbortController();
    const breather = new Breather(controller.signal);
    setTimeout(() => controller.abort(new Error("stop pressed")), 30);
    const loop = async (): Promise<void> => {
      for (;;) await breather.pause();
    };
    await expect(loop()).rejects.toThrow("stop pressed");
  });
});

describe("partOf", () => {
  it("maps the progress of a part onto its share of the whole and passes the signal on", () => {
    const seen: unknown[] = [];
    const { signal } = new AbortController();
    const part = partOf({ signal, onProgress: (...now) => seen.push(now) }, 1, 4, "fit");
    part.onProgress!(5, 10, "epoch 5");
    part.onProgress!(0, 0);
    expect(part.signal).toBe(signal);
    part.onProgress!(5, 10, undefined, 4);
    expect(seen).toEqual([[1.5, 4, "fit: epoch 5", 0], [1, 4, "fit", 0], [1.5, 4, "fit", 0.4]]);
    expect(part.isPart).toBe(true);
    expect(partOf({}, 0, 1, "x")).toEqual({});
  });
});

describe("unlessAborted", () => {
  it("gives the work's outcome, or rejects at once when the waiter gives up while the work goes on", async () => {
    let finish = (_: number): void => {};
    const work = new Promise<number>((resolve) => { finish = resolve; });
    const [patient, hasty] = [new AbortController(), new AbortController()];
    const waiting = unlessAborted(work, patient.signal), gone = unlessAborted(work, hasty.signal);
    hasty.abort(new Error("enough"));
    await expect(gone).rejects.toThrow("enough");
    await expect(unlessAborted(work, hasty.signal)).rejects.toThrow("enough");
    finish(7);
    expect(await Promise.all([waiting, unlessAborted(work, undefined)])).toEqual([7, 7]);
    await expect(unlessAborted(Promise.reject(new Error("broke")), patient.signal)).rejects.toThrow("broke");
  });
});

describe("errors", () => {
  it("carry code, hint and cause, all readable from the message", () => {
    const cause = new Error("below");
    const error = new DataError("DATA_X", "It broke.", { hint: "Mend it.", cause });
    expect(error).toBeInstanceOf(CragruError);
    expect(error).toMatchObject({ name: "DataError", code: "DATA_X", hint: "Mend it.", cause });
    expect(error.message).toBe("It broke.\n  Mend it. [DATA_X]");
    expect(new ConfigError("C", "No hint.").message).toBe("No hint. [C]");
  });
});
