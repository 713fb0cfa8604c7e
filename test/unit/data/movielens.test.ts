import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Dataset } from "../../../src/data/dataset.js";
import { loadMovielens, type MovielensName } from "../../../src/data/movielens.js";
import { copyOf, damage, dataError, FIXTURES } from "./scratch.js";

const load = (name: MovielensName): Promise<Dataset> => loadMovielens(name, join(FIXTURES, name));

/** Rows with the publisher's ids: [user, item, rating, timestamp]. */
function rowsOf(data: Dataset): [string, string, number, number][] {
  return Array.from({ length: data.length }, (_, row) => [
    data.userId(data.users[row]!), data.itemId(data.items[row]!), data.ratings[row]!, data.timestamps![row]!,
  ]);
}

describe("MovieLens 100K", () => {
  it("sorts dense ids by the publisher's number, not by text and not by appearance", async () => {
    const data = await load("ml-100k");
    expect([data.userCount, data.itemCount, data.length]).toEqual([5, 6, 7]);
    expect(Array.from({ length: 5 }, (_, user) => data.userId(user))).toEqual(["1", "2", "3", "4", "10"]);
    expect(Array.from({ length: 6 }, (_, item) => data.itemId(item))).toEqual(["1", "2", "3", "4", "5", "10"]);
    expect(data.itemOf(10)).toBe(5);
    expect(rowsOf(data)).toEqual([
      ["1", "2", 3, 880000001], ["1", "10", 4, 880000002], ["2", "1", 1, 880000000], ["3", "1", 4, 880000007],
      ["3", "4", 5, 880000009], ["4", "3", 2, 880000008], ["10", "1", 5, 880000003],
    ]);
    expect(data.ratingScale).toEqual({ min: 1, max: 5 });
  });

  it("reads titles, years, genres and profiles in words, in ISO-8859-1", async () => {
    const data = await load("ml-100k");
    expect([0, 1, 2, 3, 5].map((item) => [data.title(item), data.year(item)])).toEqual([
      ["The Lamp", 1995], ["L'Étoile perdue", 1961], ["unknown", undefined], ["A Quiet Pond (L'Étang calme)", 1988], ["Kettle Story III", 1994],
    ]);
    expect(data.genres(5)).toEqual(["Action", "Comedy"]);
    expect(data.genres(2)).toEqual([]);
    expect(data.profile(0)).toEqual({ age: "24", gender: "man", occupation: "technician" });
    expect(data.profile(1)).toEqual({ age: "53", gender: "woman", occupation: undefined });
    expect(data.profile(3).occupation).toBeUndefined();
  });

  it("does not depend on the order of the lines", async () => {
    const fingerprint = (await load("ml-100k")).fingerprint;
    const turned = copyOf("ml-100k");
    for (const file of ["u.data", "u.item", "u.user"]) damage(turned, file, (text) => `${text.trimEnd().split("\n").reverse().join("\n")}\n`);
    expect((await loadMovielens("ml-100k", turned)).fingerprint).toBe(fingerprint);
  });

  it("keeps ids in place when rows vanish", async () => {
    const fewer = copyOf("ml-100k");
    rmSync(join(fewer, "u.info"));
    damage(fewer, "u.data", (text) => text.split("\n").slice(3).join("\n"));
    const [all, some] = [await load("ml-100k"), await loadMovielens("ml-100k", fewer)];
    expect(some.length).toBe(4);
    for (const [user, item] of rowsOf(some)) {
      expect(some.userOf(user)).toBe(all.userOf(user));
      expect(some.itemOf(item)).toBe(all.itemOf(item));
    }
  });

  it("keeps the newest of a repeated pair on request, and names both lines otherwise", async () => {
    const twice = copyOf("ml-100k");
    rmSync(join(twice, "u.info"));
    damage(twice, "u.data", (text) => `${text}2\t1\t5\t880000050\n1\t2\t5\t1\n`);
    await dataError(() => loadMovielens("ml-100k", twice), "DATA_DUPLICATES", "u.data, line 8", "line 4", "user 2 and item 1", "newest");
    const data = await loadMovielens("ml-100k", twice, { duplicates: "newest" });
    expect(data.length).toBe(7);
    expect(rowsOf(data).slice(0, 3)).toEqual([["1", "2", 3, 880000001], ["1", "10", 4, 880000002], ["2", "1", 5, 880000050]]);
  });
});

describe("MovieLens 1M", () => {
  it("decodes the code book and takes titles with a double colon", async () => {
    const data = await load("ml-1m");
    expect([data.userCount, data.itemCount, data.length]).toEqual([2, 3, 4]);
    expect(data.profile(0)).toEqual({ age: "under 18", gender: "woman", occupation: "school student" });
    expect(data.profile(1)).toEqual({ age: "56 or older", gender: "man", occupation: undefined });
    expect([0, 1, 2].map((item) => data.title(item))).toEqual(["The Lamp", "L'Étoile perdue", "Half::Moon"]);
    expect(data.genres(0)).toEqual(["Animation", "Comedy"]);
    expect(rowsOf(data)).toEqual([["1", "2", 3, 978302109], ["1", "30", 5, 978300760], ["2", "1", 4, 0], ["2", "30", 1, 978301968]]);
  });
});

