import { Interactions } from "../core/interactions.js";
import { DataError } from "../core/errors.js";
import { fingerprint, fingerprintRows } from "../core/fingerprint.js";

/** One item of the catalogue. `id` is the publisher's, as text. */
export interface ItemRecord {
  id: string;
  title: string;
  year?: number | undefined;
  genres: readonly string[];
}

/** One user of the catalogue. Attributes only where the publisher gives them, already in words. */
export interface UserRecord {
  id: string;
  age?: string | undefined;
  gender?: string | undefined;
  occupation?: string | undefined;
}

export type UserProfile = Omit<UserRecord, "id">;

export interface DatasetParts {
  name: string;
  /** Rows with dense ids. */
  interactions: Interactions;
  /** Position = dense id; sorted by original id by the loaders, so that ids do not move when rows vanish. */
  items: readonly ItemRecord[];
  users: readonly UserRecord[];
  ratingScale: { min: number; max: number };
  /** Where it came from and under which terms, for manifests and captions. */
  source: string;
}

/** Interactions with a catalogue: titles, years, genres, profiles, and the publisher's ids. */
export class Dataset extends Interactions {
  readonly name: string;
  readonly ratingScale: { min: number; max: number };
  readonly source: string;
  /** SHA-256 over rows and catalogue: part of every cache key. */
  readonly fingerprint: string;
  private readonly itemRecords: readonly ItemRecord[];
  private readonly userRecords: readonly UserRecord[];
  private itemIndex: Map<string, number> | undefined;
  private userIndex: Map<string, number> | undefined;

  constructor(parts: DatasetParts) {
    super(parts.interactions, { userCount: parts.users.length, itemCount: parts.items.length });
    if (parts.interactions.userCount !== parts.users.length || parts.interactions.itemCount !== parts.items.length) {
      throw new DataError("DATA_CATALOGUE", `The rows have ${parts.interactions.userCount} users and ${parts.interactions.itemCount} items, the catalogue ${parts.users.length} and ${parts.items.length}.`);
    }
    this.name = parts.name;
    this.itemRecords = parts.items;
    this.userRecords = parts.users;
    this.ratingScale = parts.ratingScale;
    this.source = parts.source;
    this.fingerprint = fingerprint("dataset", fingerprintRows(this), JSON.stringify(parts.ratingScale),
      JSON.stringify(parts.items), JSON.stringify(parts.users));
  }

  override toString(): string {
    return `${this.name}: ${super.toString()}`;
  }

  title(item: number): string {
    return this.item(item).title;
  }

  year(item: number): number | undefined {
    return this.item(item).year;
  }

  genres(item: number): readonly string[] {
    return this.item(item).genres;
  }

  profile(user: number): UserProfile {
    const { age, gender, occupation } = this.user(user);
    return { age, gender, occupation };
  }

  itemId(item: number): string {
    return this.item(item).id;
  }

  userId(user: number): string {
    return this.user(user).id;
  }

  /** Dense index of a publisher's item id. @throws DataError when the catalogue has no such item. */
  itemOf(id: string | number): number {
    this.itemIndex ??= new Map(this.itemRecords.map((record, index) => [record.id, index]));
    return known(this.itemIndex.get(String(id)), "item", id, this.name);
  }

  /** Dense index of a publisher's user id. @throws DataError when the catalogue has no such user. */
  userOf(id: string | number): number {
    this.userIndex ??= new Map(this.userRecords.map((record, index) => [record.id, index]));
    return known(this.userIndex.get(String(id)), "user", id, this.name);
  }

  private item(item: number): ItemRecord {
    return known(this.itemRecords[item], "item index", item, this.name);
  }

  private user(user: number): UserRecord {
    return known(this.userRecords[user], "user index", user, this.name);
  }
}

function known<T>(value: T | undefined, what: string, id: string | number, name: string): T {
  if (value === undefined) {
    throw new DataError("DATA_UNKNOWN_ID", `${name} has no ${what} ${id}.`, { hint: "Ids here are the publisher's; dense indices start at 0." });
  }
  return value;
}
