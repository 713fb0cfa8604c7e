import { readdirSync, readFileSync } from "node:fs";
import { join, posix, relative, resolve, sep } from "node:path";
import ts from "typescript";

export const root = resolve(import.meta.dirname, "../..");

export interface Source {
  /** Path from the repository root, with forward slashes. */
  path: string;
  text: string;
  tree: ts.SourceFile;
}

export interface ImportEdge {
  from: string;
  /** A path from the root for our own files, else the package name as written. */
  to: string;
  own: boolean;
}

/** Files below a folder of the repository whose names match, sorted. */
export function filesBelow(folder: string, pattern: RegExp): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .filter((path) => !path.includes("node_modules/"))
    .sort();
}

export function parse(path: string, text = readFileSync(join(root, path), "utf8")): Source {
  return { path, text, tree: ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true) };
}

export function sources(): Source[] {
  return filesBelow("src", /\.ts$/).map((path) => parse(path));
}

/** Every module a file names: import, export ... from, import(...), import("...").Type, require(...). */
export function importsOf({ path, tree }: Source): ImportEdge[] {
  const names: string[] = [];
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier) {
      names.push((node.moduleSpecifier as ts.StringLiteral).text);
    } else if (ts.isCallExpression(node) && node.arguments[0] && ts.isStringLiteralLike(node.arguments[0])) {
      const callee = node.expression;
      if (callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === "require")) names.push(node.arguments[0].text);
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
      names.push(node.argument.literal.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return names.map((name) => {
    const own = name.startsWith(".");
    return { from: path, to: own ? posix.join(posix.dirname(path), name).replace(/\.js$/, ".ts") : name, own };
  });
}

/** The room of a file: "core" of src/core/rng.ts, "index" of src/index.ts. */
export function roomOf(path: string): string {
  const parts = path.split("/");
  return parts.length > 2 ? parts[1]! : parts[1]!.replace(/\.ts$/, "");
}

/** A cycle as a list of names that ends where it begins, or undefined. */
export function cycleOf(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const done = new Set<string>();
  const walk = (node: string, path: string[]): string[] | undefined => {
    const seen = path.indexOf(node);
    if (seen >= 0) return [...path.slice(seen), node];
    if (done.has(node)) return undefined;
    for (const next of [...(edges.get(node) ?? [])].sort()) {
      const cycle = walk(next, [...path, node]);
      if (cycle) return cycle;
    }
    done.add(node);
    return undefined;
  };
  for (const node of [...edges.keys()].sort()) {
    const cycle = walk(node, []);
    if (cycle) return cycle;
  }
  return undefined;
}
