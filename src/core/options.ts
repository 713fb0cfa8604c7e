import { ConfigError } from "./errors.js";

/**
 * Refuses options that nobody reads: a misspelt name would otherwise be a default in silence.
 * @throws ConfigError that names the odd option, the caller and what exists.
 */
export function refuseUnknown(where: string, options: object, known: readonly string[]): void {
  const odd = Object.keys(options).find((key) => !known.includes(key));
  if (odd === undefined) return;
  throw new ConfigError("CONFIG_OPTION", `${where} has no option "${odd}".`, { hint: `Options: ${known.join(", ")}.` });
}
