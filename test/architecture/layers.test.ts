import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { cycleOf, importsOf, parse, roomOf, root, sources, type ImportEdge } from "./sources.js";

const DERIVED = ["core", "data"];
const METHOD = ["backbone", "retrieval", "augmentation", "generation"];

/** Which rooms a room may import besides itself. A missing room is a failure: a new room needs a place in the house. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  core: [],
  native: ["core"],
  tensor: ["core"],
  data: ["core"],
  evaluation: ["core"],
  backbone: [...DERIVED, "native", "tensor"],
  retrieval: [...DERIVED, "native", "tensor"],
  augmentation: DERIVED,
  generation: DERIVED,
  ledger: DERIVED,
  unlearning: [...DERIVED, "native", "tensor", ...METHOD, "ledger", "evaluation"],
  audit: [...DERIVED, "native", "tensor", ...METHOD, "ledger", "unlearning", "evaluation"],
  experiment: [...DERIVED, "native", "tensor", ...METHOD, "ledger", "unlearning", "evaluation", "audit"],
  notebook: [...DERIVED, "native", "tensor", ...METHOD, "ledger", "unlearning", "evaluation", "audit", "experiment"],
  cli: [...DERIVED, "native", "tensor", ...METHOD, "ledger", "unlearning", "evaluation", "audit", "experiment"],
};
/** src/index.ts is the table of contents: everything but the command line and the notebook's own entry point. */
const INDEX = Object.keys(MAY_IMPORT).filter((room) => room !== "cli" && room !== "notebook");

/** Packages that only one room may know, so that an engine can be exchanged behind one door. */
const OWNER: Record<string, readonly string[]> = {
  tslab: ["notebook"],
  "danfojs-node": ["notebook"],
  "@tensorflow/tfjs": ["tensor"],
  "@tensorflow/tfjs-backend-wasm": ["tensor"],
  "@tensorflow/tfjs-node-gpu": ["tensor"],
  ollama: ["generation"],
  bullmq: ["generation"],
  ioredis: ["generation"],
  "node-llama-cpp": ["generation"],
  commander: ["cli"],
  "cli-progress": ["cli"],
};

function forbidden(edge: ImportEdge): string | undefined {
  const room = roomOf(edge.from);
  if (!edge.own) {
    const owner = OWNER[edge.to];
    return owner && !owner.includes(room) ? `${edge.from} imports ${edge.to}, which only ${owner.join(", ")} may` : undefined;
  }
  const target = roomOf(edge.to);
  if (target === room) return undefined;
  const allowed = room === "index" ? INDEX : MAY_IMPORT[room];
  if (!allowed) return `${edge.from}: the room "${room}" has no row in the table of layers`;
  return allowed.includes(target) ? undefined : `${edge.from} imports ${edge.to}: ${room} may import ${allowed.join(", ") || "nothing of ours"}`;
}

const files = sources();
const edges = files.flatMap(importsOf);

describe("the layers of src", () => {
  it("are kept by every import", () => {
    expect(files.length).toBeGreaterThan(20);
    expect(edges.flatMap((edge) => forbidden(edge) ?? [])).toEqual([]);
  });

  it("would not let the four rooms of the method import one another, core import data, or data import tslab", () => {
    const edge = (from: string, to: string): string | undefined => forbidden(importsOf(parse(from, `import type { X } from "${to}";`))[0]!);
    for (const room of METHOD) {
      for (const other of METHOD) {
        if (room !== other) expect(edge(`src/${room}/a.ts`, `../${other}/b.js`)).toContain("may import");
      }
    }
    expect(edge("src/core/a.ts", "../data/b.js")).toContain("nothing of ours");
    expect(edge("src/data/a.ts", "tslab")).toContain("only notebook");
    expect(edge("src/evaluation/a.ts", "../unlearning/b.js")).toContain("may import core");
    expect(edge("src/newroom/a.ts", "../core/b.js")).toContain("no row");
    expect(edge("src/unlearning/a.ts", "../retrieval/b.js")).toBeUndefined();
    const dynamic = importsOf(parse("src/core/a.ts", 'const x = await import("../data/b.js"); type Y = import("../cli/c.js").Y;'));
    expect(dynamic.map((found) => found.to)).toEqual(["src/data/b.ts", "src/cli/c.ts"]);
  });

  it("have no cycle between rooms, and none between files", () => {
    const rooms = new Map<string, Set<string>>(), graph = new Map<string, Set<string>>();
    for (const { from, to, own } of edges) {
      if (!own) continue;
      graph.set(from, (graph.get(from) ?? new Set()).add(to));
      if (roomOf(from) !== roomOf(to)) rooms.set(roomOf(from), (rooms.get(roomOf(from)) ?? new Set()).add(roomOf(to)));
    }
    expect(cycleOf(rooms)).toBeUndefined();
    expect(cycleOf(graph)).toBeUndefined();
    expect(cycleOf(new Map([["a", new Set(["b"])], ["b", new Set(["c"])], ["c", new Set(["b"])]]))).toEqual(["b", "c", "b"]);
  });

  it("name files that exist", () => {
    expect(edges.filter(({ to, own }) => own && !existsSync(join(root, to))).map(({ from, to }) => `${from} -> ${to}`)).toEqual([]);
  });
});
