/**
 * What is said at the door of a cluster, and about bundles at any port:
 *
 *   GET  /v1/identity/authority   → AuthorityAnswer; public: who joins compares the fingerprint, and only then says its secret
 *   POST /v1/identity/join        JoinRequest → CredentialsAnswer
 *   POST /v1/identity/renew       RenewRequest → CredentialsAnswer; signed by the key whose certificate is to be renewed
 *   GET  /v1/identity/bundle?after=VERSION&wait=SECONDS → Bundle, or 204 if there is none newer; the cluster keys only to who
 *                                 shows a token of a role that has them
 *   POST /v1/identity/bundle      Bundle → PushAnswer; taken if it is signed and newer
 *
 * The door has the first four; other servers have the last two, so that news go round where the door is closed.
 */
import { z } from "zod";
import type { Envelope } from "./identity.ts";
import { isClusterName } from "./names.ts";

export const AUTHORITY_PATH = "/v1/identity/authority";
export const JOIN_PATH = "/v1/identity/join";
export const RENEW_PATH = "/v1/identity/renew";
export const BUNDLE_PATH = "/v1/identity/bundle";

export const JOIN_BYTES_MAX: number = 64 * 1024;
/** A bundle with all the revocations it may have, twice: as statement and in lists. */
export const BUNDLE_BYTES_MAX: number = 1024 * 1024;
/** How long a question for a newer bundle may be held: less than a server waits on a quiet connection. */
export const BUNDLE_WAIT_S_MAX = 20;

export const RENEWAL_TYPE = "application/vnd.holdfast.renewal+json";
/** A request for renewal is not taken when it is older, or from so far ahead. */
export const RENEWAL_AGE_MS_MAX: number = 5 * 60_000;

const request = z.string().max(8 * 1024);
const certificates = z.string().max(32 * 1024);

export interface AuthorityAnswer {
  readonly cluster: string;
  /** PEM, the one that issues first. */
  readonly authorities: readonly string[];
}

export const authorityAnswerSchema: z.ZodType<AuthorityAnswer> = z.object({
  cluster: z.string().refine(isClusterName),
  authorities: z.array(certificates).min(1).max(8),
});

/** PKCS #10, PEM. */
export interface Requests {
  readonly tls: string;
  readonly sign: string;
}

export interface JoinRequest {
  readonly id: string;
  readonly secret: string;
  readonly requests: Requests;
}

export const joinRequestSchema: z.ZodType<JoinRequest> = z.object({
  id: z.string().max(64),
  secret: z.string().max(128),
  requests: z.object({ tls: request, sign: request }),
});

export interface RenewRequest {
  /** Over a `RenewalStatement`. */
  readonly envelope: Envelope;
}

/** Whether its bytes are what they claim is told when it is opened. */
export const renewRequestSchema: z.ZodType<RenewRequest> = z.object({
  envelope: z.object({
    payloadType: z.string().max(128),
    payload: z.string().max(48 * 1024),
    signatures: z
      .array(
        z.object({
          keyid: z.string().max(64),
          sig: z.string().max(128),
          cert: z.string().max(16 * 1024),
        }),
      )
      .min(1)
      .max(4),
  }),
});

export interface RenewalStatement {
  readonly v: 1;
  readonly askedMs: number;
  readonly requests: Requests;
}

export const renewalStatementSchema: z.ZodType<RenewalStatement> = z.object({
  v: z.literal(1),
  askedMs: z.number().finite().min(0),
  requests: z.object({ tls: request, sign: request }),
});

export interface CredentialsAnswer {
  readonly cluster: string;
  readonly role: string;
  readonly name: string;
  /** PEM. */
  readonly tls: string;
  readonly sign: string;
  /** Checked by `readBundle`. */
  readonly bundle: unknown;
}

export const credentialsAnswerSchema: z.ZodType<CredentialsAnswer> = z.object({
  cluster: z.string().max(64),
  role: z.string().max(32),
  name: z.string().max(64),
  tls: certificates,
  sign: certificates,
  bundle: z.unknown(),
});

export interface PushAnswer {
  /** Version that it has now. */
  readonly version: number;
}