describe("MovieLens latest-small", () => {
  it("reads quoted CSV in UTF-8 with CRLF, half stars, and users from the rows", async () => {
    const data = await load("ml-latest-small");
    expect([data.userCount, data.itemCount, data.length]).toEqual([2, 4, 3]);
    expect(Array.from({ length: 4 }, (_, item) => [data.itemId(item), data.title(item), data.year(item), data.genres(item)])).toEqual([
      ["1", "The Lamp", 1995, ["Animation", "Comedy"]], ["7", "Étoile", 1961, ["Drama"]],
      ["9", "Series Without Year", undefined, ["Drama"]], ["200000", 'He Said "No"', 2001, []],
    ]);
    expect(rowsOf(data)).toEqual([["1", "7", 3.5, 964982224], ["2", "1", 4, 964982703], ["2", "200000", 0.5, 964981247]]);
    expect(data.ratingScale).toEqual({ min: 0.5, max: 5 });
    expect(data.profile(0)).toEqual({ age: undefined, gender: undefined, occupation: undefined });
  });
});

type Damage = [what: string, name: MovielensName, file: string, change: (text: string) => string, code: string, ...parts: string[]];

const lineOf = (number: number, replace: (line: string) => string) => (text: string): string =>
  text.split("\n").map((line, index) => (index === number - 1 ? replace(line) : line)).join("\n");

const DAMAGES: Damage[] = [
  ["a cut file", "ml-100k", "u.data", (text) => text.slice(0, -5), "DATA_TRUNCATED", "u.data, line 7"],
  ["a file cut between two lines", "ml-100k", "u.data", (text) => text.slice(0, text.lastIndexOf("3\t1")), "DATA_COUNTS", "u.info, line 3", "7 ratings", "6"],
  ["the wrong delimiter", "ml-100k", "u.data", (text) => text.replaceAll("\t", ","), "DATA_FIELDS", "u.data, line 1", "comma", "tab"],
  ["a missing field", "ml-100k", "u.data", lineOf(4, () => "2\t1\t1"), "DATA_FIELDS", "u.data, line 4", "3 fields"],
  ["a rating in words", "ml-100k", "u.data", lineOf(2, () => "1\t2\tthree\t880000001"), "DATA_RATING_NUMBER", "u.data, line 2", '"three"'],
  ["a rating out of range", "ml-100k", "u.data", lineOf(2, () => "1\t2\t6\t880000001"), "DATA_RATING_RANGE", "u.data, line 2", "1 to 5"],
  ["half a star where stars are whole", "ml-1m", "ratings.dat", lineOf(2, () => "1::2::3.5::978302109"), "DATA_RATING_RANGE", "ratings.dat, line 2"],
  ["a user id in words", "ml-100k", "u.data", lineOf(2, () => "one\t2\t3\t880000001"), "DATA_ID_NUMBER", "u.data, line 2", "user id"],
  ["an item id in words", "ml-1m", "movies.dat", lineOf(1, () => "x::Lamp::Drama"), "DATA_ID_NUMBER", "movies.dat, line 1", "item id"],
  ["a timestamp in words", "ml-1m", "ratings.dat", lineOf(1, () => "1::30::5::now"), "DATA_TIMESTAMP", "ratings.dat, line 1"],
  ["an unknown item", "ml-100k", "u.data", lineOf(5, () => "3\t99\t5\t880000009"), "DATA_UNKNOWN_ITEM", "u.data, line 5", "item 99", "u.item"],
  ["an unknown user", "ml-1m", "ratings.dat", lineOf(3, () => "77::1::4::0"), "DATA_UNKNOWN_USER", "ratings.dat, line 3", "user 77", "users.dat"],
  ["an unknown item in CSV", "ml-latest-small", "ratings.csv", lineOf(3, () => "2,5,0.5,964981247"), "DATA_UNKNOWN_ITEM", "ratings.csv, line 3"],
  ["an item that stands twice", "ml-100k", "u.item", (text) => text + text.split("\n")[1] + "\n", "DATA_DUPLICATE_ID", "u.item, line 7", "line 2"],
  ["a user that stands twice", "ml-1m", "users.dat", (text) => text + text, "DATA_DUPLICATE_ID", "users.dat, line 3", "line 1"],
  ["repeated rows", "ml-latest-small", "ratings.csv", (text) => `${text}2,1,5.0,3\n`, "DATA_DUPLICATES", "ratings.csv, line 5", "line 2"],
  ["an empty file", "ml-100k", "u.data", () => "", "DATA_FILE_EMPTY", "u.data"],
  ["a file of blank lines", "ml-1m", "movies.dat", () => "\n\n", "DATA_FILE_EMPTY", "movies.dat"],
  ["a header and nothing else", "ml-latest-small", "ratings.csv", (text) => `${text.split("\n")[0]}\n`, "DATA_NO_ROWS", "ratings.csv"],
  ["a blank line in between", "ml-100k", "u.data", lineOf(3, () => ""), "DATA_BLANK_LINE", "u.data, line 3"],
  ["a NUL byte", "ml-100k", "u.data", lineOf(3, (line) => `${line}\0`), "DATA_NUL", "u.data, line 3"],
  ["another CSV header", "ml-latest-small", "ratings.csv", lineOf(1, () => "user,movie,rating,timestamp"), "DATA_HEADER", "ratings.csv, line 1", "userId,movieId"],
  ["another catalogue header", "ml-latest-small", "movies.csv", lineOf(1, () => "id,title,genres"), "DATA_HEADER", "movies.csv, line 1"],
  ["a CSV row with a field too many", "ml-latest-small", "ratings.csv", lineOf(2, (line) => `${line},1`), "DATA_FIELDS", "ratings.csv, line 2", "5 fields"],
  ["a catalogue row with a field too few", "ml-latest-small", "movies.csv", lineOf(4, () => "7,Drama"), "DATA_FIELDS", "movies.csv, line 4"],
  ["a title line without genres", "ml-1m", "movies.dat", lineOf(2, () => "2::Lamp"), "DATA_FIELDS", "movies.dat, line 2"],
  ["a genre flag that is no flag", "ml-100k", "u.item", lineOf(1, (line) => line.replace(/0$/, "2")), "DATA_GENRE", "u.item, line 1", "Drama"],
  ["a genre number that is no number", "ml-100k", "u.genre", lineOf(2, () => "Action|one"), "DATA_GENRE", "u.genre, line 2"],
  ["a gender that is not in the code book", "ml-100k", "u.user", lineOf(1, () => "1|24|X|technician|00001"), "DATA_PROFILE", "u.user, line 1"],
  ["an age that is not a number", "ml-100k", "u.user", lineOf(1, () => "1|old|M|technician|00001"), "DATA_PROFILE", "u.user, line 1"],
  ["an age code that is not in the book", "ml-1m", "users.dat", lineOf(2, () => "2::M::19::0::0"), "DATA_PROFILE", "users.dat, line 2", "age"],
  ["an occupation code that is not in the book", "ml-1m", "users.dat", lineOf(2, () => "2::M::18::21::0"), "DATA_PROFILE", "users.dat, line 2"],
];

