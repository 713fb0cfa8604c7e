import type { Command } from "commander";
import { data } from "../experiment/data.js";
import { defined } from "../experiment/defined.js";
import { execute, type Streams } from "./execute.js";
import { common, type CommonOptions } from "./options.js";

interface Flags extends CommonOptions {
  acceptLicence?: boolean;
}

/** `cragru data` */
export function addData(program: Command, streams: Streams): void {
  const command = program.command("data")
    .summary("terms, download and statistics of a data set")
    .description("Shows the terms of a data set, downloads it from its publisher once you accept them, verifies and counts it. "
      + "CRAGRU_DATA names the folder.")
    .argument("<name>", "ml-100k, ml-1m, ml-latest-small; netflix and synthetic are only counted")
    .option("--accept-licence", "you have read the terms and agree");
  common(command, "cragru data ml-100k --accept-licence");
  command.action(async (name: string, flags: Flags) => {
    await execute(streams, flags, ({ signal, onProgress }) => data(name, { ...defined({ acceptLicence: flags.acceptLicence }), signal, onProgress }));
  });
}
