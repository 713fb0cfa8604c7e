import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { referenceKernels } from "../../src/native/reference.js";
import { loadKernels } from "../../src/native/load.js";
import { bytesOf, csrOf, floats, freshState, presentFaces, sparse } from "./faces.js";

const { faces } = presentFaces();

describe.each(faces)("held values on $device", (kernels) => {
  const users = floats(30, 1), items = floats(50, 2), rows = csrOf([[0, 9], [], [1, 2], [3], [4], [5]]);

  it("give the results of the arrays they were made from, again and again", async () => {
    const mask = await kernels.hold({ ...rows, columnCount: 10 });
    const input = { users: await kernels.hold(users), items: await kernels.hold(items), dimension: 5, k: 4, mask };
    const wanted = bytesOf(await kernels.scoreTopK({ users, items, dimension: 5, k: 4, mask: rows }));
    for (let round = 0; round < 3; round++) expect(bytesOf(await kernels.scoreTopK(input))).toBe(wanted);
    const propagate = { userCount: 6, itemCount: 10, dimension: 5, layers: 2 };
    const parameters = floats(80, 3);
    expect(bytesOf(await kernels.propagate({ ...propagate, parameters: await kernels.hold(parameters), positives: mask })))
      .toBe(bytesOf(await kernels.propagate({ ...propagate, parameters, positives: rows })));
    expect({ kind: input.items.kind, length: input.items.length, bytes: input.items.bytes }).toEqual({ kind: "float32", length: 50, bytes: 200 });
    expect({ kind: mask.kind, length: mask.length, bytes: mask.bytes }).toEqual({ kind: "csr", length: 7, bytes: 56 });
  });

  it("are copies: later writes to the data, or to what read() gives, change nothing", async () => {
    const data = Float64Array.of(1, 2, 3), held = await kernels.hold(data);
    data.fill(9);
    (await held.read()).fill(8);
    expect(Array.from(await held.read())).toEqual([1, 2, 3]);
    const graph = { ...csrOf([[0, 2]]), columnCount: 3 }, heldGraph = await kernels.hold(graph);
    graph.columns.fill(7);
    expect(await heldGraph.read()).toEqual({ offsets: Uint32Array.of(0, 2), columns: Uint32Array.of(0, 2), columnCount: 3 });
  });

  it("stay as they are when a kernel trains on them", async () => {
    const state = freshState(6, 10, 5), held = await kernels.hold(state.parameters);
    const input = { positives: rows, seed: 1, firstEpoch: 0, epochs: 2, batchCount: 2, learningRate: 0.1, regularisation: 0, optimiser: "adam" } as const;
    await kernels.bprEpoch({ ...state, parameters: held as never }, input);
    expect(bytesOf(await held.read())).toBe(bytesOf(state.parameters));
  });

  it("hold a matrix that updates change in place, in the order of the calls", async () => {
    const matrix = await kernels.hold(Float64Array.of(4, 1, 3));
    const update = { matrix, size: 2, vectors: Float64Array.of(1, 2), weights: Float64Array.of(0.5) };
    const results = await Promise.all([kernels.rankUpdate(update), kernels.rankUpdate(update), kernels.cholesky({ matrix, size: 2, output: "inverse" })]);
    expect(results.map((one) => one.length)).toEqual([0, 0, 0]);
    const twice = await kernels.rankUpdate({ ...update, matrix: await kernels.rankUpdate({ ...update, matrix: Float64Array.of(4, 1, 3) }) });
    expect(bytesOf(await matrix.read())).toBe(bytesOf(await kernels.cholesky({ matrix: twice, size: 2, output: "inverse" })));
  });

  it("keep a matrix whole when its factorisation fails", async () => {
    const matrix = await kernels.hold(Float64Array.of(1, 2, 1));
    await expect(kernels.cholesky({ matrix, size: 2, output: "factor" })).rejects.toMatchObject({ code: "NATIVE_NOT_POSITIVE" });
    expect(Array.from(await matrix.read())).toEqual([1, 2, 1]);
  });

  it("refuse what is not sound when it is held", async () => {
    await expect(kernels.hold(Float32Array.of(1, NaN))).rejects.toMatchObject({ code: "NATIVE_NOT_FINITE" });
    await expect(kernels.hold({ ...csrOf([[3]]), columnCount: 3 })).rejects.toMatchObject({ code: "NATIVE_CSR" });
    for (const bad of [undefined, null, 3, [1], new Uint32Array(2), {}, { offsets: Uint32Array.of(0) }]) {
      await expect(kernels.hold(bad as never)).rejects.toMatchObject({ name: "NativeError" });
    }
  });

  it("refuse the wrong place: another kind, other kernels, fewer columns, other rows", async () => {
    const held = await kernels.hold(users), graph = await kernels.hold({ ...rows, columnCount: 10 });
    await expect(kernels.scoreTopK({ users: graph as never, items, dimension: 5, k: 1 })).rejects.toMatchObject({ code: "NATIVE_INPUT" });
    await expect(kernels.scoreTopK({ users, items, dimension: 5, k: 1, mask: held as never })).rejects.toMatchObject({ code: "NATIVE_INPUT" });
    const others = kernels.face === "js" ? loadKernels() : referenceKernels();
    if (others.face !== kernels.face) await expect(others.scoreTopK({ users: held, items, dimension: 5, k: 1 })).rejects.toThrow("other kernels");
    await expect(kernels.gram({ positives: graph, columnCount: 9 })).rejects.toMatchObject({ code: "NATIVE_CSR" });
    await expect(kernels.scoreTopK({ users: users.subarray(5), items, dimension: 5, k: 1, mask: graph })).rejects.toMatchObject({ code: "NATIVE_CSR" });
  });

  it("free their memory on dispose, twice if need be, and then refuse; calls under way finish", async () => {
    const held = await kernels.hold(items);
    const running = kernels.scoreTopK({ users, items: held, dimension: 5, k: 1 });
    held.dispose();
    held.dispose();
    expect((await running).items.length).toBe(6);
    await expect(held.read()).rejects.toMatchObject({ code: "NATIVE_DISPOSED" });
    await expect(kernels.scoreTopK({ users, items: held, dimension: 5, k: 1 })).rejects.toMatchObject({ code: "NATIVE_DISPOSED" });
  });

  it("take large data piece by piece: the event loop turns meanwhile, an abort stops it, the results are the same", async () => {
    const rowsOf = 1_200_000, large = floats(80, 4), many = new Float32Array(rowsOf * 8);
    for (let at = 0; at < many.length; at += 80) many.set(large, at);
    const reason = new Error("enough");
    await expect(kernels.hold(many, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const held = await kernels.hold(many);
    await wait(1);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(0);
    // 38 MB: also staged on its way to one call.
    const query = { users: floats(8, 5), dimension: 8, k: 12 };
    const direct = await kernels.scoreTopK({ ...query, items: many });
    expect(bytesOf(await kernels.scoreTopK({ ...query, items: held }))).toBe(bytesOf(direct));
    expect(Array.from(direct.items.subarray(1, 4), (item) => item - direct.items[0])).toEqual([10, 20, 30]);
    held.dispose();
  });

  it("serve a graph to training", async () => {
    const positives = sparse(40, 30, 0.2, 1), held = await kernels.hold({ ...positives, columnCount: 30 });
    const input = { seed: 1, firstEpoch: 0, epochs: 2, batchCount: 3, learningRate: 0.01, regularisation: 0.1, optimiser: "adam", layers: 2 } as const;
    expect(bytesOf(await kernels.lightGcnEpoch(freshState(40, 30, 4), { ...input, positives: held })))
      .toBe(bytesOf(await kernels.lightGcnEpoch(freshState(40, 30, 4), { ...input, positives })));
  });
});
