/** Text that servers may read as control tokens of a chat: `<|eot_id|>`, `<start_of_turn>`, `</s>`, `[INST]`, `<<SYS>>`. */
const CONTROL_TOKENS = /<\|[^|<>]{0,64}\|>|<\/?[A-Za-z_]{1,24}>|\[\/?(?:INST|SYS|AVAILABLE_TOOLS|TOOL_CALLS)\]|<<\/?SYS>>/giu;
/** Every kind of white space and line end, also the ones that only some programs see as such. */
const SPACE = /(?:[^\S\ufeff]|[\u0085\u001c-\u001f])+/gu;
/** Control, format (bidirectional and zero-width marks, tags), private and lone surrogate code points: nothing to read. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Default_Ignorable_Code_Point}]/gu;
/** Characters that mean something in our lines, in JSON or in chat templates, and what is printed in their place. */
const STRUCTURE: ReadonlyMap<string, string> = new Map([
  ...[..."\"\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\uff02`"].map((quote): [string, string] => [quote, "'"]),
  ...[..."{[<\uff5b\uff3b\uff1c"].map((open): [string, string] => [open, "("]),
  ...[..."}]>\uff5d\uff3d\uff1e"].map((close): [string, string] => [close, ")"]),
  ...[..."\\|\uff3c\uff5c\u2502"].map((bar): [string, string] => [bar, "/"]),
]);
const STRUCTURAL = /["\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\uff02`{[<\uff5b\uff3b\uff1c}\]>\uff5d\uff3d\uff1e\\|\uff3c\uff5c\u2502]/gu;

/** Nothing in the text needs care: most titles, checked without building anything. */
const HARMLESS = /^(?! )(?!.*  )(?!.* $)[ !#-&'-;=?-Z^_a-z~\u00c0-\u024f]*$/u;

/**
 * One line of words that can stand inside quotes in a prompt and change nothing around it: control-token text and
 * invisible characters go, white space becomes single blanks, quotes, brackets, braces, bars and backslashes become
 * harmless ones. Longer texts are cut to `limit` code points. Returns `empty` where nothing is left. Idempotent.
 */
export function plainText(text: string, limit = 160, empty = "untitled"): string {
  if (text.length <= limit && text !== "" && HARMLESS.test(text)) return text;
  // A text of megabytes is cut before the work; four times the limit leaves room for what is removed.
  let plain = text.length > 4 * limit ? text.slice(0, 4 * limit) : text;
  plain = plain.replace(SPACE, " ").replace(INVISIBLE, "");
  // Removing one token may join the halves of another: "<|a<|b|>|>". Each pass shortens the text.
  for (let before = ""; before !== plain;) {
    before = plain;
    plain = plain.replace(CONTROL_TOKENS, "");
  }
  plain = plain.replace(STRUCTURAL, (character) => STRUCTURE.get(character)!).replace(/ {2,}/g, " ").trim();
  const points = [...plain];
  if (points.length > limit) plain = `${points.slice(0, limit - 3).join("").trimEnd()}...`;
  return plain === "" ? empty : plain;
}
