import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { filesBelow, root } from "./sources.js";

const read = (path: string): string => readFileSync(join(root, path), "utf8");
const manifest = (path: string): Record<string, Record<string, string> | undefined> => JSON.parse(read(path)) as never;

/** Files that would be committed; without git (an unpacked archive) the known places. */
function ours(): string[] {
  try {
    const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return listed.split("\n").filter((path) => path !== "" && existsSync(join(root, path)));
  } catch {
    return ["src", "test", "scripts", "native", "notebooks", "docs"].flatMap((folder) => existsSync(join(root, folder)) ? filesBelow(folder, /./) : []);
  }
}

const isText = (path: string): boolean => /\.(ts|mjs|js|json|md|ipynb|txt|cpp|h|cu|cuh|gyp|yml|yaml|sh)$|(^|\/)(LICENSE|\.npmrc|\.gitignore|run|CMakeLists\.txt)$/.test(path);

describe("the house", () => {
  it.each(["package.json", "notebooks/package.json", "test/engine/package.json"])("pins every package exactly: %s", (path) => {
    const { dependencies, devDependencies, optionalDependencies, peerDependencies } = manifest(path);
    const loose = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies, ...peerDependencies })
      .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version) && !version.startsWith("file:"));
    expect(loose).toEqual([]);
  });

  it.each(["package-lock.json", "notebooks/package-lock.json", "test/engine/package-lock.json"])("has a lock that names no host to download from: %s", (path) => {
    const { packages } = JSON.parse(read(path)) as { packages: Record<string, { resolved?: string; integrity?: string; link?: boolean }> };
    const entries = Object.entries(packages).filter(([name, entry]) => name.startsWith("node_modules/") && !entry.link);
    expect(entries.length).toBeGreaterThan(30);
    expect(entries.filter(([, { resolved }]) => resolved?.includes("://")).map(([name]) => name)).toEqual([]);
    expect(entries.filter(([, { integrity }]) => !integrity).map(([name]) => name)).toEqual([]);
  });

  it("names no path of one machine and no package host", () => {
    // Written in pieces, so that this file does not find itself.
    const words = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/Us" + "ers/", "registry.np" + "mjs", "npm" + "mirror", "arti" + "factory", ".np" + "mrc:_auth"];
    const found = ours().filter(isText).flatMap((path) => {
      const text = read(path);
      return words.filter((word) => text.includes(word)).map((word) => `${path}: ${word}`);
    });
    expect(found).toEqual([]);
  });

  it("keeps data, builds and results out of the repository", () => {
    const odd = ours().filter((path) => /^(dist|build|results|coverage|data)\/|\.(dat|inter|item|user|parquet|zip|gz|node|gguf)$/.test(path) && !path.startsWith("test/fixtures/"));
    expect(odd).toEqual([]);
  });

  it("sends a consumer everything its entry points name", () => {
    const { main, types, exports, bin, files } = JSON.parse(read("package.json")) as {
      main: string; types: string; bin: Record<string, string>; files: string[]; exports: Record<string, string | Record<string, string>>;
    };
    const named = [main, types, ...Object.values(bin), ...Object.values(exports).flatMap((entry) => typeof entry === "string" ? [] : Object.values(entry))];
    expect(files).toContain("dist");
    for (const path of named) {
      expect(path).toMatch(/^\.\/dist\//);
      const source = path.replace("./dist/", "src/").replace(/\.(d\.ts|js)$/, ".ts");
      expect(existsSync(join(root, source)), `${path} has no source ${source}`).toBe(true);
    }
  });

  it("starts its command line with a line that lets a shell run it", () => {
    expect(read("src/cli/main.ts").split("\n")[0]).toBe("#!/usr/bin/env node");
  });
});

describe("CONTRIBUTING.md", () => {
  it("names files and folders that exist, and npm scripts that exist", () => {
    const text = read("CONTRIBUTING.md");
    const paths = [...text.matchAll(/`((?:src|test|native|scripts|notebooks|docs)\/[\w./-]*)`/g)].map((match) => match[1]!);
    expect(paths.length).toBeGreaterThan(15);
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    const { scripts } = manifest("package.json") as { scripts: Record<string, string> };
    expect([...text.matchAll(/npm run ([\w:]+)/g)].map((match) => match[1]!).filter((name) => !(name in scripts))).toEqual([]);
  });
});
