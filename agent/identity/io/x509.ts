/**
 * What only an authority does: makes certificates, reads requests for them, makes revocation lists. The one file that loads
 * the X.509 library, when it is first asked: that takes a tenth of a second and some MiB, and a node never needs it.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";
import type * as Library from "@peculiar/x509";
import { err, ok, type Result } from "../../../core/result.ts";
import { integer, nameConstraints, revocationListInfo, signedStructure } from "../der.ts";
import type { Principal } from "../identity.ts";
import { parseSpiffeId } from "../names.ts";
import type { Revocation } from "../trust.ts";
import { pemOf } from "./certificates.ts";
import { type KeyPurpose, keyPem, makeKey, makeSerial, spkiOf } from "./keys.ts";

const ECDSA = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
/** All DNS names in certificates end in this. */
export const DNS_SUFFIX = "holdfast.internal";

const OID_NAME_CONSTRAINTS = "2.5.29.30";
const OID_SUBJECT_ALT_NAME = "2.5.29.17";
const OID_CRL_NUMBER = "2.5.29.20";
const OID_SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
const OID_CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
/** RFC 9336: a certificate for signatures is of no use to a TLS stack. */
const OID_DOCUMENT_SIGNING = "1.3.6.1.5.5.7.3.36";

let loading: Promise<typeof Library> | null = null;

async function library(): Promise<typeof Library> {
  loading ??= import("reflect-metadata").then(() => import("@peculiar/x509"));
  return await loading;
}

/** An authority's key and certificate, PEM. */
export interface AuthorityPair {
  readonly key: string;
  readonly cert: string;
}

function importPrivate(pem: string): Promise<CryptoKey> {
  const der = createPrivateKey(pem).export({ type: "pkcs8", format: "der" });
  return crypto.subtle.importKey("pkcs8", new Uint8Array(der), ECDSA, false, ["sign"]);
}

async function importPublic(spki: Uint8Array, purpose: KeyPurpose): Promise<CryptoKey> {
  const algorithm = purpose === "tls" ? ECDSA : { name: "Ed25519" };
  return await crypto.subtle.importKey("spki", new Uint8Array(spki), algorithm, true, ["verify"]);
}

/** Escaped as RFC 4514 asks is not needed: names are of a small alphabet. */
function distinguishedName(cluster: string, unit: string, name: string): string {
  return `O=${cluster}, OU=${unit}, CN=${name}`;
}

export interface AuthorityRequest {
  readonly cluster: string;
  /** Counts the authorities of a cluster, so that two have not one name. */
  readonly generation: number;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export async function makeAuthority(request: AuthorityRequest): Promise<AuthorityPair> {
  const x509 = await library();
  const key = makeKey("tls");
  const pem = keyPem(key);
  const publicKey = await importPublic(spkiOf(key), "tls");
  const name = distinguishedName(request.cluster, "authority", `authority ${request.generation}`);
  const { KeyUsageFlags: usage } = x509;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name,
    keys: { privateKey: await importPrivate(pem), publicKey },
    signingAlgorithm: ECDSA,
    serialNumber: makeSerial(),
    notBefore: new Date(request.notBeforeMs),
    notAfter: new Date(request.notAfterMs),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      // `digitalSignature`: it signs bundles too.
      new x509.KeyUsagesExtension(usage.keyCertSign | usage.cRLSign | usage.digitalSignature, true),
      new x509.Extension(OID_NAME_CONSTRAINTS, true, nameConstraints(request.cluster, DNS_SUFFIX)),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return { key: pem, cert: `${certificate.toString("pem")}\n` };
}

export interface LeafRequest {
  /** SPIFFE id. */
  readonly uri: string;
  readonly subject: readonly [cluster: string, unit: string, name: string];
  readonly dnsNames: readonly string[];
  readonly purpose: KeyPurpose;
  readonly spki: Uint8Array;
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** PEM. */
export async function issueCertificate(
  authority: AuthorityPair,
  request: LeafRequest,
): Promise<string> {
  const x509 = await library();
  const issuer = new x509.X509Certificate(authority.cert);
  const publicKey = await importPublic(request.spki, request.purpose);
  const isTls = request.purpose === "tls";
  const uses = isTls ? [OID_SERVER_AUTH, OID_CLIENT_AUTH] : [OID_DOCUMENT_SIGNING];
  const names = request.dnsNames.map((value) => ({ type: "dns", value }) as const);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: distinguishedName(...request.subject),
    issuer: issuer.subjectName,
    publicKey,
    signingKey: await importPrivate(authority.key),
    signingAlgorithm: ECDSA,
    serialNumber: request.serial,
    notBefore: new Date(request.notBeforeMs),
    notAfter: new Date(request.notAfterMs),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(uses, false),
      new x509.SubjectAlternativeNameExtension([{ type: "url", value: request.uri }, ...names]),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    ],
  });
  return `${certificate.toString("pem")}\n`;
}

