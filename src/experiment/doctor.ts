import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { RunOptions } from "../core/progress.js";
import { dataRoot } from "../data/download.js";
import { alignColumns } from "../evaluation/table.js";
import { DEFAULT_MODEL } from "../generation/choose.js";
import { parseHosts } from "../generation/ollama/hosts.js";
import { askModels, askVersion } from "../generation/ollama/transport.js";
import type { Roofs } from "../native/binding.js";
import { describeNative, loadKernels, measureRoofs, type LoadOptions, type NativeDescription } from "../native/load.js";
import { referenceKernels } from "../native/reference.js";
import { loadTensorEngine } from "../tensor/engine.js";
import { defined } from "./defined.js";
import { checkKernels, type KernelCheck } from "./kernelcheck.js";
import { packageVersion } from "./version.js";

export interface DoctorOptions extends RunOptions, Pick<LoadOptions, "device" | "threads"> {
  /** Ollama server or servers; default OLLAMA_HOST. */
  host?: string;
  root?: string;
}

export interface OllamaProbe {
  host: string;
  version: string | undefined;
  models: string[];
  /** Why it does not answer. */
  error: string | undefined;
}

export interface DoctorParts {
  node: string;
  cragru: string;
  platform: string;
  cores: number;
  native: NativeDescription;
  /** The tensor engine's label, or why there is none. */
  tensor: string;
  ollama: OllamaProbe[];
  dataFolder: string;
  data: { name: string; folder: string | undefined }[];
  kernels: KernelCheck[];
  /** What this machine can do at most, measured beside the kernels; undefined for the TypeScript face alone. */
  roofs: Roofs | undefined;
  /** The one command that would make it faster; undefined when nothing known would. */
  advice: { command: string; why: string } | undefined;
}

const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  "ml-100k": ["ml-100k"], "ml-1m": ["ml-1m"], "ml-latest-small": ["ml-latest-small"], netflix: ["netflix", "netflix-titles"],
};

/** What runs here and how fast. */
export class DoctorReport {
  constructor(readonly parts: DoctorParts) {}

  /** False when a face gives other bytes than the reference. */
  get healthy(): boolean {
    return this.parts.kernels.every(({ agrees }) => agrees !== false);
  }

  toJSON(): DoctorParts & { healthy: boolean } {
    return { ...this.parts, healthy: this.healthy };
  }

  toString(): string {
    const { node, cragru, platform, cores, native, tensor, ollama, dataFolder, data, kernels, roofs, advice } = this.parts;
    const faces = [...new Set(kernels.map(({ face }) => face))];
    const cell = (check: KernelCheck | undefined): string => (check ? `${compact(check.rate)} ${check.unit}/s` : "");
    const share = (checks: (KernelCheck | undefined)[]): string => {
      const found = checks.find((check) => check?.share !== undefined);
      return found ? `${(100 * found.share!).toFixed(0)} % of ${found.roof}` : "";
    };
    const rows = [...new Set(kernels.map(({ kernel }) => kernel))].map((kernel) => {
      const own = faces.map((face) => kernels.find((check) => check.kernel === kernel && check.face === face));
      const verdict = own.some((check) => check?.agrees === false) ? "DIFFERS" : own.length > 1 ? "same bytes" : "";
      return [kernel, ...own.map(cell), share(own), verdict];
    });
    return [
      `cragru ${cragru}, node ${node}, ${platform}, ${cores} cores`,
      `kernels   ${native.device}${native.isa === "js" ? "" : `, instruction set ${native.isa}, ${native.threads} threads`}`,
      ...(native.reason === undefined ? [] : [`          ${native.reason}`]),
      `cuda      ${native.cuda.text}`,
      `tensors   ${tensor}`,
      ...ollama.map((probe) => `ollama    ${probe.host}: ${serverText(probe)}`),
      `data      ${dataFolder}: ${data.map(({ name, folder }) => `${name} ${folder === undefined ? "no" : "yes"}`).join(", ")}`,
      "",
      alignColumns([["kernel", ...faces, roofs ? "share of the roof" : "", faces.length > 1 ? "against js" : ""], ...rows]),
      ...(roofs ? [roofText(roofs)] : []),
      "",
      advice ? `Faster: ${advice.command}  (${advice.why})` : "Nothing known would make it faster here.",
    ].join("\n");
  }
}

