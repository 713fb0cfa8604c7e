import { ConfigError } from "../core/errors.js";
import { Interactions } from "../core/interactions.js";
import { cosTurn, exp, log } from "../core/math.js";
import { KeyedRandom } from "../core/rng.js";
import { Dataset, type ItemRecord, type UserRecord } from "./dataset.js";
import { inventTitles, SYNTHETIC_GENRES } from "./titles.js";

export interface SyntheticOptions {
  /** Default 600. */
  users?: number;
  /** Default 500; at least 24. */
  items?: number;
  /** Mean number of rows of a user, about; default 75, at most half of the items. */
  meanPerUser?: number;
  /** No user has fewer rows; default 20, or the mean where that is lower. */
  minPerUser?: number;
  /** Default 2020. */
  seed?: number;
}

/** Share of the catalogue by genre: drama and comedy are common, westerns rare, as on real shelves. */
const SHARES = [1.3, 1, 0.7, 1.8, 1, 2, 0.9, 0.6, 1.1, 1, 0.7, 0.6];
const FAVOURITES = [0.5, 0.27, 0.13];
const FIRST_YEAR = 1950, LAST_YEAR = 2015;
const EPOCH_2016 = 1451606400, DAY = 86400;
const OCCUPATIONS = [
  "teacher", "engineer", "student", "nurse", "writer", "librarian", "carpenter", "lawyer", "farmer", "artist",
  "programmer", "manager", "scientist", "shopkeeper", "driver", "retired",
];

/**
 * A movie-like data set with planted tastes, made from a seed alone. A user spends 90% of the rows on two or three
 * favourite genres and prefers films of one era; inside a genre, items are drawn by a skewed popularity; ratings rise with
 * taste and with the item's quality. So taste can be learned, popularity alone cannot explain the rows, and a genre that
 * is forgotten leaves the lists. Every number is keyed by its meaning (item, user, draw): adding users changes no other
 * user's rows. Cost: about half a microsecond a row; columns only, 20 bytes a row beside the
 * catalogue.
 *
 * Ids are "1" .. "n", titles and people are invented, timestamps lie in 2016 to 2020, ratings are 1 to 5.
 * @throws ConfigError on sizes that cannot be met.
 */
export function synthesize(options: SyntheticOptions = {}): Dataset {
  const { users = 600, items = 500, meanPerUser = 75, seed = 2020 } = options;
  const { minPerUser = Math.min(20, Math.floor(meanPerUser)) } = options;
  whole("users", users, 1, 50e6);
  whole("items", items, 24, 2e6);
  whole("minPerUser", minPerUser, 1, Math.floor(items / 2));
  if (!(meanPerUser >= minPerUser && meanPerUser <= items / 2)) {
    throw new ConfigError("CONFIG_SYNTHETIC", `meanPerUser ${meanPerUser} must lie between minPerUser (${minPerUser}) and half of the ${items} items.`, {
      hint: "Ask for more items (--synthetic-items 500) or for fewer rows a user (--synthetic-mean 75).",
    });
  }
  const catalogue = inventItems(seed, items);
  const shelves = fillShelves(catalogue);
  const people = inventUsers(seed, users);
  const rows = drawRows(seed, catalogue, shelves, people, { meanPerUser, minPerUser });
  const titles = inventTitles(seed, catalogue.genres);
  const records: ItemRecord[] = titles.map((title, item) => ({
    id: String(item + 1), title, year: catalogue.years[item]!, genres: catalogue.genres[item]!.map((genre) => SYNTHETIC_GENRES[genre]!),
  }));
  return new Dataset({
    name: "synthetic", interactions: rows, items: records, users: people.records, ratingScale: { min: 1, max: 5 },
    source: `Invented by cragru from seed ${seed}: ${users} users, ${items} items. No real person or film.`,
  });
}

interface Catalogue {
  /** Genre indices of each item, the primary one first. */
  genres: number[][];
  years: Uint16Array;
  /** Chance of being watched within a genre, up to a factor. */
  pull: Float64Array;
  quality: Float64Array;
}

