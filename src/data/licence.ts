import { DataError } from "../core/errors.js";

/** The terms of a data set, told in our own words; the publisher's text is what binds. */
export interface Licence {
  /** Name of the data set for `loadDataset` and `cragru data`. */
  dataset: string;
  title: string;
  holder: string;
  terms: readonly string[];
  /** The publisher's own text. */
  url: string;
  cite: string;
}

const HOLDER = "GroupLens Research, University of Minnesota";
const CITE = "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. ACM TiiS 5, 4, Article 19.";
const RESEARCH_TERMS = [
  "You may use the data for research; name its source and cite the paper below in what you publish.",
  "You may not pass the data on without separate permission.",
  "You may not use it commercially or for revenue without permission of a faculty member of GroupLens.",
  "You may not suggest that the university or GroupLens endorses you. Nobody warrants that the data are correct.",
];

export const LICENCES: Readonly<Record<string, Licence>> = {
  "ml-100k": {
    dataset: "ml-100k", title: "MovieLens 100K", holder: HOLDER, terms: RESEARCH_TERMS, cite: CITE,
    url: "https://files.grouplens.org/datasets/movielens/ml-100k-README.txt",
  },
  "ml-1m": {
    dataset: "ml-1m", title: "MovieLens 1M", holder: HOLDER, terms: RESEARCH_TERMS, cite: CITE,
    url: "https://files.grouplens.org/datasets/movielens/ml-1m-README.txt",
  },
  "ml-latest-small": {
    dataset: "ml-latest-small", title: "MovieLens latest-small", holder: HOLDER, cite: CITE,
    terms: [
      "You may use the data for research; name its source and cite the paper below in what you publish.",
      "You may pass the data on, also transformed, under these same terms.",
      "You may not use it commercially or for revenue without permission of a faculty member of GroupLens.",
      "You may not suggest that the university or GroupLens endorses you. Everything comes as it is, without warranty.",
    ],
    url: "https://files.grouplens.org/datasets/movielens/ml-latest-small-README.html",
  },
};

/** The licence as text for a terminal. */
export function licenceText(licence: Licence): string {
  return [
    `${licence.title}, ${licence.holder}`,
    ...licence.terms.map((term) => `  - ${term}`),
    `  Full text: ${licence.url}`,
    `  Cite: ${licence.cite}`,
  ].join("\n");
}

/** @throws DataError that shows the terms and the command that accepts them, unless `accepted`. */
export function requireLicence(licence: Licence, accepted: boolean | undefined): void {
  if (accepted === true) return;
  const text = `The terms of this data set are not accepted yet, so nothing was downloaded.\n${licenceText(licence)}`;
  throw new DataError("DATA_LICENCE", text, {
    hint: `If you agree: npx cragru data ${licence.dataset} --accept-licence`,
  });
}
