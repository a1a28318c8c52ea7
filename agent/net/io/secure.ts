/**
 * TLS and proof of who asks, for whoever serves or asks over HTTP or WebSocket: one place that knows how Bun is told.
 *
 * A server asks for a certificate of its cluster and refuses whoever has none before a byte of HTTP is read. A client checks that
 * the server's certificate is of the role that it means, since addresses are not in certificates, and says by a signed token
 * which principal it is. Without an identity, or with one of cluster `local`, everything is in the clear.
 *
 * Material is asked of the identity at each call, so what is made here is used at once and not kept.
 */

import { type Identity, type PrincipalRole, serverNameOf } from "../../identity/identity.ts";
import { type OutgoingProxy, proxyFor } from "../outgoing-proxy.ts";
import { type BearerChecker, type BearerMaker, bearerChecker, bearerMaker } from "./bearer.ts";

export interface ServeTls {
  readonly cert: string;
  readonly key: string;
  readonly ca: string[];
  readonly crl?: string[];
  readonly requestCert: true;
  readonly rejectUnauthorized: true;
}

export interface DialTls {
  readonly cert: string;
  readonly key: string;
  readonly ca: string[];
  readonly crl?: string[];
  readonly serverName: string;
  readonly rejectUnauthorized: true;
}

/** Options of `fetch` that the types of the standard do not know. */
export interface ClientOptions {
  readonly tls?: DialTls;
  /** `false`: straight there, whatever the environment says. */
  readonly proxy: string | false;
}

/** Whether it speaks TLS. */
export function isSecure(identity: Identity | null): identity is Identity {
  return identity !== null && identity.tls() !== null;
}

export function schemeOf(identity: Identity | null): "http" | "https" {
  return isSecure(identity) ? "https" : "http";
}

/** `tls` of `Bun.serve`; undefined: serve in the clear. */
export function serveTls(identity: Identity | null): ServeTls | undefined {
  const material = identity?.tls() ?? null;
  if (material === null) return undefined;
  const { cert, key, ca, crl } = material;
  return {
    ...{ cert, key, ca: [...ca], requestCert: true, rejectUnauthorized: true },
    ...(crl.length === 0 ? {} : { crl: [...crl] }),
  };
}

/** `tls` of a `fetch` or `WebSocket` to a server of that role; undefined: in the clear. */
export function dialTls(identity: Identity | null, role: PrincipalRole): DialTls | undefined {
  const material = identity?.tls() ?? null;
  if (material === null) return undefined;
  const { cert, key, ca, crl } = material;
  return {
    ...{ cert, key, ca: [...ca], serverName: serverNameOf(role), rejectUnauthorized: true },
    ...(crl.length === 0 ? {} : { crl: [...crl] }),
  };
}

/**
 * What `fetch(url, { ...clientOptions(...) })` needs to reach a server of that role. `proxy`: only ways out of the cluster have
 * one; between its own nodes `null`.
 */
export function clientOptions(
  identity: Identity | null,
  role: PrincipalRole,
  proxy: OutgoingProxy | null = null,
  url: string = "",
): ClientOptions {
  const tls = dialTls(identity, role);
  const through = proxy === null ? null : proxyFor(proxy, url);
  return { ...(tls === undefined ? {} : { tls }), proxy: through ?? false };
}

const makers = new WeakMap<Identity, BearerMaker>();
const checkers = new WeakMap<Identity, BearerChecker>();

/** The value of `Authorization` for anyone of that role. One token serves for some minutes. */
export function bearer(identity: Identity, role: PrincipalRole): string {
  let maker = makers.get(identity);
  if (maker === undefined) {
    maker = bearerMaker(identity);
    makers.set(identity, maker);
  }
  return maker.header(role);
}

/** One for an identity: it remembers what it has checked. */
export function checkerOf(identity: Identity): BearerChecker {
  let checker = checkers.get(identity);
  if (checker === undefined) {
    checker = bearerChecker(identity);
    checkers.set(identity, checker);
  }
  return checker;
}

/** As the standard's, but only to servers of one role. */
export type SecureFetch = (url: string, init?: RequestInit) => Promise<Response>;

/**
 * `fetch` with a certificate, the server's role checked, and the token that says who asks. A header `authorization` that is given
 * stays. Without an identity it is plain `fetch` that uses no proxy but the given one.
 */
export function secureFetch(
  identity: Identity | null,
  role: PrincipalRole,
  proxy: OutgoingProxy | null = null,
): SecureFetch {
  return (url, init = {}) => {
    const headers = new Headers(init.headers);
    if (identity !== null && !headers.has("authorization")) {
      headers.set("authorization", bearer(identity, role));
    }
    const options = { ...init, headers, ...clientOptions(identity, role, proxy, url) };
    return fetch(url, options as RequestInit);
  };
}
