import { describe, expect, it } from "vitest";
import ts from "typescript";
import { parse, sources, type Source } from "./sources.js";

const hasModifier = (node: ts.Node, kind: ts.SyntaxKind): boolean =>
  ts.canHaveModifiers(node) && (ts.getModifiers(node)?.some((modifier) => modifier.kind === kind) ?? false);
const place = ({ path, tree }: Source, node: ts.Node): string => `${path}:${tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1}`;

/** Default exports: `export default`, `export = `, `export { x as default }`. */
function defaultExports(source: Source): string[] {
  return source.tree.statements.filter((node) =>
    ts.isExportAssignment(node) || hasModifier(node, ts.SyntaxKind.DefaultKeyword)
    || (ts.isExportDeclaration(node) && node.exportClause && ts.isNamedExports(node.exportClause)
      && node.exportClause.elements.some((element) => element.name.text === "default"))).map((node) => place(source, node));
}

/** `await` outside every function: a notebook kernel loads us with require, which refuses such modules. */
function topLevelAwaits(source: Source): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) || ts.isPropertyDeclaration(node) || ts.isClassStaticBlockDeclaration(node)) return;
    if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier)) found.push(place(source, node));
    ts.forEachChild(node, visit);
  };
  visit(source.tree);
  return found;
}

/** Exported functions and classes (also `export const f = () => ...`) without a docstring. */
function undocumented(source: Source): string[] {
  const isFunction = (node: ts.Expression | undefined): boolean => node !== undefined && (ts.isArrowFunction(node) || ts.isFunctionExpression(node));
  return source.tree.statements.flatMap((node) => {
    if (!hasModifier(node, ts.SyntaxKind.ExportKeyword)) return [];
    const counts = ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node)
      || (ts.isVariableStatement(node) && node.declarationList.declarations.some(({ initializer }) => isFunction(initializer)));
    if (!counts || ts.getJSDocCommentsAndTags(node).length > 0) return [];
    // An overload or an implementation is documented by the first signature of its name.
    const named = ts.isFunctionDeclaration(node) ? node.name?.text : undefined;
    const first = source.tree.statements.find((other) => ts.isFunctionDeclaration(other) && other.name?.text === named);
    if (named && first && first !== node && ts.getJSDocCommentsAndTags(first).length > 0) return [];
    return [place(source, node)];
  });
}

/** Statements with an effect when the module is loaded: calls, assignments, loops at the top level. */
function effects(source: Source): string[] {
  return source.tree.statements.filter((node) =>
    ts.isExpressionStatement(node) || ts.isForStatement(node) || ts.isForOfStatement(node) || ts.isWhileStatement(node)
    || ts.isIfStatement(node) || ts.isTryStatement(node)
    || (ts.isImportDeclaration(node) && !node.importClause)).map((node) => place(source, node));
}

/** Module-level `let` and `var`: state that two runs in one process would share. */
function mutableState(source: Source): string[] {
  return source.tree.statements.filter((node) =>
    ts.isVariableStatement(node) && !(node.declarationList.flags & ts.NodeFlags.Const)).map((node) => place(source, node));
}

const files = sources();
/** The program's entry point runs on load; everything else waits to be called. */
const libraries = files.filter(({ path }) => path !== "src/cli/main.ts");

describe("the surface of src", () => {
  it("has no default exports", () => {
    expect(files.flatMap(defaultExports)).toEqual([]);
    expect(defaultExports(parse("src/a.ts", "export default 1; const b = 1; export { b as default };"))).toHaveLength(2);
  });

  it("has no top-level await", () => {
    expect(files.flatMap(topLevelAwaits)).toEqual([]);
    expect(topLevelAwaits(parse("src/a.ts", "const x = await y(); async function f() { await y(); }"))).toEqual(["src/a.ts:1"]);
  });

  it("does nothing at import and keeps no mutable state at module level", () => {
    expect(libraries.flatMap(effects)).toEqual([]);
    expect(libraries.flatMap(mutableState)).toEqual([]);
    expect(effects(parse("src/a.ts", 'import "x"; console.log(1); if (a) b();'))).toHaveLength(3);
    expect(mutableState(parse("src/a.ts", "let x = 1; const y = 2; export var z;"))).toHaveLength(2);
  });

  it("documents every exported function and class", () => {
    expect(files.flatMap(undocumented)).toEqual([]);
    expect(undocumented(parse("src/a.ts", "export const f = () => 1; export class C {} export const n = 1;\n/** Says. */\nexport function g() {}")))
      .toEqual(["src/a.ts:1", "src/a.ts:1"]);
  });

  it("offers explicit named exports only at its entry points", () => {
    for (const path of ["src/index.ts", "src/notebook/index.ts"]) {
      const entry = files.find((file) => file.path === path);
      expect(entry, `${path} is missing`).toBeDefined();
      const odd = entry!.tree.statements.filter((node) => !(ts.isExportDeclaration(node) && node.exportClause && ts.isNamedExports(node.exportClause)));
      expect(odd.map((node) => place(entry!, node))).toEqual([]);
    }
  });
});
