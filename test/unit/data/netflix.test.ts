import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/core/errors.js";
import type { Dataset } from "../../../src/data/dataset.js";
import { loadNetflix } from "../../../src/data/netflix.js";
import { copyOf, damage, dataError, FIXTURES, scratch } from "./scratch.js";

const RATINGS: [user: number, movie: number, rating: number, date: string][] = [
  [1488844, 1, 3, "2005-09-06"], [822109, 1, 5, "2005-05-13"], [822109, 2, 1, "2004-02-29"],
  [822109, 3, 2, "2000-01-01"], [1488844, 3, 4, "1999-12-31"], [30878, 3, 4, "2005-12-26"],
];

/** The fixture with its ratings in another form. */
function inForm(form: "training_set" | "combined" | "csv" | "csv without date" | "csv with timestamp"): string {
  const folder = copyOf("netflix");
  const movies = readdirSync(folder).filter((name) => name.startsWith("mv_"));
  if (form === "training_set") mkdirSync(join(folder, form));
  for (const name of movies) {
    if (form === "training_set") renameSync(join(folder, name), join(folder, form, name));
    else rmSync(join(folder, name));
  }
  const write = (name: string, lines: (string | number)[]): void => writeFileSync(join(folder, name), `${lines.join("\n")}\n`);
  const ofMovie = (movie: number): string[] => [`${movie}:`, ...RATINGS.filter((row) => row[1] === movie).map(([user, , rating, date]) => `${user},${rating},${date}`)];
  if (form === "combined") {
    write("combined_data_1.txt", [...ofMovie(1), ...ofMovie(2)]);
    write("combined_data_2.txt", ofMovie(3));
  }
  if (form === "csv") write("ratings.csv", ["user_id,movie_id,rating,date", ...RATINGS.map((row) => row.join(","))]);
  if (form === "csv without date") write("ratings.csv", ["user_id,movie_id,rating", ...RATINGS.map((row) => row.slice(0, 3).join(","))]);
  if (form === "csv with timestamp") write("ratings.csv", ["user_id,movie_id,rating,timestamp", ...RATINGS.map(([user, movie, rating, date]) => `${user},${movie},${rating},${Date.parse(date) / 1000}`)]);
  return folder;
}

function rowsOf(data: Dataset): unknown[] {
  return Array.from({ length: data.length }, (_, row) => [
    Number(data.userId(data.users[row]!)), Number(data.itemId(data.items[row]!)), data.ratings[row], data.timestamps?.[row],
  ]);
}

const EXPECTED = [...RATINGS].sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([user, movie, rating, date]) => [user, movie, rating, Date.parse(date) / 1000]);

