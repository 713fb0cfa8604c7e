import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { tinyGguf, tinyLora } from "../../fixtures/tiny-gguf.js";

const sha = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

describe("tinyGguf", () => {
  it.each([
    ["bytes", 436512, "3c8217cb48fcc5fe9090a441e069b3b83ff715757c760cdab164906f5254120f"],
    ["numbers", 485376, "fde1eee3f462e796b4e4511be101daca1295740995ebb32d50b946f62fa945be"],
    ["scores", 485376, "f3b35fa49c9d99115f48d16d0c8809b9518980aeff4ad1b75ff148a20f4c5b51"],
  ] as const)("writes the same file everywhere: %s", (kind, size, digest) => {
    const file = tinyGguf(kind);
    expect([file.length, sha(file)]).toEqual([size, digest]);
  });

  it("writes the same adapter everywhere", () => {
    expect(sha(tinyLora())).toBe("35c61d26bbb21a9e7911b06abaae493c08cd6b4f60ee7e6284b7ff8c19ba2e2e");
  });

  it("begins as the format says: magic, version, counts, and tensors aligned to 32 bytes", () => {
    const file = tinyGguf("bytes");
    expect([file.toString("latin1", 0, 4), file.readUInt32LE(4), file.readBigUInt64LE(8), file.readBigUInt64LE(16)]).toEqual(["GGUF", 3, 21n, 24n]);
    expect(file.length % 32).toBe(0);
    expect(file.toString("latin1", 24, 200)).toMatch(/general\.architecture.*llama.*general\.name.*cragru toy bytes 1/s);
  });

  it("draws other weights for another seed, and takes another name", () => {
    expect(sha(tinyGguf("bytes", { seed: 2 }))).not.toBe(sha(tinyGguf("bytes")));
    expect(tinyGguf("bytes", { name: "another" }).includes("cragru toy")).toBe(false);
  });
});
