import { afterEach, beforeEach, vi } from "vitest";

/** What a pretended kernel was told to show, output by output: the last state of each. */
export interface Shown {
  kind: "html" | "text";
  text: string;
}

/** Makes `notebookKernel()` find a kernel that records, for the tests of one suite. */
export function pretendKernel(): Shown[] {
  const shown: Shown[] = [];
  const recorder = (replace: boolean): Record<Shown["kind"], (text: string) => void> => {
    let at = -1;
    const put = (kind: Shown["kind"]) => (text: string): void => {
      if (!replace || at < 0) at = shown.push({ kind, text }) - 1;
      else shown[at] = { kind, text };
    };
    return { html: put("html"), text: put("text") };
  };
  beforeEach(() => {
    shown.length = 0;
    vi.stubGlobal("__tslab__", { require: (name: string) => name === "tslab" ? { display: recorder(false), newDisplay: () => recorder(true) } : undefined });
  });
  afterEach(() => vi.unstubAllGlobals());
  return shown;
}

/** Collects what is written to a stream while `work` runs. */
export async function written(stream: NodeJS.WriteStream, work: () => unknown): Promise<string> {
  const parts: string[] = [];
  const spy = vi.spyOn(stream, "write").mockImplementation((part) => parts.push(String(part)) > 0);
  try {
    await work();
  } finally {
    spy.mockRestore();
  }
  return parts.join("");
}
