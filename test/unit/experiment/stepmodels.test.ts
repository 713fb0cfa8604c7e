import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fingerprintRows } from "../../../src/core/fingerprint.js";
import { openRun } from "../../../src/experiment/steps/folder.js";
import { prompt } from "../../../src/experiment/steps/prompt.js";
import { split } from "../../../src/experiment/steps/split.js";
import { temporaryFolder, TINY } from "./tiny.js";

const run = join(temporaryFolder(), "run");

describe("the models of the third step", () => {
  it("leaves no file of a model that saw forgotten rows once the candidates come from a clean source", async () => {
    await split("synthetic", { run, synthetic: TINY, seed: 5 });
    const place = join(run, "3-prompts");
    const { split: opened } = await openRun({ run });
    const models = (): string[] => readdirSync(place).filter((name) => name.includes(".model"));
    const trainedOn = (name: string): unknown => {
      const bytes = readFileSync(join(place, name)), start = bytes.indexOf(10) + 1;
      const header = bytes.subarray(start + 4, start + 4 + bytes.readUInt32LE(start)).toString();
      return (JSON.parse(header) as { report: { trainedOn: string } }).report.trainedOn;
    };
    const ask = { run, candidates: 15, history: 10, retriever: "recent" } as const;

    // The frozen backbone stays, and is named.
    const full = await prompt(ask);
    const [frozen] = models();
    expect(models().map(trainedOn)).toEqual([fingerprintRows(opened.train)]);
    expect(full.record.receipt.residuals.join("\n")).toContain(`3-prompts/${frozen}: the file of a model that saw forgotten rows`);
    expect(full.record).toMatchObject({ removed: [], models: [{ file: frozen, kept: true }] });

    writeFileSync(join(place, "bpr-0123.model.99.part"), "half of a model");
    const clean = await prompt({ ...ask, candidateSource: "remain" });
    expect(models().map(trainedOn)).toEqual([fingerprintRows(opened.trainRemain)]);
    expect(clean.record.removed).toEqual(["bpr-0123.model.99.part", frozen].sort());
    expect(clean.record.models.map(({ kept }) => kept)).toEqual([false, true]);
    expect(String(clean)).toContain("among them forgotten ones: not kept");

    // Once more, without the frozen model: fitted for the time before the request, and never written.
    const again = await prompt({ ...ask, candidateSource: "remain" });
    expect(again.record.models.map(({ fitted, kept }) => [fitted, kept])).toEqual([[true, false], [false, true]]);
    expect(again.record.promptsHash).toBe(clean.record.promptsHash);
    expect(models()).toEqual([again.record.models[1]!.file]);
    // What was read from the file is owed all the same.
    expect(again.record.receipt.seconds.rebuild).toBeGreaterThanOrEqual(again.record.models[1]!.seconds);

    await prompt(ask);
    expect(models().map(trainedOn)).toContain(fingerprintRows(opened.train));
    const popular = await prompt({ ...ask, candidateSource: "popularity" });
    expect([models(), popular.record.models]).toEqual([[], []]);
  });
});
