/**
 * `holdfast identity show|renew|bundle|adopt`: about one identity, in its folder.
 */
import { X509Certificate } from "node:crypto";
import type { Principal } from "../../identity/identity.ts";
import { fingerprintOf, type LeafCertificate } from "../../identity/io/certificates.ts";
import { readPair, readSettings } from "../../identity/io/identity-folder.ts";
import { renewIdentity } from "../../identity/io/keeper.ts";
import type { FolderIdentity } from "../../identity/io/open-identity.ts";
import type { Revocation } from "../../identity/trust.ts";
import { CliError, EXIT_CONFIG, EXIT_USAGE } from "../cli-error.ts";
import { printJson, printLine } from "../print.ts";
import {
  type AuthorityFlags,
  type FolderFlags,
  openNamedAuthority,
  openNamedIdentity,
  parseListen,
  problemError,
} from "./folders.ts";

interface AuthorityReport {
  readonly fingerprint: string;
  readonly notAfterMs: number;
  readonly isIssuing: boolean;
}

interface CertificateReport {
  readonly purpose: "tls" | "sign";
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly isRevoked: boolean;
}

export interface IdentityReport extends Principal {
  readonly folder: string;
  readonly certificates: readonly CertificateReport[];
  readonly authorities: readonly AuthorityReport[];
  readonly bundle: { readonly version: number; readonly issuedMs: number };
  readonly revoked: readonly Revocation[];
  /** Generations of the keys for datagrams, newest first. */
  readonly clusterKeys: readonly number[];
  readonly doors: readonly string[];
}

function certificateReport(
  purpose: "tls" | "sign",
  { serial, notBeforeMs, notAfterMs }: LeafCertificate,
  identity: FolderIdentity,
): CertificateReport {
  const isRevoked = identity.trust().revoked.has(serial);
  return { purpose, serial, notBeforeMs, notAfterMs, isRevoked };
}

export function reportOf(identity: FolderIdentity): IdentityReport {
  const { folder, principal } = identity;
  const { statement } = identity.trust();
  const certificates = (["tls", "sign"] as const).flatMap((purpose) => {
    const pair = readPair(folder, purpose);
    return pair.ok ? [certificateReport(purpose, pair.value.leaf, identity)] : [];
  });
  const authorities = statement.authorities.map((pem, index): AuthorityReport => {
    const certificate = new X509Certificate(pem);
    const notAfterMs = Date.parse(certificate.validTo);
    return { fingerprint: fingerprintOf(certificate), notAfterMs, isIssuing: index === 0 };
  });
  return {
    ...principal,
    folder,
    certificates,
    authorities,
    bundle: { version: statement.version, issuedMs: statement.issuedMs },
    revoked: statement.revoked,
    clusterKeys: identity.clusterKeys().map(({ generation }) => generation),
    doors: readSettings(folder).doors,
  };
}

function at(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ");
}

function stateOf({ isRevoked, notBeforeMs, notAfterMs }: CertificateReport, nowMs: number): string {
  if (isRevoked) return `revoked; join again with a token, if that was an error`;
  if (nowMs > notAfterMs) return `ended ${at(notAfterMs)}; join again with a new token`;
  if (nowMs < notBeforeMs) return `holds from ${at(notBeforeMs)} on: is the clock right?`;
  const days = Math.floor((notAfterMs - nowMs) / 86_400_000);
  return `until ${at(notAfterMs)} (${days} days)`;
}

function print(report: IdentityReport, nowMs: number): void {
  printLine(`${report.role} ${report.name} of cluster ${report.cluster}`);
  printLine(`  folder       ${report.folder}`);
  for (const certificate of report.certificates) {
    const label = certificate.purpose === "tls" ? "TLS         " : "signatures  ";
    printLine(`  ${label} ${stateOf(certificate, nowMs)}`);
  }
  for (const { fingerprint, notAfterMs, isIssuing } of report.authorities) {
    const role = isIssuing ? "issues" : "is believed, does not issue";
    printLine(`  authority    ${fingerprint}`);
    printLine(`               ${role}, until ${at(notAfterMs).slice(0, 10)}`);
  }
  const { version, issuedMs } = report.bundle;
  printLine(
    `  news         bundle ${version} of ${at(issuedMs)}, ${report.revoked.length} revoked`,
  );
  const keys = report.clusterKeys.length === 0 ? "none" : report.clusterKeys.join(", ");
  printLine(`  datagrams    keys ${keys}`);
  printLine(`  door         ${report.doors.join(", ") || "none is known"}`);
}

export function show(flags: FolderFlags & { readonly json?: boolean }): void {
  const identity = openNamedIdentity(flags);
  const report = reportOf(identity);
  identity.close();
  if (flags.json === true) printJson(report);
  else print(report, Date.now());
}

interface RenewFlags extends AuthorityFlags {
  readonly door?: string;
}

function doorsOf({ door }: RenewFlags, identity: FolderIdentity): readonly string[] {
  if (door === undefined) return readSettings(identity.folder).doors;
  parseListen(door);
  return [door];
}

export async function renew(flags: RenewFlags): Promise<void> {
  const identity = openNamedIdentity(flags);
  const office = flags.authority === undefined ? null : openNamedAuthority(flags);
  try {
    const doors = doorsOf(flags, identity);
    const renewed = await renewIdentity(identity, office ?? doors, Date.now());
    if (!renewed.ok) throw problemError(renewed.error);
    print(reportOf(identity), Date.now());
  } finally {
    office?.close();
    identity.close();
  }
}

/** Without keys for datagrams: it may lie about. */
export async function bundle(flags: AuthorityFlags): Promise<void> {
  const office = openNamedAuthority(flags);
  try {
    const { envelope } = (await office.trust()).bundle;
    printJson({ envelope, clusterKeys: [] });
  } finally {
    office.close();
  }
}

export async function adopt(file: string, flags: FolderFlags): Promise<void> {
  let document: unknown;
  try {
    document = JSON.parse(await (file === "-" ? Bun.stdin : Bun.file(file)).text());
  } catch (cause) {
    throw new CliError(`${file}: ${(cause as Error).message}`, EXIT_USAGE);
  }
  const identity = openNamedIdentity(flags);
  try {
    const before = identity.trust().statement.version;
    const adopted = identity.adopt(document);
    if (!adopted.ok) throw new CliError(adopted.error, EXIT_CONFIG);
    const isNew = adopted.value > before;
    printLine(isNew ? `bundle ${adopted.value} is believed` : `nothing new: has bundle ${before}`);
  } finally {
    identity.close();
  }
}
