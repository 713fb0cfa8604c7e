import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/core/errors.js";
import { Interactions } from "../../../src/core/interactions.js";
import { Dataset } from "../../../src/data/dataset.js";
import { exportRecbole } from "../../../src/data/export.js";
import { loadRecbole } from "../../../src/data/recbole.js";
import { copyOf, damage, dataError, FIXTURES, scratch } from "./scratch.js";

const SHOP = join(FIXTURES, "shop");

function written(files: Record<string, string>): string {
  const folder = join(scratch(), "set");
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

const rowsOf = (data: Dataset): unknown[] => Array.from({ length: data.length }, (_, row) => [
  data.userId(data.users[row]!), data.itemId(data.items[row]!), data.ratings[row], data.timestamps?.[row],
]);

describe("loadRecbole", () => {
  it("reads rows, catalogue and profiles; ids sort as numbers only when all are", async () => {
    const data = await loadRecbole(SHOP);
    expect(data.name).toBe("shop");
    expect([0, 1, 2].map((item) => [data.itemId(item), data.title(item), data.year(item), data.genres(item)])).toEqual([
      ["9", "Étoile, L'", undefined, []], ["10", "The Lamp", 1995, ["Comedy", "Sci-Fi"]], ["200", "Unsold", 1990, ["Drama", "Slice of Life"]],
    ]);
    expect([0, 1, 2].map((user) => [data.userId(user), data.profile(user)])).toEqual([
      ["u1", { age: undefined, gender: "woman", occupation: undefined }],
      ["u2", { age: "24", gender: "man", occupation: "college student" }],
      ["u3", { age: "30", gender: "other", occupation: "writer" }],
    ]);
    expect(rowsOf(data)).toEqual([["u1", "9", 1, 200.5], ["u2", "9", 3, 300], ["u2", "10", 4.5, 100]]);
    expect(data.ratingScale).toEqual({ min: 1, max: 4.5 });
    expect((await loadRecbole(SHOP, { ratingScale: { min: 0, max: 5 } })).ratingScale).toEqual({ min: 0, max: 5 });
  });

  it("makes a catalogue of the ids where there is none, and reads MovieLens titles without a year column", async () => {
    const bare = await loadRecbole(written({ "x.inter": "item_id:token\tuser_id:token\n10\tb\n9\tb\n10\ta\n" }));
    expect(rowsOf(bare)).toEqual([["a", "10", 1, undefined], ["b", "9", 1, undefined], ["b", "10", 1, undefined]]);
    expect(bare.title(0)).toBe("9");
    const titled = await loadRecbole(written({ "x.inter": "user_id:token\titem_id:token\n1\t1\n", "x.item": "item_id:token\tname:token_seq\n1\tLamp, The (1995)\n" }));
    expect([titled.title(0), titled.year(0)]).toEqual(["The Lamp", 1995]);
  });

  it("names file, line and cure of what is wrong", async () => {
    const broken = async (file: string, change: (text: string) => string, code: string, ...parts: string[]): Promise<void> => {
      const folder = copyOf("shop");
      damage(folder, file, change);
      await dataError(() => loadRecbole(folder, { ratingScale: { min: 1, max: 5 } }), code, ...parts);
    };
    await broken("shop.inter", (text) => text.replace("user_id:token", "user_id"), "DATA_HEADER", "shop.inter, line 1", "user_id:token");
    await broken("shop.inter", (text) => text.replace("user_id:token", "user:token"), "DATA_HEADER", "no user_id column");
    await broken("shop.inter", (text) => text.replace("rating:float", "rating:double"), "DATA_HEADER", "float");
    await broken("shop.inter", (text) => text.replaceAll("\t", ","), "DATA_HEADER", "line 1");
    await broken("shop.inter", (text) => text.replace("u1\t9\t1\t", "u1\t9\t"), "DATA_FIELDS", "shop.inter, line 3");
    await broken("shop.inter", (text) => text.replace("4.5", "x"), "DATA_RATING_NUMBER", "shop.inter, line 2");
    await broken("shop.inter", (text) => text.replace("4.5", "5.5"), "DATA_RATING_RANGE", "shop.inter, line 2", "1 to 5");
    await broken("shop.inter", (text) => text.replace("200.5", ""), "DATA_TIMESTAMP", "shop.inter, line 3");
    await broken("shop.inter", (text) => text.replace("u1\t9", "u1\t8"), "DATA_UNKNOWN_ITEM", "shop.inter, line 3", "shop.item");
    await broken("shop.inter", (text) => text.replace("u1\t9", "u9\t9"), "DATA_UNKNOWN_USER", "shop.inter, line 3", "shop.user");
    await broken("shop.inter", (text) => `${text}u2\t10\t1\t1\n`, "DATA_DUPLICATES", "shop.inter, line 5", "line 2", "user u2 and item 10");
    await broken("shop.inter", (text) => text.split("\n")[0] + "\n", "DATA_NO_ROWS", "shop.inter");
    await broken("shop.inter", (text) => text.slice(0, -1), "DATA_TRUNCATED", "shop.inter, line 4");
    await broken("shop.item", (text) => `${text}\tnameless\t\t\n`, "DATA_ID_EMPTY", "shop.item, line 5");
    await broken("shop.item", (text) => text.replace("1995", "MCM"), "DATA_YEAR", "shop.item, line 2");
    await broken("shop.user", (text) => text.replace("u3", "u1"), "DATA_DUPLICATE_ID", "shop.user, line 4", "line 3");
    await dataError(() => loadRecbole(scratch()), "DATA_ATOMIC_FILES", "no .inter file");
    await dataError(() => loadRecbole(written({ "a.inter": "", "b.inter": "" })), "DATA_ATOMIC_FILES", "several .inter files (a, b)");
    await expect(loadRecbole(SHOP, { ratingScale: { min: 5, max: 1 } })).rejects.toThrow(ConfigError);
  });

  it("takes the files named like the folder when there are several", async () => {
    const folder = written({ "set.inter": "user_id:token\titem_id:token\n1\t2\n", "other.inter": "user_id:token\titem_id:token\n1\t2\n1\t3\n" });
    expect((await loadRecbole(folder)).length).toBe(1);
  });
});

const text = fc.string({ unit: "grapheme", maxLength: 12 }).filter((value) => value.isWellFormed() && !/[\u0000-\u001f\u007f]/.test(value));
const word = fc.stringMatching(/^[A-Za-z'é-]{1,8}$/).filter((value) => value !== "unknown");
const id = fc.oneof(fc.nat(3000).map(String), fc.stringMatching(/^[A-Za-z0-9é _-]{1,6}$/));
const attribute = fc.option(text.filter((value) => value !== "" && value !== "M" && value !== "F"), { nil: undefined });

/** Any data set whose ids are in the loaders' order. */
const anyDataset: fc.Arbitrary<Dataset> = fc.record({
  itemIds: fc.uniqueArray(id, { minLength: 1, maxLength: 8 }), userIds: fc.uniqueArray(id, { minLength: 1, maxLength: 8 }), timed: fc.boolean(),
}).chain(({ itemIds, userIds, timed }) => {
  const ordered = (ids: string[]): string[] => ids.every((each) => /^(0|[1-9]\d*)$/.test(each)) ? [...ids].sort((a, b) => Number(a) - Number(b)) : [...ids].sort();
  const cell = fc.record({ user: fc.nat(userIds.length - 1), item: fc.nat(itemIds.length - 1), rating: fc.float({ min: -8, max: 8, noNaN: true }), time: fc.double({ min: 0, max: 2e9, noNaN: true }) });
  return fc.record({
    items: fc.tuple(...ordered(itemIds).map((each) => fc.record({ id: fc.constant(each), title: text, year: fc.option(fc.integer({ min: 1890, max: 2030 }), { nil: undefined }), genres: fc.array(word, { maxLength: 3 }) }))),
    users: fc.tuple(...ordered(userIds).map((each) => fc.record({ id: fc.constant(each), age: attribute, gender: attribute, occupation: attribute }))),
    cells: fc.uniqueArray(cell, { minLength: 1, maxLength: 20, selector: ({ user, item }) => user * 100 + item }),
  }).map(({ items, users, cells }) => new Dataset({
    name: "any", items, users, ratingScale: { min: -8, max: 8 }, source: "a test",
    interactions: Interactions.from({
      users: Uint32Array.from(cells, ({ user }) => user), items: Uint32Array.from(cells, ({ item }) => item),
      // Minus zero has no text of its own.
      ratings: Float32Array.from(cells, ({ rating }) => rating + 0), timestamps: timed ? Float64Array.from(cells, ({ time }) => time + 0) : undefined,
    }, { userCount: users.length, itemCount: items.length }),
  }));
});

describe("exportRecbole", () => {
  it("is undone by loadRecbole, bit for bit", async () => {
    await fc.assert(fc.asyncProperty(anyDataset, async (data) => {
      const folder = join(scratch(), "out");
      const files = await exportRecbole(data, folder);
      expect(files.map((file) => file.slice(folder.length + 1))).toEqual(["any.inter", "any.item", "any.user"]);
      const back = await loadRecbole(folder, { ratingScale: data.ratingScale });
      expect(back.users).toEqual(data.users);
      expect(back.items).toEqual(data.items);
      expect(back.ratings).toEqual(data.ratings);
      expect(back.timestamps).toEqual(data.timestamps);
      for (let item = 0; item < data.itemCount; item++) {
        expect([back.itemId(item), back.title(item), back.year(item), back.genres(item)]).toEqual([data.itemId(item), data.title(item), data.year(item), data.genres(item)]);
      }
      for (let user = 0; user < data.userCount; user++) expect([back.userId(user), back.profile(user)]).toEqual([data.userId(user), data.profile(user)]);
    }), { numRuns: 80 });
  });

  it("writes plain rows with the publisher's ids of a catalogue, or with their own", async () => {
    const data = await loadRecbole(SHOP);
    const rows = data.select([1, 2]), folder = scratch();
    expect(rows).not.toBeInstanceOf(Dataset);
    await exportRecbole(rows, folder, { name: "train", catalogue: data });
    expect(readFileSync(join(folder, "train.inter"), "utf8")).toBe("user_id:token\titem_id:token\trating:float\ttimestamp:float\nu2\t9\t3\t300\nu2\t10\t4.5\t100\n");
    await exportRecbole(rows, folder);
    expect(readFileSync(join(folder, "interactions.inter"), "utf8")).toContain("\n1\t0\t3\t300\n");
    expect(readdirSync(folder).sort()).toEqual(["interactions.inter", "train.inter"]);
    await expect(exportRecbole(Interactions.empty({ userCount: 1, itemCount: 1 }), folder, { catalogue: data })).rejects.toThrow(ConfigError);
    await expect(exportRecbole(rows, folder, { name: "../up" })).rejects.toThrow(ConfigError);
  });

  it("overwrites only when told to", async () => {
    const data = await loadRecbole(SHOP), folder = scratch();
    writeFileSync(join(folder, "shop.item"), "mine");
    await dataError(() => exportRecbole(data, folder), "DATA_FILE_EXISTS", "shop.item", "overwrite");
    expect(readdirSync(folder)).toEqual(["shop.item"]);
    await exportRecbole(data, folder, { overwrite: true });
    expect((await loadRecbole(folder)).itemOf(200)).toBe(2);
  });

  it("leaves nothing behind when it cannot finish", async () => {
    const folder = join(scratch(), "out");
    const named = (itemId: string): Dataset => new Dataset({
      name: "odd", items: [{ id: itemId, title: "a\tb\nc", genres: ["Slice of Life, etc"] }], users: [{ id: "u" }], ratingScale: { min: 1, max: 5 }, source: "a test",
      interactions: Interactions.from({ users: new Uint32Array(1), items: new Uint32Array(1), ratings: Float32Array.of(3.3) }, { userCount: 1, itemCount: 1 }),
    });
    await dataError(() => exportRecbole(named("a\tb"), folder), "DATA_ID_TEXT", '"a\\tb"');
    expect(readdirSync(folder)).toEqual([]);
    await exportRecbole(named("ab"), folder);
    const back = await loadRecbole(folder);
    expect([back.title(0), back.genres(0), back.ratings[0]]).toEqual(["a b c", ["Slice_of_Life_etc"], Math.fround(3.3)]);
    expect(readFileSync(join(folder, "odd.inter"), "utf8")).toContain("\t3.3\n");
  });

  it("writes large tables in pieces, with progress, and stops at the signal", async () => {
    const n = 60_000, users = Uint32Array.from({ length: n }, (_, row) => row);
    const rows = Interactions.from({ users, items: new Uint32Array(n), ratings: new Float32Array(n).fill(4) }, { userCount: n, itemCount: 1 });
    const folder = scratch(), seen: number[] = [];
    await exportRecbole(rows, folder, { onProgress: (done, total) => { seen.push(done); expect(total).toBe(n); } });
    expect(seen.length).toBeGreaterThan(2);
    expect(seen.at(-1)).toBe(n);
    expect((await loadRecbole(folder)).length).toBe(n);
    rmSync(join(folder, "interactions.inter"));
    const stop = new AbortController();
    await expect(exportRecbole(rows, folder, { signal: stop.signal, onProgress: () => stop.abort(new Error("enough")) })).rejects.toThrow("enough");
    expect(existsSync(join(folder, "interactions.inter"))).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });
});
