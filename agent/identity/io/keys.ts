/**
 * Makes a process's keys, its requests for certificates, and the self-signed certificate of who has no authority. Keys are
 * made where they are used and leave that machine never.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from "node:crypto";
import { requestInfo, selfSignedInfo, signedStructure } from "../der.ts";
import type { Principal } from "../identity.ts";
import { pemOf } from "./certificates.ts";

/** `tls`: ECDSA P-256. `sign`: Ed25519. */
export type KeyPurpose = "tls" | "sign";

export function makeKey(purpose: KeyPurpose): KeyObject {
  return purpose === "tls"
    ? generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
    : generateKeyPairSync("ed25519").privateKey;
}

export function keyPem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

export function spkiOf(key: KeyObject): Buffer {
  const publicKey = key.type === "private" ? createPublicKey(key) : key;
  return publicKey.export({ type: "spki", format: "der" });
}

/** Sixteen random bytes that are a positive number with no leading zero, as capital hexadecimal digits. */
export function makeSerial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toString("hex").toUpperCase();
}

/** PKCS #10, PEM. The signature shows that whoever asks has the key. */
export function makeRequest(principal: Principal, key: KeyObject): string {
  const info = requestInfo(principal, spkiOf(key));
  const isEd25519 = key.asymmetricKeyType === "ed25519";
  const signature = sign(isEd25519 ? null : "sha256", info, key);
  const algorithm = isEd25519 ? "ed25519" : "ecdsaSha256";
  return pemOf("CERTIFICATE REQUEST", signedStructure(info, algorithm, signature));
}

/** Backdated, for clocks that are behind. */
export const BACKDATE_MS: number = 3_600_000;

/** DER. Nobody believes it but who believes everybody of cluster `local`. */
export function makeSelfSigned(
  principal: Principal,
  key: KeyObject,
  nowMs: number,
  daysMax: number,
): Uint8Array {
  const info = selfSignedInfo({
    principal,
    spki: spkiOf(key),
    serial: Buffer.from(makeSerial(), "hex"),
    notBefore: new Date(nowMs - BACKDATE_MS).toISOString(),
    notAfter: new Date(nowMs + daysMax * 86_400_000).toISOString(),
  });
  return signedStructure(info, "ed25519", sign(null, info, key));
}

/** null: no private key. */
export function readKey(pem: string): KeyObject | null {
  try {
    return createPrivateKey(pem);
  } catch {
    return null;
  }
}
