import type { Command } from "commander";
import { doctor } from "../experiment/doctor.js";
import { defined } from "../experiment/defined.js";
import { execute, type Streams } from "./execute.js";
import { common, kernels, type CommonOptions, type KernelFlags } from "./options.js";

interface Flags extends CommonOptions, KernelFlags {
  host?: string;
}

/** `cragru doctor` */
export function addDoctor(program: Command, streams: Streams): void {
  const command = program.command("doctor")
    .summary("what runs here, and how fast")
    .description("Native faces (each kernel checked against the reference), GPU, tensor engine, Ollama, data, "
      + "and the one command that would make it faster.")
    .option("--host <address>", "Ollama server (default OLLAMA_HOST)");
  common(kernels(command), "cragru doctor", "CRAGRU_DEVICE=js cragru doctor");
  command.action(async (flags: Flags) => {
    const { host, device, threads } = flags;
    await execute(streams, flags, ({ signal, onProgress }) => doctor({ ...defined({ host, device, threads }), signal, onProgress }));
  });
}
