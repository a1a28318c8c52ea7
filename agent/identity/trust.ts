/**
 * Whom a process believes: the bundle that a cluster's authority signs, and when one replaces another.
 *
 * The bundle travels by any path, since it is signed by the authority itself: whoever relays it can hold it back, and cannot
 * change it. Its version only rises, so an old one (without a revocation, say) never replaces a newer one.
 */
import { z } from "zod";
import type { Envelope } from "./identity.ts";
import { isClusterName } from "./names.ts";

export const BUNDLE_TYPE = "application/vnd.holdfast.bundle+json";

/** Two during a rotation; three if one is begun before the last was ended. */
export const AUTHORITIES_MAX = 4;
/** As many fit into a payload with their lists, and are a small answer each minute. */
export const REVOCATIONS_MAX = 2_000;
export const CLUSTER_KEYS_MAX = 4;
export const CLUSTER_KEY_BYTES = 32;

/**
 * `compromised`: nothing it signed is believed, whenever it says that was. `retired`: what it signed before still is, as the
 * events of a node that was taken out of service.
 */
export const REVOCATION_REASONS = ["compromised", "retired"] as const;
export type RevocationReason = (typeof REVOCATION_REASONS)[number];

export interface Revocation {
  /** Serial number of the certificate, capital hexadecimal digits. */
  readonly serial: string;
  readonly atMs: number;
  readonly reason: RevocationReason;
}

/** What the signed bytes of a bundle say, as JSON. */
export interface BundleStatement {
  readonly v: 1;
  readonly cluster: string;
  readonly version: number;
  readonly issuedMs: number;
  /** PEM certificates of the authorities to believe; the first issues. */
  readonly authorities: readonly string[];
  /** PEM, one of each authority, for TLS. */
  readonly crls: readonly string[];
  /** The same as in the lists, for who checks signatures. */
  readonly revoked: readonly Revocation[];
  /** SHA-256 of each cluster key: a key that comes beside the bundle is checked against it. Newest first. */
  readonly clusterKeys: readonly { readonly generation: number; readonly sha256: string }[];
}

const pem = z.string().max(16 * 1024);

export const bundleStatementSchema: z.ZodType<BundleStatement> = z.object({
  v: z.literal(1),
  cluster: z.string().refine(isClusterName, "not the name of a cluster"),
  version: z.number().int().min(1),
  issuedMs: z.number().finite().min(0),
  authorities: z.array(pem).min(1).max(AUTHORITIES_MAX),
  crls: z.array(z.string().max(1024 * 1024)).max(AUTHORITIES_MAX),
  revoked: z
    .array(
      z.object({
        serial: z.string().regex(/^[0-9A-F]{1,40}$/),
        atMs: z.number().finite().min(0),
        reason: z.enum(REVOCATION_REASONS),
      }),
    )
    .max(REVOCATIONS_MAX),
  clusterKeys: z
    .array(
      z.object({
        generation: z.number().int().min(1),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .max(CLUSTER_KEYS_MAX),
});

export interface SecretKey {
  readonly generation: number;
  /** Base64 of 32 bytes. */
  readonly key: string;
}

/** A bundle as it is kept and as it travels; the keys only to who may have them. */
export interface Bundle {
  readonly envelope: Envelope;
  readonly clusterKeys: readonly SecretKey[];
}

/** A bundle that was checked, as one holds it in memory. */
export interface Trust {
  readonly statement: BundleStatement;
  readonly bundle: Bundle;
  readonly revoked: ReadonlyMap<string, Revocation>;
}
