/**
 * URLs of BMCs: what each part means, and that nothing unknown, misspelt or secret passes.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseBmcUrl } from "./bmc-url.ts";

function parsed(text: string) {
  const url = parseBmcUrl(text);
  if (!url.ok) throw new Error(url.error.detail);
  return url.value;
}

function refusal(text: string): string {
  const url = parseBmcUrl(text);
  if (url.ok) throw new Error(`${text} is taken`);
  expect(url.error.kind).toBe("bad-url");
  return url.error.detail;
}

describe("lan://", () => {
  test("everything said", () => {
    expect(
      parsed(
        "lan://root@node7-bmc.example:9623?cipher=3&privilege=operator&password-file=/etc/pw&kg-file=/etc/kg",
      ),
    ).toEqual({
      kind: "lan",
      url: "lan://node7-bmc.example:9623",
      host: "node7-bmc.example",
      port: 9623,
      user: "root",
      cipher: 3,
      privilege: "operator",
      passwordFile: "/etc/pw",
      kgFile: "/etc/kg",
    });
  });

  test("as little as may be", () => {
    expect(parsed("lan://admin@10.0.0.7")).toMatchObject({
      url: "lan://10.0.0.7",
      port: 623,
      cipher: null,
      privilege: "administrator",
      passwordFile: null,
    });
    expect(parsed("lan://10.0.0.7/")).toMatchObject({ user: "", host: "10.0.0.7" });
  });

  test("an IPv6 address stands in brackets", () => {
    expect(parsed("lan://a@[fe80::1%eth0]:700")).toMatchObject({
      url: "lan://[fe80::1%eth0]:700",
      host: "fe80::1%eth0",
      port: 700,
    });
    expect(refusal("lan://a@fe80::1")).toContain("in brackets");
  });

  test("a user's name may need escapes", () => {
    expect(parsed("lan://a%40b%3Ac@h")).toMatchObject({ user: "a@b:c" });
    expect(refusal("lan://a%4@h")).toContain("two hex digits");
    expect(refusal("lan://seventeen-letters@h")).toContain("16 bytes");
  });

  test("suites that do not protect a session are refused", () => {
    for (const cipher of ["0", "1", "2", "8", "16", "none", "03x"]) {
      expect(refusal(`lan://a@h?cipher=${cipher}`)).toContain("only suites 17 and 3");
    }
  });
});

describe("serial:, kcs:, redfish", () => {
  test("a serial line", () => {
    expect(parsed("serial:/dev/ttyS1?baud=19200&mode=terminal&user=admin")).toEqual({
      kind: "serial",
      url: "serial:/dev/ttyS1?baud=19200&mode=terminal",
      devicePath: "/dev/ttyS1",
      baudRate: 19_200,
      mode: "terminal",
      userName: "admin",
      passwordFile: null,
    });
    expect(parsed("serial:///dev/ttyUSB0")).toMatchObject({
      devicePath: "/dev/ttyUSB0",
      baudRate: 115_200,
      mode: "basic",
      userName: null,
    });
    expect(refusal("serial:ttyS1")).toContain("full path");
    expect(refusal("serial:/dev/ttyS1?mode=ppp")).toContain("basic or terminal");
    expect(refusal("serial:/dev/ttyS1?baud=fast")).toContain("number from 1");
  });

  test("the system interface", () => {
    expect(parsed("kcs:/dev/ipmi0")).toEqual({
      kind: "kcs",
      url: "kcs:/dev/ipmi0",
      devicePath: "/dev/ipmi0",
    });
    expect(refusal("kcs:/dev/ipmi0?cipher=3")).toContain("takes no parameters");
  });

  test("Redfish, with the certificate that it must have", () => {
    const fingerprint = "ab".repeat(32);
    expect(
      parsed(`redfish+https://root@h:8443?fingerprint=${fingerprint}&ca-file=/ca.pem`),
    ).toEqual({
      kind: "redfish",
      url: "redfish+https://h:8443",
      host: "h",
      port: 8443,
      isTls: true,
      user: "root",
      caFile: "/ca.pem",
      fingerprint,
      passwordFile: null,
    });
    expect(refusal("redfish+https://h?fingerprint=abc")).toContain("64 hex digits");
  });

  test("Redfish in the clear is for a loopback host only", () => {
    for (const host of ["127.0.0.1:28001", "localhost", "[::1]"]) {
      expect(parsed(`redfish+http://u@${host}`)).toMatchObject({ isTls: false });
    }
    for (const host of ["10.0.0.1", "127.0.0.1.example", "localhost.example", "bmc"]) {
      expect(refusal(`redfish+http://u@${host}`)).toContain("in the clear");
    }
  });
});

describe("what is refused", () => {
  test("a password, wherever it stands, without being repeated", () => {
    for (const url of [
      "lan://root:s3cret@h",
      "redfish+https://root:s3cret@h",
      "lan://h?password=s3cret",
      "lan://root@h?PWD=s3cret",
      "serial:/dev/ttyS0?pass=s3cret",
    ]) {
      const detail = refusal(url);
      expect(detail).not.toContain("s3cret");
      expect(detail).toContain("HOLDFAST_BMC_PASSWORD");
    }
  });

  test("a parameter that is not known, by its name and with those that are", () => {
    const detail = refusal("lan://a@h?chiper=17");
    expect(detail).toContain("chiper");
    expect(detail).toContain("cipher");
    expect(refusal("lan://a@h?cipher=17&cipher=3")).toContain("twice");
    expect(refusal("lan://a@h?cipher")).toContain("cipher=…");
    expect(refusal("lan://a@h?cipher=")).toContain("empty");
  });

  test("ports and hosts that are none", () => {
    for (const url of [
      "lan://a@h:0",
      "lan://a@h:65536",
      "lan://a@h:x",
      "lan://a@",
      "lan://a@h/x",
    ]) {
      expect(refusal(url).length).toBeGreaterThan(10);
    }
  });

  test("another scheme, with examples of those that there are", () => {
    for (const url of ["", "h", "https://h", "lan:h", "ipmi://h", "redfish://h"]) {
      expect(refusal(url)).toContain("lan://user@host");
    }
  });

  test("nothing by an exception, and what is taken shows no user", () => {
    const scheme = fc.constantFrom(
      "lan://",
      "serial:",
      "kcs:",
      "redfish+https://",
      "redfish+http://",
    );
    fc.assert(
      fc.property(scheme, fc.string({ unit: "grapheme" }), (start, rest) => {
        const url = parseBmcUrl(`${start}sesame@${rest}`);
        if (url.ok && url.value.kind !== "serial" && url.value.kind !== "kcs") {
          expect(url.value.url).not.toContain("sesame");
        }
      }),
    );
  });
});
