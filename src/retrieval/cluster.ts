/** Item categories c_1..c_n of the paper (section III-B): one label an item, from public metadata only. */
export interface Categories {
  /** Label of each item [itemCount], 0 .. names.length - 1. */
  labels: Uint32Array;
  /** A readable name of each category: its most typical genre words. */
  names: string[];
  method: string;
  seed: number;
  /** Mean silhouette of the clustered words or titles, -1..1. */
  silhouette: number;
  /** SHA-256 over labels, names and method. */
  hash: string;
}
