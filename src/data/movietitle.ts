const YEAR = /\s*\((\d{4})(?:[-\u2013](?:\d{4})?)?\)\s*(?:\((?:V|TV)\)\s*)?$/;
const PARTS = /^(.*?)((?:\s*\([^()]*\))*)\s*$/s;
/** Articles that MovieLens moved behind the title, in the languages of its catalogue. */
const ARTICLE = /^(.+), (The|An?|Les?|La|L'|Il|Lo|Gli|I|El|Los|Las|Una?|Une|De[rnt]?|Die|Das|Dem|Des|Eine?|Het|Os?)$/s;

/**
 * A MovieLens title as people write it, and its year: "Matrix, The (1999)" gives "The Matrix" and 1999, "City of Lost
 * Children, The (Cité des enfants perdus, La) (1995)" moves both articles. Without a year in brackets at the end, `year`
 * is undefined. Prompts and word vectors read these titles, so they should look like text, not like an index of cards.
 */
export function readTitle(raw: string): { title: string; year: number | undefined } {
  const found = YEAR.exec(raw);
  const name = found ? raw.slice(0, found.index) : raw;
  return { title: naturalOrder(name.trim()), year: found ? Number(found[1]) : undefined };
}

function naturalOrder(name: string): string {
  const [, main = name, others = ""] = PARTS.exec(name) ?? [];
  // A title in brackets alone, such as "(500) Days", has no main part to turn.
  return moveArticle(main) + others.replace(/\(([^()]*)\)/g, (_, inner: string) => `(${moveArticle(inner.trim())})`);
}

function moveArticle(name: string): string {
  const alias = /^a\.?k\.?a\.? /i.exec(name)?.[0] ?? "";
  const found = ARTICLE.exec(name.slice(alias.length));
  if (!found) return name;
  const [, rest, article] = found;
  return article!.endsWith("'") ? `${alias}${article}${rest}` : `${alias}${article} ${rest}`;
}

/** Genre words without the publishers' ways to say that there is none. */
export function readGenres(words: readonly string[]): string[] {
  return words.map((word) => word.trim()).filter((word) => word !== "" && word !== "unknown" && word !== "(no genres listed)");
}
