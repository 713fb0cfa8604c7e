import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, DataError } from "../core/errors.js";
import { Catalogue, requireRows, type FinishedCatalogue } from "./catalogue.js";
import { denseNumbers, GrowingColumns, interactionsFrom, type ReadOptions, type RowVisitor } from "./columns.js";
import { readCsv } from "./csv.js";
import { Dataset, type ItemRecord, type UserRecord } from "./dataset.js";
import { dateField, fieldCountError, idField, quote, ratingField, splitFields, timestampField, type RatingScale } from "./fields.js";
import { lineError, openReading, type Place, type Reading } from "./lines.js";

/** Keeps the users with at least `minRatings` and at most `maxRatings` ratings. The paper's subset: 300 to 320. */
export interface NetflixWindow {
  minRatings?: number;
  maxRatings?: number;
}

const STARS: RatingScale = { min: 1, max: 5, step: 1 };
const TITLES = ["movie_titles.txt", "movie_titles.csv"];

interface Layout {
  titles: string;
  kind: "per movie" | "combined" | "csv";
  ratings: string[];
}

/**
 * Netflix Prize data from a folder: `movie_titles.txt` and the ratings as `mv_*.txt` (one file a movie, also in
 * `training_set/`), `combined_data_*.txt`, or one CSV `user_id,movie_id,rating[,date]`. Items are all titles of the
 * catalogue, users those with a rating after the window. With a window the ratings are read twice, once to count, so
 * memory holds kept rows only. The Prize gives no genres and no profiles.
 * @throws DataError naming file, line and cure; ConfigError on an impossible window.
 */
export async function loadNetflix(folder: string, options: ReadOptions & { netflix?: NetflixWindow } = {}): Promise<Dataset> {
  const window = checkWindow(options.netflix);
  const layout = findLayout(folder);
  const passes = window ? [...layout.ratings, ...layout.ratings] : layout.ratings;
  const reading = await openReading([layout.titles, ...passes], options);
  const items = await readTitles(reading, layout.titles);
  const keep = window ? await usersInWindow(reading, layout, window) : undefined;
  const columns = new GrowingColumns();
  const rows = (from: Reading, visit: RowVisitor): Promise<void> => readRows(from, layout, (user, item, rating, timestamp, at) => {
    if (!keep || keep.has(user)) visit(user, item, rating, timestamp, at);
  });
  await rows(reading, (user, item, rating, timestamp, at) => columns.push(user, items.indexOf(item, at), rating, timestamp));
  requireRows(columns.length, folder);
  const view = columns.view();
  const { dense, ids } = denseNumbers(view.users);
  view.users = dense;
  const users: UserRecord[] = Array.from(ids, (id) => ({ id: String(id) }));
  const shape = { userCount: users.length, itemCount: items.records.length };
  const interactions = await interactionsFrom(view, shape, options.duplicates ?? "error",
    (row) => ({ user: ids[dense[row]!]!, item: items.records[view.items[row]!]!.id }),
    async (visit) => rows(await openReading(layout.ratings, { ...options, onProgress: undefined }), visit));
  const kept = window ? ` Users with ${window.min} to ${window.max === Infinity ? "any number of" : window.max} ratings.` : "";
  return new Dataset({
    name: "netflix", interactions, items: items.records, users, ratingScale: { min: STARS.min, max: STARS.max },
    source: `Netflix Prize data, read from a folder of the user; no longer offered by its publisher, not to be redistributed.${kept}`,
  });
}

function checkWindow(window: NetflixWindow | undefined): { min: number; max: number } | undefined {
  if (!window || (window.minRatings === undefined && window.maxRatings === undefined)) return undefined;
  const { minRatings: min = 1, maxRatings: max = Infinity } = window;
  if (!Number.isInteger(min) || min < 1 || !(max === Infinity || Number.isInteger(max)) || max < min) {
    throw new ConfigError("CONFIG_NETFLIX_WINDOW", `No user can have ${min} to ${max} ratings.`, {
      hint: "Give whole numbers, for example { netflix: { minRatings: 300, maxRatings: 320 } } as in the paper.",
    });
  }
  return { min, max };
}

