import { describe, expect, it } from "vitest";
import type { Backbone, FitOptions } from "../../../src/backbone/backbone.js";
import { bpr } from "../../../src/backbone/bpr.js";
import { fitOnce } from "../../../src/backbone/memo.js";
import { popularityBackbone, type PopularityModel } from "../../../src/backbone/popularity.js";
import { Interactions } from "../../../src/core/interactions.js";
import { referenceKernels } from "../../../src/native/reference.js";

const rows = Interactions.from({ users: Uint32Array.of(0, 0, 1, 2), items: Uint32Array.of(0, 1, 1, 2), ratings: Float32Array.of(1, 2, 3, 4) }, { userCount: 3, itemCount: 4 });
const valid = Interactions.from({ users: Uint32Array.of(0), items: Uint32Array.of(2), ratings: Float32Array.of(5) }, rows);
const kernels = referenceKernels();

/** Popularity that counts its fits and finishes when told. */
function counted(): { backbone: Backbone<PopularityModel>; fits: () => number; fail: (next: boolean) => void } {
  let fits = 0, failing = false;
  const inner = popularityBackbone();
  return {
    fits: () => fits,
    fail: (next) => { failing = next; },
    backbone: {
      ...inner,
      async fit(train: Interactions, options: FitOptions = {}): Promise<PopularityModel> {
        fits++;
        await new Promise((resolve) => setTimeout(resolve, 5));
        options.signal?.throwIfAborted();
        if (failing) throw new Error("no luck");
        return inner.fit(train, options);
      },
    },
  };
}

describe("fitOnce", () => {
  it("shares one training among equal calls, also while it runs", async () => {
    const { backbone, fits } = counted();
    const once = fitOnce(backbone);
    const copy = Interactions.from(rows, rows);
    const [a, b] = await Promise.all([once.fit(rows, { seed: 1, valid, kernels }), once.fit(copy, { seed: 1, valid, kernels })]);
    expect(b).toBe(a);
    expect(await once.fit(rows, { seed: 1, valid, kernels })).toBe(a);
    expect(fits()).toBe(1);
    once.clear();
    expect(await once.fit(rows, { seed: 1, valid, kernels })).not.toBe(a);
  });

  it("never hits when rows, ratings, validation rows, seed or face differ", async () => {
    const { backbone, fits } = counted();
    const once = fitOnce(backbone, { keep: 100 });
    const rerated = new Interactions({ ...rows, users: rows.users, items: rows.items, ratings: Float32Array.of(1, 2, 3, 5) }, rows);
    await once.fit(rows, { seed: 1, valid, kernels });
    const others: [Interactions, FitOptions][] = [
      [rows.slice(0, 3), { seed: 1, valid, kernels }], [rerated, { seed: 1, valid, kernels }], [rows, { seed: 2, valid, kernels }],
      [rows, { valid, kernels }], [rows, { seed: 1, kernels }], [rows, { seed: 1, valid, kernels: { ...kernels, face: "cpu" } }],
    ];
    for (const [at, [train, options]] of others.entries()) {
      await once.fit(train, options);
      expect(fits()).toBe(at + 2);
    }
  });

  it("keeps the newest models only", async () => {
    const { backbone, fits } = counted();
    const once = fitOnce(backbone, { keep: 2 });
    for (const seed of [1, 2, 1, 3, 1]) await once.fit(rows, { seed, kernels });
    expect(fits()).toBe(3);
    await once.fit(rows, { seed: 2, kernels });
    expect(fits()).toBe(4);
  });

  it("does not keep a failure", async () => {
    const { backbone, fits, fail } = counted();
    const once = fitOnce(backbone);
    fail(true);
    await expect(once.fit(rows, { kernels })).rejects.toThrow("no luck");
    fail(false);
    await once.fit(rows, { kernels });
    expect(fits()).toBe(2);
  });

  it("one caller's abort is not another's", async () => {
    const { backbone, fits } = counted();
    const once = fitOnce(backbone);
    const first = new AbortController(), third = new AbortController();
    const aborted = once.fit(rows, { kernels, signal: first.signal });
    const waiting = once.fit(rows, { kernels });
    const impatient = once.fit(rows, { kernels, signal: third.signal });
    const gone = new Error("gone"), left = new Error("left");
    const refusals = [expect(aborted).rejects.toBe(gone), expect(impatient).rejects.toBe(left)];
    first.abort(gone);
    third.abort(left);
    await Promise.all(refusals);
    expect((await waiting).counts[1]).toBe(2);
    expect(fits()).toBe(2);
  });

  it("keeps name and options, and sizes the recipe inside", async () => {
    const inner = bpr({ dimension: 2, epochs: 1 }), once = fitOnce(inner);
    expect([once.name, once.options]).toEqual([inner.name, inner.options]);
    const sized = once.sizedFor!(5000);
    expect(sized.options).toMatchObject({ batchCount: 5, dimension: 2 });
    const model = await sized.fit(rows, { kernels });
    expect(await once.sizedFor!(5000).fit(rows, { kernels })).toBe(model);
    expect(await once.fit(rows, { kernels })).not.toBe(model);
    expect(fitOnce(popularityBackbone()).sizedFor).toBeUndefined();
  });
});
