/**
 * Who may read at the door for people: whoever is on this machine, or has a token that `holdfast manager token` made.
 *
 * A token and the session that it opens are texts that this manager's secret vouches for (HMAC-SHA-256), each with its end, so
 * nothing is kept of them; a new secret ends them all. The secret is a file of mode 0600 in the data folder. A browser keeps
 * the session in a cookie that scripts cannot read and that no other site can make it send.
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { randomHex } from "../../runtime/io/clock.ts";

export const SESSION_COOKIE = "holdfast-session";
export const TOKEN_HOURS_MAX: number = 24 * 30;
const SECRET_HEX = /^[0-9a-f]{64}$/;
const TEXT = /^hf([ts])\.(\d{1,15})\.([0-9a-f]{32})\.([0-9a-f]{64})$/;
const HOUR_MS = 3_600_000;
export const SESSION_MS: number = 12 * HOUR_MS;

type Kind = "t" | "s";

/** Made at first use. Throws what the file system throws. */
export function readSecret(path: string): string {
  try {
    const kept = readFileSync(path, "latin1").trim();
    if (SECRET_HEX.test(kept)) return kept;
  } catch (cause) {
    if ((cause as { code?: string }).code !== "ENOENT") throw cause;
  }
  const made = randomHex(32);
  try {
    writeFileSync(path, `${made}\n`, { mode: 0o600, flag: "wx" });
    return made;
  } catch (cause) {
    if ((cause as { code?: string }).code !== "EEXIST") throw cause;
  }
  // Somebody else was quicker, or what stands there is no secret.
  const theirs = readFileSync(path, "latin1").trim();
  if (SECRET_HEX.test(theirs)) return theirs;
  writeFileSync(path, `${made}\n`, { mode: 0o600 });
  chmodSync(path, 0o600);
  return made;
}

function macOf(secret: string, kind: Kind, untilMs: number, nonce: string): string {
  return createHmac("sha256", Buffer.from(secret, "hex"))
    .update(`holdfast page ${kind} ${untilMs} ${nonce}`)
    .digest("hex");
}

function make(secret: string, kind: Kind, untilMs: number): string {
  const nonce = randomHex(16);
  return `hf${kind}.${untilMs}.${nonce}.${macOf(secret, kind, untilMs, nonce)}`;
}

function holdsUntil(secret: string, kind: Kind, text: string, nowMs: number): number | null {
  const match = TEXT.exec(text);
  if (match === null || match[1] !== kind) return null;
  const [, , until = "", nonce = "", mac = ""] = match;
  const untilMs = Number(until);
  const right = macOf(secret, kind, untilMs, nonce);
  const isRight = timingSafeEqual(Buffer.from(mac, "hex"), Buffer.from(right, "hex"));
  return isRight && nowMs < untilMs ? untilMs : null;
}

export function makeLoginToken(secret: string, nowMs: number, hours: number): string {
  return make(secret, "t", Math.round(nowMs + hours * HOUR_MS));
}

/** null: the token does not hold. A session ends with its token, if that is sooner. */
export function openSession(
  secret: string,
  token: string,
  nowMs: number,
): { readonly session: string; readonly seconds: number } | null {
  const untilMs = holdsUntil(secret, "t", token, nowMs);
  if (untilMs === null) return null;
  const endMs = Math.min(untilMs, nowMs + SESSION_MS);
  const session = make(secret, "s", Math.round(endMs));
  return { session, seconds: Math.floor((endMs - nowMs) / 1000) };
}

/** By a cookie, or by a token in `Authorization: Bearer`. */
export function mayRead(secret: string, headers: Headers, nowMs: number): boolean {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  if (bearer !== undefined && holdsUntil(secret, "t", bearer, nowMs) !== null) return true;
  const cookies = (headers.get("cookie") ?? "").split(/; */);
  const own = cookies.find((cookie) => cookie.startsWith(`${SESSION_COOKIE}=`));
  const session = own?.slice(SESSION_COOKIE.length + 1);
  return session !== undefined && holdsUntil(secret, "s", session, nowMs) !== null;
}
