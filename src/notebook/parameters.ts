import { ConfigError } from "../core/errors.js";

export type ParameterValue = string | number | boolean | readonly (string | number | boolean)[];

/** Defaults give the types: "synthetic" a string, 2020 a number, [1, 2] numbers. */
export type Widened<T> = { -readonly [Name in keyof T]:
  T[Name] extends string ? string : T[Name] extends number ? number : T[Name] extends boolean ? boolean
    : T[Name] extends readonly (infer Part)[] ? (Part extends string ? string : Part extends number ? number : boolean)[] : T[Name] };

/** The environment variable that `parameters` reads. */
export const PARAMETERS_VARIABLE = "CRAGRU_PARAMETERS";

/**
 * The parameters of a notebook: `defaults`, with what the JSON object in CRAGRU_PARAMETERS overrides. Types follow the defaults.
 * @throws ConfigError when the text is no JSON object, names a parameter that the notebook does not have, or changes a type
 */
export function parameters<T extends Record<string, ParameterValue>>(defaults: T, text = process.env[PARAMETERS_VARIABLE]): Widened<T> {
  const merged: Record<string, unknown> = { ...defaults };
  for (const [name, value] of Object.entries(parsed(text))) {
    const standard = defaults[name];
    if (standard === undefined) {
      throw new ConfigError("CONFIG_PARAMETER", `${PARAMETERS_VARIABLE} sets "${name}", which this notebook does not have.`, {
        hint: `It has ${Object.keys(defaults).join(", ")}.`,
      });
    }
    if (kindOf(value) !== kindOf(standard)) {
      throw new ConfigError("CONFIG_PARAMETER", `${PARAMETERS_VARIABLE} sets "${name}" to ${JSON.stringify(value)}, a ${kindOf(value)}; it is a ${kindOf(standard)}.`, {
        hint: `Write a value like ${JSON.stringify(standard)}.`,
      });
    }
    merged[name] = value;
  }
  return merged as Widened<T>;
}

function parsed(text: string | undefined): Record<string, unknown> {
  if (text === undefined || text.trim() === "") return {};
  const hint = `Set it to a JSON object, for example ${PARAMETERS_VARIABLE}='{"dataset":"ml-100k"}'.`;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ConfigError("CONFIG_PARAMETERS_JSON", `${PARAMETERS_VARIABLE} is not JSON: ${text.slice(0, 60)}`, { hint, cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ConfigError("CONFIG_PARAMETERS_JSON", `${PARAMETERS_VARIABLE} holds ${JSON.stringify(value)}, not an object.`, { hint });
  }
  return value as Record<string, unknown>;
}

/** "string", "number", "list of numbers", ... */
function kindOf(value: unknown): string {
  if (!Array.isArray(value)) return value === null ? "null" : typeof value;
  const kinds = [...new Set(value.map((part) => typeof part))].sort();
  return kinds.length === 0 ? "list" : `list of ${kinds.join(" and ")}s`;
}
