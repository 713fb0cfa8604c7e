import { writeFile } from "node:fs/promises";
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import { DataError } from "../core/errors.js";
import type { Dataset } from "../data/dataset.js";
import type { Evaluation } from "../evaluation/evaluate.js";

/** Which mean a user belongs to. */
export type UserGroup = "remaining" | "forgotten";

/** Metric values user by user: what paired tests need. */
export interface PerUser {
  /** Dense indices, ascending [n]. */
  users: Uint32Array;
  /** The publisher's ids [n]. */
  ids: string[];
  groups: UserGroup[];
  /** Metric name -> values [n]. */
  metrics: Record<string, Float64Array>;
}

/** Rows of an evaluation, with ids and groups. */
export function perUserOf(evaluation: Evaluation, dataset: Dataset, isForgotten: (user: number) => boolean): PerUser {
  const users = evaluation.users;
  return {
    users,
    ids: Array.from(users, (user) => dataset.userId(user)),
    groups: Array.from(users, (user) => (isForgotten(user) ? "forgotten" : "remaining")),
    metrics: { ...evaluation.perUser },
  };
}

/** Columns: user (the publisher's id), index (dense), group, then one double a metric. */
export async function writePerUser(file: string, rows: PerUser): Promise<void> {
  const buffer = parquetWriteBuffer({
    columnData: [
      { name: "user", data: rows.ids, type: "STRING", nullable: false },
      { name: "index", data: Int32Array.from(rows.users), type: "INT32", nullable: false },
      { name: "group", data: rows.groups, type: "STRING", nullable: false },
      ...Object.entries(rows.metrics).map(([name, data]) => ({ name, data, type: "DOUBLE" as const, nullable: false })),
    ],
  });
  await writeFile(file, new Uint8Array(buffer));
}

/** @throws DataError when the file is missing or is not one that {@link writePerUser} wrote. */
export async function readPerUser(file: string): Promise<PerUser> {
  let rows: Record<string, unknown>[];
  try {
    rows = await parquetReadObjects({ file: await asyncBufferFromFile(file) });
  } catch (cause) {
    throw new DataError("DATA_PARQUET", `${file} cannot be read: ${(cause as Error).message}.`, { hint: "Delete its folder and run again.", cause });
  }
  const names = Object.keys(rows[0] ?? {}).filter((name) => !["user", "index", "group"].includes(name));
  const out: PerUser = {
    users: Uint32Array.from(rows, (row) => Number(row["index"])),
    ids: rows.map((row) => String(row["user"])),
    groups: rows.map((row) => row["group"] as UserGroup),
    metrics: Object.fromEntries(names.map((name) => [name, Float64Array.from(rows, (row) => Number(row[name]))])),
  };
  if (rows.some((row) => typeof row["index"] !== "number" || (row["group"] !== "remaining" && row["group"] !== "forgotten"))) {
    throw new DataError("DATA_PARQUET", `${file} has no columns user, index and group.`, { hint: "Delete its folder and run again." });
  }
  return out;
}
