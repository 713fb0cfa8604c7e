import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

/**
 * Rules that find mistakes, not tastes. Those that need types are the point: a forgotten `await` leaves a notebook cell green
 * and silent. Imports between rooms are checked by test/architecture.
 */
const typed = {
  languageOptions: { parser: tseslint.parser, parserOptions: { project: ["./test/tsconfig.json"], tsconfigRootDir: import.meta.dirname } },
  plugins: { "@typescript-eslint": tseslint.plugin },
  linterOptions: { reportUnusedDisableDirectives: "warn" },
};

const everywhere = {
  eqeqeq: ["error", "always"],
  "no-var": "error",
  "prefer-const": ["error", { destructuring: "all" }],
  "no-constant-condition": ["error", { checkLoops: false }],
  "no-dupe-keys": "error",
  "no-fallthrough": "error",
  "no-self-compare": "off",
  "no-unsafe-finally": "error",
  "no-cond-assign": ["error", "except-parens"],
  "no-sparse-arrays": "error",
  "no-unreachable": "error",
  "no-debugger": "error",
  "@typescript-eslint/await-thenable": "error",
  "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports", disallowTypeAnnotations: false }],
  "@typescript-eslint/no-explicit-any": "error",
  "@typescript-eslint/no-floating-promises": ["error", { ignoreVoid: true }],
  "@typescript-eslint/no-for-in-array": "error",
  "@typescript-eslint/no-misused-promises": ["error", { checksVoidReturn: { arguments: false } }],
  "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_", caughtErrors: "all" }],
  "@typescript-eslint/only-throw-error": "error",
  "@typescript-eslint/prefer-promise-reject-errors": "error",
  "@typescript-eslint/require-array-sort-compare": ["error", { ignoreStringArrays: true }],
  "@typescript-eslint/restrict-plus-operands": "error",
  "@typescript-eslint/return-await": ["error", "error-handling-correctness-only"],
  "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
};

const noClockNoLuck = [
  { object: "Math", property: "random", message: "Draw from KeyedRandom (core/rng.ts): same seed, same bytes." },
  { object: "Date", property: "now", message: "Results hold no clock; durations come from performance.now()." },
];
const noDefault = [
  { selector: "ExportDefaultDeclaration", message: "Named exports only: one name, the same everywhere." },
  { selector: "TSExportAssignment", message: "Named exports only." },
];

export default defineConfig(
  { ignores: ["dist/", "build/", "coverage/", "results/", "vendor/", "notebooks/node_modules/", "test/engine/node_modules/", "test/fixtures/**/*.d.ts"] },
  { files: ["src/**/*.ts", "test/**/*.ts", "vitest.config.ts"], ...typed, rules: everywhere },
  {
    files: ["src/**/*.ts"],
    rules: {
      "no-console": "error",
      "no-restricted-properties": ["error", ...noClockNoLuck],
      "no-restricted-syntax": ["error", ...noDefault,
        { selector: "NewExpression[callee.name='Date'][arguments.length=0]", message: "Results hold no clock." }],
      "no-process-exit": "off",
      "no-restricted-globals": ["error", "__dirname", "__filename", "require"],
      "@typescript-eslint/explicit-module-boundary-types": "error",
    },
  },
  {
    // Manifests say when a run took place, and the command line talks to a terminal.
    files: ["src/cli/**/*.ts", "src/experiment/**/*.ts"],
    rules: { "no-console": "off", "no-restricted-properties": ["error", noClockNoLuck[0]], "no-restricted-syntax": ["error", ...noDefault] },
  },
  {
    files: ["scripts/**/*.mjs", "bench/**/*.mjs", "eslint.config.mjs"],
    rules: { eqeqeq: "error", "no-var": "error", "prefer-const": "error", "no-unreachable": "error", "no-unused-vars": ["error", { argsIgnorePattern: "^_" }] },
  },
);