/**
 * Looks at everything a run depends on, and changes nothing: faces of the native core (each kernel against the reference on a
 * small shape), the tensor engine, the Ollama server, the data on disk.
 * @throws NativeError when a forced face is absent. A server that does not answer is part of the report, not an error.
 */
export async function doctor(options: DoctorOptions = {}): Promise<DoctorReport> {
  const { device, threads, host, root = dataRoot(), signal } = options;
  const load: LoadOptions = defined({ device, threads });
  const native = describeNative(load);
  const reference = referenceKernels();
  const faces = native.face === "js" ? [reference] : [reference, loadKernels(load)];
  const roofs = await measureRoofs(load);
  const kernels = await checkKernels(faces, options, roofs);
  const ollama = await Promise.all(parseHosts(host ?? process.env["OLLAMA_HOST"]).map((each) => probe(each, signal)));
  const data = Object.entries(FOLDERS).map(([name, folders]) =>
    ({ name, folder: folders.map((folder) => join(root, folder)).find((folder) => existsSync(folder)) }));
  const tensor = await tensorLabel();
  return new DoctorReport({
    node: process.version, cragru: packageVersion(), platform: `${process.platform} ${process.arch}`, cores: availableParallelism(),
    native, tensor, ollama, dataFolder: root, data, kernels, roofs, advice: adviceFor(native, ollama),
  });
}

async function probe(host: ReturnType<typeof parseHosts>[number], signal: AbortSignal | undefined): Promise<OllamaProbe> {
  // Local servers answer in milliseconds; a person waits here.
  const call = { timeoutSeconds: 2, signal };
  try {
    const version = await askVersion(host, call);
    const models = await askModels(host, call);
    return { host: host.url, version, models: models.map(({ name }) => name), error: undefined };
  } catch (error) {
    if (signal?.aborted) throw error;
    // Whatever keeps a server from answering is what the report is about.
    return { host: host.url, version: undefined, models: [], error: `does not answer (${reasonOf(error)})` };
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return (cause instanceof Error && cause.message !== "" ? cause.message : error.message).split("\n")[0]!;
}

async function tensorLabel(): Promise<string> {
  const { description } = await loadTensorEngine();
  return description;
}

function serverText({ version, models, error }: OllamaProbe): string {
  return error ?? `version ${version}, ${models.length > 0 ? models.join(", ") : "no models"}`;
}

/** The first of these that applies: the cheapest large gain. */
function adviceFor(native: NativeDescription, ollama: readonly OllamaProbe[]): DoctorParts["advice"] {
  if (native.face === "js") {
    return { command: "npm run build:native", why: "the native core trains and ranks tens of times faster; it needs a C++ compiler" };
  }
  const serving = ollama.find(({ version }) => version !== undefined);
  if (serving && serving.models.length === 0) {
    return { command: `ollama pull ${DEFAULT_MODEL}`, why: "the server has no model; until then the embedded ranker answers, which is no LLM" };
  }
  return undefined;
}

function roofText({ floats, doubles, cache, memory }: Roofs): string {
  const rates = `floats ${floats.toFixed(0)} and doubles ${doubles.toFixed(0)} billion operations/s, cache ${cache.toFixed(0)} and memory ${memory.toFixed(0)} GB/s`;
  return `Roofs measured here, all threads: ${rates}. Ranking may pass 100 % of floats: it sifts candidates in smaller numbers.`;
}

function compact(value: number): string {
  for (const [size, prefix] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]] as const) {
    if (value >= size) return `${(value / size).toFixed(1)} ${prefix}`;
  }
  return value.toFixed(0);
}
