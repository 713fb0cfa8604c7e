import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zipSync } from "fflate";
import { describe, expect, it } from "vitest";
import { DataError } from "../../../src/core/errors.js";
import { dataRoot, fetchDataset, type DownloadOptions, type DownloadReport } from "../../../src/data/download.js";
import { LICENCES } from "../../../src/data/licence.js";
import { PUBLISHERS, type Publisher } from "../../../src/data/publisher.js";
import { noise, serveFile, type FileServer } from "./fileserver.js";
import { dataError, FIXTURES, scratch } from "./scratch.js";

const NAME = "ml-1m";
const FILES = ["movies.dat", "ratings.dat", "users.dat"];
const read = (file: string): Buffer => readFileSync(join(FIXTURES, NAME, file));
/** Large enough for several packets, so that a cut falls inside. */
const README = noise(300_000);
const ARCHIVE = zipSync({ "ml-1m/README": README, ...Object.fromEntries(FILES.map((file) => [`ml-1m/${file}`, read(file)])), "ml-1m/extra.pl": read("users.dat") });
const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

interface Shop {
  server: FileServer;
  root: string;
  publisher: Publisher;
  fetch(options?: DownloadOptions): Promise<DownloadReport>;
}

async function shop(archive: Uint8Array = ARCHIVE, changes: Partial<Publisher> = {}): Promise<Shop> {
  const server = await serveFile(archive), root = join(scratch(), "data");
  const publisher: Publisher = { ...PUBLISHERS[NAME]!, url: server.url, md5: md5(archive), limit: 4_000_000, ...changes };
  return {
    server, root, publisher,
    fetch: (options = {}) => fetchDataset(NAME, { root, acceptLicence: true, publishers: { [NAME]: publisher }, retries: 0, retryDelay: 1, ...options }),
  };
}

const isComplete = (root: string): void => {
  expect(readdirSync(root)).toEqual([NAME]);
  expect(readdirSync(join(root, NAME)).sort()).toEqual(["README", ...FILES]);
  for (const file of FILES) expect(readFileSync(join(root, NAME, file)).equals(read(file))).toBe(true);
};

const isEmpty = (root: string): void => expect(existsSync(root) ? readdirSync(root) : []).toEqual([]);

