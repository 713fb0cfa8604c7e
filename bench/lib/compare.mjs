// One line of the table: ours and its peers on the same work, interleaved in one run, answers compared before any timing.
import { loadKernels } from "../../dist/index.js";
import { timed } from "./machine.mjs";
import { Peer } from "./peer.mjs";
import { median, ratio } from "./statistics.mjs";

const PAUSE_MS = 40; // threads of a BLAS or of OpenMP still spin for some milliseconds after their last work

const wait = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

/**
 * What a line's `prepare(bench)` returns:
 * - variants: [{ name, isa?, load(kernels) -> { run(), units? }, roof? }]; `load` is set-up for many calls and timed apart, `units`
 *   divides the time of a call (steps of an epoch), `roof` is { name, work, atLeast? } with `work` in flop or bytes a unit.
 * - peers: [{ form, program, options, compare? } or { form, command() -> path, args }], `form` "usual" or "strong".
 * - goals: [{ variant, form, atLeast }] of ratios.
 * - check(results, answersOf) -> one sentence; throws where the answers differ. `results` holds ours by name of the variant,
 *   answersOf(file) what the peers that started left under that name: [{ peer, values }].
 */
export async function compareLine(line, { threads, runs, folder, roofs, files }, say) {
  const bench = { threads, folder, ...files, answers: [] };
  const found = { id: line.id, title: line.title, threads, setup: [], rows: [], roofs: [], scaling: [], notes: [] };
  const contenders = [], peers = [];
  try {
    const work = await line.prepare(bench);
    const results = {};
    for (const variant of work.variants) {
      const settings = threads === 1 ? [1] : [threads, 1];
      for (const count of settings) {
        try {
          const kernels = loadKernels({ threads: count, ...(variant.isa ? { isa: variant.isa } : {}) });
          const started = performance.now();
          const loaded = await variant.load(kernels);
          if (count === threads) {
            found.setup.push({ name: variant.name, ms: performance.now() - started });
            results[variant.name] = await loaded.run();
          } else await loaded.run();
          contenders.push({ name: variant.name, ours: true, variant, count, units: loaded.units ?? 1, device: kernels.device, go: () => timed(loaded.run) });
        } catch (error) {
          found.notes.push(`${variant.name}, ${count} threads: not run (${error.message})`);
          break;
        }
      }
    }
    if (contenders.length === 0) return found;
    for (const [number, wanted] of work.peers.entries()) {
      try {
        const peer = wanted.command ? await Peer.start(wanted.command(), wanted.args.map(String)) : await Peer.python(wanted.program, { folder, threads, number, ...wanted.options });
        peers.push(peer);
        if (wanted.compare !== false) bench.answers.push({ number, name: peer.name });
        contenders.push({ name: peer.name, form: wanted.form, units: 1, go: () => peer.go() });
      } catch (error) {
        found.notes.push(`${wanted.form} form: ${error.message}`);
      }
    }
    const answersOf = (file) => bench.answers.map(({ number, name }) => ({ peer: name, values: bench.read(`${number}.${file}`) }));
    found.check = work.check(results, answersOf) || "no peer's answer to compare with";
    say(`   ${found.check}`);
    for (const one of contenders) one.wall = [], one.cpu = [];
    for (let round = 0; round < runs; round++) {
      for (const one of contenders) {
        await wait(PAUSE_MS);
        const { wallMs, cpuMs } = await one.go();
        one.wall.push(wallMs / one.units);
        one.cpu.push(cpuMs / one.units);
      }
    }
    report(found, contenders, work, threads, roofs);
  } catch (error) {
    found.failed = error.message;
  } finally {
    for (const peer of peers) peer.close();
  }
  return found;
}

/** One thread is judged by the CPU time of the process, which a busy neighbour changes little; several by wall time. */
function report(found, contenders, work, threads, roofs) {
  const times = (one) => (threads === 1 ? one.cpu : one.wall);
  const summary = (one) => ({ name: one.name, ms: median(times(one)), leastMs: Math.min(...times(one)), wallMs: median(one.wall), cpuMs: median(one.cpu) });
  for (const ours of contenders.filter((one) => one.ours && one.count === threads)) {
    const device = ours.device;
    for (const peer of contenders.filter((one) => !one.ours)) {
      const goal = work.goals?.find((one) => one.variant === ours.name && (one.form === peer.form || one.form === "any"))?.atLeast;
      const compared = ratio(times(ours), times(peer));
      found.rows.push({ ours: { ...summary(ours), device }, peer: { ...summary(peer), form: peer.form }, ...compared, ...(goal ? { goal, reached: compared.ratio >= goal } : {}) });
    }
    if (!contenders.some((one) => !one.ours)) found.rows.push({ ours: { ...summary(ours), device } });
    const { roof } = ours.variant;
    if (roof && roofs?.[roof.name]) {
      const rate = roof.work / median(times(ours)) / 1e6, share = rate / roofs[roof.name];
      found.roofs.push({ variant: ours.name, roof: roof.name, rate, share, ...(roof.atLeast ? { goal: roof.atLeast, reached: share >= roof.atLeast } : {}) });
    }
    const alone = contenders.find((one) => one.ours && one.count === 1 && one.name === ours.name);
    if (threads > 1 && alone) {
      const faster = ratio(ours.wall, alone.wall);
      found.scaling.push({ variant: ours.name, oneThreadMs: median(alone.wall), threads, ms: median(ours.wall), ...faster, goal: 0.9 * threads, reached: faster.ratio >= 0.9 * threads });
    }
  }
}