function inventItems(seed: number, count: number): Catalogue {
  const random = new KeyedRandom(seed, "synthetic/item");
  const genres: number[][] = [];
  const years = new Uint16Array(count), pull = new Float64Array(count), quality = new Float64Array(count);
  const shares = cumulate(SHARES);
  const normal = new Float64Array(2);
  for (let item = 0; item < count; item++) {
    const lanes = Uint32Array.from(random.draw(item, 1));
    // The first twelve items give every genre one film, so that no shelf is empty.
    const own = [item < SHARES.length ? item : search(shares, lanes[0]! / 4294967296)];
    const extra = (lanes[1]! & 0xffff) / 65536;
    for (let more = 0; more < (extra < 0.35 ? 0 : extra < 0.85 ? 1 : 2); more++) {
      const genre = search(shares, (lanes[2 + more]! & 0xffff) / 65536);
      if (!own.includes(genre)) own.push(genre);
    }
    genres.push(own);
    // Squared: recent years hold more films.
    const age = (lanes[1]! >>> 16) / 65536;
    years[item] = LAST_YEAR - Math.floor(age * age * (LAST_YEAR - FIRST_YEAR + 1));
    random.normals(item, normal);
    quality[item] = normal[0]!;
    pull[item] = exp(0.7 * normal[1]! + 0.4 * normal[0]!);
  }
  return { genres, years, pull, quality };
}

/** Items by genre with cumulated pull; an item stands on the shelf of each of its genres, with less weight on later ones. */
interface Shelf {
  items: Uint32Array;
  cumulated: Float64Array;
}

function fillShelves(catalogue: Catalogue): Shelf[] {
  return SHARES.map((_, genre) => {
    const items: number[] = [], weights: number[] = [];
    catalogue.genres.forEach((own, item) => {
      const place = own.indexOf(genre);
      if (place < 0) return;
      items.push(item);
      weights.push(catalogue.pull[item]! / (1 + place));
    });
    return { items: Uint32Array.from(items), cumulated: cumulate(weights) };
  });
}

interface People {
  records: UserRecord[];
  /** The year of film that the user likes best. */
  eras: Float64Array;
}

function inventUsers(seed: number, count: number): People {
  const random = new KeyedRandom(seed, "synthetic/user");
  const records: UserRecord[] = [];
  const eras = new Float64Array(count);
  for (let user = 0; user < count; user++) {
    const lanes = random.draw(user);
    const age = 16 + Math.floor(lanes[0]! / 4294967296 * 60);
    const occupation = age >= 66 ? "retired" : OCCUPATIONS[lanes[1]! % (OCCUPATIONS.length - 1)]!;
    records.push({ id: String(user + 1), age: String(age), gender: lanes[2]! % 2 ? "female" : "male", occupation });
    // People like the films of their youth, give or take a decade.
    eras[user] = Math.max(FIRST_YEAR + 10, Math.min(LAST_YEAR - 3, 2016 - age + 25 + (lanes[3]! / 4294967296 - 0.5) * 24));
  }
  return { records, eras };
}

/** One user's genre weights [12], summing to 1, and the same scaled so that the favourite has 1. */
function tasteOf(random: KeyedRandom, user: number, mixture: Float64Array, affinity: Float64Array): void {
  const lanes = random.draw(user, 1);
  const total = SHARES.reduce((sum, share) => sum + share, 0);
  mixture.forEach((_, genre) => { mixture[genre] = (1 - FAVOURITES[0]! - FAVOURITES[1]! - FAVOURITES[2]!) * SHARES[genre]! / total; });
  const first = lanes[0]! % 12;
  const second = (first + 1 + lanes[1]! % 11) % 12;
  let third = (first + 1 + lanes[2]! % 11) % 12;
  if (third === second || lanes[3]! % 2 === 0) third = first;
  [first, second, third].forEach((genre, place) => { mixture[genre] = mixture[genre]! + FAVOURITES[place]!; });
  let most = 0;
  for (const weight of mixture) most = Math.max(most, weight);
  mixture.forEach((weight, genre) => { affinity[genre] = weight / most; });
}

