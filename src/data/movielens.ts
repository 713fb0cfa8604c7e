import { existsSync } from "node:fs";
import { join } from "node:path";
import { type DataError } from "../core/errors.js";
import { Catalogue, requireRows, type FinishedCatalogue } from "./catalogue.js";
import { denseNumbers, GrowingColumns, interactionsFrom, type ReadOptions, type RowVisitor } from "./columns.js";
import { readCsv, requireHeader } from "./csv.js";
import { Dataset, type ItemRecord, type UserRecord } from "./dataset.js";
import { fieldCountError, idField, quote, ratingField, splitFields, timestampField, wholeNumber, type RatingScale } from "./fields.js";
import { LICENCES } from "./licence.js";
import { fileSize, lineError, openReading, type Place, type Reading } from "./lines.js";
import { readGenres, readTitle } from "./movietitle.js";

export type MovielensName = "ml-100k" | "ml-1m" | "ml-latest-small";

const ROW = ["user", "item", "rating", "timestamp"];

interface Format {
  title: string;
  scale: RatingScale;
  ratings: string;
  /** Every file that must be there. */
  files: readonly string[];
  readItems(reading: Reading, folder: string): Promise<FinishedCatalogue<ItemRecord>>;
  readUsers?: (reading: Reading, folder: string) => Promise<FinishedCatalogue<UserRecord>>;
  readRows(reading: Reading, file: string, scale: RatingScale, visit: RowVisitor): Promise<void>;
}

const WHOLE_STARS: RatingScale = { min: 1, max: 5, step: 1 };

const FORMATS: Record<MovielensName, Format> = {
  "ml-100k": {
    title: "MovieLens 100K", scale: WHOLE_STARS, ratings: "u.data", files: ["u.genre", "u.item", "u.user", "u.data"],
    readItems: readItems100k, readUsers: readUsers100k,
    readRows: (reading, file, scale, visit) => readDelimitedRows(reading, file, "\t", scale, visit),
  },
  "ml-1m": {
    title: "MovieLens 1M", scale: WHOLE_STARS, ratings: "ratings.dat", files: ["movies.dat", "users.dat", "ratings.dat"],
    readItems: readItems1m, readUsers: readUsers1m,
    readRows: (reading, file, scale, visit) => readDelimitedRows(reading, file, "::", scale, visit),
  },
  "ml-latest-small": {
    title: "MovieLens latest-small", scale: { min: 0.5, max: 5, step: 0.5 },
    ratings: "ratings.csv", files: ["movies.csv", "ratings.csv"],
    readItems: readItemsLatest,
    readRows: readRowsLatest,
  },
};

/**
 * One of the three MovieLens releases, from a folder with the publisher's files. Titles are readable ("The Matrix"), the
 * year stands apart, "unknown" and "(no genres listed)" are empty genre lists, profile codes are words. Items are all
 * lines of the catalogue, rated or not; users all lines of the user file, in latest-small all users with a rating.
 * @throws DataError naming file, line and cure; nothing is kept of a folder that does not parse to the end.
 */
export async function loadMovielens(name: MovielensName, folder: string, options: ReadOptions = {}): Promise<Dataset> {
  const format = FORMATS[name];
  const file = join(folder, format.ratings);
  const reading = await openReading(format.files.map((each) => join(folder, each)), options);
  const items = await format.readItems(reading, folder);
  const known = await format.readUsers?.(reading, folder);
  const columns = new GrowingColumns();
  await format.readRows(reading, file, format.scale, (user, item, rating, timestamp, at) =>
    columns.push(known ? known.indexOf(user, at) : user, items.indexOf(item, at), rating, timestamp));
  requireRows(columns.length, file);
  const view = columns.view();
  let users: readonly UserRecord[];
  if (known) users = known.records;
  else {
    const { dense, ids } = denseNumbers(view.users);
    view.users = dense;
    users = Array.from(ids, (id) => ({ id: String(id) }));
  }
  await checkCounts(folder, users.length, items.records.length, columns.length);
  const shape = { userCount: users.length, itemCount: items.records.length };
  const interactions = await interactionsFrom(view, shape, options.duplicates ?? "error",
    (row) => ({ user: users[view.users[row]!]!.id, item: items.records[view.items[row]!]!.id }),
    async (visit) => format.readRows(await openReading([file], { ...options, onProgress: undefined }), file, format.scale, visit));
  return new Dataset({
    name, interactions, items: items.records, users, ratingScale: { min: format.scale.min, max: format.scale.max },
    source: `${format.title} by GroupLens, University of Minnesota, for research under its terms: ${LICENCES[name]!.url}`,
  });
}

