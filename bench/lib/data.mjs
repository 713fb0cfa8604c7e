// Invented data, the same for every run and machine: shapes of the published sets, no real ratings.
// users, items, rows, smallest and largest history, spread of their logarithms, Zipf exponent and offset of item popularity
const SHAPES = {
  ml100k: [943, 1682, 100_000, 20, 737, 1, 1.1, 60],
  ml1m: [6040, 3706, 1_000_209, 20, 2314, 1.05, 1.35, 150],
  netflix: [7315, 17_129, 2_270_000, 20, 8000, 1.1, 1.25, 250],
};

/** Uniform numbers in [0, 1): xorshift128 seeded by splitmix. */
export function random(seed) {
  let mix = seed >>> 0;
  const word = () => {
    mix = (mix + 0x9e3779b9) >>> 0;
    let value = Math.imul(mix ^ (mix >>> 16), 0x21f0aaad);
    value = Math.imul(value ^ (value >>> 15), 0x735a2d97);
    return (value ^ (value >>> 15)) >>> 0;
  };
  let [x, y, z, w] = [word(), word(), word(), word() | 1];
  return () => {
    const t = x ^ (x << 11);
    [x, y, z] = [y, z, w];
    w = (w ^ (w >>> 19) ^ t ^ (t >>> 8)) >>> 0;
    return w / 4294967296;
  };
}

/** Normal numbers of the given spread (Box-Muller) in a typed array. */
export function normals(Type, length, seed, spread = 1) {
  const uniform = random(seed), values = new Type(length);
  for (let at = 0; at < length; at += 2) {
    const radius = spread * Math.sqrt(-2 * Math.log(1 - uniform())), angle = 2 * Math.PI * uniform();
    values[at] = radius * Math.cos(angle);
    if (at + 1 < length) values[at + 1] = radius * Math.sin(angle);
  }
  return values;
}

export function uniforms(Type, length, seed) {
  const uniform = random(seed);
  return Type.from({ length }, uniform);
}

/** Rows of a named shape: log-normal histories, Zipf popularity, items drawn without replacement; columns ascending. */
export function positives(name) {
  return powerLaw(...SHAPES[name]);
}

export function powerLaw(userCount, itemCount, rows, low, high, spread, zipf, offset) {
  const uniform = random(7), activity = normals(Float64Array, userCount, 11, spread).map(Math.exp);
  const historyAt = (scale) => activity.map((value) => Math.floor(Math.min(high, Math.max(low, low - 5 + scale * value))));
  const total = (degrees) => degrees.reduce((sum, degree) => sum + degree, 0);
  let below = 0, above = 1e6;
  for (let step = 0; step < 80; step++) {
    const middle = (below + above) / 2;
    if (total(historyAt(middle)) < rows) below = middle;
    else above = middle;
  }
  const degrees = historyAt(below);
  for (let missing = rows - total(degrees); missing > 0;) {
    const user = Math.floor(uniform() * userCount);
    if (degrees[user] < high) degrees[user]++, missing--;
  }
  // Popularity ranks are dealt to item numbers at random; a cumulative table finds an item for a uniform number.
  const items = Uint32Array.from({ length: itemCount }, (_, item) => item);
  for (let at = itemCount - 1; at > 0; at--) {
    const other = Math.floor(uniform() * (at + 1));
    [items[at], items[other]] = [items[other], items[at]];
  }
  const cumulative = new Float64Array(itemCount);
  for (let rank = 0, sum = 0; rank < itemCount; rank++) cumulative[rank] = sum += 1 / (rank + 1 + offset) ** zipf;
  const draw = () => {
    const wanted = uniform() * cumulative[itemCount - 1];
    let from = 0, to = itemCount - 1;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (cumulative[middle] > wanted) to = middle;
      else from = middle + 1;
    }
    return items[from];
  };
  const offsets = new Uint32Array(userCount + 1), columns = new Uint32Array(rows), owner = new Int32Array(itemCount).fill(-1);
  for (let user = 0; user < userCount; user++) {
    const start = offsets[user];
    for (let count = 0; count < degrees[user];) {
      const item = draw();
      if (owner[item] === user) continue;
      owner[item] = user;
      columns[start + count++] = item;
    }
    offsets[user + 1] = start + degrees[user];
    columns.subarray(start, offsets[user + 1]).sort();
  }
  return { userCount, itemCount, rows, csr: { offsets, columns } };
}

/** One (user, item, negative) for each row; negatives uniform among all items the user does not have. */
export function triples({ userCount, itemCount, rows, csr }) {
  const uniform = random(13), users = new Uint32Array(rows), negatives = new Uint32Array(rows), owner = new Int32Array(itemCount).fill(-1);
  for (let user = 0; user < userCount; user++) {
    for (let at = csr.offsets[user]; at < csr.offsets[user + 1]; at++) owner[csr.columns[at]] = user;
    for (let at = csr.offsets[user]; at < csr.offsets[user + 1]; at++) {
      users[at] = user;
      do negatives[at] = Math.floor(uniform() * itemCount); while (owner[negatives[at]] === user);
    }
  }
  return { users, items: csr.columns, negatives };
}

/** A triangle, row by row, of a well conditioned symmetric positive definite matrix: Gram of the rows plus a ridge. */
export function ridgeGram({ userCount, csr }, size, ridge) {
  const matrix = new Float64Array(size * (size + 1) / 2);
  for (let user = 0; user < userCount; user++) {
    const row = csr.columns.subarray(csr.offsets[user], csr.offsets[user + 1]);
    for (let i = 0; i < row.length; i++) {
      const start = row[i] * (row[i] + 1) / 2;
      for (let j = 0; j <= i; j++) matrix[start + row[j]]++;
    }
  }
  for (let i = 0; i < size; i++) matrix[i * (i + 1) / 2 + i] += ridge;
  return matrix;
}
