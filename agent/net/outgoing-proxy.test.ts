/** Which proxy a target is reached by: cases as curl's manual states them. */
import { describe, expect, test } from "bun:test";
import { parseProxy, proxyFor, proxyOf, proxyOfEnvironment } from "./outgoing-proxy.ts";

const P = "http://10.0.0.9:3128";

describe("an outgoing proxy", () => {
  test("is the one of the scheme, small letters first", () => {
    const proxy = proxyOfEnvironment({ HTTPS_PROXY: "http://old:1", https_proxy: P });
    expect(proxyFor(proxy, "https://support.example/v1")).toBe(P);
    expect(proxyFor(proxy, "http://support.example/v1")).toBeNull();
  });

  test("of every scheme is ALL_PROXY, and a bare address is an HTTP proxy", () => {
    const proxy = proxyOfEnvironment({ ALL_PROXY: "10.0.0.9:3128" });
    expect(proxyFor(proxy, "https://a.example")).toBe(P);
    expect(proxyFor(proxy, "http://a.example")).toBe(P);
  });

  test("is not taken from HTTP_PROXY, which a caller of a CGI script may set", () => {
    expect(proxyFor(proxyOfEnvironment({ HTTP_PROXY: P }), "http://a.example")).toBeNull();
  });

  test("is not used for what NO_PROXY names, nor for what is below it", () => {
    const proxy = proxyOf(P, {
      NO_PROXY: "example.com, .inner.test,10.1.2.3,[fd00::1],b.test:444",
    });
    const isDirect = (url: string): boolean => proxyFor(proxy, url) === null;
    for (const url of [
      "https://example.com/",
      "https://a.EXAMPLE.com:8443/",
      "https://x.inner.test/",
      "https://10.1.2.3/",
      "https://[fd00::1]:7420/",
      "https://b.test:444/",
    ]) {
      expect([url, isDirect(url)]).toEqual([url, true]);
    }
    for (const url of ["https://badexample.com/", "https://10.1.2.33/", "https://b.test/"]) {
      expect([url, isDirect(url)]).toEqual([url, false]);
    }
    expect(proxyFor(proxyOf(P, { NO_PROXY: "*" }), "https://a.example")).toBeNull();
  });

  test("that is no URL is none, and a setting wins over the environment", () => {
    expect(parseProxy("http://")).toBeNull();
    expect(parseProxy("socks5://10.0.0.9:1080")).toBeNull();
    expect(proxyFor(proxyOf(P, { https_proxy: "http://other:1" }), "https://a.example")).toBe(P);
  });
});
