/**
 * Who may call a hook: whoever is on this machine; from elsewhere, who has the token.
 *
 * A caller is on this machine when its address is a loopback one or the very address that the agent listens on: over TCP
 * nobody else can have it. The token stands in a file that only its owner can read, as every secret of holdfast does.
 */
import { timingSafeEqual } from "node:crypto";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Problem } from "../../net/problem.ts";

const TOKEN_CHARACTERS_MIN = 16;
const TOKEN_CHARACTERS_MAX = 512;

export interface HookAccess {
  /** The agent's own. */
  readonly address: string;
  /** null: nobody from elsewhere. */
  readonly token: string | null;
}

/** The error is one line. */
export function readToken(path: string): Result<string, string> {
  const named = `--hooks-token-file ${path}`;
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (cause) {
    return err(`${named}: cannot be read (${(cause as { code?: string }).code})`);
  }
  try {
    const { mode } = fstatSync(file);
    if ((mode & 0o077) !== 0) return err(`${named}: others may read it: chmod 600 ${path}`);
    const token = readFileSync(file, "utf8").trim();
    const isToken = /^[\x21-\x7e]+$/.test(token);
    if (isToken && token.length >= TOKEN_CHARACTERS_MIN && token.length <= TOKEN_CHARACTERS_MAX) {
      return ok(token);
    }
    return err(
      `${named}: must hold one line of ${TOKEN_CHARACTERS_MIN} to ${TOKEN_CHARACTERS_MAX} characters without spaces, such as \`openssl rand -hex 32\` makes`,
    );
  } catch (cause) {
    return err(`${named}: cannot be read (${(cause as { code?: string }).code})`);
  } finally {
    closeSync(file);
  }
}

/** Of IPv4 addresses in the form of IPv6, the IPv4 address. */
function plain(address: string): string {
  return address.replace(/^::ffff:/i, "");
}

export function isLocal(from: string, own: string): boolean {
  const address = plain(from);
  return address === "::1" || address.startsWith("127.") || address === plain(own);
}

function isEqual(a: string, b: string): boolean {
  const digest = (text: string): Uint8Array =>
    new Bun.CryptoHasher("sha256").update(text).digest() as Uint8Array;
  return timingSafeEqual(digest(a), digest(b));
}

/** `from`: null where it is not known. null: may go on. */
export function refusal(
  access: HookAccess,
  from: string | null,
  given: string | null,
): Problem | null {
  if (from !== null && isLocal(from, access.address)) return null;
  if (access.token === null) {
    const detail = `hooks from other machines need a token, and this agent has none: start it with --hooks-token-file`;
    return { kind: "forbidden", detail };
  }
  if (given !== null && isEqual(given, access.token)) return null;
  const detail =
    given === null
      ? "hooks from other machines need the token: send it as Authorization: Bearer TOKEN"
      : "the token is not this agent's";
  return { kind: "forbidden", detail };
}
