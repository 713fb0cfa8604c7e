import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { DataError } from "../core/errors.js";
import type { RunOptions } from "../core/progress.js";
import type { Dataset } from "./dataset.js";
import { dataRoot, fetchDataset } from "./download.js";
import { LICENCES } from "./licence.js";
import { loadMovielens, type MovielensName } from "./movielens.js";
import { loadNetflix, type NetflixWindow } from "./netflix.js";
import { loadRecbole } from "./recbole.js";
import { synthesize, type SyntheticOptions } from "./synthetic.js";

export interface LoadOptions {
  /** Folder of all data sets. Default: CRAGRU_DATA, else `cragru` in the user's cache folder. */
  root?: string;
  /** Agrees to the publisher's licence and so permits a download when a MovieLens set is not on disk yet. */
  acceptLicence?: boolean;
  /** A (user, item) pair that stands twice is an error (default), or its newest row is kept. */
  duplicates?: "error" | "newest";
  /** Only for "netflix": keep users with so many ratings (the paper: 300 to 320). */
  netflix?: NetflixWindow;
  /** Only for "synthetic": size and seed. */
  synthetic?: SyntheticOptions;
  /** Only for a folder of atomic files: the scale of its ratings. Default: the range that they take. */
  ratingScale?: { min: number; max: number };
}

/** Names that `loadDataset` knows; anything else is a folder. */
export const DATASET_NAMES = ["synthetic", "ml-100k", "ml-1m", "ml-latest-small", "netflix"] as const;
export type DatasetName = (typeof DATASET_NAMES)[number];

/**
 * A data set by name, or from a folder of RecBole atomic files. Dense ids follow the publisher's catalogue, so they do not
 * move when rows vanish. Nothing is downloaded unless `acceptLicence` is true.
 * @throws DataError when it is not on disk (the hint is the command that fetches it) or when a file is bad (file, line, cure).
 */
export async function loadDataset(name: string, options: LoadOptions & RunOptions = {}): Promise<Dataset> {
  options.signal?.throwIfAborted();
  switch (name) {
    case "synthetic":
      return synthesize(options.synthetic);
    case "ml-100k":
    case "ml-1m":
    case "ml-latest-small":
      return loadMovielens(name, await movielensFolder(name, options), options);
    case "netflix":
      return loadNetflix(netflixFolder(options), options);
    default:
      return loadRecbole(atomicFolder(name), options);
  }
}

async function movielensFolder(name: MovielensName, options: LoadOptions & RunOptions): Promise<string> {
  const root = options.root ?? dataRoot();
  const folder = join(root, name);
  if (existsSync(folder)) return folder;
  if (options.acceptLicence) {
    const { folder: fetched } = await fetchDataset(name, { ...options, root });
    return fetched;
  }
  const { title, url } = LICENCES[name]!;
  throw new DataError("DATA_NOT_ON_DISK", `${title} is not in ${root}.`, {
    hint: `Fetch it: npx cragru data ${name} --accept-licence (terms: ${url}), or set CRAGRU_DATA to a folder that holds ${name}/.`,
  });
}

function netflixFolder(options: LoadOptions): string {
  const root = options.root ?? dataRoot();
  const folder = ["netflix", "netflix-titles"].map((each) => join(root, each)).find((each) => existsSync(each));
  if (folder === undefined) {
    throw new DataError("DATA_NOT_ON_DISK", `The Netflix Prize data are not in ${root}, and their publisher no longer offers them.`, {
      hint: "If you have them: put movie_titles.txt and the ratings (mv_*.txt, combined_data_*.txt or a CSV) into a folder netflix "
        + "there, or set CRAGRU_DATA.",
    });
  }
  return requireFolder(folder);
}

function atomicFolder(path: string): string {
  if (!existsSync(path)) {
    throw new DataError("DATA_UNKNOWN_DATASET", `${JSON.stringify(path)} is neither a data set nor a folder.`, {
      hint: `Data sets: ${DATASET_NAMES.join(", ")}; or the path of a folder with RecBole atomic files (X.inter, X.item, X.user).`,
    });
  }
  return requireFolder(path);
}

function requireFolder(path: string): string {
  if (!statSync(path).isDirectory()) {
    throw new DataError("DATA_NOT_A_FOLDER", `${path} is a file where a folder should be.`, {
      hint: "Name the folder that holds the files.",
    });
  }
  return path;
}
