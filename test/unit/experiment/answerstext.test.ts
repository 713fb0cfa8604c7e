import { describe, expect, it } from "vitest";
import { answersText } from "../../../src/experiment/answerstext.js";
import { emptyCounts } from "../../../src/generation/counts.js";

describe("the line below a table of answers", () => {
  it("names retries of both kinds, every odd counter that is not zero, bias and tokens", () => {
    const counts = {
      ...emptyCounts(), qualityRetries: 3, transportRetries: 7, clamped: 2, coerced: 1, lengthStops: 4, lowMass: 5, tokensIn: 2_100_000, tokensOut: 27_000,
    };
    expect(answersText({ ok: 940, repaired: 2, fallback: 1, withoutHistory: 0, counts, positionTau: 0.71, tieRate: 0.021 })).toBe(
      "940 of 943 answers whole, asked again 3, sent again 7; clamped 2, coerced 1, lengthStops 4, lowMass 5; tau to the prompt's order .710, ties 2.1 %; 2.1M tokens read, 27K written");
  });

  it("tells ties also where no answer tells candidates apart, and nothing that is not known", () => {
    const answers = { ok: 4, repaired: 0, fallback: 0, withoutHistory: 0 };
    expect(answersText({ ...answers, counts: emptyCounts(), tieRate: 1 })).toBe("4 of 4 answers whole, asked again 0, sent again 0; ties 100.0 %");
    expect(answersText({ ...answers, counts: undefined })).toBe("4 of 4 answers whole");
  });
});
