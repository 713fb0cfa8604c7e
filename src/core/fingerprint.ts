import { createHash } from "node:crypto";
import type { Interactions } from "./interactions.js";

type Part = string | number | boolean | null | undefined | ArrayBufferView;

/** SHA-256 in hex over labelled parts. Lengths are hashed too, so no two lists of parts share a digest by concatenation. */
export function fingerprint(...parts: Part[]): string {
  const hash = createHash("sha256");
  for (const part of parts) {
    if (ArrayBuffer.isView(part)) {
      hash.update(`bytes ${part.byteLength}\n`);
      hash.update(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    } else {
      const text = String(part);
      hash.update(`${typeof part} ${Buffer.byteLength(text)}\n${text}`);
    }
  }
  return hash.digest("hex");
}

/** Fingerprint of the rows themselves: users, items, ratings, timestamps and the shape of the table. */
export function fingerprintRows(rows: Interactions): string {
  return fingerprint("rows", rows.userCount, rows.itemCount, rows.users, rows.items, rows.ratings, rows.timestamps ?? "no timestamps");
}

/** JSON with sorted keys: equal objects give equal text, whatever the order in which they were built. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    inner !== null && typeof inner === "object" && !Array.isArray(inner) && !ArrayBuffer.isView(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner);
}
