import { fetchDataset, type DownloadReport } from "../data/download.js";
import { LICENCES, licenceText, type Licence } from "../data/licence.js";
import { loadDataset } from "../data/load.js";
import { partOf, type RunOptions } from "../core/progress.js";
import { statistics, type DatasetStatistics } from "../data/statistics.js";
import { resolveConfig } from "./config.js";
import { defined } from "./defined.js";

export interface DataOptions extends RunOptions {
  /** Says that you read the licence and agree; nothing is downloaded without it. */
  acceptLicence?: boolean;
  /** Data folder; default as `loadDataset`. */
  root?: string;
}

/** A data set as it is on disk: terms, place, counts. */
export class DataReport {
  constructor(
    readonly name: string,
    readonly source: string,
    readonly fingerprint: string,
    readonly statistics: DatasetStatistics,
    readonly licence: Licence | undefined,
    readonly download: Pick<DownloadReport, "folder" | "status" | "bytes"> | undefined,
  ) {}

  toString(): string {
    return [
      ...(this.licence ? [licenceText(this.licence), ""] : []),
      this.statistics.toString(),
      `  ${this.source}`,
      `  fingerprint ${this.fingerprint.slice(0, 16)}`,
      ...(this.download ? [`  ${this.download.status === "present" ? "was there" : "downloaded"}: ${this.download.folder}`] : []),
    ].join("\n");
  }
}

/**
 * Shows a data set's terms, downloads it from its publisher if it is not on disk and the licence is accepted, checks it and
 * counts it.
 * @throws ConfigError on an unknown name; DataError with the terms when they are not accepted; or when a download, a checksum or a file is bad.
 */
export async function data(name: string, options: DataOptions = {}): Promise<DataReport> {
  const { acceptLicence, root } = options;
  resolveConfig({ dataset: name });
  const licence = Object.hasOwn(LICENCES, name) ? LICENCES[name] : undefined;
  const place = defined({ root });
  let download: DataReport["download"];
  if (licence) {
    const { folder, status, bytes } = await fetchDataset(name, { ...partOf(options, 0, 2, "download"), ...place, ...defined({ acceptLicence }) });
    download = { folder, status, bytes };
  }
  const dataset = await loadDataset(name, { ...partOf(options, 1, 2, "read"), ...place });
  return new DataReport(dataset.name, dataset.source, dataset.fingerprint, statistics(dataset), licence, download);
}
