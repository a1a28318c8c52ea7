/**
 * Tokens that say who asks, over HTTP: what is claimed, and whether a claim is one for us, now.
 *
 * A token is good for one audience and some minutes, so one that leaks from a log of the asked one is of no use elsewhere or
 * later. Clocks may differ by `SKEW_MS`. The signature around the claims is `io/bearer.ts`'s business.
 */
import { z } from "zod";
import { err, ok, type Result } from "../../core/result.ts";
import type { Principal, PrincipalRole, TokenClaims } from "../identity/identity.ts";
import { spiffeId } from "../identity/identity.ts";

export const TOKEN_LIFE_MS: number = 10 * 60_000;
/** A maker makes a new one for each audience after so long: half of its life is left for slow requests. */
export const TOKEN_REUSE_MS: number = 5 * 60_000;
/** Longer claims are refused, whoever signed them. */
export const TOKEN_LIFE_MS_MAX: number = 60 * 60_000;
export const SKEW_MS = 60_000;

const claimsSchema: z.ZodType<TokenClaims> = z.object({
  audience: z.string().max(320),
  issuedMs: z.number().finite().min(0),
  expiresMs: z.number().finite().min(0),
});

export type TokenFailure =
  | "malformed"
  | "not-trusted"
  | "wrong-audience"
  | "not-yet-valid"
  | "expired";

export interface TokenError {
  readonly kind: TokenFailure;
  /** One line; never holds the token. */
  readonly detail: string;
}

/** The cluster's door, which is no principal. */
export function doorAudience(cluster: string): string {
  return `spiffe://${cluster}/authority/door`;
}

/** Anyone of a role. */
export function audienceOf(cluster: string, role: PrincipalRole): string {
  return spiffeId({ cluster, role, name: "*" });
}

export function makeClaims(audience: string, nowMs: number): TokenClaims {
  return { audience, issuedMs: nowMs, expiresMs: nowMs + TOKEN_LIFE_MS };
}

export function readClaims(payload: Uint8Array): TokenClaims | null {
  try {
    const parsed = claimsSchema.safeParse(JSON.parse(new TextDecoder().decode(payload)));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** As whom one may be asked: by one's own name, or as anyone of one's role. */
export function audiencesOf(self: Principal): readonly [string, string] {
  return [spiffeId(self), audienceOf(self.cluster, self.role)];
}

/** Whether claims are meant for one of `audiences` and hold at `nowMs`. */
export function checkClaims(
  claims: TokenClaims,
  audiences: readonly string[],
  nowMs: number,
): Result<null, TokenError> {
  const { audience, issuedMs, expiresMs } = claims;
  if (!audiences.includes(audience)) {
    const detail = `the token is for ${audience}, this is ${audiences[0]}`;
    return err({ kind: "wrong-audience", detail });
  }
  if (expiresMs <= issuedMs || expiresMs - issuedMs > TOKEN_LIFE_MS_MAX) {
    return err({ kind: "malformed", detail: "the token claims a life that none has" });
  }
  if (nowMs < issuedMs - SKEW_MS) {
    const detail = `the token is of a time to come (${issuedMs - nowMs} ms): set the clocks`;
    return err({ kind: "not-yet-valid", detail });
  }
  if (nowMs >= expiresMs + SKEW_MS) {
    return err({ kind: "expired", detail: `the token ended ${nowMs - expiresMs} ms ago` });
  }
  return ok(null);
}
