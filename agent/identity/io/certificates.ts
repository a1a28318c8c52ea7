/**
 * Reads certificates with node:crypto, which takes 12 µs where the X.509 library takes 240 and is not to be loaded first:
 * who a certificate names, when it holds, and which authority it is from.
 */
import { createHash, type KeyObject, X509Certificate } from "node:crypto";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Principal } from "../identity.ts";
import { parseSpiffeId } from "../names.ts";

export interface LeafCertificate {
  readonly principal: Principal;
  readonly publicKey: KeyObject;
  /** Capital hexadecimal digits. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly x509: X509Certificate;
}

const URI_NAME = /^URI:([^,"]+)$/;

/** null: none or several names of principals. A certificate of ours has one URI, as SPIFFE asks. */
function principalOf(certificate: X509Certificate): Principal | null {
  const uris = (certificate.subjectAltName ?? "")
    .split(", ")
    .flatMap((name) => URI_NAME.exec(name)?.[1] ?? []);
  return uris.length === 1 && uris[0] !== undefined ? parseSpiffeId(uris[0]) : null;
}

export function parseCertificate(bytes: string | Uint8Array): Result<X509Certificate, string> {
  try {
    return ok(new X509Certificate(bytes as string | Buffer));
  } catch {
    return err("it is not an X.509 certificate");
  }
}

/** The certificate of a principal, by its form alone: nothing says yet that it is to be believed. */
export function readLeaf(bytes: string | Uint8Array): Result<LeafCertificate, string> {
  const parsed = parseCertificate(bytes);
  if (!parsed.ok) return parsed;
  const x509 = parsed.value;
  try {
    const principal = principalOf(x509);
    if (principal === null) return err("its certificate names no principal of holdfast");
    if (x509.ca) return err("its certificate is that of an authority");
    const notBeforeMs = Date.parse(x509.validFrom);
    const notAfterMs = Date.parse(x509.validTo);
    if (Number.isNaN(notBeforeMs + notAfterMs)) return err("its certificate has no times");
    const { publicKey, serialNumber: serial } = x509;
    return ok({ principal, publicKey, serial, notBeforeMs, notAfterMs, x509 });
  } catch {
    return err("its certificate has a key that is not understood");
  }
}

export function isIssuedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  try {
    return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
  } catch {
    return false;
  }
}

/** SHA-256 of the DER, 64 hexadecimal digits: what people compare, and what a join token carries. */
export function fingerprintOf(certificate: X509Certificate): string {
  return createHash("sha256").update(certificate.raw).digest("hex");
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
const PRIVATE_KEY = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/;

/** Every certificate of a PEM text, in order. */
export function certificatesOf(pem: string): readonly string[] {
  return (pem.match(CERTIFICATE) ?? []).map((one) => `${one}\n`);
}

export function privateKeyOf(pem: string): string | null {
  const found = PRIVATE_KEY.exec(pem)?.[0];
  return found === undefined ? null : `${found}\n`;
}

export function pemOf(label: string, der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
