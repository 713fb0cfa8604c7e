import { ConfigError } from "../core/errors.js";

/** TensorFlow.js as its packages declare it. */
export type TensorFlow = typeof import("@tensorflow/tfjs");
export const TENSOR_BACKENDS = ["gpu", "wasm", "cpu"] as const;
/** "gpu": libtensorflow through tfjs-node-gpu; "wasm": SIMD in one thread; "cpu": plain JavaScript. */
export type TensorBackend = (typeof TENSOR_BACKENDS)[number];

export interface TensorEngine {
  tf: TensorFlow;
  backend: TensorBackend;
  /** For labels: package and version. */
  description: string;
}

/**
 * Loads TensorFlow.js with the best backend present: tfjs-node-gpu (an optional peer, CUDA user libraries) > wasm > cpu. A
 * backend asked for by option or CRAGRU_TENSOR and not present is an error, never a quiet fallback. TensorFlow.js has one
 * active backend a process, so the last call decides. Used for small trained parts; backbones train in the native core.
 * @throws ConfigError for an unknown or missing backend.
 */
export async function loadTensorEngine(options: { backend?: TensorBackend | "auto" } = {}): Promise<TensorEngine> {
  const asked = options.backend ?? process.env["CRAGRU_TENSOR"] ?? "auto";
  if (asked !== "auto" && !(TENSOR_BACKENDS as readonly string[]).includes(asked)) {
    throw new ConfigError("CONFIG_TENSOR", `There is no tensor backend "${asked}".`, { hint: `Choose one of auto, ${TENSOR_BACKENDS.join(", ")}.` });
  }
  if (asked === "auto" || asked === "gpu") {
    const gpu = await gpuEngine();
    if (gpu instanceof Error) {
      if (asked === "gpu") {
        throw new ConfigError("CONFIG_TENSOR_GPU", "TensorFlow.js has no GPU backend here.", {
          hint: "npm install @tensorflow/tfjs-node-gpu@4.22.0 (Linux, Node 20 or 22, CUDA 11 and cuDNN 8), or leave the backend to \"auto\".", cause: gpu,
        });
      }
    } else return gpu;
  }
  const tf: TensorFlow = await import("@tensorflow/tfjs");
  tf.enableProdMode(); // Else the cpu backend prints a banner at its first use.
  if (asked !== "cpu") await import("@tensorflow/tfjs-backend-wasm");
  for (const backend of asked === "auto" ? (["wasm", "cpu"] as const) : ([asked] as const)) {
    if (!(await tf.setBackend(backend))) continue;
    await tf.ready();
    return { tf, backend: backend as TensorBackend, description: `TensorFlow.js ${tf.version["tfjs"] ?? ""} (${backend})` };
  }
  throw new ConfigError("CONFIG_TENSOR", `The tensor backend "${asked}" did not start.`, { hint: "Use CRAGRU_TENSOR=cpu." });
}

/** The package is optional, and broken installs throw errors without a code: whatever comes is the reason. */
async function gpuEngine(): Promise<TensorEngine | Error> {
  try {
    const name = "@tensorflow/tfjs-node-gpu";
    const loaded = (await import(name)) as TensorFlow & { default?: TensorFlow };
    const tf = loaded.default ?? loaded;
    await tf.ready();
    return { tf, backend: "gpu", description: `TensorFlow.js ${tf.version["tfjs"] ?? ""} (tfjs-node-gpu)` };
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
