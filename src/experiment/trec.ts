import { DataError } from "../core/errors.js";
import type { Ranking } from "../core/ranking.js";
import type { Dataset } from "../data/dataset.js";

/**
 * Rankings as a TREC run file: `user Q0 item rank score tag`, one line an item, with the publisher's ids. The score is the
 * list length minus rank plus one: other evaluators sort by score and break ties by item name, which would change the order
 * of equal scores. Blanks in ids become underscores.
 */
export function formatTrec(rankings: readonly Ranking[], dataset: Dataset, tag: string): string {
  const lines: string[] = [];
  for (const { user, items } of rankings) {
    const owner = word(dataset.userId(user));
    for (let at = 0; at < items.length; at++) {
      lines.push(`${owner} Q0 ${word(dataset.itemId(items[at]!))} ${at + 1} ${items.length - at} ${word(tag)}`);
    }
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

/**
 * Reads {@link formatTrec} back: users in the order of the file, items by rank.
 * @throws DataError with the line on a malformed line, a rank out of order or an unknown id.
 */
export function parseTrec(text: string, dataset: Dataset, file = "rankings.run"): Ranking[] {
  const users = new Map(Array.from({ length: dataset.userCount }, (_, user) => [word(dataset.userId(user)), user]));
  const items = new Map(Array.from({ length: dataset.itemCount }, (_, item) => [word(dataset.itemId(item)), item]));
  const lists = new Map<number, { items: number[]; scores: number[] }>();
  const lines = text.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  lines.forEach((line, at) => {
    const fields = line.split(" ");
    const user = users.get(fields[0] ?? ""), item = items.get(fields[2] ?? ""), rank = Number(fields[3]), score = Number(fields[4]);
    const wrong = fields.length !== 6 || !Number.isInteger(rank) || !Number.isFinite(score) ? "is not `user Q0 item rank score tag`"
      : user === undefined ? `names the user ${fields[0]}, whom ${dataset.name} does not have`
        : item === undefined ? `names the item ${fields[2]}, which ${dataset.name} does not have` : undefined;
    if (wrong !== undefined) {
      throw new DataError("DATA_RUN_FILE", `${file}, line ${at + 1}: ${wrong}.`, { hint: "Make the rankings again: cragru recommend." });
    }
    const list = lists.get(user!) ?? { items: [], scores: [] };
    if (rank !== list.items.length + 1) {
      throw new DataError("DATA_RUN_FILE", `${file}, line ${at + 1}: rank ${rank} where ${list.items.length + 1} should be.`, {
        hint: "Ranks of a user count from 1 without a gap. Make the rankings again: cragru recommend.",
      });
    }
    list.items.push(item!);
    list.scores.push(score);
    lists.set(user!, list);
  });
  return Array.from(lists, ([user, list]) => ({ user, items: Uint32Array.from(list.items), scores: Float32Array.from(list.scores) }));
}

function word(id: string): string {
  return id.replace(/\s+/g, "_");
}
