import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** The rooms whose code decides a result; the command line and the notebook only show it. */
const ROOMS = ["core", "data", "native", "tensor", "backbone", "retrieval", "augmentation", "generation", "unlearning", "evaluation", "experiment"];

const here = (): string => dirname(fileURLToPath(import.meta.url));

/** The version in package.json. */
export function packageVersion(): string {
  const file = resolve(here(), "../../package.json");
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/**
 * Version of the code: package version and a digest of the running modules and of the native addon. Part of every cache key,
 * so that no result outlives a change of the code that made it, released or not. Reads about 1 MB; call it once a run.
 * @param addonPath the native addon in use, if any (`describeNative().addonPath`)
 */
export function codeVersion(addonPath?: string): string {
  const hash = createHash("sha256");
  const extension = /\.(js|ts)$/;
  for (const room of ROOMS) {
    for (const file of filesBelow(resolve(here(), "..", room)).filter((path) => extension.test(path) && !path.endsWith(".d.ts"))) {
      hash.update(readFileSync(file));
    }
  }
  if (addonPath !== undefined) hash.update(readFileSync(addonPath));
  return `${packageVersion()}+${hash.digest("hex").slice(0, 12)}`;
}

function filesBelow(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((entry) => (entry.isDirectory() ? filesBelow(join(folder, entry.name)) : [join(folder, entry.name)]));
  } catch (error) {
    // A room that this version does not have.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
