import { readdirSync, existsSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { kernelMissing, notebooksFolder } from "../kernel.js";
import { executeNotebook, readNotebook, textOf, textOutputs } from "./notebook.js";

const missing = kernelMissing() ?? (existsSync(resolve(notebooksFolder, "../dist/index.js")) ? undefined : "dist/ is not built; `npm test` builds it");
const names = readdirSync(notebooksFolder).filter((name) => name.endsWith(".ipynb")).sort();

describe.skipIf(missing)(`notebooks in a fresh kernel${missing ? `: ${missing}` : ""}`, () => {
  it.each(names)("%s runs top to bottom and says again what it said", async (name) => {
    const run = await executeNotebook(name, { CRAGRU_PARAMETERS: "" });
    expect(textOutputs(run)).toEqual(textOutputs(readNotebook(name)));
  }, 240_000);
});

describe.each(names)("the form of %s", (name) => {
  const { cells, nbformat, nbformat_minor: minor, metadata } = readNotebook(name);
  const code = cells.filter((cell) => cell.cell_type === "code");

  it("is one that Jupyter and the tslab kernel read", () => {
    expect([nbformat, minor]).toEqual([4, 5]);
    expect(metadata).toMatchObject({ kernelspec: { name: "tslab" }, language_info: { name: "typescript" } });
    expect(new Set(cells.map(({ id }) => id)).size).toBe(cells.length);
  });

  it("imports in its first cell only, then takes its parameters", () => {
    expect(code.map(({ source }, at) => /^\s*import\s/m.test(textOf(source)) === (at === 0))).not.toContain(false);
    expect(code[1]!.metadata.tags).toEqual(["parameters"]);
  });

  it("says in words what each cell is for, and ends with claims", () => {
    const lonely = cells.filter((cell, at) => cell.cell_type === "code" && cell !== code[0] && cells[at - 1]!.cell_type === "code");
    expect(lonely.map(({ id }) => id)).toEqual([]);
    expect(textOf(code.at(-1)!.source)).toContain("claim(");
  });

  it("keeps outputs without clocks or paths", () => {
    const kept = textOutputs({ cells, nbformat, nbformat_minor: minor, metadata }).flatMap(({ outputs }) => outputs).join("\n");
    expect(kept).not.toBe("");
    expect(kept).not.toMatch(/\b\d{4}-\d{2}-\d{2}T|\b\d{1,2}:\d{2}:\d{2}\b|\b\d+(\.\d+)? (s|ms|min) left|(^|[\s"'])\/(home|root|tmp|usr)\//);
    expect(kept).not.toContain("FALSE:");
  });
});
