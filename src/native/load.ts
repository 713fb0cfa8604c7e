import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { NativeError } from "../core/errors.js";
import { addonKernels } from "./addon.js";
import { ADDON_CONTRACT, ISA_NAMES, type Addon, type AddonDescription, type CudaDevice, type IsaName, type Roofs } from "./binding.js";
import { KERNEL_NAMES, type Kernels } from "./kernels.js";
import { referenceKernels } from "./reference.js";

export const DEVICE_NAMES = ["auto", "cuda", "cpu", "js"] as const;
export type DeviceName = (typeof DEVICE_NAMES)[number];

/** Each falls back to its environment variable: CRAGRU_DEVICE, CRAGRU_THREADS, CRAGRU_ISA. */
export interface LoadOptions {
  device?: DeviceName;
  /** Threads of the cpu face, 1 to 256; default: the cores this process may use. Results do not depend on it. */
  threads?: number;
  /** Highest instruction set to use; default: the best this processor has. Results do not depend on it. */
  isa?: IsaName;
}

export interface NativeDescription {
  face: Kernels["face"];
  /** As {@link Kernels.device}. */
  device: string;
  addonPath?: string;
  /** Why the TypeScript face was chosen where nobody asked for it. */
  reason?: string;
  cuda: { devices: CudaDevice[]; text: string };
  /** "js" for the TypeScript face. */
  isa: IsaName | "js";
  threads: number;
}

interface Loaded {
  kernels: Kernels;
  description: NativeDescription;
}

const ROOT = resolve(fileURLToPath(import.meta.url), "../../..");
const BUILT = ["build/cmake/Release/cragru.node", "build/Release/cragru.node"];
const HOW_TO_BUILD = "Build it with `npm run build:native` (needs a C++ compiler and CMake or Python), or use CRAGRU_DEVICE=js.";

/**
 * The kernels of this process: the face that `options.device` or CRAGRU_DEVICE names, else the addon, else TypeScript.
 * Cheap to call again: the addon is loaded once (Node's module cache), and nothing else is kept.
 * @throws NativeError when a forced face, instruction set or addon path is absent or unusable.
 */
export function loadKernels(options: LoadOptions = {}): Kernels {
  return load(options).kernels;
}

/** What {@link loadKernels} would give with these options, and why. @throws as {@link loadKernels}. */
export function describeNative(options: LoadOptions = {}): NativeDescription {
  return load(options).description;
}

/**
 * The roofs of the machine for the face that {@link loadKernels} would give, in about a second; undefined for the TypeScript face,
 * which cannot measure them. @throws as {@link loadKernels}.
 */
export async function measureRoofs(options: LoadOptions = {}): Promise<Roofs | undefined> {
  const { description: { addonPath, isa, threads } } = load(options);
  if (addonPath === undefined || isa === "js") return undefined;
  const addon = tryAddon(addonPath);
  return "addon" in addon ? addon.addon.roofs({}, { device: "cpu", isa, threads }).promise : undefined;
}

function load(options: LoadOptions): Loaded {
  const device = options.device ?? setting("CRAGRU_DEVICE") ?? "auto";
  if (!(DEVICE_NAMES as readonly string[]).includes(device)) {
    throw new NativeError("NATIVE_DEVICE", `There is no device ${JSON.stringify(device)}.`, { hint: "CRAGRU_DEVICE is one of auto, cuda, cpu, js." });
  }
  const threads = threadCount(options.threads), isa = options.isa ?? setting("CRAGRU_ISA");
  if (isa !== undefined && !(ISA_NAMES as readonly string[]).includes(isa)) {
    throw new NativeError("NATIVE_ISA", `There is no instruction set ${JSON.stringify(isa)}.`, { hint: `CRAGRU_ISA is one of ${ISA_NAMES.join(", ")}.` });
  }
  if (device === "js") return typeScript(undefined);
  const found = findAddon();
  if (device === "cuda" && !("addon" in found && found.said.cuda.devices.length > 0)) throw noCuda(found);
  if (!("addon" in found)) {
    if (device === "auto") return typeScript(found.reason);
    throw new NativeError("NATIVE_ADDON", `The cpu face was asked for, but ${found.reason}`, { hint: HOW_TO_BUILD });
  }
  const { addon, path, said } = found;
  const chosen = (isa as IsaName | undefined) ?? said.isas[said.isas.length - 1];
  if (!said.isas.includes(chosen)) {
    throw new NativeError("NATIVE_ISA", `Instruction set ${chosen} is not available: this build and processor have ${said.isas.join(", ")}.`, {
      hint: "Unset CRAGRU_ISA to use the best one; the results are the same.",
    });
  }
  const kernels = addonKernels(addon, { isa: chosen, threads, ...(device === "cuda" ? { gpu: said.cuda.devices[0]! } : {}) });
  return { kernels, description: { face: kernels.face, device: kernels.device, addonPath: path, cuda: said.cuda, isa: chosen, threads } };
}

