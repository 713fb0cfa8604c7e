import { normals, positives } from "../lib/data.mjs";

const DIMENSION = 64, K = 50;

/** Lists equal, or equal scores where they differ: a float32 sum in another order moves the last bits. */
function checkLists(name, ours, theirs, users, items) {
  let tied = 0;
  for (let at = 0; at < ours.length; at++) {
    if (ours[at] === theirs[at]) continue;
    const row = Math.floor(at / K) * DIMENSION;
    const score = (item) => {
      let sum = 0;
      for (let d = 0; d < DIMENSION; d++) sum += users[row + d] * items[item * DIMENSION + d];
      return sum;
    };
    const a = score(ours[at]), b = score(theirs[at]);
    if (!(Math.abs(a - b) <= 1e-5 * Math.abs(a))) throw new Error(`${name}: list ${Math.floor(at / K)} differs at ${at % K}: item ${ours[at]} (${a}) against ${theirs[at]} (${b})`);
    tied++;
  }
  return `${name}: lists equal${tied > 0 ? ` (${tied} of ${ours.length} places hold scores equal to 1e-5)` : ""}`;
}

function prepare({ shape, userCount, itemCount, masked, forms, goals, variants }) {
  return (bench) => {
    const data = shape ? positives(shape) : { userCount, itemCount };
    const users = normals(Float32Array, data.userCount * DIMENSION, 1), items = normals(Float32Array, data.itemCount * DIMENSION, 2);
    bench.write("users.f32", users);
    bench.write("items.f32", items);
    if (masked) bench.writeCsr("mask", data.csr);
    const work = 2 * data.userCount * data.itemCount * DIMENSION;
    return {
      variants: variants.map(({ name, isa, roof }) => ({
        name, isa, ...(roof ? { roof: { ...roof, work } } : {}),
        load: async (kernels) => {
          const input = {
            users: await kernels.hold(users), items: await kernels.hold(items), dimension: DIMENSION, k: K,
            ...(masked ? { mask: await kernels.hold({ ...data.csr, columnCount: data.itemCount }) } : {}),
          };
          return { run: () => kernels.scoreTopK(input) };
        },
      })),
      peers: forms.map(({ form, masks = masked, name, block }) => ({
        form, program: "score", compare: masks === masked, options: { form: name, block, masked: masks, dimension: DIMENSION, k: K },
      })),
      goals,
      check: (results, answersOf) => Object.entries(results).flatMap(([name, { items: lists }]) =>
        answersOf("lists.u32").map(({ peer, values }) => checkLists(`${name} and ${peer}`, lists, values, users, items))).join("; "),
    };
  };
}

const BEST = { name: "best instruction set" };
const TORCH = [{ form: "usual", name: "torch", block: 1024 }, { form: "strong", name: "torch", block: 32 }];
const FAISS = { form: "FAISS", name: "faiss", masks: false };

export const scoreLines = [
  {
    id: "score-ml1m", title: "score + mask + top-50, 6,040 x 3,706, d 64",
    prepare: prepare({
      shape: "ml1m", masked: true, forms: [...TORCH, FAISS, { form: "implicit", name: "implicit" }],
      variants: [{ ...BEST, roof: { name: "sgemm", atLeast: 0.65 } }, { name: "float32 candidates (avx512)", isa: "avx512", roof: { name: "sgemm" } }],
      goals: [{ variant: BEST.name, form: "usual", atLeast: 4 }, { variant: BEST.name, form: "strong", atLeast: 4 }, { variant: BEST.name, form: "FAISS", atLeast: 2.7 }],
    }),
  },
  {
    id: "score-netflix", title: "score + mask + top-50, 7,315 x 17,129, d 64",
    prepare: prepare({
      shape: "netflix", masked: true, forms: TORCH, variants: [{ ...BEST, roof: { name: "sgemm" } }],
      goals: [{ variant: BEST.name, form: "usual", atLeast: 4 }, { variant: BEST.name, form: "strong", atLeast: 4 }],
    }),
  },
  {
    id: "score-million", title: "score + top-50, 6,040 x 1,000,000, d 64, no mask",
    prepare: prepare({
      userCount: 6040, itemCount: 1_000_000, masked: false, forms: [{ form: "FAISS", name: "faiss" }],
      variants: [{ name: "float32 candidates (avx512)", isa: "avx512", roof: { name: "sgemm", atLeast: 0.95 } }, { ...BEST, roof: { name: "sgemm" } }],
      goals: [{ variant: "float32 candidates (avx512)", form: "FAISS", atLeast: 1.65 }, { variant: BEST.name, form: "FAISS", atLeast: 3 }],
    }),
  },
];
