import { LICENCES, type Licence } from "./licence.js";

/** Where a data set is published, and how its bytes are known. */
export interface Publisher {
  url: string;
  licence: Licence;
  /** MD5 of the archive as the publisher states it; absent where the archive is rebuilt from time to time. */
  md5?: string;
  /** Folder inside the archive. */
  folder: string;
  /** The files that the loaders read, each with its SHA-256 where we pin one. All must be in the archive. */
  files: Readonly<Record<string, string | undefined>>;
  /** Kept beside them where the archive has them: the publisher's README above all. */
  sideFiles: readonly string[];
  /** No archive of this set is larger, packed or unpacked. Bytes. */
  limit: number;
}

const MIB = 1024 * 1024;

/** The data sets that can be downloaded: GroupLens' own servers and nobody else's. */
export const PUBLISHERS: Readonly<Record<string, Publisher>> = {
  "ml-100k": {
    url: "https://files.grouplens.org/datasets/movielens/ml-100k.zip", licence: LICENCES["ml-100k"]!, folder: "ml-100k",
    md5: "0e33842e24a9c977be4e0107933c0723", limit: 64 * MIB,
    files: {
      "u.genre": undefined, "u.item": undefined, "u.user": undefined,
      "u.data": "06416e597f82b7342361e41163890c81036900f418ad91315590814211dca490",
    },
    sideFiles: ["README", "u.info", "u.occupation"],
  },
  "ml-1m": {
    url: "https://files.grouplens.org/datasets/movielens/ml-1m.zip", licence: LICENCES["ml-1m"]!, folder: "ml-1m",
    md5: "c4d9eecfca2ab87c1945afe126590906", limit: 128 * MIB,
    files: { "movies.dat": undefined, "ratings.dat": undefined, "users.dat": undefined }, sideFiles: ["README"],
  },
  "ml-latest-small": {
    // The archive under this address changes over time; the edition of September 2018 is the one that papers use.
    url: "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip", licence: LICENCES["ml-latest-small"]!,
    folder: "ml-latest-small", limit: 64 * MIB,
    files: {
      "movies.csv": "5a5f32dd9bb3797b8e728a1b98958789d2b13f294a69fdfbc5727f8a9611aa07",
      "ratings.csv": "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646",
    },
    sideFiles: ["README.txt", "links.csv", "tags.csv"],
  },
};
