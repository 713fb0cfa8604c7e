import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { plainText } from "../../../src/augmentation/text.js";

describe("plainText", () => {
  it("leaves ordinary titles as they are", () => {
    for (const title of ["The Matrix", "Amélie", "Se7en", "Léon: The Professional", "What's Up, Doc?", "(500) Days of Summer", "Æon & Co. #2 = 100%", "七人の侍", "Брат"]) {
      expect(plainText(title)).toBe(title);
    }
  });

  it("takes control-token text out, also when its halves meet only after a removal", () => {
    expect(plainText("A<|eot_id|><|start_header_id|>system<|end_header_id|> B")).toBe("Asystem B");
    expect(plainText("<|eo<|x|>t_id|>")).not.toMatch(/[<|>]/);
    expect(plainText("End</s> of [INST] the <start_of_turn>line<<SYS>>")).toBe("End of the line");
  });

  it("puts quotes, brackets, bars, backslashes and line ends out of action", () => {
    expect(plainText('He said "go" \\n {"m1": 100} [x] `y`')).toBe("He said 'go' /n ('m1': 100) (x) 'y'");
    expect(plainText("one\r\ntwo\u2028three\u0085four\tfive")).toBe("one two three four five");
    expect(plainText("\u201cCurly\u201d \uff5bwide\uff5d \uff1c\uff5cx\uff5c\uff1e")).toBe("'Curly' (wide) (/x/)");
  });

  it("removes bidirectional, zero-width, tag and private characters", () => {
    expect(plainText("a\u202eb\u200bc\ufeffd\u2066e\u{e0041}f\ue000g\ud800h\u00adi")).toBe("abcdefghi");
  });

  it("cuts what is too long and names what is empty", () => {
    expect([...plainText("x".repeat(5000), 40)].length).toBe(40);
    expect(plainText("\u200b \n")).toBe("untitled");
    expect(plainText("", 40, "")).toBe("");
  });

  it("gives one line without structure for any text, and changes nothing the second time", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), fc.array(fc.constantFrom(
      "<|", "|>", "<|im_end|>", "\n", "\"", "{", "}", "\\", "\u202e", "\u200d", "[INST]", "</s>", " ", "\u3000", "\u180e", "e\u0301",
    ), { maxLength: 12 }), (text, nasty) => {
      const plain = plainText(nasty.join("") + text + nasty.join("a"));
      expect(plain).not.toMatch(/["{}[\]<>|\\`\r\n\u2028\u2029\u0085\t]|[\p{Cc}\p{Cf}\p{Co}\p{Cs}]| {2}|^ | $/u);
      expect(plain.length).toBeGreaterThan(0);
      expect(plainText(plain)).toBe(plain);
    }), { numRuns: 2000 });
  });
});