function visitRow(user: string, item: string, rating: string, time: string, scale: RatingScale, at: Place, visit: RowVisitor): void {
  visit(idField(user, "user id", at), idField(item, "item id", at), ratingField(rating, scale, at), timestampField(time, at), at);
}

async function readDelimitedRows(
  reading: Reading, file: string, delimiter: string, scale: RatingScale, visit: RowVisitor,
): Promise<void> {
  await reading.lines(file, "latin1", (line, at) => {
    const [user, item, rating, timestamp] = splitFields(line, delimiter, ROW, at);
    visitRow(user!, item!, rating!, timestamp!, scale, at, visit);
  });
}

async function readRowsLatest(reading: Reading, file: string, scale: RatingScale, visit: RowVisitor): Promise<void> {
  const names = ["userId", "movieId", "rating", "timestamp"];
  await readCsv(reading, file, "utf-8", (header, at) => {
    requireHeader(header, names, at);
    return (fields, at) => {
      if (fields.length !== 4) throw fieldCountError(fields.length, fields.join(","), ",", names, at);
      visitRow(fields[0]!, fields[1]!, fields[2]!, fields[3]!, scale, at, visit);
    };
  });
}

function addItem(items: Catalogue<ItemRecord>, id: string, rawTitle: string, genres: readonly string[], at: Place): void {
  const key = idField(id, "item id", at);
  items.add(key, { id: String(key), ...readTitle(rawTitle), genres: readGenres(genres) }, at);
}

async function readItems100k(reading: Reading, folder: string): Promise<FinishedCatalogue<ItemRecord>> {
  const genres: string[] = [];
  await reading.lines(join(folder, "u.genre"), "latin1", (line, at) => {
    const [genre, column] = splitFields(line, "|", ["genre", "column"], at);
    const position = wholeNumber(column!);
    if (position < 0 || position > 255) {
      throw lineError(at, "DATA_GENRE",
        `${quote(column!)} is not a genre number.`,
        "Fetch the publisher's u.genre again.");
    }
    genres[position] = genre!;
  });
  const names = ["item", "title", "release date", "video release date", "url", ...genres];
  const items = new Catalogue<ItemRecord>("item");
  await reading.lines(join(folder, "u.item"), "latin1", (line, at) => {
    const fields = splitFields(line, "|", names, at);
    const has = (genre: number): boolean => {
      const flag = fields[5 + genre]!;
      if (flag === "0" || flag === "1") return flag === "1";
      throw lineError(at, "DATA_GENRE",
        `the flag of genre ${genres[genre]} is ${quote(flag)}, not 0 or 1.`,
        "Fetch the publisher's u.item again.");
    };
    addItem(items, fields[0]!, fields[1]!, genres.filter((_, genre) => has(genre)), at);
  });
  return items.finish();
}

async function readUsers100k(reading: Reading, folder: string): Promise<FinishedCatalogue<UserRecord>> {
  const users = new Catalogue<UserRecord>("user");
  await reading.lines(join(folder, "u.user"), "latin1", (line, at) => {
    const [id, age, sex, work] = splitFields(line, "|", ["user", "age", "gender", "occupation", "zip code"], at);
    const key = idField(id!, "user id", at);
    if (wholeNumber(age!) < 0) throw profileError("age", age!, at);
    // "other" and "none" tell a reader nothing about a person's work.
    const occupation = work === "other" || work === "none" || work === "" ? undefined : work;
    users.add(key, { id: String(key), age, gender: genderWord(sex!, at), occupation }, at);
  });
  return users.finish();
}