function drawRows(
  seed: number, catalogue: Catalogue, shelves: Shelf[], people: People, size: { meanPerUser: number; minPerUser: number },
): Interactions {
  const userCount = people.records.length, itemCount = catalogue.years.length;
  const taste = new KeyedRandom(seed, "synthetic/taste");
  const offsets = new Float64Array(userCount + 1), normal = new Float64Array(1);
  for (let user = 0; user < userCount; user++) {
    taste.normals(user, normal);
    const rows = Math.round(size.meanPerUser * exp(0.5 * normal[0]! - 0.125));
    offsets[user + 1] = offsets[user]! + Math.max(size.minPerUser, Math.min(Math.floor(itemCount / 2), rows));
  }
  const length = offsets[userCount]!;
  const columns = {
    users: new Uint32Array(length), items: new Uint32Array(length), ratings: new Float32Array(length), timestamps: new Float64Array(length),
  };
  const draws = new KeyedRandom(seed, "synthetic/row"), noise = new KeyedRandom(seed, "synthetic/rating");
  const person = new KeyedRandom(seed, "synthetic/user");
  const mixture = new Float64Array(SHARES.length), affinity = new Float64Array(SHARES.length), cumulated = new Float64Array(SHARES.length);
  const seen = new Uint32Array(itemCount);
  for (let user = 0; user < userCount; user++) {
    const start = offsets[user]!, end = offsets[user + 1]!;
    tasteOf(taste, user, mixture, affinity);
    cumulate(mixture, cumulated);
    const era = people.eras[user]!;
    let row = start;
    for (let draw = 0; row < end; draw++) {
      const lanes = draws.draw(user, draw);
      // Who has seen nearly all of his shelves takes any film: the row count is a promise.
      const anything = draw > 12 * (end - start) + 100;
      const item = anything
        ? Math.floor(lanes[0]! / 4294967296 * itemCount)
        : fromShelf(shelves[search(cumulated, lanes[0]! / 4294967296)]!, lanes[1]! / 4294967296);
      if (seen[item] === user + 1) continue;
      const decades = (catalogue.years[item]! - era) / 12;
      if (!anything && lanes[2]! / 4294967296 > 0.15 + 0.85 * exp(-0.5 * decades * decades)) continue;
      seen[item] = user + 1;
      columns.items[row++] = item;
    }
    columns.users.fill(user, start, end);
    columns.items.subarray(start, end).sort();
    const lanes = person.draw(user, 1);
    const generosity = (lanes[0]! / 4294967296 - 0.5) * 0.8;
    const joined = EPOCH_2016 + Math.floor(lanes[1]! / 4294967296 * 1400) * DAY, stay = (20 + lanes[2]! % 380) * DAY;
    for (row = start; row < end; row++) {
      const item = columns.items[row]!;
      let liking = 0;
      for (const genre of catalogue.genres[item]!) liking = Math.max(liking, affinity[genre]!);
      const lane = noise.draw(user, item);
      const error = Math.sqrt(-2 * log((lane[0]! + 0.5) / 4294967296)) * cosTurn(lane[1]! / 4294967296);
      const score = 2.7 + 1.2 * liking + 0.5 * catalogue.quality[item]! + generosity + 0.6 * error;
      columns.ratings[row] = Math.max(1, Math.min(5, Math.round(score)));
      columns.timestamps[row] = joined + Math.floor(lane[2]! / 4294967296 * stay);
    }
  }
  return new Interactions(columns, { userCount, itemCount });
}

function fromShelf(shelf: Shelf, share: number): number {
  return shelf.items[search(shelf.cumulated, share)]!;
}

function cumulate(weights: ArrayLike<number>, out: Float64Array = new Float64Array(weights.length)): Float64Array {
  let sum = 0;
  for (let at = 0; at < weights.length; at++) out[at] = sum += weights[at]!;
  return out;
}

/** First index whose cumulated weight exceeds `share` of the total, share in [0, 1). */
function search(cumulated: Float64Array, share: number): number {
  const target = share * cumulated[cumulated.length - 1]!;
  let low = 0, high = cumulated.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (cumulated[middle]! <= target) low = middle + 1;
    else high = middle;
  }
  return low;
}

function whole(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new ConfigError("CONFIG_SYNTHETIC", `${name} must be a whole number from ${least} to ${most}, not ${value}.`, {
    hint: "Example: synthesize({ users: 600, items: 500, meanPerUser: 75 }), or --synthetic-users 600 --synthetic-items 500 --synthetic-mean 75.",
  });
}