export interface RevocationList {
  /** Rises with each list. */
  readonly number: number;
  readonly revoked: readonly Revocation[];
  readonly thisUpdateMs: number;
  readonly nextUpdateMs: number;
}

/** RFC 5280 §5.3.1. */
const REASON_CODES = { compromised: 1, retired: 5 } as const;

/** PEM. */
export async function makeRevocationList(
  authority: AuthorityPair,
  list: RevocationList,
): Promise<string> {
  const x509 = await library();
  const issuer = new x509.X509Certificate(authority.cert);
  const extensions = [
    await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
    new x509.Extension(OID_CRL_NUMBER, false, integer(list.number)),
  ];
  const info = revocationListInfo({
    issuer: new Uint8Array(issuer.subjectName.toArrayBuffer()),
    thisUpdate: new Date(list.thisUpdateMs).toISOString(),
    nextUpdate: new Date(list.nextUpdateMs).toISOString(),
    entries: list.revoked.map(({ serial, atMs, reason }) => ({
      serial: Buffer.from(serial.padStart(serial.length + (serial.length % 2), "0"), "hex"),
      at: new Date(atMs).toISOString(),
      reason: REASON_CODES[reason],
    })),
    extensions: extensions.map(({ rawData }) => new Uint8Array(rawData)),
  });
  const signature = sign("sha256", info, createPrivateKey(authority.key));
  return pemOf("X509 CRL", signedStructure(info, "ecdsaSha256", signature));
}

export interface CertificateRequest {
  readonly principal: Principal;
  readonly spki: Uint8Array;
}

/** Reads a request, and proves that whoever made it has the key. `purpose` says which kind of key it must be. */
export async function readRequest(
  pem: string,
  purpose: KeyPurpose,
): Promise<Result<CertificateRequest, string>> {
  const x509 = await library();
  try {
    const request = new x509.Pkcs10CertificateRequest(pem);
    const spki = new Uint8Array(request.publicKey.rawData);
    const key: KeyObject = createPublicKey({
      key: Buffer.from(spki),
      type: "spki",
      format: "der",
    });
    if (!isFit(key, purpose)) return err(`its key is not one for ${purpose}`);
    if (!(await request.verify())) return err("its signature is wrong");
    const asked = request.getExtensions(OID_SUBJECT_ALT_NAME);
    const names = asked.flatMap(
      (one) => new x509.SubjectAlternativeNameExtension(one.rawData).names.items,
    );
    const principal = names.length === 1 ? parseSpiffeId(names[0]?.value ?? "") : null;
    if (principal === null || names[0]?.type !== "url") {
      return err("it names no principal of holdfast");
    }
    return ok({ principal, spki });
  } catch {
    return err("it is not a request for a certificate (PKCS #10)");
  }
}

function isFit(key: KeyObject, purpose: KeyPurpose): boolean {
  if (purpose === "sign") return key.asymmetricKeyType === "ed25519";
  return key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1";
}
