import { writeFileSync } from "node:fs";

/** `--name value` for the names in `values`, `--name` for those in `flags`, the rest as words. @throws Error on anything else. */
export function parse(argv, values, flags) {
  const found = { words: [] };
  for (let at = 0; at < argv.length; at++) {
    const name = argv[at].startsWith("--") ? argv[at].slice(2) : undefined;
    if (name === undefined) found.words.push(argv[at]);
    else if (flags.includes(name)) found[name] = true;
    else if (values.includes(name) && at + 1 < argv.length) found[name] = argv[++at];
    else throw new Error(`unknown option or missing value: ${argv[at]}; there are ${[...values.map((one) => `--${one} VALUE`), ...flags.map((one) => `--${one}`)].join(", ")}`);
  }
  return found;
}

/** Lines whose id or title holds one of the words; all without words. */
export const selected = (lines, words) => lines.filter((line) => words.length === 0 || words.some((word) => line.id.startsWith(word) || line.title.includes(word)));

export function writeJson(path, value) {
  writeFileSync(path, `${JSON.stringify(value, null, 1)}\n`);
}
