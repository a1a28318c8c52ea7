/**
 * Writes the few ASN.1 values (DER, X.690) that a node needs of its own: a request for a certificate (PKCS #10), and the
 * self-signed certificate of a process that has no authority; and an authority's revocation lists.
 *
 * A writer only: whatever comes from outside is read by node:crypto or, at an authority, by the X.509 library, which takes a
 * tenth of a second and some MiB to load and is therefore not for every node. Tests have both and `openssl` read this.
 */
import type { Principal } from "./identity.ts";
import { spiffeId } from "./identity.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const OID = {
  commonName: [0x55, 0x04, 0x03],
  organization: [0x55, 0x04, 0x0a],
  organizationalUnit: [0x55, 0x04, 0x0b],
  subjectAltName: [0x55, 0x1d, 0x11],
  ed25519: [0x2b, 0x65, 0x70],
  ecdsaSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  crlReason: [0x55, 0x1d, 0x15],
  extensionRequest: [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e],
} as const;

const utf8 = new TextEncoder();

function concat(parts: readonly Uint8Array[]): Bytes {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Definite form; all that is written here is shorter than 16 MiB. */
function length(count: number): readonly number[] {
  if (count < 0x80) return [count];
  if (count < 0x100) return [0x81, count];
  if (count < 0x10000) return [0x82, count >> 8, count & 0xff];
  return [0x83, count >> 16, (count >> 8) & 0xff, count & 0xff];
}

export function tlv(tag: number, ...parts: readonly Uint8Array[]): Bytes {
  const body = concat(parts);
  return concat([Uint8Array.from([tag, ...length(body.length)]), body]);
}

export function sequence(...parts: readonly Uint8Array[]): Bytes {
  return tlv(0x30, ...parts);
}

function oid(name: keyof typeof OID): Bytes {
  return tlv(0x06, Uint8Array.from(OID[name]));
}

function text(tag: number, value: string): Bytes {
  return tlv(tag, utf8.encode(value));
}

function bitString(bytes: Uint8Array): Bytes {
  return tlv(0x03, Uint8Array.of(0), bytes);
}

/** As RFC 5280 §4.1.2.5 asks: UTCTime to 2049, GeneralizedTime from there. `iso` is `Date.prototype.toISOString`'s. */
function time(iso: string): Bytes {
  const digits = iso.slice(0, 19).replace(/[-T:]/g, "");
  return iso < "2050" ? text(0x17, `${digits.slice(2)}Z`) : text(0x18, `${digits}Z`);
}

function subjectOf({ cluster, role, name }: Principal): Bytes {
  const part = (type: keyof typeof OID, value: string): Bytes =>
    tlv(0x31, sequence(oid(type), text(0x0c, value)));
  return sequence(
    part("organization", cluster),
    part("organizationalUnit", role),
    part("commonName", name),
  );
}

/** Extensions with one in them: the principal's SPIFFE id as URI name. */
function extensionsOf(principal: Principal): Bytes {
  const names = sequence(text(0x86, spiffeId(principal)));
  return sequence(sequence(oid("subjectAltName"), tlv(0x04, names)));
}

export type SignatureAlgorithm = "ed25519" | "ecdsaSha256";

/** What is signed of a request. `spki` is the DER of the public key. */
export function requestInfo(principal: Principal, spki: Uint8Array): Uint8Array {
  const attribute = sequence(oid("extensionRequest"), tlv(0x31, extensionsOf(principal)));
  const version = tlv(0x02, Uint8Array.of(0));
  return sequence(version, subjectOf(principal), spki, tlv(0xa0, attribute));
}

export interface SelfSigned {
  readonly principal: Principal;
  readonly spki: Uint8Array;
  /** Sixteen bytes, the first below 0x80 and not 0. */
  readonly serial: Uint8Array;
  readonly notBefore: string;
  readonly notAfter: string;
}

/** What is signed of a certificate that an Ed25519 key makes for itself. */
export function selfSignedInfo(about: SelfSigned): Uint8Array {
  const name = subjectOf(about.principal);
  return sequence(
    tlv(0xa0, tlv(0x02, Uint8Array.of(2))),
    tlv(0x02, about.serial),
    sequence(oid("ed25519")),
    name,
    sequence(time(about.notBefore), time(about.notAfter)),
    name,
    about.spki,
    tlv(0xa3, extensionsOf(about.principal)),
  );
}

export interface RevokedEntry {
  /** Positive, its first byte below 0x80. */
  readonly serial: Uint8Array;
  readonly at: string;
  /** RFC 5280 §5.3.1. */
  readonly reason: number;
}

export interface RevocationListParts {
  /** DER of the authority's name. */
  readonly issuer: Uint8Array;
  readonly thisUpdate: string;
  readonly nextUpdate: string;
  readonly entries: readonly RevokedEntry[];
  /** DER of each. */
  readonly extensions: readonly Uint8Array[];
}

/**
 * What is signed of a revocation list (RFC 5280 §5.1), by an ECDSA key. Written here since the X.509 library takes a
 * millisecond for each entry, and whoever makes a list of 2,000 may be an agent that must not be held up. O(entries).
 */
export function revocationListInfo(list: RevocationListParts): Uint8Array {
  const entries = list.entries.map(({ serial, at, reason }) => {
    const code = tlv(0x04, tlv(0x0a, Uint8Array.of(reason)));
    return sequence(tlv(0x02, serial), time(at), sequence(sequence(oid("crlReason"), code)));
  });
  return sequence(
    tlv(0x02, Uint8Array.of(1)),
    sequence(oid("ecdsaSha256")),
    list.issuer,
    time(list.thisUpdate),
    time(list.nextUpdate),
    // An empty sequence is not allowed.
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
    tlv(0xa0, sequence(...list.extensions)),
  );
}

/** A request, a certificate or a list: what is signed, how, and the signature. */
export function signedStructure(
  info: Uint8Array,
  algorithm: SignatureAlgorithm,
  signature: Uint8Array,
): Uint8Array {
  return sequence(info, sequence(oid(algorithm)), bitString(signature));
}

/**
 * Value of the extension name constraints (RFC 5280 §4.2.1.10): only names of this cluster, and DNS names below `dns`.
 */
export function nameConstraints(cluster: string, dns: string): Uint8Array<ArrayBuffer> {
  const subtrees = [sequence(text(0x86, cluster)), sequence(text(0x82, dns))];
  return sequence(tlv(0xa0, ...subtrees));
}

/** An integer that is not negative, as the extension CRL number has it. */
export function integer(value: number): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (let rest = value; rest > 0 || bytes.length === 0; rest = Math.floor(rest / 256)) {
    bytes.unshift(rest % 256);
  }
  if ((bytes[0] ?? 0) >= 0x80) bytes.unshift(0);
  return tlv(0x02, Uint8Array.from(bytes));
}
