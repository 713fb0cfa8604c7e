/** The stand-in server of the tests ends its version with this, so that none of its answers can pass for a model's. */
const TEST_SERVER = "-cragru-test";

function numbersOf(version: string): [number, number, number] | undefined {
  const found = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version);
  if (!found) return undefined;
  const numbers: [number, number, number] = [Number(found[1]), Number(found[2]), Number(found[3])];
  return numbers.every((number) => number === 0) ? undefined : numbers;
}

/** False for development builds (0.0.0) and texts without a version. */
export function isKnownVersion(version: string): boolean {
  return numbersOf(version) !== undefined;
}

/** True for the version that a pretended server of the tests gives. */
export function isTestServer(version: string): boolean {
  return version.endsWith(TEST_SERVER);
}

/** Whether a server has the features of release `floor`. Development builds count as new. */
export function atLeast(version: string, floor: string): boolean {
  const own = numbersOf(version), wanted = numbersOf(floor);
  if (!own || !wanted) return !own;
  for (let at = 0; at < 3; at++) if (own[at] !== wanted[at]) return own[at]! > wanted[at]!;
  return true;
}
