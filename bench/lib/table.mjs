// Results as tables: plain text for a terminal, Markdown for the documents. Both come from the JSON that the programs write.
const number = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value >= 1 ? value.toFixed(2) : value.toFixed(3));

function render(head, rows, markdown) {
  const cells = [head, ...rows].map((row) => row.map((cell) => String(cell ?? "")));
  if (markdown) {
    const [first, ...rest] = cells.map((row) => `| ${row.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`);
    return [first, `|${"---|".repeat(head.length)}`, ...rest].join("\n");
  }
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column].length)));
  return cells.map((row) => row.map((cell, column) => cell.padEnd(widths[column])).join("  ").trimEnd()).join("\n");
}

const verdict = (one) => (one.goal === undefined ? "" : one.reached ? "reached" : "missed");

/** The table of `peers.mjs`. */
export function peersTable(result, markdown) {
  const rows = [], single = result.threads === 1;
  for (const line of result.lines) {
    const problems = [...(line.failed ? [`failed: ${line.failed}`] : []), ...line.notes];
    for (const { ours, peer, ratio, low, high, ...goal } of line.rows) {
      rows.push([
        line.title, ours.name, number(ours.ms), peer ? `${peer.name} (${peer.form})` : "", peer ? number(peer.ms) : "",
        peer ? `${number(ratio)} (${number(low)} to ${number(high)})` : "", goal.goal ? `>= ${goal.goal}` : "", verdict(goal),
      ]);
    }
    for (const problem of problems) rows.push([line.title, problem, "", "", "", "", "", ""]);
  }
  return render(["work", "ours", `ms, ${single ? "CPU" : "wall"}`, "peer (form)", "ms", "ratio (pairs)", "goal", ""], rows, markdown);
}

export function roofsTable(result, markdown) {
  const rows = result.lines.flatMap((line) => line.roofs.map((one) => [
    line.title, one.variant, `${number(one.rate)} ${unitOf(one.roof)}`, `${one.roof} ${number(result.roofs[one.roof])}`, `${(100 * one.share).toFixed(0)} %`,
    one.goal ? `>= ${100 * one.goal} %` : "", verdict(one),
  ]));
  return rows.length > 0 ? render(["work", "ours", "rate", "roof", "share", "goal", ""], rows, markdown) : "";
}

export function scalingOfThreads(result, markdown) {
  const rows = result.lines.flatMap((line) => line.scaling.map((one) => [
    line.title, one.variant, number(one.oneThreadMs), number(one.ms), `${number(one.ratio)} (${number(one.low)} to ${number(one.high)})`, `>= ${number(one.goal)}`, verdict(one),
  ]));
  return rows.length > 0 ? render(["work", "ours", "1 thread, wall ms", `${result.threads} threads`, "faster (pairs)", "goal", ""], rows, markdown) : "";
}

const unitOf = (roof) => (/gemm|fma/.test(roof) ? "GFLOP/s" : "GB/s");

/** Roofs in one line. */
export const roofsLine = (roofs) => Object.entries(roofs).map(([name, rate]) => `${name} ${number(rate)} ${unitOf(name)}`).join(", ");

/** The table of `scaling.mjs`: one row a kernel and variable. */
export function scalingTable(result, markdown) {
  return render(["kernel", "against", "values", "ms", "exponent", "in words"], result.series.map((one) => [
    one.kernel, one.variable, one.values.join(", "), one.failed ?? one.ms.map(number).join(", "), one.exponent === undefined ? "" : one.exponent.toFixed(2), one.sentence ?? "",
  ]), markdown);
}

export const setupText = (line) => line.setup.map(({ name, ms }) => `${name} ${number(ms)} ms`).join(", ");
