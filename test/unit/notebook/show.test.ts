import { describe, expect, it } from "vitest";
import { Interactions } from "../../../src/core/interactions.js";
import type { Prompt } from "../../../src/core/prompt.js";
import type { Ranking } from "../../../src/core/ranking.js";
import { Dataset } from "../../../src/data/dataset.js";
import { rendered, show } from "../../../src/notebook/show.js";
import { pretendKernel, written } from "./kernels.js";
import { NO_WORDS } from "../../fixtures/prompts.js";

const shape = { userCount: 1, itemCount: 2 };
const interactions = new Interactions({ users: Uint32Array.of(0), items: Uint32Array.of(1), ratings: Float32Array.of(5) }, shape);
const dataset = new Dataset({
  name: "tiny", interactions, users: [{ id: "u7" }], ratingScale: { min: 1, max: 5 }, source: "invented",
  items: [{ id: "1", title: "First", year: 1990, genres: ["Drama"] }, { id: "2", title: "Second", genres: ["Comedy", "Crime"] }],
});
const ranking: Ranking = { user: 0, items: Uint32Array.of(1, 0), scores: Float32Array.of(0.5, 0.25) };
const prompt: Prompt = {
  user: 0, messages: [{ role: "system", content: "Rank <all>." }, { role: "user", content: "Movies" }], candidates: [], history: [], evidence: interactions,
  similar: undefined, words: NO_WORDS, profile: undefined, ratingScale: { min: 1, max: 5 }, templateHash: "t", promptHash: "p", tokenEstimate: 9,
};

describe("rendered", () => {
  it("gives a ranking its titles where the data set is known, and cuts it", () => {
    const { text, html } = rendered(ranking, { dataset, rows: 1 });
    expect(text).toContain("User u7, the first 1 of 2");
    expect(text).toContain("Second");
    expect(text).not.toContain("First");
    expect(html).toContain("<table>");
    expect(rendered(ranking).text).toContain("item");
  });

  it("shows a prompt as the generator reads it, escaped in HTML", () => {
    const { text, html } = rendered(prompt);
    expect(text).toContain("[system]\nRank <all>.");
    expect(html).toContain("Rank &#60;all&#62;.");
    expect(rendered([prompt, prompt]).text.match(/\[system\]/g)).toHaveLength(2);
  });

  it("lets results show themselves and makes tables of records and plain objects", () => {
    expect(rendered({ toString: () => "as text", toHtml: () => "<i>as html</i>" })).toEqual({ text: "as text", html: "<i>as html</i>" });
    expect(rendered([{ a: 1 }, { a: 2 }], { rows: 1 }).text).toBe("a\n1");
    expect(rendered({ rows: 3, seconds: { locate: 0.5, apply: 1 } }).text).toContain("locate 0.5000, apply 1");
    expect(rendered(42)).toEqual({ text: "42", html: undefined });
    expect(rendered("words", { caption: "Caption" }).text).toBe("Caption\nwords");
    expect(rendered([]).text).toBe("");
  });
});

describe("show in a terminal", () => {
  it("writes text", async () => {
    expect(await written(process.stdout, () => show({ a: 1 }))).toBe("name  value\na         1\n");
  });
});

describe("show in a notebook", () => {
  const shown = pretendKernel();
  it("displays HTML where there is some, else text", () => {
    show({ a: 1 });
    show("plain");
    expect(shown.map(({ kind }) => kind)).toEqual(["html", "text"]);
    expect(shown[1]!.text).toBe("plain");
  });
});
