import { existsSync } from "node:fs";
import { mkdir, mkdtemp, open, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, DataError } from "../core/errors.js";
import type { Interactions } from "../core/interactions.js";
import { Breather, type RunOptions } from "../core/progress.js";
import { Dataset } from "./dataset.js";

export interface ExportOptions extends RunOptions {
  /** Stem of the files. Default: the data set's name, or "interactions". */
  name?: string;
  /** Gives the publisher's ids of plain rows (`split.train`); without it their dense ids are written. */
  catalogue?: Dataset;
  /** Replaces files of these names; otherwise they are an error. */
  overwrite?: boolean;
}

const FLUSH_CHARACTERS = 256 * 1024;

/**
 * Writes RecBole atomic files (UTF-8, tab separated, typed headers): a {@link Dataset} gives `X.inter`, `X.item` and
 * `X.user`, plain rows give `X.inter`. Reading them back gives the same rows and catalogue, with two exceptions that the
 * format forces: control characters in texts become spaces, spaces and commas inside a genre become underscores.
 * All files appear together at the end. Returns their paths.
 * @throws DataError on an id that the format cannot hold, or when a file is there already.
 */
export async function exportRecbole(rows: Interactions, folder: string, options: ExportOptions = {}): Promise<string[]> {
  const own = rows instanceof Dataset ? rows : undefined;
  const catalogue = own ?? options.catalogue;
  const name = options.name ?? own?.name ?? "interactions";
  if (!/^[\w.-]+$/.test(name) || name.startsWith(".")) {
    throw new ConfigError("CONFIG_EXPORT_NAME", `${JSON.stringify(name)} cannot be the stem of a file.`, {
      hint: "Use letters, digits, dots, dashes and underscores: { name: \"ml-100k\" }.",
    });
  }
  if (catalogue && (catalogue.userCount !== rows.userCount || catalogue.itemCount !== rows.itemCount)) {
    const size = (of: Interactions): string => `${of.userCount} users and ${of.itemCount} items`;
    throw new ConfigError("CONFIG_EXPORT_CATALOGUE", `The rows have ${size(rows)}, the catalogue ${size(catalogue)}.`, {
      hint: "Pass the data set from which the rows come.",
    });
  }
  const tables: [file: string, lines: Iterable<string>][] = [[`${name}.inter`, rowLines(rows, catalogue)]];
  if (own) tables.push([`${name}.item`, itemLines(own)], [`${name}.user`, userLines(own)]);
  const targets = tables.map(([file]) => join(folder, file));
  const present = options.overwrite ? undefined : targets.find((file) => existsSync(file));
  if (present) throw new DataError("DATA_FILE_EXISTS", `${present} is there already.`, {
    hint: "Choose another folder or name, or pass { overwrite: true }.",
  });
  await mkdir(folder, { recursive: true });
  const draft = await mkdtemp(join(folder, ".export-"));
  try {
    const breather = new Breather(options.signal);
    const total = rows.length + (own ? own.itemCount + own.userCount : 0);
    let done = 0;
    for (const [file, lines] of tables) {
      await writeLines(join(draft, file), lines, breather, (count) => {
        options.onProgress?.(done += count, total, file);
        options.signal?.throwIfAborted();
      });
    }
    for (const [file] of tables) await rename(join(draft, file), join(folder, file));
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return targets;
}

async function writeLines(file: string, lines: Iterable<string>, breather: Breather, report: (count: number) => void): Promise<void> {
  const handle = await open(file, "wx");
  try {
    let text = "", count = -1;
    for (const line of lines) {
      text += `${line}\n`;
      count++;
      if (text.length >= FLUSH_CHARACTERS) {
        await handle.writeFile(text);
        report(count);
        text = "";
        count = 0;
      } else if (breather.due()) await breather.pause();
    }
    await handle.writeFile(text);
    report(count);
  } finally {
    await handle.close();
  }
}

function* rowLines(rows: Interactions, catalogue: Dataset | undefined): Generator<string> {
  const userText = (user: number): string => (catalogue ? idText(catalogue.userId(user), "user") : String(user));
  const itemText = (item: number): string => (catalogue ? idText(catalogue.itemId(item), "item") : String(item));
  const users = Array.from({ length: rows.userCount }, (_, user) => userText(user));
  const items = Array.from({ length: rows.itemCount }, (_, item) => itemText(item));
  const { timestamps } = rows;
  yield `user_id:token\titem_id:token\trating:float${timestamps ? "\ttimestamp:float" : ""}`;
  for (let row = 0; row < rows.length; row++) {
    const time = timestamps ? `\t${timestamps[row]}` : "";
    yield `${users[rows.users[row]!]}\t${items[rows.items[row]!]}\t${shortest(rows.ratings[row]!)}${time}`;
  }
}

function* itemLines(data: Dataset): Generator<string> {
  yield "item_id:token\tmovie_title:token_seq\trelease_year:token\tgenre:token_seq";
  for (let item = 0; item < data.itemCount; item++) {
    const genres = data.genres(item).map((genre) => plain(genre).trim().replace(/[\s,]+/g, "_"));
    yield `${idText(data.itemId(item), "item")}\t${plain(data.title(item))}\t${data.year(item) ?? ""}\t${genres.join(" ")}`;
  }
}

function* userLines(data: Dataset): Generator<string> {
  yield "user_id:token\tage:token\tgender:token\toccupation:token";
  for (let user = 0; user < data.userCount; user++) {
    const { age = "", gender = "", occupation = "" } = data.profile(user);
    yield `${idText(data.userId(user), "user")}\t${plain(age)}\t${plain(gender)}\t${plain(occupation)}`;
  }
}

 
const CONTROL = /[\u0000-\u001f\u007f]/g;

function plain(text: string): string {
  return text.replace(CONTROL, " ");
}

function idText(id: string, what: string): string {
  if (id === "" || plain(id) !== id) {
    throw new DataError("DATA_ID_TEXT", `The ${what} id ${JSON.stringify(id)} cannot stand in a tab separated file.`, {
      hint: "Rename it without control characters first.",
    });
  }
  return id;
}

/** The shortest decimal that reads back as the same 32-bit float: 3.3, not 3.299999952316284. */
function shortest(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const text = Number(value.toPrecision(digits));
    if (Math.fround(text) === value) return String(text);
  }
  return String(value);
}