describe("Netflix Prize data", () => {
  it("reads titles with commas, NULL years and ISO-8859-1", async () => {
    const data = await loadNetflix(join(FIXTURES, "netflix"));
    expect(Array.from({ length: data.itemCount }, (_, item) => [data.itemId(item), data.year(item), data.title(item)])).toEqual([
      ["1", 2003, "Lamp of the North"], ["2", undefined, "Rome, Athens, and Back"], ["3", 1961, "L'étoile"], ["4", 1999, "Nobody Rated This"],
    ]);
    expect(rowsOf(data)).toEqual(EXPECTED);
    expect([data.userCount, data.itemCount]).toEqual([3, 4]);
  });

  it("reads the same rows from every form of the ratings", async () => {
    const fingerprint = (await loadNetflix(join(FIXTURES, "netflix"))).fingerprint;
    for (const form of ["training_set", "combined", "csv", "csv with timestamp"] as const) expect((await loadNetflix(inForm(form))).fingerprint, form).toBe(fingerprint);
    const plain = await loadNetflix(inForm("csv without date"));
    expect(plain.timestamps).toBeUndefined();
    expect(rowsOf(plain)).toEqual(EXPECTED.map(([user, movie, rating]) => [user, movie, rating, undefined]));
  });

  it("keeps exactly the users inside the window", async () => {
    const ids = async (netflix: { minRatings?: number; maxRatings?: number }): Promise<string[]> => {
      const data = await loadNetflix(join(FIXTURES, "netflix"), { netflix });
      expect(data.itemCount).toBe(4);
      return Array.from({ length: data.userCount }, (_, user) => data.userId(user));
    };
    expect(await ids({})).toEqual(["30878", "822109", "1488844"]);
    expect(await ids({ minRatings: 2 })).toEqual(["822109", "1488844"]);
    expect(await ids({ maxRatings: 2 })).toEqual(["30878", "1488844"]);
    expect(await ids({ minRatings: 2, maxRatings: 2 })).toEqual(["1488844"]);
    await dataError(() => ids({ minRatings: 300, maxRatings: 320 }), "DATA_NETFLIX_WINDOW", "None of the 3 users", "most active has 3");
    for (const bad of [{ minRatings: 0 }, { minRatings: 3, maxRatings: 2 }, { minRatings: 1.5 }, { maxRatings: NaN }]) {
      await expect(ids(bad)).rejects.toThrow(ConfigError);
    }
  });

  it("agrees with a plain count on random data", async () => {
    const rows = fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 9 })), { minLength: 1, maxLength: 60, selector: ([user, movie]) => `${user}-${movie}` });
    await fc.assert(fc.asyncProperty(rows, fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 5 }), async (pairs, min, more) => {
      const folder = scratch();
      writeFileSync(join(folder, "movie_titles.txt"), Array.from({ length: 9 }, (_, movie) => `${movie + 1},2000,Film ${movie + 1}\n`).join(""));
      writeFileSync(join(folder, "sample.csv"), `user_id,movie_id,rating\n${pairs.map(([user, movie]) => `${user},${movie},3\n`).join("")}`);
      const count = (user: number): number => pairs.filter((pair) => pair[0] === user).length;
      const kept = pairs.filter(([user]) => count(user) >= min && count(user) <= min + more).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      const loaded = loadNetflix(folder, { netflix: { minRatings: min, maxRatings: min + more } });
      if (kept.length === 0) await dataError(() => loaded, "DATA_NETFLIX_WINDOW");
      else expect(rowsOf(await loaded).map((row) => (row as number[]).slice(0, 2))).toEqual(kept);
    }), { numRuns: 40 });
  });

  it("names file, line and cure of what is wrong", async () => {
    const broken = async (file: string, change: (text: string) => string, code: string, ...parts: string[]): Promise<void> => {
      const folder = copyOf("netflix");
      damage(folder, file, change);
      await dataError(() => loadNetflix(folder), code, ...parts);
    };
    await broken("mv_0000001.txt", (text) => text.slice(3), "DATA_MOVIE_HEADER", "mv_0000001.txt, line 1");
    await broken("mv_0000001.txt", (text) => text.replace("1:", "9:"), "DATA_UNKNOWN_ITEM", "mv_0000001.txt, line 2", "movie_titles.txt");
    await broken("mv_0000001.txt", (text) => text.replace("1:", "one:"), "DATA_ID_NUMBER", "mv_0000001.txt, line 1");
    await broken("mv_0000002.txt", (text) => text.replace("02-29", "02-30"), "DATA_DATE", "mv_0000002.txt, line 2");
    await broken("mv_0000002.txt", (text) => text.replaceAll(",", "\t"), "DATA_FIELDS", "tab");
    await broken("mv_0000003.txt", (text) => text.slice(0, -3), "DATA_TRUNCATED", "mv_0000003.txt, line 4");
    await broken("mv_0000003.txt", (text) => `${text}822109,3,2001-01-01\n`, "DATA_DUPLICATES", "mv_0000003.txt, line 5", "line 2", "user 822109 and item 3");
    await broken("mv_0000003.txt", () => "1:\n822109,2,2000-01-01\n", "DATA_DUPLICATES", "mv_0000003.txt, line 2", "mv_0000001.txt, line 3");
    await broken("movie_titles.txt", (text) => text.replace("2003", "MMIII"), "DATA_ID_NUMBER", "movie_titles.txt, line 1", "year");
    await broken("movie_titles.txt", () => "1,2003\n", "DATA_FIELDS", "movie_titles.txt, line 1");
    const csv = inForm("csv");
    damage(csv, "ratings.csv", (text) => text.replace("user_id", "CustomerID"));
    await dataError(() => loadNetflix(csv), "DATA_HEADER", "ratings.csv, line 1", "user_id,movie_id,rating");
    const short = inForm("csv");
    damage(short, "ratings.csv", (text) => text.replace(",2005-09-06", ""));
    await dataError(() => loadNetflix(short), "DATA_FIELDS", "ratings.csv, line 2");
  });

  it("counts no rating twice and says what a folder must hold", async () => {
    const both = inForm("csv");
    writeFileSync(join(both, "mv_0000001.txt"), "1:\n5,3,2005-01-01\n");
    await dataError(() => loadNetflix(both), "DATA_NETFLIX_LAYOUT", "several forms", "ratings.csv");
    await dataError(() => loadNetflix(scratch()), "DATA_NETFLIX_LAYOUT", "mv_*.txt");
    const untitled = inForm("csv");
    rmSync(join(untitled, "movie_titles.txt"));
    await dataError(() => loadNetflix(untitled), "DATA_FILE_MISSING", "movie_titles.txt");
  });

  it("names the lines of a repeated pair under a window too", async () => {
    const folder = copyOf("netflix");
    damage(folder, "mv_0000003.txt", (text) => `${text}822109,3,2001-01-01\n`);
    await dataError(() => loadNetflix(folder, { netflix: { minRatings: 4 } }), "DATA_DUPLICATES", "mv_0000003.txt, line 5", "line 2");
  });
});
