import { describe, expect, it } from "vitest";
import { evalMask, serveMask } from "../../../src/data/masks.js";
import { splitDataset } from "../../../src/data/split.js";
import { synthesize } from "../../../src/data/synthetic.js";
import { evaluationUsers, listDepth, userGroups } from "../../../src/experiment/users.js";

const dataset = synthesize({ users: 300, items: 80, meanPerUser: 22, seed: 4 });
const split = splitDataset(dataset, { seed: 4 });

describe("the users of the table", () => {
  it("are all who have a test row, or a sample that keeps the spread of history lengths", () => {
    const all = evaluationUsers(split, 0);
    expect(all).toEqual(split.test.presentUsers());
    expect(evaluationUsers(split, 1000)).toEqual(all);
    const some = evaluationUsers(split, 60);
    expect(new Set(some).size).toBe(60);
    expect([...some]).toEqual([...some].sort((a, b) => a - b));
    expect(evaluationUsers(split, 60)).toEqual(some);
    const lengths = (users: Uint32Array): number[] => [...users].map((user) => split.train.countOf(user)).sort((a, b) => a - b);
    const [whole, part] = [lengths(all), lengths(some)];
    // A systematic sample: each of its order statistics stands in its own fifth of the population.
    part.forEach((length, at) => {
      expect(length).toBeGreaterThanOrEqual(whole[Math.floor((at * whole.length) / 60)]!);
      expect(length).toBeLessThanOrEqual(whole[Math.min(whole.length - 1, Math.ceil(((at + 1) * whole.length) / 60))]!);
    });
  });

  it("fall into remaining and forgotten", () => {
    const byUser = splitDataset(dataset, { seed: 4, forget: { unit: "users", ratio: 0.2 } });
    const { remaining, forgotten } = userGroups(byUser, evaluationUsers(byUser, 0));
    expect(forgotten.length).toBe(60);
    expect(remaining.length + forgotten.length).toBe(300);
    for (const user of forgotten) expect(byUser.remain.countOf(user)).toBe(0);
    expect(userGroups(split, evaluationUsers(split, 0)).forgotten.length).toBe(0);
  });

  it("get lists long enough that twenty items survive evalMask", () => {
    const depth = listDepth(split);
    const served = serveMask(split), evaluated = evalMask(split);
    for (let user = 0; user < dataset.userCount; user++) {
      const hidden = evaluated.of(user).without(served).length;
      expect(depth - hidden).toBeGreaterThanOrEqual(Math.min(20, dataset.itemCount - served.countOf(user) - hidden));
    }
    const whole = splitDataset(dataset, { seed: 4, forget: { unit: "users", ratio: 0.5 } });
    expect(listDepth(whole)).toBeLessThanOrEqual(dataset.itemCount);
  });
});
