import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../src/core/errors.js";
import { normaliseHost, parseHosts } from "../../../src/generation/ollama/hosts.js";

describe("normaliseHost", () => {
  it.each([
    ["gpu1", "http://gpu1:11434"],
    ["gpu1:8080", "http://gpu1:8080"],
    ["http://gpu1", "http://gpu1:11434"],
    ["http://gpu1/", "http://gpu1:11434"],
    ["http://gpu1:80", "http://gpu1:80"],
    ["HTTP://GPU1", "http://gpu1:11434"],
    ["https://gpu1", "https://gpu1:443"],
    ["https://gpu1:11434", "https://gpu1:11434"],
    [":8080", "http://127.0.0.1:8080"],
    ["", "http://127.0.0.1:11434"],
    ["0.0.0.0", "http://127.0.0.1:11434"],
    ["0.0.0.0:5000", "http://127.0.0.1:5000"],
    ["http://0.0.0.0:5000", "http://127.0.0.1:5000"],
    ["127.0.0.1", "http://127.0.0.1:11434"],
    ["[::1]:5", "http://[::1]:5"],
    ["[::1]", "http://[::1]:11434"],
    ["::1", "http://[::1]:11434"],
    ["[::]:5", "http://[::1]:5"],
    ["::", "http://[::1]:11434"],
    ["http://[fe80::1]:99/x/", "http://[fe80::1]:99/x"],
    ["gateway/ollama", "http://gateway:11434/ollama"],
    ["https://gateway/ollama/", "https://gateway:443/ollama"],
    ["  'gpu1:1' ", "http://gpu1:1"],
    ['"http://gpu1"', "http://gpu1:11434"],
  ])("reads %j as %s", (text, url) => {
    expect(normaliseHost(text)).toEqual({ url, headers: {} });
  });

  it("moves credentials into a header, where fetch accepts them and nothing prints them", () => {
    const basic = (text: string): string => `Basic ${Buffer.from(text).toString("base64")}`;
    expect(normaliseHost("https://ann:s3cret@gate:8443/o")).toEqual({ url: "https://gate:8443/o", headers: { Authorization: basic("ann:s3cret") } });
    expect(normaliseHost("ann:p%40ss@gate")).toEqual({ url: "http://gate:11434", headers: { Authorization: basic("ann:p@ss") } });
    expect(normaliseHost("ann:100%@gate").headers).toEqual({ Authorization: basic("ann:100%") });
  });

  it.each(["gpu1:0", "gpu1:65536", "gpu1:x", "gpu1:", "ftp://gpu1", "http://a b", "http://gpu1/?q=1", "http://[::1", "ann:s3cret@gpu1:port", "http://ann:s3cret@ho st"])("refuses %j without showing a password", (text) => {
    let error: unknown;
    try {
      normaliseHost(text);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({ code: "CONFIG_HOST" });
    expect(String(error)).not.toContain("s3cret");
  });
});

describe("parseHosts", () => {
  it("reads lists, drops repeats, and knows the default", () => {
    expect(parseHosts("gpu1, http://gpu2:1 ,,gpu1:11434,").map(({ url }) => url)).toEqual(["http://gpu1:11434", "http://gpu2:1"]);
    for (const text of [undefined, "", " , "]) expect(parseHosts(text).map(({ url }) => url)).toEqual(["http://127.0.0.1:11434"]);
  });
});
