/**
 * The numbers that the CRAGRU paper prints, once, with their source. Everything that compares takes them from here.
 * They are reference lines, not targets: the paper's protocol leaks test rows into the prompts and its rows were scored under
 * different protocols (docs/protocol.md), so absolute values are not comparable with ours.
 */

export const PAPER = "Customized Retrieval-Augmented Generation with LLM for Debiased Recommendation Unlearning, arXiv 2511.05494";

export type PublishedDataset = "ml-100k" | "ml-1m" | "netflix";
export type PublishedBackbone = "bpr" | "lightgcn";
export type PublishedMethod = "retrain" | "sisa" | "grapheraser" | "receraser" | "scif" | "ifru" | "cragru";

/** Counts of Table I. Users and items include one padding row each, added by the library that the authors used. */
export interface PublishedStatistics {
  dataset: PublishedDataset;
  users: number;
  items: number;
  interactions: number;
  /** Interactions per user, rounded as printed. */
  perUser: number;
  /** Share of empty cells, 0 to 1. */
  sparsity: number;
}

/** One row of Table II: utility on the remaining data after 10 % of the interactions were forgotten. */
export interface PublishedUtility {
  dataset: PublishedDataset;
  backbone: PublishedBackbone;
  method: PublishedMethod;
  metrics: Readonly<Record<UtilityMetric, number>>;
}

/** One cell of Table III: seconds to forget one random user ("training time" only, one RTX 4090). */
export interface PublishedSeconds {
  dataset: PublishedDataset;
  backbone: PublishedBackbone;
  method: PublishedMethod;
  seconds: number;
}

/** One panel of Fig. 3; values at K = 1, 3, 5. */
export interface PublishedCompleteness {
  dataset: PublishedDataset;
  /** Undefined where the authors' plotting code names none. */
  backbone: PublishedBackbone | undefined;
  /** False for a panel that is in the authors' plotting code but not in the figure. */
  printed: boolean;
  hr: { forget: Triple; remain: Triple };
  ndcg: { forget: Triple; remain: Triple };
}

/** One panel of Fig. 4; NDCG at K = 5, 10, 20. `origin` is the method without a retrieval strategy. */
export interface PublishedStrategies {
  dataset: PublishedDataset;
  backbone: PublishedBackbone;
  receraser: Triple;
  origin: Triple;
  preference: Triple;
  diversity: Triple;
  attention: Triple;
}

export type Triple = readonly [number, number, number];
export const UTILITY_METRICS = ["hr@5", "ndcg@5", "hr@10", "ndcg@10", "hr@20", "ndcg@20"] as const;
export type UtilityMetric = (typeof UTILITY_METRICS)[number];

/** A published table or figure with where it stands. */
export interface Published<Row> {
  source: string;
  rows: readonly Row[];
}

/** Table I. */
export const publishedStatistics: Published<PublishedStatistics> = {
  source: `${PAPER}, Table I`,
  rows: [
    { dataset: "ml-100k", users: 944, items: 1683, interactions: 100_000, perUser: 106, sparsity: 0.9371 },
    { dataset: "ml-1m", users: 6041, items: 3707, interactions: 1_000_209, perUser: 165, sparsity: 0.9553 },
    { dataset: "netflix", users: 7315, items: 17129, interactions: 2_266_452, perUser: 309, sparsity: 0.9819 },
  ],
};

type UtilityRow = readonly [PublishedDataset, PublishedBackbone, PublishedMethod, number, number, number, number, number, number];

