/**
 * The folder of an identity (mode 0700), written by `init`, `join`, and a process that renews itself:
 *
 *   tls.pem      0600  private key, certificate: ECDSA P-256, for TLS
 *   sign.pem     0600  private key, certificate: Ed25519, for signatures
 *   bundle.json  0600  whom to believe, signed by the authority; the cluster keys
 *   settings.json      where certificates are renewed
 *   ca.pem, crl.pem    parts of the bundle for other programs; holdfast does not read them
 *   authority/         only on the machine where `init` ran: see `authority-store.ts`
 *
 * Each file is replaced as a whole, and a key lies with its certificate, so that whatever was written last, what is read fits
 * together. PEM files serve `openssl` and `curl --cert tls.pem --cacert ca.pem` as they are.
 */
import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Trust } from "../trust.ts";
import { readBundle } from "./bundle.ts";
import { certificatesOf, type LeafCertificate, privateKeyOf, readLeaf } from "./certificates.ts";
import type { IdentityParts } from "./held-identity.ts";
import { type KeyPurpose, readKey } from "./keys.ts";

export const BUNDLE_FILE = "bundle.json";
const SETTINGS_FILE = "settings.json";
const AUTHORITY_FOLDER = "authority";

/** Larger is no file of ours. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/** Replaces a file as a whole, durably. Throws what the file system throws. */
export function writeWhole(path: string, text: string, mode: number): void {
  const tmp = `${path}.${process.pid}.tmp`;
  try {
    const file = openSync(tmp, "w", mode);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(tmp, path);
  } catch (cause) {
    rmSync(tmp, { force: true });
    throw cause;
  }
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

export function readBounded(path: string): Result<string, string> {
  try {
    if (statSync(path).size > FILE_BYTES_MAX) return err(`${path}: too large`);
    return ok(readFileSync(path, "utf8"));
  } catch (cause) {
    const code = (cause as { code?: string }).code ?? String(cause);
    return err(code === "ENOENT" ? `${path} is missing` : `${path}: ${code}`);
  }
}

export interface LeafPair {
  readonly key: KeyObject;
  readonly keyPem: string;
  readonly certPem: string;
  readonly leaf: LeafCertificate;
}

export function pairPath(folder: string, purpose: KeyPurpose): string {
  return join(folder, `${purpose}.pem`);
}

const KEY_TYPES: Readonly<Record<KeyPurpose, string>> = { tls: "ec", sign: "ed25519" };

export function readPair(folder: string, purpose: KeyPurpose): Result<LeafPair, string> {
  const path = pairPath(folder, purpose);
  const text = readBounded(path);
  if (!text.ok) return text;
  const keyPem = privateKeyOf(text.value);
  const key = keyPem === null ? null : readKey(keyPem);
  const certPem = certificatesOf(text.value).join("");
  if (keyPem === null || key === null) return err(`${path}: has no private key`);
  const leaf = readLeaf(certPem);
  if (!leaf.ok) return err(`${path}: ${leaf.error}`);
  if (!createPublicKey(key).equals(leaf.value.publicKey)) {
    return err(`${path}: its key is not that of its certificate`);
  }
  if (key.asymmetricKeyType !== KEY_TYPES[purpose]) {
    return err(`${path}: its key is not one for ${purpose === "tls" ? "TLS" : "signatures"}`);
  }
  return ok({ key, keyPem, certPem, leaf: leaf.value });
}

export function writePair(folder: string, purpose: KeyPurpose, key: string, cert: string): void {
  writeWhole(pairPath(folder, purpose), key + cert, 0o600);
}

export function readTrust(folder: string): Result<Trust, string> {
  const path = join(folder, BUNDLE_FILE);
  const text = readBounded(path);
  if (!text.ok) return text;
  let bundle: unknown;
  try {
    bundle = JSON.parse(text.value);
  } catch {
    return err(`${path}: not JSON`);
  }
  const trust = readBundle(bundle, null);
  return trust.ok ? trust : err(`${path}: ${trust.error}`);
}

export function writeTrust(folder: string, { bundle, statement }: Trust): void {
  writeWhole(join(folder, BUNDLE_FILE), JSON.stringify(bundle), 0o600);
  writeWhole(join(folder, "ca.pem"), statement.authorities.join(""), 0o644);
  writeWhole(join(folder, "crl.pem"), statement.crls.join(""), 0o644);
}

export interface IdentitySettings {
  /** `address:port` of doors where certificates are renewed and bundles fetched. */
  readonly doors: readonly string[];
}

const settingsSchema = z.object({ doors: z.array(z.string().max(300)).max(16) });

/** Missing or damaged: none; whatever they hold can be said by a flag instead. */
export function readSettings(folder: string): IdentitySettings {
  const text = readBounded(join(folder, SETTINGS_FILE));
  try {
    return settingsSchema.parse(JSON.parse(text.ok ? text.value : ""));
  } catch {
    return { doors: [] };
  }
}

export function writeSettings(folder: string, settings: IdentitySettings): void {
  writeWhole(join(folder, SETTINGS_FILE), `${JSON.stringify(settings)}\n`, 0o644);
}

export function makeIdentityFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

export function hasIdentity(folder: string): boolean {
  return existsSync(join(folder, BUNDLE_FILE));
}

export function authorityFolderOf(identityFolder: string): string {
  return join(identityFolder, AUTHORITY_FOLDER);
}

/** What lies in a folder, if it fits together. */
export function readIdentityFolder(folder: string): Result<IdentityParts, string> {
  const trust = readTrust(folder);
  if (!trust.ok) return trust;
  const tls = readPair(folder, "tls");
  if (!tls.ok) return tls;
  const sign = readPair(folder, "sign");
  if (!sign.ok) return sign;
  const { principal } = sign.value.leaf;
  const other = tls.value.leaf.principal;
  const { cluster } = trust.value.statement;
  if (principal.role !== other.role || principal.name !== other.name) {
    return err(`${folder}: tls.pem is of ${other.role} ${other.name}, sign.pem of another one`);
  }
  if (principal.cluster !== cluster || other.cluster !== cluster) {
    return err(`${folder}: its certificates are not of cluster ${cluster}, its bundle is`);
  }
  return ok({
    principal,
    signKey: sign.value.key,
    signCert: new X509Certificate(sign.value.certPem).raw,
    tls: { cert: tls.value.certPem, key: tls.value.keyPem },
    trusts: [trust.value],
  });
}