describe("fetchDataset", () => {
  it("downloads, verifies, unpacks what is needed, and does it once", async () => {
    const { server, root, fetch } = await shop();
    const notes = new Set<string>(), totals = new Set<number>();
    const report = await fetch({ onProgress: (_, total, note) => { notes.add(note!); totals.add(total); } });
    expect(report).toEqual({ name: NAME, folder: join(root, NAME), status: "downloaded", bytes: ARCHIVE.length, licence: LICENCES[NAME] });
    isComplete(root);
    expect(notes).toEqual(new Set(["downloading", "unpacking"]));
    expect(totals).toEqual(new Set([ARCHIVE.length]));
    expect(await fetch({ acceptLicence: false })).toMatchObject({ status: "present", bytes: 0 });
    expect(server.requests).toHaveLength(1);
    expect(server.requests[0]!["accept-encoding"]).toBe("identity");
  });

  it("asks for the licence first and shows its terms", async () => {
    const { server, root, fetch } = await shop();
    const error = await dataError(() => fetch({ acceptLicence: false }), "DATA_LICENCE", "npx cragru data ml-1m --accept-licence");
    for (const term of LICENCES[NAME]!.terms) expect(error.message).toContain(term);
    expect(error.message).toContain(LICENCES[NAME]!.url);
    expect(server.requests).toHaveLength(0);
    isEmpty(root);
  });

  it("goes on after a cut connection, in the same call and in a later one", async () => {
    const same = await shop();
    same.server.behaviour.cut = { bytes: 100_000, times: 1 };
    await same.fetch({ retries: 1 });
    isComplete(same.root);
    const [, second] = same.server.requests;
    const had = Number(/^bytes=(\d+)-$/.exec(second!.range!)![1]);
    expect(had).toBeGreaterThan(0);
    expect(had).toBeLessThanOrEqual(100_000);
    expect(second!["if-range"]).toBe(`"${md5(ARCHIVE)}"`);

    for (const validator of ["etag", "weak etag", "date", "none"] as const) {
      const later = await shop();
      later.server.behaviour.validator = validator;
      later.server.behaviour.cut = { bytes: 100_000, times: 1 };
      await dataError(() => later.fetch(), "DATA_DOWNLOAD_CUT", "it goes on after");
      expect(readdirSync(later.root).sort(), "only the hidden part").toEqual([".ml-1m.zip.part", ".ml-1m.zip.part.json"]);
      await later.fetch();
      expect(later.server.requests[1]!.range, validator).toMatch(/^bytes=\d+-$/);
      expect(later.server.requests[1]!["if-range"] !== undefined, validator).toBe(validator === "etag" || validator === "date");
      isComplete(later.root);
    }
  });

  it("starts again when the server knows no ranges, when the file has changed, or when the answer does not fit", async () => {
    const cutFirst = async (change: (server: FileServer, publisher: Publisher) => void): Promise<void> => {
      const { server, root, publisher, fetch } = await shop();
      server.behaviour.cut = { bytes: 100_000, times: 1 };
      await dataError(() => fetch(), "DATA_DOWNLOAD_CUT");
      change(server, publisher);
      await fetch();
      isComplete(root);
    };
    const renewed = zipSync({ "ml-1m/README": README.slice(0, 5000), ...Object.fromEntries(FILES.map((file) => [`ml-1m/${file}`, read(file)])) });
    const renew = (server: FileServer, publisher: Publisher): void => {
      server.behaviour.body = renewed;
      publisher.md5 = md5(renewed);
    };
    await cutFirst((server) => { server.behaviour.ranges = false; });
    await cutFirst(renew);
    await cutFirst((server, publisher) => { renew(server, publisher); server.behaviour.validator = "date"; });
    await cutFirst((server) => { server.behaviour.shifted = true; });
  });

  it("starts again once when the parts of two versions were joined", async () => {
    const { server, root, publisher, fetch } = await shop();
    server.behaviour.validator = "date";
    server.behaviour.cut = { bytes: 100_000, times: 1 };
    await dataError(() => fetch(), "DATA_DOWNLOAD_CUT");
    // Same length, same date, other bytes at the front: only the checksum can tell.
    const other = zipSync({ "ml-1m/README": README.map((byte, at) => (at < 50_000 ? 255 - byte : byte)), ...Object.fromEntries(FILES.map((file) => [`ml-1m/${file}`, read(file)])), "ml-1m/extra.pl": read("users.dat") }, { level: 0 });
    const plain = zipSync({ "ml-1m/README": README, ...Object.fromEntries(FILES.map((file) => [`ml-1m/${file}`, read(file)])), "ml-1m/extra.pl": read("users.dat") }, { level: 0 });
    expect(other.length).toBe(plain.length);
    writeFileSync(join(root, ".ml-1m.zip.part"), plain.subarray(0, 60_000));
    writeFileSync(join(root, ".ml-1m.zip.part.json"), JSON.stringify({ url: server.url, validator: "Wed, 21 Oct 2015 07:28:00 GMT", total: plain.length }));
    server.behaviour.body = other;
    publisher.md5 = md5(other);
    await fetch();
    isComplete(root);
    expect(server.requests.slice(1).map((request) => request.range)).toEqual(["bytes=60000-", undefined]);
  });

  it("uses a part that is already whole, and drops one that is too long", async () => {
    for (const extra of [0, 7]) {
      const { server, root, fetch } = await shop();
      mkdirSync(root);
      writeFileSync(join(root, ".ml-1m.zip.part"), Buffer.concat([ARCHIVE, new Uint8Array(extra)]));
      writeFileSync(join(root, ".ml-1m.zip.part.json"), JSON.stringify({ url: server.url, validator: `"${md5(ARCHIVE)}"`, total: ARCHIVE.length }));
      await fetch();
      isComplete(root);
      expect(server.requests).toHaveLength(extra === 0 ? 1 : 2);
    }
  });

  it("trusts no part without a note, with a torn note, or of another address", async () => {
    for (const note of [undefined, "{\"url\":", JSON.stringify({ url: "http://elsewhere/", validator: "x", total: 9 })]) {
      const { server, root, fetch } = await shop();
      mkdirSync(root);
      writeFileSync(join(root, ".ml-1m.zip.part"), "leftover");
      if (note !== undefined) writeFileSync(join(root, ".ml-1m.zip.part.json"), note);
      await fetch();
      isComplete(root);
      expect(server.requests[0]!.range).toBeUndefined();
    }
  });

  it("retries a busy server, and gives up with the address and the status", async () => {
    const { server, root, fetch } = await shop();
    server.behaviour.fail = { status: 503, times: 2 };
    await fetch({ retries: 2 });
    isComplete(root);
    const busy = await shop();
    busy.server.behaviour.fail = { status: 503, times: 9 };
    await dataError(() => busy.fetch({ retries: 1 }), "DATA_DOWNLOAD_CUT", busy.server.url, "503", "Check the connection");
    expect(busy.server.requests).toHaveLength(2);
    isEmpty(busy.root);
    for (const status of [404, 403]) {
      const gone = await shop();
      gone.server.behaviour.fail = { status, times: 9 };
      await dataError(() => gone.fetch({ retries: 5 }), "DATA_DOWNLOAD_REFUSED", String(status), gone.server.url);
      expect(gone.server.requests, "no retry can help").toHaveLength(1);
      isEmpty(gone.root);
    }
  });

  it("says so when nobody listens", async () => {
    const { root, publisher } = await shop();
    const publishers = { [NAME]: { ...publisher, url: "http://127.0.0.1:9/none.zip" } };
    await dataError(() => fetchDataset(NAME, { root, acceptLicence: true, publishers, retries: 0 }), "DATA_DOWNLOAD_CUT", "127.0.0.1:9");
    isEmpty(root);
  });

  it("refuses a wrong checksum and leaves nothing", async () => {
    const { root, server, fetch } = await shop(ARCHIVE, { md5: "0".repeat(32) });
    await dataError(() => fetch(), "DATA_CHECKSUM", md5(ARCHIVE), "0".repeat(32));
    isEmpty(root);
    expect(server.requests).toHaveLength(1);
    const file = await shop(ARCHIVE, { files: { ...PUBLISHERS[NAME]!.files, "users.dat": "1".repeat(64) } });
    await dataError(() => file.fetch(), "DATA_CHECKSUM", "users.dat", "1".repeat(64), "discarded");
    isEmpty(file.root);
  });

  it("tells when a set without a fixed archive was updated by its publisher", async () => {
    const { md5: _, ...rest } = PUBLISHERS[NAME]!;
    const { root, publisher, server } = await shop();
    const publishers = { [NAME]: { ...rest, url: server.url, limit: publisher.limit, files: { ...rest.files, "movies.dat": "1".repeat(64) } } };
    const call = (): Promise<unknown> => fetchDataset(NAME, { root, acceptLicence: true, publishers, retries: 0 });
    await dataError(call, "DATA_CHECKSUM", "has updated MovieLens 1M", "movies.dat", "by hand");
    isEmpty(root);
    publishers[NAME]!.files["movies.dat"] = createHash("sha256").update(read("movies.dat")).digest("hex");
    await call();
    isComplete(root);
  });

  it.each([
    ["a bomb", { "ml-1m/ratings.dat": new Uint8Array(3_900_000) }, "DATA_ARCHIVE_BOMB"],
    ["too much inside", { "ml-1m/ratings.dat": new Uint8Array(4_100_000) }, "DATA_ARCHIVE_BOMB"],
    ["a name that leads out", { "ml-1m/../../evil": read("users.dat") }, "DATA_ARCHIVE_NAME"],
    ["a missing file", { "ml-1m/ratings.dat": read("ratings.dat") }, "DATA_ARCHIVE_FILES"],
  ])("refuses an archive with %s and leaves nothing", async (_, entries, code) => {
    const { root, fetch } = await shop(zipSync(entries as unknown as Record<string, Uint8Array>, { level: 9 }));
    await dataError(() => fetch(), code);
    isEmpty(root);
    expect(existsSync(join(root, "..", "evil"))).toBe(false);
  });

  it("refuses what is no archive, and what is larger than the set can be", async () => {
    const page = await shop(Buffer.from("<html>please log in</html>"));
    await dataError(() => page.fetch(), "DATA_ARCHIVE_DAMAGED");
    isEmpty(page.root);
    for (const lengthless of [false, true]) {
      const large = await shop(ARCHIVE, { limit: 100_000 });
      large.server.behaviour.lengthless = lengthless;
      await dataError(() => large.fetch(), "DATA_DOWNLOAD_LARGE", "100000");
      isEmpty(large.root);
    }
  });

  it("stops at the signal, keeps the part, and goes on later", async () => {
    const { server, root, fetch } = await shop();
    server.behaviour.stall = 100_000;
    const stop = new AbortController();
    await expect(fetch({ signal: stop.signal, onProgress: () => stop.abort(new Error("enough")) })).rejects.toThrow("enough");
    expect(readdirSync(root).sort()).toEqual([".ml-1m.zip.part", ".ml-1m.zip.part.json"]);
    delete server.behaviour.stall;
    await fetch();
    expect(server.requests[1]!.range).toMatch(/^bytes=\d+-$/);
    isComplete(root);
    const early = await shop();
    await expect(early.fetch({ signal: AbortSignal.abort(new Error("not now")) })).rejects.toThrow("not now");
    isEmpty(early.root);
  });

  it("stops at the signal while it unpacks", async () => {
    const { root, fetch } = await shop();
    const stop = new AbortController();
    const run = fetch({ signal: stop.signal, onProgress: (_d, _t, note) => { if (note === "unpacking") stop.abort(new Error("enough")); } });
    await expect(run).rejects.toThrow("enough");
    expect(readdirSync(root).sort()).toEqual([".ml-1m.zip.part", ".ml-1m.zip.part.json"]);
    await fetch();
    isComplete(root);
  });

  it("never touches a folder that somebody began", async () => {
    const { root, server, fetch } = await shop();
    mkdirSync(join(root, NAME), { recursive: true });
    writeFileSync(join(root, NAME, "movies.dat"), "mine");
    await dataError(() => fetch(), "DATA_FOLDER_INCOMPLETE", "ratings.dat, users.dat");
    expect(server.requests).toHaveLength(0);
    expect(readFileSync(join(root, NAME, "movies.dat"), "utf8")).toBe("mine");
  });

  it("names the folder when it cannot be written", async () => {
    const { root, fetch } = await shop();
    mkdirSync(join(root, ".ml-1m.zip.part", "in the way"), { recursive: true });
    await dataError(() => fetch(), "DATA_ROOT", root, "CRAGRU_DATA");
  });

  it("names the folder when a file stands in its way", async () => {
    const { root, fetch } = await shop();
    writeFileSync(root, "a file");
    await dataError(() => fetch(), "DATA_ROOT", root, "CRAGRU_DATA");
  });

  it("two calls at once give one good folder or an error, never a bad folder", async () => {
    const { root, fetch } = await shop();
    const outcomes = await Promise.allSettled([fetch(), fetch()]);
    for (const outcome of outcomes) if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(DataError);
    if (existsSync(join(root, NAME))) {
      expect(readdirSync(join(root, NAME)).sort()).toEqual(["README", ...FILES]);
      for (const file of FILES) expect(readFileSync(join(root, NAME, file)).equals(read(file))).toBe(true);
    }
  });

  it("knows what cannot be downloaded", async () => {
    await dataError(() => fetchDataset("netflix", { acceptLicence: true }), "DATA_NO_PUBLISHER", "no longer offered", "movie_titles.txt");
    await dataError(() => fetchDataset("toString", { acceptLicence: true }), "DATA_NO_PUBLISHER", "ml-100k, ml-1m, ml-latest-small");
  });
});