function findLayout(folder: string): Layout {
  const names = readdirSync(folder).sort();
  const titles = TITLES.find((name) => names.includes(name)) ?? TITLES[0]!;
  const inner = join(folder, "training_set");
  const within = (at: string, all: string[], pattern: RegExp): string[] =>
    all.filter((name) => pattern.test(name)).map((name) => join(at, name));
  const innerNames = existsSync(inner) && statSync(inner).isDirectory() ? readdirSync(inner).sort() : [];
  const layouts: [Layout["kind"], string[]][] = [
    ["per movie", [...within(folder, names, /^mv_\d+\.txt$/), ...within(inner, innerNames, /^mv_\d+\.txt$/)]],
    ["combined", within(folder, names, /^combined_data_\d+\.txt$/)],
    ["csv", within(folder, names.filter((name) => !TITLES.includes(name)), /\.csv$/)],
  ];
  const present = layouts.filter(([, files]) => files.length > 0);
  const [kind, ratings] = present[0] ?? [];
  if (!kind || !ratings) {
    throw new DataError("DATA_NETFLIX_LAYOUT", `${folder} holds no ratings of the Netflix Prize.`, {
      hint: "It needs movie_titles.txt, and mv_*.txt or combined_data_1.txt to combined_data_4.txt or a CSV user_id,movie_id,rating.",
    });
  }
  if (present.length > 1 || (kind === "csv" && ratings.length > 1)) {
    const some = present.flatMap(([, files]) => files).slice(0, 6).join(", ");
    throw new DataError("DATA_NETFLIX_LAYOUT", `${folder} holds ratings in several forms: ${some}.`, {
      hint: "Leave one form in the folder, so that no rating counts twice.",
    });
  }
  return { titles: join(folder, titles), kind, ratings };
}

async function readTitles(reading: Reading, file: string): Promise<FinishedCatalogue<ItemRecord>> {
  const items = new Catalogue<ItemRecord>("item");
  await reading.lines(file, "latin1", (line, at) => {
    // Only the first two commas separate: titles hold commas of their own.
    const first = line.indexOf(","), second = line.indexOf(",", first + 1);
    if (first < 0 || second < 0) throw fieldCountError(line.split(",").length, line, ",", ["movie", "year", "title"], at);
    const key = idField(line.slice(0, first), "movie id", at);
    const yearText = line.slice(first + 1, second);
    const year = yearText === "NULL" ? undefined : idField(yearText, "year", at);
    items.add(key, { id: String(key), title: line.slice(second + 1).trim(), year, genres: [] }, at);
  });
  return items.finish();
}

async function usersInWindow(reading: Reading, layout: Layout, window: { min: number; max: number }): Promise<Set<number>> {
  const counts = new Map<number, number>();
  await readRows(reading, layout, (user) => { counts.set(user, (counts.get(user) ?? 0) + 1); });
  const keep = new Set<number>();
  let most = 0;
  for (const [user, count] of counts) {
    if (count > most) most = count;
    if (count >= window.min && count <= window.max) keep.add(user);
  }
  if (keep.size === 0) {
    const what = `None of the ${counts.size} users has ${window.min} to ${window.max} ratings; the most active has ${most}.`;
    throw new DataError("DATA_NETFLIX_WINDOW", what, {
      hint: "Widen the window: { netflix: { minRatings, maxRatings } }.",
    });
  }
  return keep;
}

/** Rows with the publisher's own user and movie numbers. Without dates, `timestamp` is NaN. */
async function readRows(reading: Reading, layout: Layout, visit: RowVisitor): Promise<void> {
  for (const file of layout.ratings) {
    if (layout.kind === "csv") await readCsvRows(reading, file, visit);
    else await readMovieRows(reading, file, visit);
  }
}

async function readMovieRows(reading: Reading, file: string, visit: RowVisitor): Promise<void> {
  let movie = -1;
  await reading.lines(file, "latin1", (line, at) => {
    if (line.endsWith(":")) {
      movie = idField(line.slice(0, -1), "movie id", at);
      return;
    }
    if (movie < 0) throw lineError(at, "DATA_MOVIE_HEADER",
      `a rating (${quote(line)}) stands before the first movie.`,
      'The file must begin with a line such as "1:", the movie id.');
    const [user, rating, date] = splitFields(line, ",", ["user", "rating", "date"], at);
    visit(idField(user!, "user id", at), movie, ratingField(rating!, STARS, at), dateField(date!, at), at);
  });
}

const CSV_NAMES = ["user_id", "movie_id", "rating"];

/** Name of the time column of a header; throws on a header that is not ours. */
function timeColumn(header: readonly string[], at: Place): "date" | "timestamp" | undefined {
  const time = header[3];
  const ours = header.length <= 4 && CSV_NAMES.every((name, column) => header[column] === name);
  if (!ours || (time !== undefined && time !== "date" && time !== "timestamp")) {
    throw lineError(at, "DATA_HEADER",
      `the header is ${quote(header.join(","))}.`,
      "It must read user_id,movie_id,rating or user_id,movie_id,rating,date (or timestamp).");
  }
  return time;
}

async function readCsvRows(reading: Reading, file: string, visit: RowVisitor): Promise<void> {
  await readCsv(reading, file, "utf-8", (header, at) => {
    const time = timeColumn(header, at);
    return (fields, at) => {
      if (fields.length !== header.length) throw fieldCountError(fields.length, fields.join(","), ",", header, at);
      const timestamp = time === undefined ? NaN : time === "date" ? dateField(fields[3]!, at) : timestampField(fields[3]!, at);
      visit(idField(fields[0]!, "user id", at), idField(fields[1]!, "movie id", at), ratingField(fields[2]!, STARS, at), timestamp, at);
    };
  });
}
