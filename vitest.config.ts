import { defineConfig } from "vitest/config";
import { Summary } from "./test/summary.js";

/**
 * Tests are grouped by what they need, one folder a need: unit, contract, architecture and golden need nothing, native the
 * addon, gpu a device, notebooks the tslab kernel, distributed redis-server, engine node-llama-cpp, live a real model. A folder name selects: `npx vitest run test/unit`.
 */
export default defineConfig({
  test: {
    include: ["test/{unit,contract,architecture,golden,native,gpu,notebooks,distributed,engine,live}/**/*.test.ts"],
    // Processes, not threads: the addon and the notebook's sockets must not share a process with another file's tests.
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 120_000,
    reporters: ["default", new Summary()],
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      reporter: ["text", "json-summary"],
      reportsDirectory: "coverage",
      thresholds: { lines: 90 },
    },
  },
});
