import { ConfigError } from "../../core/errors.js";

/** One Ollama server. */
export interface Host {
  /** For requests: scheme, name, port and path; never credentials, which fetch refuses in addresses. */
  url: string;
  /** Credentials of the address as a header. */
  headers: Record<string, string>;
}

export const DEFAULT_HOST = "http://127.0.0.1:11434";
const DEFAULT_PORT = 11434;

/**
 * An address in any spelling people use for OLLAMA_HOST: `gpu1`, `gpu1:8080`, `:8080`, `http://gpu1`, `0.0.0.0`, `::1`,
 * `[::1]:5`, `https://user:password@gateway/path`, with blanks or quotes around it.
 * Without a port it is 11434, after `http://` too, where the `ollama` client alone would take 80. Only `https://` keeps
 * 443: Ollama speaks no TLS itself, so a gateway stands there. Listening addresses (0.0.0.0, ::) become loopback ones.
 * @throws ConfigError without printing what may be a password.
 */
export function normaliseHost(text: string): Host {
  const trimmed = text.trim().replace(/^["'](.*)["']$/, "$1").trim();
  const [, scheme = "http", rest = ""] = /^(?:([A-Za-z][A-Za-z0-9+.-]*):\/\/)?(.*)$/s.exec(trimmed)!;
  const secure = scheme.toLowerCase() === "https";
  if (!secure && scheme.toLowerCase() !== "http") throw badHost(trimmed, `the scheme is "${scheme}"`);
  const slash = rest.search(/[/?#]/);
  const authority = slash < 0 ? rest : rest.slice(0, slash);
  const path = slash < 0 ? "" : rest.slice(slash).replace(/\/+$/, "");
  if (/[?#\s]/.test(path)) throw badHost(trimmed, "it has a query or blanks");

  const sign = authority.lastIndexOf("@");
  const credentials = sign < 0 ? "" : authority.slice(0, sign);
  const place = sign < 0 ? authority : authority.slice(sign + 1);
  // "::1" has no port; "[::1]:5" and "gpu1:5" have one.
  const bareIpv6 = !place.startsWith("[") && place.split(":").length > 2;
  const [, name = "", port] = bareIpv6 ? ["", `[${place}]`, undefined] : /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(place) ?? [];
  if (port !== undefined && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535)) throw badHost(trimmed, "the port is no number from 1 to 65535");
  const local = name === "" || name === "0.0.0.0" ? "127.0.0.1" : name === "[::]" ? "[::1]" : name;
  let checked: URL;
  try {
    checked = new URL(`${secure ? "https" : "http"}://${local}`);
  } catch {
    throw badHost(trimmed, "the name cannot be read");
  }
  return {
    url: `${checked.protocol}//${checked.hostname}:${port === undefined ? (secure ? 443 : DEFAULT_PORT) : Number(port)}${path}`,
    headers: credentials === "" ? {} : { Authorization: `Basic ${Buffer.from(decode(credentials)).toString("base64")}` },
  };
}

/** A comma-separated list of addresses; the default host when nothing is in it. Repeated servers count once. */
export function parseHosts(text: string | undefined): Host[] {
  const hosts = (text ?? "").split(",").filter((part) => part.trim() !== "").map(normaliseHost);
  if (hosts.length === 0) return [normaliseHost(DEFAULT_HOST)];
  return hosts.filter(({ url }, at) => hosts.findIndex((other) => other.url === url) === at);
}

/** `user:p%40ss` as typed into an address; a stray percent sign stands for itself. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function badHost(text: string, why: string): ConfigError {
  const shown = text.includes("@") ? `...@${text.slice(text.lastIndexOf("@") + 1)}` : text;
  return new ConfigError("CONFIG_HOST", `"${shown.slice(0, 80)}" is no address of an Ollama server: ${why}.`, {
    hint: "Write for example gpu1, gpu1:11434, http://127.0.0.1:11434, or a list with commas.",
  });
}
