import { existsSync, readdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { ConfigError, DataError } from "../core/errors.js";
import { Catalogue, requireRows, tokenOrder, TokenIds, type FinishedCatalogue } from "./catalogue.js";
import { GrowingColumns, interactionsFrom, type ReadOptions } from "./columns.js";
import { Dataset, type ItemRecord, type UserRecord } from "./dataset.js";
import { decimalNumber, quote, ratingField, splitFields, timestampField, type RatingScale } from "./fields.js";
import { lineError, openReading, type Place, type Reading } from "./lines.js";
import { readGenres, readTitle } from "./movietitle.js";

export interface RecboleOptions extends ReadOptions {
  /** The scale of the ratings. Default: the smallest and largest rating of the file. With it, every rating is checked. */
  ratingScale?: { min: number; max: number };
}

/** Columns that we read, under each name that published files use. Others are left alone. */
const ITEM_COLUMNS = {
  title: ["movie_title", "title", "name"], year: ["release_year", "year"], genres: ["genre", "genres", "class"],
} as const;
const TYPES = ["token", "token_seq", "float", "float_seq"];

/**
 * A folder of RecBole atomic files (UTF-8, tab separated, typed headers such as `user_id:token`): `X.inter` is required,
 * `X.item` and `X.user` give the catalogue where they exist; otherwise it is made of the ids in the rows. Without a
 * rating column every row counts 1. Ids are numbers when all are, and sort so; else they sort as text. When there is a
 * year column, titles are taken as they stand; otherwise they are read as MovieLens writes them ("Matrix, The (1999)").
 * @throws DataError naming file, line and cure.
 */
export async function loadRecbole(folder: string, options: RecboleOptions = {}): Promise<Dataset> {
  const { rows: rowFile, items: itemFile, users: userFile, name } = findFiles(folder);
  const scale = checkScale(options.ratingScale);
  const reading = await openReading([itemFile, userFile, rowFile].filter((file) => file !== undefined), options);
  const items = itemFile ? await readItems(reading, itemFile) : undefined;
  const users = userFile ? await readUsers(reading, userFile) : undefined;
  const userIds = new TokenIds(), itemIds = new TokenIds();
  const columns = new GrowingColumns();
  await readRows(reading, rowFile, scale, (user, item, rating, timestamp, at) => columns.push(
    users ? users.indexOf(user, at) : userIds.intern(user), items ? items.indexOf(item, at) : itemIds.intern(item), rating, timestamp));
  requireRows(columns.length, rowFile);
  const view = columns.view();
  const userRecords: readonly UserRecord[] = users?.records ?? rankInto(view.users, userIds).map((id) => ({ id }));
  const itemRecords: readonly ItemRecord[] = items?.records ?? rankInto(view.items, itemIds).map((id) => ({ id, title: id, genres: [] }));
  const shape = { userCount: userRecords.length, itemCount: itemRecords.length };
  const interactions = await interactionsFrom(view, shape, options.duplicates ?? "error",
    (row) => ({ user: userRecords[view.users[row]!]!.id, item: itemRecords[view.items[row]!]!.id }),
    async (visit) => readRows(await openReading([rowFile], { ...options, onProgress: undefined }), rowFile, scale,
      (_user, _item, rating, timestamp, at) => visit(0, 0, rating, timestamp, at)));
  return new Dataset({
    name, interactions, items: itemRecords, users: userRecords, ratingScale: options.ratingScale ?? range(view.ratings),
    source: `RecBole atomic files ${basename(rowFile)}, read from a folder of the user.`,
  });
}

/** Replaces interned numbers by ranks; returns the ids in rank order. */
function rankInto(column: Uint32Array, ids: TokenIds): string[] {
  const { ranks, tokens } = ids.rank();
  for (let row = 0; row < column.length; row++) column[row] = ranks[column[row]!]!;
  return tokens;
}

function range(ratings: Float32Array): { min: number; max: number } {
  let min = Infinity, max = -Infinity;
  for (const rating of ratings) {
    if (rating < min) min = rating;
    if (rating > max) max = rating;
  }
  return { min, max };
}

function checkScale(scale: { min: number; max: number } | undefined): RatingScale {
  if (!scale) return { min: -Infinity, max: Infinity, step: 0 };
  if (!Number.isFinite(scale.min) || !Number.isFinite(scale.max) || scale.min > scale.max) {
    throw new ConfigError("CONFIG_RATING_SCALE", `${scale.min} to ${scale.max} is no rating scale.`, {
      hint: "Give for example { ratingScale: { min: 1, max: 5 } }.",
    });
  }
  return { ...scale, step: 0 };
}

function findFiles(folder: string): { name: string; rows: string; items: string | undefined; users: string | undefined } {
  const stems = readdirSync(folder).filter((file) => file.endsWith(".inter")).map((file) => file.slice(0, -".inter".length));
  const own = basename(resolve(folder));
  const name = stems.length === 1 ? stems[0]! : stems.find((stem) => stem === own);
  if (name === undefined) {
    const what = stems.length === 0 ? "no .inter file" : `several .inter files (${stems.sort().slice(0, 5).join(", ")})`;
    throw new DataError("DATA_ATOMIC_FILES", `${folder} holds ${what}.`, {
      hint: "A folder of RecBole atomic files holds one X.inter, and X.item and X.user where they exist.",
    });
  }
  const optional = (kind: string): string | undefined => {
    const file = join(folder, `${name}.${kind}`);
    return existsSync(file) ? file : undefined;
  };
  return { name, rows: join(folder, `${name}.inter`), items: optional("item"), users: optional("user") };
}

type TokenRowVisitor = (user: string, item: string, rating: number, timestamp: number, at: Place) => void;

async function readRows(reading: Reading, file: string, scale: RatingScale, visit: TokenRowVisitor): Promise<void> {
  await readTable(reading, file, (header, at) => {
    const user = required(header, "user_id", at), item = required(header, "item_id", at);
    const rating = header.indexOf("rating"), time = header.indexOf("timestamp");
    return (fields, at) => visit(token(fields[user]!, "user id", at), token(fields[item]!, "item id", at),
      rating < 0 ? 1 : ratingField(fields[rating]!, scale, at), time < 0 ? NaN : timestampField(fields[time]!, at), at);
  });
}

async function readItems(reading: Reading, file: string): Promise<FinishedCatalogue<ItemRecord>> {
  const found: { record: ItemRecord; at: Place }[] = [];
  await readTable(reading, file, (header, at) => {
    const id = required(header, "item_id", at);
    const [title, year, genres] = [ITEM_COLUMNS.title, ITEM_COLUMNS.year, ITEM_COLUMNS.genres]
      .map((names) => header.findIndex((name) => (names as readonly string[]).includes(name))) as [number, number, number];
    return (fields, at) => {
      const itemId = token(fields[id]!, "item id", at);
      const named = title < 0 ? { title: itemId, year: undefined }
        : year < 0 ? readTitle(fields[title]!) : { title: fields[title]!, year: yearField(fields[year]!, at) };
      found.push({ record: { id: itemId, ...named, genres: genres < 0 ? [] : readGenres(words(fields[genres]!)) }, at: { ...at } });
    };
  });
  return sortedCatalogue("item", found);
}

async function readUsers(reading: Reading, file: string): Promise<FinishedCatalogue<UserRecord>> {
  const found: { record: UserRecord; at: Place }[] = [];
  await readTable(reading, file, (header, at) => {
    const id = required(header, "user_id", at);
    const column = (name: string): ((fields: string[]) => string | undefined) => {
      const at = header.indexOf(name);
      return (fields) => (at < 0 ? undefined : fields[at] || undefined);
    };
    const age = column("age"), gender = column("gender"), occupation = column("occupation");
    return (fields, at) => {
      const letter = gender(fields);
      const record: UserRecord = {
        id: token(fields[id]!, "user id", at), age: age(fields), occupation: occupation(fields),
        gender: letter === "F" ? "woman" : letter === "M" ? "man" : letter,
      };
      found.push({ record, at: { ...at } });
    };
  });
  return sortedCatalogue("user", found);
}

/** Records in the order of their ids: numeric when all are numbers. */
function sortedCatalogue<T extends { id: string }>(what: "user" | "item", found: { record: T; at: Place }[]): FinishedCatalogue<T> {
  const catalogue = new Catalogue<T>(what, tokenOrder(found.map(({ record }) => record.id)));
  for (const { record, at } of found) catalogue.add(record.id, record, at);
  return catalogue.finish();
}

/** One atomic file: a typed header, then rows with as many fields. `open` gets the column names without their types. */
async function readTable(
  reading: Reading, file: string, open: (header: string[], at: Place) => (fields: string[], at: Place) => void,
): Promise<void> {
  let names: string[] | undefined;
  let visit: ((fields: string[], at: Place) => void) | undefined;
  await reading.lines(file, "utf-8", (line, at) => {
    if (visit) {
      visit(splitFields(line, "\t", names!, at), at);
      return;
    }
    const header = line.split("\t");
    const bad = header.find((column) => !TYPES.includes(column.slice(column.lastIndexOf(":") + 1)) || !column.includes(":"));
    if (bad !== undefined) {
      throw lineError(at, "DATA_HEADER",
        `the header field ${quote(bad)} has no type.`,
        `Write name:type, separated by tabs, for example user_id:token; the types are ${TYPES.join(", ")}.`);
    }
    names = header.map((column) => column.slice(0, column.lastIndexOf(":")));
    visit = open(names, at);
  });
}

function required(header: readonly string[], name: string, at: Place): number {
  const column = header.indexOf(name);
  if (column < 0) throw lineError(at, "DATA_HEADER",
    `the header has no ${name} column (it has ${quote(header.join(", "))}).`,
    `Name the column ${name}:token.`);
  return column;
}

function token(text: string, what: string, at: Place): string {
  if (text === "") throw lineError(at, "DATA_ID_EMPTY", `the ${what} is empty.`, "Correct or remove the line.");
  return text;
}

function yearField(text: string, at: Place): number | undefined {
  if (text === "") return undefined;
  const year = decimalNumber(text);
  if (!Number.isInteger(year)) throw lineError(at, "DATA_YEAR",
    `${quote(text)} is not a year.`,
    "Write a whole number, or nothing.");
  return year;
}

/** A token sequence: separated by spaces, or by commas where there are any. */
function words(text: string): string[] {
  return text.split(text.includes(",") ? "," : " ");
}