async function readItems1m(reading: Reading, folder: string): Promise<FinishedCatalogue<ItemRecord>> {
  const items = new Catalogue<ItemRecord>("item");
  await reading.lines(join(folder, "movies.dat"), "latin1", (line, at) => {
    // Cut at the outer delimiters, so that a title may hold a double colon.
    const first = line.indexOf("::"), last = line.lastIndexOf("::");
    if (last <= first) throw fieldCountError(line.split("::").length, line, "::", ["item", "title", "genres"], at);
    addItem(items, line.slice(0, first), line.slice(first + 2, last), line.slice(last + 2).split("|"), at);
  });
  return items.finish();
}

/** The code book of the MovieLens 1M README. */
const AGES_1M = new Map([
  ["1", "under 18"], ["18", "18-24"], ["25", "25-34"], ["35", "35-44"], ["45", "45-49"], ["50", "50-55"], ["56", "56 or older"],
]);
const OCCUPATIONS_1M: readonly (string | undefined)[] = [
  undefined, "academic or educator", "artist", "clerical or administrative worker", "college or graduate student",
  "customer service worker", "doctor or health care worker", "executive or manager", "farmer", "homemaker", "school student",
  "lawyer", "programmer", "retired", "sales or marketing worker", "scientist", "self-employed", "technician or engineer",
  "tradesman or craftsman", "unemployed", "writer",
];

async function readUsers1m(reading: Reading, folder: string): Promise<FinishedCatalogue<UserRecord>> {
  const users = new Catalogue<UserRecord>("user");
  await reading.lines(join(folder, "users.dat"), "latin1", (line, at) => {
    const [id, sex, age, work] = splitFields(line, "::", ["user", "gender", "age", "occupation", "zip code"], at);
    const key = idField(id!, "user id", at);
    if (!AGES_1M.has(age!)) throw profileError("age code", age!, at);
    const code = wholeNumber(work!);
    if (code < 0 || code >= OCCUPATIONS_1M.length) throw profileError("occupation code", work!, at);
    users.add(key, { id: String(key), age: AGES_1M.get(age!), gender: genderWord(sex!, at), occupation: OCCUPATIONS_1M[code] }, at);
  });
  return users.finish();
}

async function readItemsLatest(reading: Reading, folder: string): Promise<FinishedCatalogue<ItemRecord>> {
  const names = ["movieId", "title", "genres"];
  const items = new Catalogue<ItemRecord>("item");
  await readCsv(reading, join(folder, "movies.csv"), "utf-8", (header, at) => {
    requireHeader(header, names, at);
    return (fields, at) => {
      if (fields.length !== 3) throw fieldCountError(fields.length, fields.join(","), ",", names, at);
      addItem(items, fields[0]!, fields[1]!, fields[2]!.split("|"), at);
    };
  });
  return items.finish();
}

function genderWord(letter: string, at: Place): string {
  if (letter === "F") return "woman";
  if (letter === "M") return "man";
  throw profileError("gender", letter, at);
}

function profileError(what: string, value: string, at: Place): DataError {
  return lineError(at, "DATA_PROFILE",
    `${what} ${quote(value)} is not in the publisher's code book.`,
    "Fetch the publisher's user file again.");
}

/** MovieLens 100K states its own size in u.info: the one way to see that a file was cut exactly between two lines. */
async function checkCounts(folder: string, users: number, items: number, ratings: number): Promise<void> {
  const file = join(folder, "u.info");
  if (!existsSync(file)) return;
  await fileSize(file);
  const found: Record<string, number> = { users, items, ratings };
  await (await openReading([file], {})).lines(file, "latin1", (line, at) => {
    const [count, what] = splitFields(line, " ", ["count", "what"], at);
    const stated = idField(count!, "count", at), actual = found[what!];
    if (actual !== undefined && actual !== stated) {
      throw lineError(at, "DATA_COUNTS",
        `${stated} ${what} are stated, the files hold ${actual}.`,
        "A file is cut or comes from another release: fetch the data set again.");
    }
  });
}
