/**
 * What a thread that has no identity needs to ask other nodes: certificates and a token, as plain data that is replaced in time.
 *
 * An identity holds keys and follows a folder, so it stays in one thread; a Worker is handed a pass, and a new one long before
 * the token of the last one ends.
 */
import type { Identity, PrincipalRole } from "../../identity/identity.ts";
import { bearer, type DialTls, dialTls } from "./secure.ts";

export interface Pass {
  readonly tls: DialTls;
  /** Value of the header of that name. */
  readonly authorization: string;
}

/** A token is given out for half of its life; this often a pass is looked at. */
const LOOK_EVERY_MS = 60_000;

/** null: in the clear. */
export function passOf(identity: Identity | null, role: PrincipalRole): Pass | null {
  const tls = dialTls(identity, role);
  if (identity === null || tls === undefined) return null;
  return { tls, authorization: bearer(identity, role) };
}

/** Tells each new pass until what it returns is called; the first one at once. */
export function keepPass(
  identity: Identity | null,
  role: PrincipalRole,
  tell: (pass: Pass) => void,
): () => void {
  let told = "";
  const look = (): void => {
    const pass = passOf(identity, role);
    const text = JSON.stringify(pass);
    if (pass === null || text === told) return;
    told = text;
    tell(pass);
  };
  const forget = identity?.onChange(look);
  const timer = setInterval(look, LOOK_EVERY_MS);
  timer.unref();
  look();
  return () => {
    clearInterval(timer);
    forget?.();
  };
}

/** `fetch` with a pass, by TLS whatever the URL's scheme is; without one in the clear. No proxy in between. */
export function passFetch(pass: Pass | null, url: string, init: RequestInit): Promise<Response> {
  if (pass === null) return fetch(url, { ...init, proxy: false } as unknown as RequestInit);
  const headers = new Headers(init.headers);
  headers.set("authorization", pass.authorization);
  const options = { ...init, headers, tls: pass.tls, proxy: false };
  return fetch(url.replace(/^http:/, "https:"), options as unknown as RequestInit);
}
