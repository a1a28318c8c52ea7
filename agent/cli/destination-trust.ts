/**
 * The way to a destination that another organisation runs, such as a vendor's support: of a cluster of its own, whose authority is
 * named in a PEM file (`--destination-ca`). Used by whoever speaks to a destination.
 *
 * For the destination alone its authority is believed beside the cluster's own: that it is who answers there (TLS), and that it
 * gave a receipt. Nobody else may be of that cluster.
 */
import { readTrusted, type TrustedClusters, trustedVerifier } from "../destination/io/trusted.ts";
import type { Identity, Verifier } from "../identity/identity.ts";
import { bearer, clientOptions, type SecureFetch, secureFetch } from "../net/io/secure.ts";
import type { OutgoingProxy } from "../net/outgoing-proxy.ts";
import { CliError, EXIT_CONFIG } from "./cli-error.ts";

export interface DestinationTrust {
  readonly fetch: SecureFetch;
  /** Of receipts. */
  readonly verifier: Verifier;
}

/**
 * Whoever is given one revocation list wants one of every authority: where the foreign one has none, TLS does not check for
 * revocation; receipts always are checked against those of the own cluster.
 */
function foreignFetch(
  identity: Identity,
  proxy: OutgoingProxy,
  { authorities, crls }: TrustedClusters,
): SecureFetch {
  const foreign = [...authorities.values()].flat();
  return (url, init = {}) => {
    const headers = new Headers(init.headers);
    if (!headers.has("authorization"))
      headers.set("authorization", bearer(identity, "destination"));
    const { tls, ...options } = clientOptions(identity, "destination", proxy, url);
    const { crl = [], ca = [], ...rest } = tls ?? {};
    const [all, lists] = [
      [...ca, ...foreign],
      [...crl, ...crls],
    ];
    const trusting = { ...rest, ca: all, ...(lists.length < all.length ? {} : { crl: lists }) };
    const whole = { ...init, headers, ...options, ...(tls === undefined ? {} : { tls: trusting }) };
    return fetch(url, whole as RequestInit);
  };
}

/** `file` null: the destination is of the own cluster. */
export function trustDestination(
  file: string | null,
  identity: Identity,
  proxy: OutgoingProxy,
): DestinationTrust {
  if (file === null) {
    return { fetch: secureFetch(identity, "destination", proxy), verifier: identity.verifier };
  }
  const trusted = readTrusted([file], identity.principal.cluster);
  if (!trusted.ok) {
    const what = trusted.error.replace(/^--trust /, "--destination-ca ");
    throw new CliError(what, EXIT_CONFIG, "ask who runs the destination for it");
  }
  return {
    fetch: foreignFetch(identity, proxy, trusted.value),
    verifier: trustedVerifier({ identity, trusted: trusted.value, pin: null }),
  };
}
