import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const TYPES = { f32: Float32Array, f64: Float64Array, u32: Uint32Array };

/** Raw little-endian arrays in one folder, named by their type: "users.f32". The way of data to the peers, and of answers back. */
export function arrayFiles(folder) {
  return {
    write(name, array) {
      writeFileSync(join(folder, name), new Uint8Array(array.buffer, array.byteOffset, array.byteLength));
    },
    writeCsr(name, csr) {
      this.write(`${name}.offsets.u32`, csr.offsets);
      this.write(`${name}.columns.u32`, csr.columns);
    },
    read(name) {
      const bytes = readFileSync(join(folder, name));
      return new TYPES[name.split(".").pop()](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    },
  };
}

/** `close` against every peer's answer. */
export const closeToAll = (what, ours, answers, tolerance) => answers.map(({ peer, values }) => close(`${what} and ${peer}`, ours, values, tolerance)).join("; ");

/** Largest difference relative to the largest value. @throws Error above `tolerance`. */
export function close(what, ours, theirs, tolerance) {
  if (ours.length !== theirs.length) throw new Error(`${what}: ${ours.length} values against ${theirs.length}`);
  let most = 0, scale = 0;
  for (let at = 0; at < ours.length; at++) {
    most = Math.max(most, Math.abs(ours[at] - theirs[at]));
    scale = Math.max(scale, Math.abs(theirs[at]));
  }
  if (!(most <= tolerance * scale)) throw new Error(`${what}: answers differ by ${most} of ${scale}`);
  return `${what}: ${most === 0 ? "equal" : `equal to ${(most / scale).toExponential(0)}`}`;
}
