/** Columns padded to their widest cell, two spaces apart; the first column to the left, the others to the right. */
export function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, at) => { widths[at] = Math.max(widths[at] ?? 0, cell.length); });
  return rows
    .map((row) => row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join("  ").trimEnd())
    .join("\n");
}

/** A small HTML table: first row as heads, every cell escaped; the meaning is in the text, never in colour. */
export function htmlTable(rows: readonly (readonly string[])[], caption: string): string {
  const line = (row: readonly string[], tag: "th" | "td"): string =>
    `<tr>${row.map((cell, at) => `<${tag} align="${at === 0 ? "left" : "right"}">${escapeHtml(cell)}</${tag}>`).join("")}</tr>`;
  const [head = [], ...body] = rows;
  return `<table><caption>${escapeHtml(caption)}</caption><thead>${line(head, "th")}</thead>`
    + `<tbody>${body.map((row) => line(row, "td")).join("")}</tbody></table>`;
}

/** Text as it may stand in HTML, in an element or in a quoted attribute. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
