import { readFileSync, writeFileSync } from "node:fs";

/**
 * `--name value` for the names in `values`, `--name` for those in `flags`, the rest as words; anything else ends the program with one
 * sentence. `--help` prints the comment at the head of the program.
 */
export function parse(argv, values, flags) {
  const found = { words: [] };
  if (argv.includes("--help")) {
    const lines = readFileSync(process.argv[1], "utf8").split("\n");
    process.stdout.write(`${lines.slice(0, lines.findIndex((line) => !line.startsWith("//"))).map((line) => line.slice(3)).join("\n")}\n`);
    process.exit(0);
  }
  for (let at = 0; at < argv.length; at++) {
    const name = argv[at].startsWith("--") ? argv[at].slice(2) : undefined;
    if (name === undefined) found.words.push(argv[at]);
    else if (flags.includes(name)) found[name] = true;
    else if (values.includes(name) && at + 1 < argv.length) found[name] = argv[++at];
    else {
      const known = [...values.map((one) => `--${one} VALUE`), ...flags.map((one) => `--${one}`), "--help"].join(", ");
      process.stderr.write(`Unknown option or missing value: ${argv[at]}; there are ${known}.\n`);
      process.exit(2);
    }
  }
  return found;
}

/** Lines whose id or title holds one of the words; all without words. */
export const selected = (lines, words) => lines.filter((line) => words.length === 0 || words.some((word) => line.id.startsWith(word) || line.title.includes(word)));

export function writeJson(path, value) {
  writeFileSync(path, `${JSON.stringify(value, null, 1)}\n`);
}
