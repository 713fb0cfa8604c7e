import { describe, expect, it } from "vitest";
import { templateHash, withoutProfile, withProfile } from "../../../src/augmentation/templates.js";

describe("templates", () => {
  it("have a hash that any letter changes", () => {
    const hashes = new Set([
      withProfile, withoutProfile, { ...withProfile, version: 2 }, { ...withProfile, closing: `${withProfile.closing} ` },
      { ...withProfile, profile: { ...withProfile.profile!, unknown: "?" } }, { ...withProfile, instructions: withoutProfile.instructions },
    ].map(templateHash));
    expect(hashes.size).toBe(6);
    expect(templateHash({ ...withProfile })).toBe(templateHash(withProfile));
  });

  it("state the four rules and the range, and name no person by gender", () => {
    for (const { instructions, closing, profile } of [withProfile, withoutProfile]) {
      expect(instructions.match(/^[1-4]\. /gm)).toEqual(["1. ", "2. ", "3. ", "4. "]);
      expect(instructions).toContain("from 1 to 100");
      expect(instructions).toContain("JSON");
      expect(`${instructions} ${closing} ${Object.values(profile ?? {}).join(" ")}`).not.toMatch(/\b(he|she|his|her|him)\b/i);
    }
  });

  it("differ in the profile alone, apart from what the task says it is based on", () => {
    expect(withoutProfile.profile).toBeUndefined();
    expect(withProfile.instructions).toContain("profile");
    expect(withoutProfile.instructions).not.toContain("profile");
    expect([withoutProfile.history, withoutProfile.candidates, withoutProfile.closing])
      .toEqual([withProfile.history, withProfile.candidates, withProfile.closing]);
  });
});
