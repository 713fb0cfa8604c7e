import { quote } from "./fields.js";
import { lineError, type Encoding, type Place, type Reading } from "./lines.js";

const MAX_RECORD = 64 * 1024;

/**
 * Comma separated values after RFC 4180: quoted fields may hold commas, doubled quotes and line ends. Feed it lines; it
 * calls `visit` with the fields of each complete record and the place of its first line.
 */
export class CsvRecords {
  private pending = "";
  private started = 0;

  constructor(private readonly visit: (fields: string[], at: Place) => void) {}

  /** @throws DataError on text after a closing quote, or a quote that never closes. */
  readonly line = (line: string, at: Place): void => {
    if (this.started === 0) {
      if (!line.includes('"')) {
        this.visit(line.split(","), at);
        return;
      }
      this.started = at.line;
    }
    const text = this.pending + line;
    const first: Place = { file: at.file, line: this.started };
    const fields = parseRecord(text, first);
    if (fields) {
      this.pending = "";
      this.started = 0;
      this.visit(fields, first);
      return;
    }
    if (text.length > MAX_RECORD) throw unclosed(first);
    this.pending = `${text}\n`;
  };

  /** Call after the last line. @throws DataError when a quote is still open. */
  finish(file: string): void {
    if (this.started > 0) throw unclosed({ file, line: this.started });
  }
}

function unclosed(at: Place): Error {
  return lineError(at, "DATA_QUOTE",
    "a quote opens in this line and never closes.",
    'Close it, and write a quote inside a field as "".');
}

/** Fields of a record, or undefined while a quote is open. */
function parseRecord(text: string, at: Place): string[] | undefined {
  const fields: string[] = [];
  for (let from = 0; ;) {
    if (text[from] !== '"') {
      const to = text.indexOf(",", from);
      fields.push(to < 0 ? text.slice(from) : text.slice(from, to));
      if (to < 0) return fields;
      from = to + 1;
      continue;
    }
    let field = "";
    for (from++; ;) {
      const to = text.indexOf('"', from);
      if (to < 0) return undefined;
      field += text.slice(from, to);
      from = to + 1;
      if (text[from] !== '"') break;
      field += '"';
      from++;
    }
    fields.push(field);
    if (from === text.length) return fields;
    if (text[from] !== ",") {
      throw lineError(at, "DATA_QUOTE",
        "text follows a closing quote.",
        'Put a comma between the fields, and write a quote inside a field as "".');
    }
    from++;
  }
}

/**
 * Reads a CSV file with a header line. `open` sees the header and returns the visitor of the records.
 * @throws DataError as {@link Reading.lines} and {@link CsvRecords} do.
 */
export async function readCsv(
  reading: Reading, file: string, encoding: Encoding, open: (header: string[], at: Place) => (fields: string[], at: Place) => void,
): Promise<void> {
  let visit: ((fields: string[], at: Place) => void) | undefined;
  const records = new CsvRecords((fields, at) => {
    if (visit) visit(fields, at);
    else visit = open(fields, at);
  });
  await reading.lines(file, encoding, records.line);
  records.finish(file);
}

/** @throws DataError unless the header is exactly `names`. */
export function requireHeader(header: readonly string[], names: readonly string[], at: Place): void {
  if (header.length !== names.length || names.some((name, column) => header[column] !== name)) {
    throw lineError(at, "DATA_HEADER", `the header is ${quote(header.join(","))}.`, `It must read ${names.join(",")}.`);
  }
}