/** Columns after the method: HR@5, NDCG@5, HR@10, NDCG@10, HR@20, NDCG@20. */
const UTILITY: readonly UtilityRow[] = [
  ["ml-100k", "bpr", "retrain", 0.6643, 0.2914, 0.7845, 0.2910, 0.8728, 0.3091],
  ["ml-100k", "bpr", "sisa", 0.2968, 0.0908, 0.4240, 0.0949, 0.5607, 0.1085],
  ["ml-100k", "bpr", "grapheraser", 0.3239, 0.1011, 0.4488, 0.1093, 0.6148, 0.1282],
  ["ml-100k", "bpr", "receraser", 0.3204, 0.1011, 0.4582, 0.1100, 0.6337, 0.1274],
  ["ml-100k", "bpr", "scif", 0.2524, 0.0720, 0.4093, 0.0851, 0.6055, 0.1074],
  ["ml-100k", "bpr", "ifru", 0.3030, 0.1899, 0.4747, 0.2432, 0.5858, 0.2710],
  ["ml-100k", "bpr", "cragru", 0.6193, 0.2864, 0.7116, 0.2801, 0.7805, 0.2886],
  ["ml-100k", "lightgcn", "retrain", 0.6455, 0.2796, 0.7739, 0.2790, 0.8634, 0.2963],
  ["ml-100k", "lightgcn", "sisa", 0.2733, 0.0818, 0.3899, 0.0849, 0.5183, 0.0925],
  ["ml-100k", "lightgcn", "grapheraser", 0.3805, 0.1156, 0.5336, 0.1257, 0.6808, 0.1460],
  ["ml-100k", "lightgcn", "receraser", 0.4806, 0.1557, 0.6137, 0.1668, 0.7491, 0.1873],
  ["ml-100k", "lightgcn", "scif", 0.4857, 0.1736, 0.6098, 0.1707, 0.7370, 0.1840],
  ["ml-100k", "lightgcn", "ifru", 0.2501, 0.1629, 0.4092, 0.2138, 0.6258, 0.2685],
  ["ml-100k", "lightgcn", "cragru", 0.5366, 0.2241, 0.6384, 0.2156, 0.7169, 0.2216],
  ["ml-1m", "bpr", "retrain", 0.6185, 0.2673, 0.7403, 0.2555, 0.8352, 0.2598],
  ["ml-1m", "bpr", "sisa", 0.2432, 0.0731, 0.3547, 0.0707, 0.4755, 0.0738],
  ["ml-1m", "bpr", "grapheraser", 0.3137, 0.0898, 0.4540, 0.0902, 0.6126, 0.0995],
  ["ml-1m", "bpr", "receraser", 0.3514, 0.1084, 0.4833, 0.1055, 0.6260, 0.1123],
  ["ml-1m", "bpr", "scif", 0.3944, 0.1338, 0.5341, 0.1332, 0.6833, 0.1436],
  ["ml-1m", "bpr", "ifru", 0.2820, 0.1796, 0.4227, 0.2248, 0.5749, 0.2634],
  ["ml-1m", "bpr", "cragru", 0.5377, 0.2247, 0.6412, 0.2127, 0.7227, 0.2167],
  ["ml-1m", "lightgcn", "retrain", 0.6111, 0.2670, 0.7377, 0.2533, 0.8339, 0.2582],
  ["ml-1m", "lightgcn", "sisa", 0.2093, 0.0593, 0.2964, 0.0588, 0.3928, 0.0624],
  ["ml-1m", "lightgcn", "grapheraser", 0.4249, 0.1283, 0.5635, 0.1295, 0.6968, 0.1388],
  ["ml-1m", "lightgcn", "receraser", 0.4560, 0.1464, 0.6003, 0.1467, 0.7379, 0.1574],
  ["ml-1m", "lightgcn", "scif", 0.4823, 0.1796, 0.6060, 0.1723, 0.7230, 0.1764],
  ["ml-1m", "lightgcn", "ifru", 0.2656, 0.1659, 0.4350, 0.2205, 0.6502, 0.2746],
  ["ml-1m", "lightgcn", "cragru", 0.5520, 0.2354, 0.6556, 0.2221, 0.7406, 0.2270],
  ["netflix", "bpr", "retrain", 0.7927, 0.3382, 0.9041, 0.2995, 0.9564, 0.2555],
  ["netflix", "bpr", "sisa", 0.1167, 0.0248, 0.2201, 0.0256, 0.3645, 0.0252],
  ["netflix", "bpr", "grapheraser", 0.3980, 0.0941, 0.6343, 0.1001, 0.8099, 0.0957],
  ["netflix", "bpr", "receraser", 0.4303, 0.1032, 0.6673, 0.1086, 0.8361, 0.1038],
  ["netflix", "bpr", "scif", 0.2789, 0.0793, 0.4014, 0.0734, 0.5265, 0.0827],
  ["netflix", "bpr", "ifru", 0.1111, 0.0677, 0.2020, 0.0955, 0.3030, 0.1202],
  ["netflix", "bpr", "cragru", 0.7266, 0.3230, 0.8190, 0.2759, 0.8651, 0.2286],
  ["netflix", "lightgcn", "retrain", 0.7725, 0.3329, 0.8879, 0.2928, 0.9523, 0.2485],
  ["netflix", "lightgcn", "sisa", 0.1816, 0.0487, 0.2635, 0.0471, 0.3603, 0.0439],
  ["netflix", "lightgcn", "grapheraser", 0.4878, 0.1157, 0.7032, 0.1215, 0.8618, 0.1181],
  ["netflix", "lightgcn", "receraser", 0.4959, 0.1303, 0.7129, 0.1314, 0.8772, 0.1254],
  ["netflix", "lightgcn", "scif", 0.3388, 0.1002, 0.4762, 0.0931, 0.6286, 0.1042],
  ["netflix", "lightgcn", "ifru", 0.1818, 0.1035, 0.2600, 0.1388, 0.3508, 0.1760],
  ["netflix", "lightgcn", "cragru", 0.6691, 0.2717, 0.7827, 0.2400, 0.8428, 0.2072],
];

