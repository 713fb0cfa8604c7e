/** What a notebook kernel offers for output. One call is one output; what `newDisplay()` returns replaces its own. */
export interface Display {
  html(text: string): void;
  text(text: string): void;
  svg(text: string): void;
  png(bytes: Uint8Array): void;
  markdown(text: string): void;
}

export interface NotebookKernel {
  readonly display: Display;
  newDisplay(): Display;
}

/**
 * The running tslab kernel, or undefined in a terminal. The only line of the project that knows tslab: its global is private,
 * so the version is pinned, and test/notebooks says when it moves.
 */
export function notebookKernel(): NotebookKernel | undefined {
  const { __tslab__: kernel } = globalThis as { __tslab__?: { require(name: string): unknown } };
  return kernel?.require("tslab") as NotebookKernel | undefined;
}

/** Shows a result: `html` in a notebook where it is given, `text` everywhere else. */
export function print(text: string, html?: string): void {
  const kernel = notebookKernel();
  if (!kernel) process.stdout.write(`${text}\n`);
  else if (html === undefined) kernel.display.text(text);
  else kernel.display.html(html);
}
