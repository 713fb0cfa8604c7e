import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { ConfigError } from "../../../src/core/errors.js";
import { KeyedRandom, philox, smallestKeys, streamId, STREAMS } from "../../../src/core/rng.js";

const lanes = (c: [number, number, number, number], k: [number, number]): string[] => {
  const out = new Uint32Array(4);
  philox(...c, ...k, out);
  return [...out].map((lane) => lane.toString(16).padStart(8, "0"));
};

describe("Philox4x32-10", () => {
  it("gives the published known answers", () => {
    const ones = 0xffffffff;
    expect(lanes([0, 0, 0, 0], [0, 0])).toEqual(["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]);
    expect(lanes([ones, ones, ones, ones], [ones, ones])).toEqual(["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]);
    expect(lanes([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]))
      .toEqual(["d16cfe09", "94fdcceb", "5001e420", "24126ea1"]);
  });

  it("equals a big-integer reference on random counters and keys", () => {
    const reference = (c: bigint[], k: bigint[]): string[] => {
      const mask = 0xffffffffn;
      for (let round = 0; round < 10; round++) {
        const a = 0xd2511f53n * c[0]!, b = 0xcd9e8d57n * c[2]!;
        c = [(b >> 32n) ^ c[1]! ^ k[0]!, b & mask, (a >> 32n) ^ c[3]! ^ k[1]!, a & mask];
        k = [(k[0]! + 0x9e3779b9n) & mask, (k[1]! + 0xbb67ae85n) & mask];
      }
      return c.map((lane) => lane.toString(16).padStart(8, "0"));
    };
    const word = fc.integer({ min: 0, max: 0xffffffff });
    fc.assert(fc.property(fc.tuple(word, word, word, word), fc.tuple(word, word), (c, k) => {
      expect(lanes(c, k)).toEqual(reference(c.map(BigInt), k.map(BigInt)));
    }));
  });
});

describe("streams", () => {
  it("hash by FNV-1a and never collide", () => {
    expect(streamId("")).toBe(2166136261);
    expect(streamId("a")).toBe(0xe40c292c);
    expect(new Set(STREAMS.map(streamId)).size).toBe(STREAMS.length);
  });

  it("differ from one another and between seeds, and repeat for the same key", () => {
    const keys = STREAMS.flatMap((stream) => [1, 2].map((seed) => new KeyedRandom(seed, stream).key(3, 4)));
    expect(new Set(keys).size).toBe(keys.length);
    expect(new KeyedRandom(1, "split").key(3, 4)).toBe(new KeyedRandom(1, "split").key(3, 4));
  });

  it("refuse a seed that is not a 32-bit whole number", () => {
    for (const seed of [-1, 1.5, NaN, 2 ** 32]) expect(() => new KeyedRandom(seed, "split")).toThrow(ConfigError);
  });
});

describe("draws", () => {
  const random = new KeyedRandom(2020, "negative");

  it("are uniform: 16 bins of 16,000 draws stay within five standard deviations", () => {
    const bins = new Array<number>(16).fill(0);
    for (let user = 0; user < 16_000; user++) bins[Math.floor(random.uniform(user) * 16)]!++;
    for (const count of bins) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(1000));
  });

  it("give whole numbers in range by multiply-high", () => {
    for (let user = 0; user < 500; user++) {
      const value = random.integer(7, user);
      expect(value).toBe(Number((BigInt(random.draw(user)[0]!) * 7n) >> 32n));
    }
  });

  it("give standard normals: mean, variance and independence of the pair", () => {
    const out = new Float64Array(64);
    let sum = 0, squares = 0, cross = 0;
    for (let row = 0; row < 2000; row++) {
      random.normals(row, out);
      for (let at = 0; at < 64; at += 2) {
        sum += out[at]! + out[at + 1]!;
        squares += out[at]! ** 2 + out[at + 1]! ** 2;
        cross += out[at]! * out[at + 1]!;
      }
    }
    expect(Math.abs(sum / 128_000)).toBeLessThan(0.015);
    expect(Math.abs(squares / 128_000 - 1)).toBeLessThan(0.025);
    expect(Math.abs(cross / 64_000)).toBeLessThan(0.02);
  });

  it("fill rows whose length is no multiple of four with the same leading values", () => {
    const long = new Float32Array(8), short = new Float32Array(5);
    random.normals(9, long);
    random.normals(9, short);
    expect([...short]).toEqual([...long.slice(0, 5)]);
  });
});

describe("smallestKeys", () => {
  it("equals a full sort with ties by index", () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 5 })), fc.nat(12), (keys, count) => {
      const order = keys.map((_, at) => at).sort((a, b) => keys[a]! - keys[b]! || a - b);
      expect([...smallestKeys(keys, count)]).toEqual(order.slice(0, count));
    }));
  });
});