/** Table II. */
export const publishedUtility: Published<PublishedUtility> = {
  source: `${PAPER}, Table II`,
  rows: UTILITY.map(([dataset, backbone, method, ...values]) => ({
    dataset, backbone, method,
    metrics: Object.fromEntries(UTILITY_METRICS.map((metric, at) => [metric, values[at]!])) as Record<UtilityMetric, number>,
  })),
};

const SECONDS_COLUMNS: readonly (readonly [PublishedDataset, PublishedBackbone])[] = [
  ["ml-100k", "bpr"], ["ml-100k", "lightgcn"], ["ml-1m", "bpr"], ["ml-1m", "lightgcn"], ["netflix", "bpr"], ["netflix", "lightgcn"],
];

/** Rows of Table III in the order of SECONDS_COLUMNS. */
const SECONDS: readonly (readonly [PublishedMethod, ...number[]])[] = [
  ["retrain", 248, 141, 1935, 4209, 527, 1019],
  ["sisa", 27, 28, 298, 435, 116, 131],
  ["grapheraser", 26, 17, 302, 269, 310, 640],
  ["receraser", 29, 35, 386, 275, 404, 880],
  ["scif", 18, 18, 66, 64, 299, 177],
  ["ifru", 55, 57, 78, 90, 104, 117],
  ["cragru", 14, 14, 15, 15, 16, 17],
];

/** Table III. */
export const publishedSeconds: Published<PublishedSeconds> = {
  source: `${PAPER}, Table III`,
  rows: SECONDS.flatMap(([method, ...seconds]) =>
    SECONDS_COLUMNS.map(([dataset, backbone], at) => ({ dataset, backbone, method, seconds: seconds[at]! }))),
};

/** The "improve" line of Table III, in the order of its columns: second best over CRAGRU, as printed. */
export const publishedSpeedUps: Published<number> = { source: `${PAPER}, Table III`, rows: [1.8, 1.2, 4.4, 4.3, 7.3, 6.9] };

