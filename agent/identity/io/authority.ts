/**
 * What an authority puts into what it signs: certificates of principals, lists of revocations, the bundle. Keeps nothing: see
 * `authority-store.ts` for what was issued, and `authority-office.ts` for who gets what.
 */
import { type Principal, serverNameOf, spiffeId } from "../identity.ts";
import type { Bundle, BundleStatement, Revocation, SecretKey } from "../trust.ts";
import { sha256Hex, signBundle } from "./bundle.ts";
import { BACKDATE_MS, type KeyPurpose, makeSerial } from "./keys.ts";
import {
  type AuthorityPair,
  DNS_SUFFIX,
  issueCertificate,
  makeAuthority,
  makeRevocationList,
} from "./x509.ts";

export const DAY_MS: number = 86_400_000;
export const AUTHORITY_DAYS = 3_650;
export const LEAF_DAYS = 90;
/** Of the door where new nodes join: only who has the authority's key has a certificate with it. */
export const DOOR_NAME: string = `authority.${DNS_SUFFIX}`;

export function newAuthority(
  cluster: string,
  generation: number,
  nowMs: number,
): Promise<AuthorityPair> {
  const notBeforeMs = nowMs - BACKDATE_MS;
  const notAfterMs = nowMs + AUTHORITY_DAYS * DAY_MS;
  return makeAuthority({ cluster, generation, notBeforeMs, notAfterMs });
}

export interface LeafTimes {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

export function timesFrom(nowMs: number, days: number = LEAF_DAYS): LeafTimes {
  return { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs: nowMs + days * DAY_MS };
}

export interface IssuedCertificate extends LeafTimes {
  readonly serial: string;
  /** PEM. */
  readonly cert: string;
}

export interface LeafOrder {
  readonly principal: Principal;
  readonly purpose: KeyPurpose;
  readonly spki: Uint8Array;
  readonly times: LeafTimes;
}

export async function issueLeaf(
  authority: AuthorityPair,
  { principal, purpose, spki, times }: LeafOrder,
): Promise<IssuedCertificate> {
  const serial = makeSerial();
  const cert = await issueCertificate(authority, {
    uri: spiffeId(principal),
    subject: [principal.cluster, principal.role, principal.name],
    dnsNames: purpose === "tls" ? [serverNameOf(principal.role)] : [],
    purpose,
    spki,
    serial,
    ...times,
  });
  return { serial, cert, ...times };
}

/** For the door itself, which is nobody's principal. */
export async function issueDoorCertificate(
  authority: AuthorityPair,
  cluster: string,
  spki: Uint8Array,
  times: LeafTimes,
): Promise<IssuedCertificate> {
  const serial = makeSerial();
  const cert = await issueCertificate(authority, {
    uri: `spiffe://${cluster}/authority/door`,
    subject: [cluster, "authority", "door"],
    dnsNames: [DOOR_NAME],
    purpose: "tls",
    spki,
    serial,
    ...times,
  });
  return { serial, cert, ...times };
}

export interface BundleContent {
  readonly cluster: string;
  readonly version: number;
  /** The first issues; all are believed. */
  readonly authorities: readonly AuthorityPair[];
  /** No more believed, yet known to some who have not heard of the newer one. */
  readonly alsoSigning: readonly AuthorityPair[];
  readonly revoked: readonly Revocation[];
  /** Newest first. */
  readonly clusterKeys: readonly SecretKey[];
}

/**
 * Lists hold as long as an authority does: how fresh they are is told by the bundle's version, and an authority that lies in a
 * safe must not stop a cluster whose lists have run out.
 */
export async function makeBundle(content: BundleContent, nowMs: number): Promise<Bundle> {
  const crls: string[] = [];
  for (const authority of content.authorities) {
    crls.push(
      await makeRevocationList(authority, {
        number: content.version,
        revoked: content.revoked,
        thisUpdateMs: nowMs - BACKDATE_MS,
        nextUpdateMs: nowMs + AUTHORITY_DAYS * DAY_MS,
      }),
    );
  }
  const statement: BundleStatement = {
    v: 1,
    cluster: content.cluster,
    version: content.version,
    issuedMs: nowMs,
    authorities: content.authorities.map(({ cert }) => cert),
    crls,
    revoked: content.revoked,
    clusterKeys: content.clusterKeys.map(({ generation, key }) => ({
      generation,
      sha256: sha256Hex(Buffer.from(key, "base64")),
    })),
  };
  const signers = [...content.authorities, ...content.alsoSigning];
  return signBundle(statement, signers, content.clusterKeys);
}
