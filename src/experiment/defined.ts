/** The entries that have a value: optional options handed on without `undefined`. */
export function defined<T extends object>(entries: T): { [Key in keyof T]?: Exclude<T[Key], undefined> } {
  const given = Object.entries(entries).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as { [Key in keyof T]?: Exclude<T[Key], undefined> };
}
