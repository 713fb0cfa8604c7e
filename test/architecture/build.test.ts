import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "./sources.js";

/** scripts/build.mjs in a project of three lines, step by step: each test goes on where the one before ended. */
describe("scripts/build.mjs", () => {
  let folder: string;
  const at = (path: string): string => join(folder, path);
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), text);
  };
  const build = (...flags: string[]): { status: number | null; said: string } => {
    const { status, stderr } = spawnSync(process.execPath, [at("scripts/build.mjs"), ...flags], { encoding: "utf8", env: { ...process.env, CRAGRU_NATIVE: "off" } });
    return { status, said: stderr };
  };

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "build-"));
    for (const name of ["package.json", "tsconfig.json", "scripts/build.mjs"]) cpSync(join(root, name), at(name));
    symlinkSync(join(root, "node_modules"), at("node_modules"));
    put("src/index.ts", "export const a: number = 1;\n");
    put("src/gone.ts", "export const b = 2;\n");
    put("src/cli/main.ts", '#!/usr/bin/env node\nexport const c = "main";\n');
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("compiles what is missing, makes the command executable, and then has nothing to say", () => {
    expect(build()).toMatchObject({ status: 0, said: expect.stringMatching(/^build: TypeScript compiled to dist\/ \([\d.]+ s\)\n$/) as string });
    expect(readFileSync(at("dist/index.js"), "utf8")).toContain("a = 1");
    if (process.platform !== "win32") expect(statSync(at("dist/cli/main.js")).mode & 0o111).toBe(0o111);
    expect(build()).toEqual({ status: 0, said: "" });
    expect(build("--force").said).toContain("compiled");
  });

  it("removes outputs whose source is gone", () => {
    expect(existsSync(at("dist/gone.js"))).toBe(true);
    rmSync(at("src/gone.ts"));
    expect(build().status).toBe(0);
    expect(["dist/gone.js", "dist/gone.d.ts", "dist/gone.js.map"].filter((path) => existsSync(at(path)))).toEqual([]);
  });

  it("fails with the compiler's words on an error, and keeps the last good dist", () => {
    put("src/index.ts", 'export const a: number = "one";\n');
    const { status, said } = build();
    expect(status).toBe(1);
    expect(said).toContain("src/index.ts(1,14): error TS2322");
    expect(readFileSync(at("dist/index.js"), "utf8")).toContain("a = 1");
  });

  it("lets a project without the compiler be, as long as dist is there", () => {
    rmSync(at("node_modules"));
    expect(build()).toEqual({ status: 0, said: "" });
    rmSync(at("dist"), { recursive: true });
    expect(build()).toMatchObject({ status: 1, said: expect.stringContaining("npm ci") as string });
  });
});
