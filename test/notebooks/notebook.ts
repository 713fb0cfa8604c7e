import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { notebooksFolder, startKernel, type KernelOutput } from "../kernel.js";

/** nbformat 4.5, as far as we write it. */
export type Output =
  | { output_type: "stream"; name: string; text: string[] }
  | { output_type: "display_data"; data: Record<string, string[]>; metadata: Record<string, never> };

export interface Cell {
  cell_type: "code" | "markdown";
  id: string;
  metadata: { tags?: string[] };
  source: string[];
  execution_count?: number | null;
  outputs?: Output[];
}

export interface Notebook {
  cells: Cell[];
  metadata: Record<string, unknown>;
  nbformat: number;
  nbformat_minor: number;
}

export function readNotebook(name: string): Notebook {
  return JSON.parse(readFileSync(join(notebooksFolder, name), "utf8")) as Notebook;
}

export function writeNotebook(name: string, notebook: Notebook): void {
  writeFileSync(join(notebooksFolder, name), `${JSON.stringify(notebook, null, 1)}\n`);
}

/** nbformat keeps text as lines, each with its line end. */
const lines = (text: string): string[] => text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
export const textOf = (parts: readonly string[]): string => parts.join("");

/** Messages as a notebook stores them: streams of one name joined, a replaced display in its last state. */
export function collect(messages: readonly KernelOutput[]): Output[] {
  const outputs: Output[] = [], displays = new Map<string, Extract<Output, { output_type: "display_data" }>>();
  for (const { kind, name, text, data, transient } of messages) {
    const last = outputs.at(-1);
    if (kind === "stream" && name !== undefined && text !== undefined) {
      if (last?.output_type === "stream" && last.name === name) last.text = lines(textOf(last.text) + text);
      else outputs.push({ output_type: "stream", name, text: lines(text) });
    } else if (data && (kind === "display_data" || kind === "update_display_data")) {
      const stored = Object.fromEntries(Object.entries(data).map(([type, value]) => [type, lines(typeof value === "string" ? value : JSON.stringify(value))]));
      const known = transient?.display_id === undefined ? undefined : displays.get(transient.display_id);
      if (known) {
        known.data = stored;
        continue;
      }
      const output = { output_type: "display_data" as const, data: stored, metadata: {} };
      if (transient?.display_id !== undefined) displays.set(transient.display_id, output);
      outputs.push(output);
    }
  }
  return outputs;
}

export class NotebookFailure extends Error {}

/**
 * Runs every code cell in a fresh kernel, top to bottom, and returns the notebook with its outputs.
 * @throws NotebookFailure at the first cell that fails, with what the cell wrote to stderr
 */
export async function executeNotebook(name: string, environment: NodeJS.ProcessEnv = {}, onCell?: (done: number, total: number) => void): Promise<Notebook> {
  const notebook = readNotebook(name);
  const total = notebook.cells.filter((cell) => cell.cell_type === "code").length;
  const kernel = await startKernel(environment);
  try {
    const cells: Cell[] = [];
    let count = 0;
    for (const cell of notebook.cells) {
      if (cell.cell_type !== "code") {
        cells.push(cell);
        continue;
      }
      const { status, outputs: messages } = await kernel.execute(textOf(cell.source));
      const outputs = collect(messages);
      const complaint = outputs.flatMap((output) => (output.output_type === "stream" && output.name === "stderr" ? output.text : [])).join("");
      // A rejection that nobody awaits leaves the reply "ok": the kernel only prints it.
      if (status !== "ok" || /Unhandled|Uncaught/.test(complaint)) {
        throw new NotebookFailure(`${name}, cell ${count + 1} (${cell.id}) ended with "${status}":\n${complaint}\n--- the cell\n${textOf(cell.source)}`);
      }
      cells.push({ ...cell, execution_count: ++count, outputs });
      onCell?.(count, total);
    }
    return { ...notebook, cells };
  } finally {
    await kernel.close();
  }
}

/** The textual outputs of each code cell: what must not change from run to run. Images are left out. */
export function textOutputs(notebook: Notebook): { id: string; outputs: string[] }[] {
  return notebook.cells.filter((cell) => cell.cell_type === "code").map(({ id, outputs = [] }) => ({
    id,
    outputs: outputs.flatMap((output) => output.output_type === "stream"
      ? `${output.name}: ${textOf(output.text)}`
      : Object.entries(output.data).filter(([type]) => type.startsWith("text/")).map(([type, text]) => `${type}: ${textOf(text)}`)),
  }));
}

/** Code cells whose textual outputs differ, each with both forms. */
export function changedOutputs(stored: Notebook, run: Notebook): string[] {
  const before = textOutputs(stored), after = textOutputs(run);
  return after.flatMap(({ id, outputs }, at) => {
    const old = before[at]?.outputs ?? [];
    return JSON.stringify(old) === JSON.stringify(outputs) ? [] : [`cell ${id}\n--- stored\n${old.join("\n")}\n--- run\n${outputs.join("\n")}`];
  });
}
