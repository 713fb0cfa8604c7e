import { CragruError } from "../core/errors.js";
import { print } from "./kernel.js";

/**
 * A sentence that is true or false of the results above it. The verdict is shown; a false claim then throws, which fails the
 * cell, the notebook and its test.
 * @throws CragruError CLAIM_FALSE; whatever `check` throws
 */
export function claim(text: string, check: () => boolean): void {
  const holds = check();
  print(`${holds ? "true" : "FALSE"}: ${text}`);
  if (!holds) {
    throw new CragruError("CLAIM_FALSE", `The claim does not hold: ${text}`, { hint: "Look at the results it rests on, then mend the code or the claim." });
  }
}
