import { describe, expect, it } from "vitest";
import { readGenres, readTitle } from "../../../src/data/movietitle.js";

describe("readTitle", () => {
  it.each([
    ["Lamp (1995)", "Lamp", 1995],
    ["Lamp, The (1995)", "The Lamp", 1995],
    ["Quiet Pond, A (1988) ", "A Quiet Pond", 1988],
    ["Étoile, L' (1961)", "L'Étoile", 1961],
    ["Étoiles, Les (1961)", "Les Étoiles", 1961],
    ["Lost Lamp, The (Lampe perdue, La) (1995)", "The Lost Lamp (La Lampe perdue)", 1995],
    ["Lamp, The (L'Lampe)(1982)", "The Lamp (L'Lampe)", 1982],
    ["Lamp, The (Lampa ) (1993)", "The Lamp (Lampa)", 1993],
    ["Lamp (a.k.a. Lantern, The) (1993)", "Lamp (a.k.a. The Lantern)", 1993],
    ["Kettle III (1994) (V)", "Kettle III", 1994],
    ["Serial (2006-2007)", "Serial", 2006],
    ["Serial (2006\u2013)", "Serial", 2006],
    ["Paris, Texas (1984)", "Paris, Texas", 1984],
    ["(500) Lamps (2009)", "(500) Lamps", 2009],
    ["1984 (1956)", "1984", 1956],
    ["unknown", "unknown", undefined],
    ["Lamp, The", "The Lamp", undefined],
    ["Call, The, Again (1990)", "Call, The, Again", 1990],
  ])("reads %j", (raw, title, year) => {
    expect(readTitle(raw)).toEqual({ title, year });
  });

  it("is steady: a readable title stays as it is", () => {
    for (const title of ["The Lamp", "L'Étoile", "The Lost Lamp (La Lampe perdue)", "Paris, Texas"]) expect(readTitle(title).title).toBe(title);
  });
});

describe("readGenres", () => {
  it("drops the publishers' words for none", () => {
    expect(readGenres(["unknown"])).toEqual([]);
    expect(readGenres(["(no genres listed)"])).toEqual([]);
    expect(readGenres([""])).toEqual([]);
    expect(readGenres(["Drama", "Sci-Fi"])).toEqual(["Drama", "Sci-Fi"]);
  });
});