describe("the publishers' table", () => {
  it("names GroupLens' own files with their checksums, and a licence each", () => {
    for (const [name, publisher] of Object.entries(PUBLISHERS)) {
      expect(publisher.url).toBe(`https://files.grouplens.org/datasets/movielens/${name}.zip`);
      expect(publisher.licence).toBe(LICENCES[name]);
      expect(publisher.licence.terms.length).toBeGreaterThan(2);
      expect(publisher.md5 ?? Object.values(publisher.files).find((sum) => sum !== undefined)).toMatch(/^[0-9a-f]{32,64}$/);
    }
  });
});

describe("dataRoot", () => {
  it("is CRAGRU_DATA, else a folder of the user's cache", () => {
    const before = { data: process.env["CRAGRU_DATA"], cache: process.env["XDG_CACHE_HOME"] };
    const set = (name: string, value: string | undefined): void => {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    };
    try {
      set("CRAGRU_DATA", "/data");
      expect(dataRoot()).toBe("/data");
      set("CRAGRU_DATA", undefined);
      set("XDG_CACHE_HOME", "/cache");
      expect(dataRoot()).toBe(join("/cache", "cragru"));
      set("XDG_CACHE_HOME", undefined);
      expect(dataRoot()).toMatch(/\.cache.cragru$/);
    } finally {
      set("CRAGRU_DATA", before.data);
      set("XDG_CACHE_HOME", before.cache);
    }
  });
});
