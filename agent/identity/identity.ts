/**
 * The contract of identity: who a process is, what it may do, what it signs with, and whom it believes.
 *
 * Types, and the few names that give them meaning. A cluster has one certificate authority; each process has a certificate for
 * TLS (ECDSA P-256, since TLS stacks do not offer Ed25519) and one for signatures (Ed25519, RFC 8032). Both name it by a SPIFFE
 * id `spiffe://CLUSTER/ROLE/NAME` as their URI name, and as DNS name `ROLE.holdfast.internal`, so that a client that dials an
 * IP address still refuses a server of another role (it gives that name as `serverName`). What goes wrong is a value.
 */
import type { Result } from "../../core/result.ts";

export const ROLES = ["agent", "manager", "destination", "operator", "hook"] as const;
export type PrincipalRole = (typeof ROLES)[number];

export interface Principal {
  /** Name of the cluster, which is the trust domain. */
  readonly cluster: string;
  readonly role: PrincipalRole;
  /** Of an agent its node's id. */
  readonly name: string;
}

/** What TLS is given, as PEM texts. Asked for anew at each connection: certificates rotate under running processes. */
export interface TlsMaterial {
  /** The process's own certificate, then those between it and the authority. */
  readonly cert: string;
  readonly key: string;
  /** Whom it believes: the cluster's authority, during a rotation the old one too. */
  readonly ca: readonly string[];
  /** Revocation lists of those authorities; empty: none was issued. */
  readonly crl: readonly string[];
}

/**
 * A signed text that keeps its signature through every relay: a DSSE envelope (secure-systems-lab, v1.0.2). What is signed is
 * PAE(payloadType, payload). `cert` is our member of the signature: the signer's certificate, so that whoever knows the
 * authority can check it later and elsewhere.
 */
export interface Envelope {
  readonly payloadType: string;
  /** Base64 of the bytes that were signed. */
  readonly payload: string;
  readonly signatures: readonly EnvelopeSignature[];
}

export interface EnvelopeSignature {
  /** SHA-256 of the signer's SubjectPublicKeyInfo, 64 hex digits. */
  readonly keyid: string;
  /** Base64, 64 bytes. */
  readonly sig: string;
  /** Base64 of the DER. */
  readonly cert: string;
}

export interface Signer {
  readonly principal: Principal;
  /** Synchronous, about 50 µs. */
  sign(payloadType: string, payload: Uint8Array): Envelope;
}

export type VerifyFailure =
  | "malformed"
  | "wrong-type"
  | "unknown-authority"
  | "wrong-cluster"
  | "not-yet-valid"
  | "expired"
  | "revoked"
  | "bad-signature";

export interface VerifyError {
  readonly kind: VerifyFailure;
  /** One line that names the thing. */
  readonly detail: string;
}

export interface Verified {
  readonly principal: Principal;
  readonly payload: Uint8Array;
}

export interface Verifier {
  /**
   * Whether the signature is one of a principal of a known cluster whose certificate held at `atMs`, when the signer says that
   * it signed: a certificate that has ended since does not undo what it signed. About 100 µs; a certificate that was seen
   * before is not checked anew.
   */
  verify(envelope: Envelope, payloadType: string, atMs: number): Result<Verified, VerifyError>;
}

/** A key that every node has, for datagrams. */
export interface ClusterKey {
  /** Rises by one at each rotation. */
  readonly generation: number;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

/** What a process holds of itself: read from a folder of mode 0700 that `init` and `join` write, and follows that folder. */
export interface Identity {
  readonly principal: Principal;
  readonly signer: Signer;
  readonly verifier: Verifier;
  /** null: this one has no certificates for TLS (cluster `local`), and speaks in the clear. */
  tls(): TlsMaterial | null;
  /** Newest first; what came under an older one of these is still taken. Empty where the role has none. */
  clusterKeys(): readonly ClusterKey[];
  /** Calls back after a rotation or a revocation, until what it returns is called. */
  onChange(callback: () => void): () => void;
  close(): void;
}

/**
 * Who asks, over HTTP. TLS has proved that the caller is of the cluster; which one it is, it proves by a token in
 * `Authorization: Bearer`, base64url of the JSON of an envelope over `TokenClaims`, made for one audience and some minutes:
 * Bun's server does not show a peer's certificate.
 */
export const TOKEN_TYPE = "application/vnd.holdfast.token+json";

export interface TokenClaims {
  /** SPIFFE id of who is asked, with `*` as name where any of that role is meant. */
  readonly audience: string;
  readonly issuedMs: number;
  readonly expiresMs: number;
}

export function spiffeId({ cluster, role, name }: Principal): string {
  return `spiffe://${cluster}/${role}/${name}`;
}

/** What a client gives as `serverName`, and every certificate of that role has among its DNS names. */
export function serverNameOf(role: PrincipalRole): string {
  return `${role}.holdfast.internal`;
}