describe("bad MovieLens files", () => {
  it.each(DAMAGES)("%s (%s, %s) is refused with file, line and cure", async (_, name, file, change, code, ...parts) => {
    const folder = copyOf(name);
    damage(folder, file, change);
    await dataError(() => loadMovielens(name, folder), code, ...parts);
  });

  it("a missing file and a folder in its place are found before anything is read", async () => {
    const missing = copyOf("ml-100k");
    rmSync(join(missing, "u.user"));
    await dataError(() => loadMovielens("ml-100k", missing), "DATA_FILE_MISSING", "u.user");
    mkdirSync(join(missing, "u.user"));
    await dataError(() => loadMovielens("ml-100k", missing), "DATA_NOT_A_FILE", "u.user");
  });

  it("any cut of any file is an error , save between two rating lines", async () => {
    const whole = (await load("ml-1m")).fingerprint;
    const files = ["movies.dat", "users.dat", "ratings.dat"];
    await fc.assert(fc.asyncProperty(fc.constantFrom(...files), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), async (file, share) => {
      const folder = copyOf("ml-1m");
      let atLineEnd = false;
      damage(folder, file, (text) => {
        const cut = text.slice(0, Math.floor(text.length * share));
        atLineEnd = cut.endsWith("\n");
        return cut;
      });
      const outcome = await loadMovielens("ml-1m", folder).then((data) => data.fingerprint, (error: { code: string }) => error.code);
      // A cut exactly between two rating lines of this release cannot be seen: it states no counts.
      if (atLineEnd && file === "ratings.dat") expect(outcome).not.toBe(whole);
      else expect(outcome).toMatch(/^DATA_/);
    }), { numRuns: 60 });
  });

  it("stops at the signal and reports bytes of all files", async () => {
    const stop = new AbortController();
    stop.abort(new Error("not now"));
    await expect(loadMovielens("ml-1m", join(FIXTURES, "ml-1m"), { signal: stop.signal })).rejects.toThrow("not now");
    const seen: [number, number][] = [];
    await loadMovielens("ml-1m", join(FIXTURES, "ml-1m"), { onProgress: (done, total) => seen.push([done, total]) });
    const [done, total] = seen.at(-1)!;
    expect(done).toBe(total);
  });

  it("does not mind an extra file", async () => {
    const folder = copyOf("ml-1m");
    writeFileSync(join(folder, "notes.txt"), "mine");
    expect((await loadMovielens("ml-1m", folder)).length).toBe(4);
  });
});
