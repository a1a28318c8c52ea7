/**
 * The text of a one-time token that `holdfast identity token` prints and `holdfast join` is given:
 *
 *   hf1_ + base64url of {"f": fingerprint, "c": cluster, "i": id, "s": secret, "r": role, "n"?: name}
 *
 * The fingerprint (SHA-256 of the authority's certificate) lets who joins recognise the authority before it sends anything;
 * the secret lets the authority recognise who joins. Frozen: a token may be used by another version than made it.
 */
import { z } from "zod";
import type { PrincipalRole } from "./identity.ts";
import { ROLES } from "./identity.ts";
import { isClusterName, isName } from "./names.ts";

const PREFIX = "hf1_";
const CHARS_MAX = 1_024;

export interface JoinToken {
  readonly fingerprint: string;
  readonly cluster: string;
  readonly id: string;
  readonly secret: string;
  readonly role: PrincipalRole;
  /** null: whoever joins chooses. */
  readonly name: string | null;
}

const tokenSchema = z.object({
  f: z.string().regex(/^[0-9a-f]{64}$/),
  c: z.string().refine(isClusterName),
  i: z.string().regex(/^[0-9a-f]{16}$/),
  s: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  r: z.enum(ROLES),
  n: z.string().refine(isName).optional(),
});

export function formatJoinToken(token: JoinToken): string {
  const { fingerprint: f, cluster: c, id: i, secret: s, role: r, name } = token;
  const document = { f, c, i, s, r, ...(name === null ? {} : { n: name }) };
  const bytes = new TextEncoder().encode(JSON.stringify(document));
  return PREFIX + bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** null: not a token, or a part of one. */
export function parseJoinToken(text: string): JoinToken | null {
  const trimmed = text.trim();
  if (!trimmed.startsWith(PREFIX) || trimmed.length > CHARS_MAX) return null;
  try {
    const bytes = Uint8Array.fromBase64(trimmed.slice(PREFIX.length), { alphabet: "base64url" });
    const parsed = tokenSchema.safeParse(JSON.parse(new TextDecoder().decode(bytes)));
    if (!parsed.success) return null;
    const { f, c, i, s, r, n } = parsed.data;
    return { fingerprint: f, cluster: c, id: i, secret: s, role: r, name: n ?? null };
  } catch {
    return null;
  }
}
