import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { basename } from "node:path";
import { fingerprint } from "../../core/fingerprint.js";
import { GenerationFailure } from "../failures.js";

/** Digests by path, size and time of change: reading 5 GB again for every generator of a process would tell nothing new. */
const known = new Map<string, Promise<string>>();

/**
 * SHA-256 of a model file in hex, read as a stream; for a model in parts ("-00001-of-00003.gguf") a digest of those of its parts.
 * @throws GenerationFailure `GENERATION_MODEL_MISSING` when a file is not there, `GENERATION_REQUEST` when it is no GGUF file.
 */
export async function modelDigest(path: string): Promise<string> {
  const parts = partsOf(path);
  if (parts.length === 1) return fileDigest(path);
  const digests: string[] = [];
  for (const part of parts) digests.push(await fileDigest(part));
  return fingerprint("parts", ...digests);
}

/** All files of the model that `path` begins. */
function partsOf(path: string): string[] {
  const found = /-00001-of-(\d{5})\.gguf$/.exec(path);
  if (!found) return [path];
  return Array.from({ length: Number(found[1]) }, (_, at) => path.replace(/-00001-of-/, `-${String(at + 1).padStart(5, "0")}-of-`));
}

async function fileDigest(path: string): Promise<string> {
  const { size, mtimeMs } = await describeFile(path);
  const key = JSON.stringify([path, size, mtimeMs]);
  const reading = known.get(key) ?? hashFile(path);
  known.set(key, reading);
  try {
    return await reading;
  } catch (error) {
    known.delete(key);
    throw error;
  }
}

async function describeFile(path: string): Promise<{ size: number; mtimeMs: number }> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) {
    throw new GenerationFailure("GENERATION_MODEL_MISSING", "permanent", `There is no model file ${basename(path)} at that path.`, {
      hint: "Pass the path of a .gguf file; nothing is downloaded.",
    });
  }
  const file = await open(path);
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
    if (buffer.toString("latin1") !== "GGUF") {
      throw new GenerationFailure("GENERATION_REQUEST", "permanent", `${basename(path)} is not a GGUF file: it does not begin with "GGUF".`, {
        hint: "Convert the model to GGUF, the format of llama.cpp, or name another file.",
      });
    }
  } finally {
    await file.close();
  }
  return found;
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer);
  return hash.digest("hex");
}