/** Fig. 3; the values are those of the authors' plotting code. */
export const publishedCompleteness: Published<PublishedCompleteness> = {
  source: `${PAPER}, Fig. 3 (values of the authors' plotting code)`,
  rows: [
    {
      dataset: "ml-1m", backbone: "bpr", printed: true,
      hr: { forget: [0.2367, 0.4139, 0.4966], remain: [0.4238, 0.6122, 0.6863] },
      ndcg: { forget: [0.2367, 0.2044, 0.1952], remain: [0.4238, 0.3593, 0.3298] },
    },
    {
      dataset: "netflix", backbone: "bpr", printed: true,
      hr: { forget: [0.32, 0.5627, 0.691], remain: [0.5468, 0.7597, 0.8386] },
      ndcg: { forget: [0.32, 0.2814, 0.2596], remain: [0.5468, 0.463, 0.4124] },
    },
    {
      dataset: "ml-1m", backbone: "lightgcn", printed: true,
      hr: { forget: [0.2367, 0.4039, 0.5099], remain: [0.4435, 0.6245, 0.6948] },
      ndcg: { forget: [0.2367, 0.2065, 0.1946], remain: [0.4435, 0.3769, 0.3436] },
    },
    {
      dataset: "netflix", backbone: "lightgcn", printed: true,
      hr: { forget: [0.3379, 0.5641, 0.691], remain: [0.5578, 0.775, 0.8549] },
      ndcg: { forget: [0.3379, 0.2806, 0.261], remain: [0.5578, 0.4786, 0.4293] },
    },
    {
      dataset: "ml-100k", backbone: undefined, printed: false,
      hr: { forget: [0.2021, 0.3617, 0.468], remain: [0.4405, 0.6454, 0.7196] },
      ndcg: { forget: [0.2021, 0.1675, 0.1655], remain: [0.4405, 0.3742, 0.3516] },
    },
  ],
};

/** Fig. 4; the values are those of the authors' plotting code. */
export const publishedStrategies: Published<PublishedStrategies> = {
  source: `${PAPER}, Fig. 4 (values of the authors' plotting code)`,
  rows: [
    {
      dataset: "ml-1m", backbone: "bpr", receraser: [0.1084, 0.1055, 0.1123], origin: [0.2247, 0.2127, 0.2167],
      preference: [0.2814, 0.2588, 0.2553], diversity: [0.2767, 0.2552, 0.253], attention: [0.2976, 0.2698, 0.2612],
    },
    {
      dataset: "ml-1m", backbone: "lightgcn", receraser: [0.1464, 0.1467, 0.1574], origin: [0.2354, 0.2221, 0.227],
      preference: [0.289, 0.2673, 0.2643], diversity: [0.2899, 0.2675, 0.2644], attention: [0.3131, 0.2837, 0.2761],
    },
    {
      dataset: "netflix", backbone: "bpr", receraser: [0.1032, 0.1086, 0.1038], origin: [0.2639, 0.2335, 0.2014],
      preference: [0.3207, 0.2735, 0.2272], diversity: [0.3179, 0.2727, 0.2271], attention: [0.3717, 0.3084, 0.2481],
    },
    {
      dataset: "netflix", backbone: "lightgcn", receraser: [0.1303, 0.1314, 0.1254], origin: [0.2717, 0.24, 0.2072],
      preference: [0.3299, 0.2827, 0.2349], diversity: [0.3335, 0.2849, 0.2353], attention: [0.3883, 0.3218, 0.2587],
    },
  ],
};

/** What stands beside every comparison with Table II, Table III or the figures; each follows from the printed numbers. */
export const PUBLISHED_REMARKS: readonly string[] = [
  "CRAGRU is below Retrain in all 36 cells of Table II.",
  "Table II mixes strategies: its ML-1M rows and its Netflix LightGCN row equal \"no strategy\" of Fig. 4, its Netflix BPR row does not.",
  "The text's +9.64 % HR@10 and +12.3 % NDCG@10 over RecEraser (ML-1M, LightGCN) do not follow from Table II: there it is +9.2 % and +51 %.",
  "The gains of 10.72, 7.54, 5.71 and 6.16 % named beside Fig. 4 are absolute points.",
  "The mean of the printed speed-ups is 4.3, the abstract says 4.5.",
  "Attention beats Retrain in 11 of the 12 cells that Fig. 4 and Table II share, although it re-ranks the frozen backbone's own candidates.",
  "The IFRU hit rates of ML-100K BPR and Netflix BPR are multiples of 1/99.",
];

/** The row of Table II of one data set, backbone and method; undefined where the paper has none. */
export function publishedUtilityOf(dataset: string, backbone: string, method: string): PublishedUtility | undefined {
  return publishedUtility.rows.find((row) => row.dataset === dataset && row.backbone === backbone && row.method === method);
}
