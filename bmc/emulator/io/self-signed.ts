/**
 * A certificate that signs itself, made at the start as a BMC makes its own: P-256, SHA-256, X.509 v3 (RFC 5280), in DER by hand.
 *
 * For the emulator only; the key never leaves the process. Names are those that a client on this machine would use.
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { isIPv4 } from "node:net";

export interface SelfSigned {
  readonly certificate: string;
  readonly key: string;
  /** SHA-256 of the certificate, 64 lower-case hex digits. */
  readonly fingerprint: string;
}

const TAG = {
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8: 0x0c,
  time: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  const size = body.length < 0x100 ? [0x81] : [0x82, body.length >> 8];
  return Buffer.concat([Buffer.from([tag, ...size, body.length & 0xff]), body]);
}

function oid(hex: string): Buffer {
  return der(TAG.oid, Buffer.from(hex, "hex"));
}

/** 1.2.840.10045.4.3.2 */
const ECDSA_SHA256 = der(TAG.sequence, oid("2a8648ce3d040302"));

function nameOf(commonName: string): Buffer {
  const pair = der(TAG.sequence, oid("550403"), der(TAG.utf8, Buffer.from(commonName)));
  return der(TAG.sequence, der(TAG.set, pair));
}

/** GeneralizedTime, `YYYYMMDDhhmmssZ`. */
function timeOf(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/\.\d+/, "").replace(/[-:T]/g, "");
  return der(TAG.time, Buffer.from(digits));
}

function extension(id: string, value: Buffer): Buffer {
  return der(TAG.sequence, oid(id), der(TAG.octetString, value));
}

function alternativeName(host: string): Buffer {
  if (!isIPv4(host)) return der(0x82, Buffer.from(host));
  return der(0x87, Buffer.from(host.split(".").map(Number)));
}

export interface SelfSignedOptions {
  readonly hosts: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export function makeSelfSigned(options: SelfSignedOptions): SelfSigned {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  // Positive, and without a zero that DER would want left out.
  const serial = Buffer.concat([Buffer.from([0x5a]), randomBytes(15)]);
  const name = nameOf("emulated BMC");
  const isAuthority = der(TAG.sequence, Buffer.from([0x01, 0x01, 0xff]));
  const tbs = der(
    TAG.sequence,
    der(0xa0, der(TAG.integer, Buffer.from([2]))),
    der(TAG.integer, serial),
    ECDSA_SHA256,
    name,
    der(TAG.sequence, timeOf(options.notBeforeMs), timeOf(options.notAfterMs)),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der(
      0xa3,
      der(
        TAG.sequence,
        extension("551d11", der(TAG.sequence, ...options.hosts.map(alternativeName))),
        extension("551d13", isAuthority),
      ),
    ),
  );
  const signature = sign("sha256", tbs, privateKey);
  const whole = der(
    TAG.sequence,
    tbs,
    ECDSA_SHA256,
    der(TAG.bitString, Buffer.from([0]), signature),
  );
  const lines = whole.toString("base64").replace(/.{64}/g, "$&\n");
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${lines.trimEnd()}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    fingerprint: createHash("sha256").update(whole).digest("hex"),
  };
}
