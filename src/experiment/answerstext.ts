import type { AnswerCounts } from "./results.js";

/**
 * How answers came about, below every table of theirs: "940 of 943 answers whole, asked again 3, sent again 0; clamped 2; tau to the
 * prompt's order .710, ties 2.1 %; 2.1M tokens read, 270K written".
 */
export function answersText({ ok, repaired, fallback, counts, positionTau, tieRate }: AnswerCounts): string {
  const users = ok + repaired + fallback, compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
  const odd = counts ? (["unknownKeys", "duplicateKeys", "missingKeys", "clamped", "coerced", "lengthStops", "lowMass", "splitScore"] as const)
    .filter((name) => counts[name] > 0).map((name) => `${name} ${counts[name]}`) : [];
  const bias = [
    ...(positionTau === undefined ? [] : [`tau to the prompt's order ${digits(positionTau)}`]),
    ...(tieRate === undefined ? [] : [`ties ${(100 * tieRate).toFixed(1)} %`]),
  ];
  return [
    `${ok} of ${users} answers whole${counts ? `, asked again ${counts.qualityRetries}, sent again ${counts.transportRetries}` : ""}`,
    ...(odd.length > 0 ? [odd.join(", ")] : []),
    ...(bias.length > 0 ? [bias.join(", ")] : []),
    ...(counts && counts.tokensIn > 0 ? [`${compact.format(counts.tokensIn)} tokens read, ${compact.format(counts.tokensOut)} written`] : []),
  ].join("; ");
}

/** ".393": three digits, no leading zero. */
export function digits(value: number): string {
  return value.toFixed(3).replace(/^(-?)0\./, "$1.");
}