function typeScript(reason: string | undefined): Loaded {
  const kernels = referenceKernels();
  const cuda = { devices: [], text: "not asked: the TypeScript face looks for no GPU" };
  return { kernels, description: { face: "js", device: kernels.device, ...(reason ? { reason } : {}), cuda, isa: "js", threads: 1 } };
}

type Found = { addon: Addon; path: string; said: AddonDescription } | { reason: string };

/** CRAGRU_ADDON, then the two places where our builds put the addon. A path given by hand must work. */
function findAddon(): Found {
  const asked = setting("CRAGRU_ADDON");
  if (asked !== undefined) {
    const path = resolve(asked);
    const addon = existsSync(path) ? tryAddon(path) : { reason: "the file does not exist." };
    if ("addon" in addon) return addon;
    throw new NativeError("NATIVE_ADDON", `CRAGRU_ADDON=${asked} cannot be used: ${addon.reason}`, { hint: "Correct the path or unset CRAGRU_ADDON." });
  }
  const reasons: string[] = [];
  for (const place of BUILT) {
    const path = resolve(ROOT, place);
    if (!existsSync(path)) continue;
    const addon = tryAddon(path);
    if ("addon" in addon) return addon;
    reasons.push(`${place}: ${addon.reason}`);
  }
  return { reason: reasons.length > 0 ? `the addon does not load (${reasons.join("; ")}).` : "the native addon is not built." };
}

function tryAddon(path: string): Found {
  try {
    const addon = createRequire(import.meta.url)(path) as Partial<Addon>;
    const said = addon.describe?.();
    if (said?.contract !== ADDON_CONTRACT || KERNEL_NAMES.some((name) => typeof addon[name] !== "function")) {
      return { reason: `it was built from another version of the sources (contract ${said?.contract ?? "unknown"}, wanted ${ADDON_CONTRACT})` };
    }
    return { addon: addon as Addon, path, said };
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}

/** "auto" never means the GPU: its face is asked for by name. */
function noCuda(found: Found): NativeError {
  return new NativeError("NATIVE_CUDA", `CUDA was asked for, but ${"addon" in found ? found.said.cuda.text : found.reason}`, {
    hint: "addon" in found ? "Use CRAGRU_DEVICE=cpu or auto: the CPU face gives the same numbers." : HOW_TO_BUILD,
  });
}

function threadCount(asked: number | undefined): number {
  const text = setting("CRAGRU_THREADS");
  const threads = asked ?? (text === undefined ? Math.min(256, availableParallelism()) : Number(text));
  if (!Number.isInteger(threads) || threads < 1 || threads > 256) {
    throw new NativeError("NATIVE_THREADS", `The number of threads must be a whole number from 1 to 256, not ${asked ?? JSON.stringify(text)}.`, {
      hint: "Unset CRAGRU_THREADS to use every core; the results are the same.",
    });
  }
  return threads;
}

function setting(name: string): string | undefined {
  const value = process.env[name];
  return value === undefined || value === "" ? undefined : value;
}
