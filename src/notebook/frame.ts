import { createRequire } from "node:module";
import type { DataFrame } from "danfojs-node";
import { ConfigError } from "../core/errors.js";
import { rowsOf } from "./table.js";

/**
 * A danfo DataFrame of a small result (a comparison, an evaluation, a table, records): for exploring at 10^4 rows or fewer;
 * aggregate first. The package is optional and loaded on the first call.
 * @throws ConfigError when danfojs-node is not installed, or when `x` has no rows
 */
export function frame(x: unknown): DataFrame {
  const rows = rowsOf(x);
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  // Every row gets every column: danfo takes the columns of the first row for those of all.
  const cells = rows.map((row) => Object.fromEntries(columns.map((name) => [name, row[name] ?? null])));
  const { DataFrame: Frame } = danfo();
  return new Frame(cells, { columns });
}

function danfo(): typeof import("danfojs-node") {
  try {
    return createRequire(import.meta.url)("danfojs-node") as typeof import("danfojs-node");
  } catch (cause) {
    throw new ConfigError("CONFIG_NO_DANFO", "Data frames need the optional package danfojs-node, which could not be loaded.", {
      hint: 'Two of its dependencies do not install; copy vendor/ and the "overrides" of our package.json into yours, then: npm install danfojs-node@1.2.0',
      cause,
    });
  }
}
