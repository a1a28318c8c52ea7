/**
 * The envelope against the specification's own vector, and what is not an envelope.
 */
import { describe, expect, test } from "bun:test";
import { createPrivateKey, createPublicKey, verify } from "node:crypto";
import fc from "fast-check";
import {
  CERT_BYTES_MAX,
  encodeEnvelope,
  openEnvelope,
  PAYLOAD_BYTES_MAX,
  pae,
  SIGNATURES_MAX,
} from "./dsse.ts";
import type { Envelope } from "./identity.ts";

const text = new TextEncoder();
const TYPE = "http://example.com/HelloWorld";

/** secure-systems-lab/dsse, protocol.md, "Test Vectors". */
const VECTOR = {
  x: 46950820868899156662930047687818585632848591499744589407958293238635476079160n,
  y: 5640078356564379163099075877009565129882514886557779369047442380624545832820n,
  d: 97358161215184420915383655311931858321456579547487070936769975997791359926199n,
  pae: "DSSEv1 29 http://example.com/HelloWorld 11 hello world",
  payload: "aGVsbG8gd29ybGQ=",
  sig: "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA==",
};

function coordinate(value: bigint): string {
  return Buffer.from(value.toString(16).padStart(64, "0"), "hex").toString("base64url");
}

test("what is signed is what the specification says, and its signature holds", () => {
  const signed = pae(TYPE, text.encode("hello world"));
  expect(new TextDecoder().decode(signed)).toBe(VECTOR.pae);
  const { x, y, d } = VECTOR;
  const jwk = { kty: "EC", crv: "P-256", x: coordinate(x), y: coordinate(y), d: coordinate(d) };
  const key = createPublicKey(createPrivateKey({ key: jwk, format: "jwk" }));
  const signature = Buffer.from(VECTOR.sig, "base64");
  const how = { key, dsaEncoding: "ieee-p1363" } as const;
  expect(verify("sha256", signed, how, signature)).toBe(true);
  expect(verify("sha256", pae(`${TYPE} `, text.encode("hello world")), how, signature)).toBe(false);
});

test("lengths are of bytes, not of characters, and an empty payload has one", () => {
  expect(new TextDecoder().decode(pae("t/ü", text.encode("é")))).toBe("DSSEv1 4 t/ü 2 é");
  expect(new TextDecoder().decode(pae("t", new Uint8Array(0)))).toBe("DSSEv1 1 t 0 ");
});

test("no two pairs of type and payload are signed as the same bytes", () => {
  const part = fc.string({ unit: fc.constantFrom("1", " ", "a", "é"), maxLength: 12 });
  fc.assert(
    fc.property(part, part, part, part, (typeA, bodyA, typeB, bodyB) => {
      const a = Buffer.from(pae(typeA, text.encode(bodyA)));
      const b = Buffer.from(pae(typeB, text.encode(bodyB)));
      expect(a.equals(b)).toBe(typeA === typeB && bodyA === bodyB);
    }),
    { numRuns: 2_000 },
  );
});

const signature = {
  keyid: "a".repeat(64),
  sig: Buffer.alloc(64, 1).toString("base64"),
  cert: Buffer.alloc(300, 2).toString("base64"),
};
const good: Envelope = encodeEnvelope(TYPE, text.encode("hello"), [signature]);

describe("an envelope", () => {
  test("is opened as it was made", () => {
    const opened = openEnvelope(good, TYPE);
    if (!opened.ok) throw new Error(opened.error.detail);
    expect(new TextDecoder().decode(opened.value.payload)).toBe("hello");
    expect(opened.value.signatures).toEqual([
      {
        keyid: signature.keyid,
        sig: new Uint8Array(64).fill(1),
        cert: new Uint8Array(300).fill(2),
      },
    ]);
  });

  test("may be in either alphabet of base64", () => {
    const payload = new Uint8Array([0xfb, 0xff, 0xfe, 0xff]);
    const standard = encodeEnvelope(TYPE, payload, [signature]);
    expect(standard.payload).toContain("/");
    const url = {
      ...standard,
      payload: standard.payload.replaceAll("+", "-").replaceAll("/", "_"),
    };
    for (const envelope of [standard, url]) {
      const opened = openEnvelope(envelope, TYPE);
      expect(opened.ok && Buffer.from(opened.value.payload).equals(payload)).toBe(true);
    }
  });

  const bad: readonly (readonly [string, unknown])[] = [
    ["null", null],
    ["a number", 7],
    ["a text", "envelope"],
    ["a payload that is a number", { ...good, payload: 7 }],
    ["a payload that is not base64", { ...good, payload: "a*b=" }],
    ["a payload with bits left over", { ...good, payload: "aGVsbG9=" }],
    ["a payload that is too long", { ...good, payload: "AAAA".repeat(PAYLOAD_BYTES_MAX / 3 + 1) }],
    ["no signatures", { ...good, signatures: [] }],
    ["signatures that are none", { ...good, signatures: "x" }],
    ["too many signatures", { ...good, signatures: Array(SIGNATURES_MAX + 1).fill(signature) }],
    ["a signature that is null", { ...good, signatures: [null] }],
    ["a signature of 63 bytes", sealed({ sig: Buffer.alloc(63).toString("base64") })],
    ["a signature of 65 bytes", sealed({ sig: Buffer.alloc(65).toString("base64") })],
    ["a key id that is none", sealed({ keyid: "A".repeat(64) })],
    ["a key id that is missing", sealed({ keyid: undefined })],
    ["an empty certificate", sealed({ cert: "" })],
    ["a certificate that is too long", sealed({ cert: "AAAA".repeat(CERT_BYTES_MAX) })],
  ];
  for (const [what, envelope] of bad) {
    test(`is malformed that is, or has, ${what}`, () => {
      const opened = openEnvelope(envelope as Envelope, TYPE);
      expect(opened.ok ? "opened" : opened.error.kind).toBe("malformed");
    });
  }

  test("of another type is told from a broken one", () => {
    const opened = openEnvelope(good, "application/json");
    expect(opened.ok ? "opened" : opened.error.kind).toBe("wrong-type");
  });

  test("that is any JSON at all is opened or refused, and never throws", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), fc.jsonValue(), (payload, signatures, whole) => {
        const some = { payloadType: TYPE, payload, signatures } as unknown as Envelope;
        expect(typeof openEnvelope(some, TYPE).ok).toBe("boolean");
        expect(typeof openEnvelope(whole as unknown as Envelope, TYPE).ok).toBe("boolean");
      }),
      { numRuns: 1_000 },
    );
  });
});

function sealed(change: Readonly<Record<string, unknown>>): unknown {
  return { ...good, signatures: [{ ...signature, ...change }] };
}
