/**
 * Makes and checks the tokens in `Authorization: Bearer`: base64url of the JSON of an envelope over `TokenClaims`.
 *
 * Both sides remember, so that a request costs no signature: a maker keeps one token for each audience some minutes, a checker
 * what it found about a text. Both are bounded, and forget everything when the identity changes (a revocation counts at once).
 */
import { createHash } from "node:crypto";
import { err, ok, type Result } from "../../../core/result.ts";
import {
  type Envelope,
  type Identity,
  type Principal,
  type PrincipalRole,
  TOKEN_TYPE,
  type TokenClaims,
  type Verifier,
} from "../../identity/identity.ts";
import {
  audienceOf,
  audiencesOf,
  checkClaims,
  makeClaims,
  readClaims,
  SKEW_MS,
  TOKEN_REUSE_MS,
  type TokenError,
} from "../token.ts";

/** Of a token's text; ours have about 1,700. */
export const TOKEN_CHARS_MAX: number = 16 * 1024;
/** Texts of which a checker remembers who they are from. */
export const TOKENS_MAX = 4_096;
const AUDIENCES_MAX = 256;

export interface BearerMaker {
  /** The token's text, for anyone of `role` in the same cluster. */
  token(role: PrincipalRole): string;
  /** The whole value of the header `Authorization`. */
  header(role: PrincipalRole): string;
  close(): void;
}

export interface BearerChecker {
  /** Who it is that asks with this text. */
  check(token: string): Result<Principal, TokenError>;
  /** The same from the header's value; null or empty: there is none. */
  checkHeader(header: string | null | undefined): Result<Principal, TokenError>;
  close(): void;
}

type Now = () => number;

export function makeToken(identity: Identity, audience: string, nowMs: number): string {
  const claims: TokenClaims = makeClaims(audience, nowMs);
  const payload = new TextEncoder().encode(JSON.stringify(claims));
  const envelope = identity.signer.sign(TOKEN_TYPE, payload);
  return Buffer.from(JSON.stringify(envelope)).toString("base64url");
}

/** Bounded, forgets the oldest. */
function remember<V>(known: Map<string, V>, key: string, value: V, most: number): void {
  if (known.size >= most) {
    const oldest = known.keys().next();
    if (oldest.done !== true) known.delete(oldest.value);
  }
  known.set(key, value);
}

export function bearerMaker(identity: Identity, now: Now = Date.now): BearerMaker {
  const made = new Map<string, { readonly token: string; readonly madeMs: number }>();
  const forget = identity.onChange(() => made.clear());
  const token = (role: PrincipalRole): string => {
    const audience = audienceOf(identity.principal.cluster, role);
    const nowMs = now();
    const last = made.get(audience);
    // A clock that was set back makes an age below 0: then too a new one is made.
    const ageMs = nowMs - (last?.madeMs ?? Number.NEGATIVE_INFINITY);
    if (last !== undefined && ageMs >= 0 && ageMs < TOKEN_REUSE_MS) return last.token;
    const fresh = makeToken(identity, audience, nowMs);
    made.delete(audience);
    remember(made, audience, { token: fresh, madeMs: nowMs }, AUDIENCES_MAX);
    return fresh;
  };
  return { token, header: (role) => `Bearer ${token(role)}`, close: forget };
}

interface KnownToken {
  readonly principal: Principal;
  readonly claims: TokenClaims;
}

function refuse(
  kind: TokenError["kind"],
  detail: string,
): { readonly ok: false; readonly error: TokenError } {
  return err({ kind, detail });
}

function readToken(
  verifier: Verifier,
  token: string,
  nowMs: number,
): Result<KnownToken, TokenError> {
  let envelope: Envelope;
  try {
    envelope = JSON.parse(Buffer.from(token, "base64url").toString("utf8")) as Envelope;
  } catch {
    return refuse("malformed", "the token is not one of holdfast");
  }
  // The certificate must hold now, whatever the claims say.
  const verified = verifier.verify(envelope, TOKEN_TYPE, nowMs);
  if (!verified.ok) return refuse("not-trusted", verified.error.detail);
  const claims = readClaims(verified.value.payload);
  if (claims === null) return refuse("malformed", "the token's claims are not understood");
  return ok({ principal: verified.value.principal, claims });
}

/** What a checker rests on; an `Identity` has it. */
export interface TokenTrust {
  readonly verifier: Verifier;
  onChange(callback: () => void): () => void;
}

export function tokenChecker(
  trust: TokenTrust,
  audiences: readonly string[],
  now: Now,
): BearerChecker {
  const known = new Map<string, KnownToken>();
  const forget = trust.onChange(() => known.clear());
  const check = (token: string): Result<Principal, TokenError> => {
    if (token.length > TOKEN_CHARS_MAX) return refuse("malformed", "the token is too long");
    const nowMs = now();
    const digest = createHash("sha256").update(token).digest("base64");
    const read = known.get(digest) ?? null;
    const found = read === null ? readToken(trust.verifier, token, nowMs) : ok(read);
    if (!found.ok) return found;
    const { claims, principal } = found.value;
    const held = checkClaims(claims, audiences, nowMs);
    if (!held.ok) {
      if (nowMs >= claims.expiresMs + SKEW_MS) known.delete(digest);
      return held;
    }
    if (read === null) remember(known, digest, found.value, TOKENS_MAX);
    return ok(principal);
  };
  return {
    check,
    checkHeader: (header) => {
      const match = /^Bearer +([A-Za-z0-9_-]+)$/i.exec(header ?? "");
      if (match?.[1] !== undefined) return check(match[1]);
      return refuse("malformed", "the request has no token: Authorization: Bearer is missing");
    },
    close: forget,
  };
}

/** Of tokens for `identity`, by its name or as one of its role. */
export function bearerChecker(identity: Identity, now: Now = Date.now): BearerChecker {
  return tokenChecker(identity, audiencesOf(identity.principal), now);
}
