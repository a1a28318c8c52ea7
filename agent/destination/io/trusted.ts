/**
 * Whose events the destination takes: those of its own cluster, of clusters whose authority it was given, and, for trying out, of nodes
 * without an authority, each by the key that it came with first.
 */
import { readFileSync } from "node:fs";
import { err, ok, type Result } from "../../../core/result.ts";
import type {
  Envelope,
  Identity,
  Verified,
  Verifier,
  VerifyError,
} from "../../identity/identity.ts";
import { certificatesOf, parseCertificate } from "../../identity/io/certificates.ts";
import { openLocalVerifier, openVerifier } from "../../identity/io/verifier.ts";
import { isClusterName, LOCAL_CLUSTER } from "../../identity/names.ts";
import type { Trust } from "../../identity/trust.ts";

/** What `--trust` names: authorities by cluster. */
export interface TrustedClusters {
  /** PEM texts, for TLS. */
  readonly authorities: ReadonlyMap<string, readonly string[]>;
  /** PEM texts of the revocation lists that stood beside them. */
  readonly crls: readonly string[];
}

/** The authority's own name: `O=CLUSTER`. */
function clusterOf(pem: string): string | null {
  const parsed = parseCertificate(pem);
  if (!parsed.ok || !parsed.value.ca) return null;
  const cluster = /^O=(.+)$/m.exec(parsed.value.subject)?.[1] ?? "";
  return isClusterName(cluster) && cluster !== LOCAL_CLUSTER ? cluster : null;
}

const CRL = /-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g;

interface PemFile {
  readonly certs: readonly string[];
  readonly crls: readonly string[];
}

function readPems(path: string): Result<PemFile, string> {
  try {
    const text = readFileSync(path, "utf8");
    const certs = certificatesOf(text);
    if (certs.length === 0) return err("no certificate is in it; name a PEM file");
    return ok({ certs, crls: (text.match(CRL) ?? []).map((one) => `${one}\n`) });
  } catch (cause) {
    return err(cause instanceof Error ? cause.message : String(cause));
  }
}

/** The error is one line for the user. */
export function readTrusted(
  paths: readonly string[],
  ownCluster: string,
): Result<TrustedClusters, string> {
  const authorities = new Map<string, string[]>();
  const crls: string[] = [];
  for (const path of paths) {
    const pems = readPems(path);
    if (!pems.ok) return err(`--trust ${path}: ${pems.error}`);
    crls.push(...pems.value.crls);
    for (const pem of pems.value.certs) {
      const cluster = clusterOf(pem);
      if (cluster === null) {
        return err(`--trust ${path}: not the certificate of a cluster's authority (holdfast init)`);
      }
      if (cluster === ownCluster) {
        const own = `cluster ${cluster} is this one's own, which its identity vouches for`;
        return err(`--trust ${path}: ${own}`);
      }
      authorities.set(cluster, [...(authorities.get(cluster) ?? []), pem]);
    }
  }
  return ok({ authorities, crls });
}

/** Nothing of it came as a bundle: no revocations are known of a foreign cluster. */
function trustOf(cluster: string, authorities: readonly string[]): Trust {
  return {
    statement: {
      v: 1,
      cluster,
      version: 1,
      issuedMs: 0,
      authorities,
      crls: [],
      revoked: [],
      clusterKeys: [],
    },
    bundle: { envelope: { payloadType: "", payload: "", signatures: [] }, clusterKeys: [] },
    revoked: new Map(),
  };
}

/** The key id that this signer is known by; gives the one that is remembered. */
export type Pin = (signer: string, keyid: string) => string;

const PINS_MAX = 4_096;

/** Trust on first use, of those who have no authority. */
class PinningVerifier implements Verifier {
  readonly #local = openLocalVerifier();
  readonly #pin: Pin;
  readonly #known = new Map<string, string>();

  constructor(pin: Pin) {
    this.#pin = pin;
  }

  verify(envelope: Envelope, payloadType: string, atMs: number): Result<Verified, VerifyError> {
    const verified = this.#local.verify(envelope, payloadType, atMs);
    if (!verified.ok) return verified;
    // With several signatures it would have to be told which of them held.
    const keyid = envelope.signatures.length === 1 ? (envelope.signatures[0]?.keyid ?? "") : "";
    const { role, name } = verified.value.principal;
    const signer = `${role} ${name}`;
    const pinned = this.#pinned(signer, keyid);
    if (pinned === keyid && keyid !== "") return verified;
    const detail = `${signer} of ${LOCAL_CLUSTER} came first with key ${pinned.slice(0, 12)}, now with ${keyid.slice(0, 12)}: was its data folder deleted? A destination with a data folder of its own forgets it`;
    return err({ kind: "unknown-authority", detail });
  }

  #pinned(signer: string, keyid: string): string {
    const known = this.#known.get(signer);
    if (known !== undefined) return known;
    const pinned = this.#pin(signer, keyid);
    if (this.#known.size >= PINS_MAX) this.#known.clear();
    this.#known.set(signer, pinned);
    return pinned;
  }
}

class EitherVerifier implements Verifier {
  readonly #verifiers: readonly Verifier[];

  constructor(verifiers: readonly Verifier[]) {
    this.#verifiers = verifiers;
  }

  /** The first that knows the cluster decides. */
  verify(envelope: Envelope, payloadType: string, atMs: number): Result<Verified, VerifyError> {
    let first: Result<Verified, VerifyError> | null = null;
    for (const verifier of this.#verifiers) {
      const verified = verifier.verify(envelope, payloadType, atMs);
      if (verified.ok || verified.error.kind !== "wrong-cluster") return verified;
      first ??= verified;
    }
    return first ?? err({ kind: "wrong-cluster", detail: "no cluster is trusted here" });
  }
}

export interface TrustSetting {
  readonly identity: Identity;
  readonly trusted: TrustedClusters;
  /** null: nobody without an authority. */
  readonly pin: Pin | null;
}

export function trustedVerifier({ identity, trusted, pin }: TrustSetting): Verifier {
  const foreign = [...trusted.authorities].map(([cluster, pems]) => trustOf(cluster, pems));
  const isLocal = identity.principal.cluster === LOCAL_CLUSTER;
  return new EitherVerifier([
    ...(isLocal ? [] : [identity.verifier]),
    ...(foreign.length === 0 ? [] : [openVerifier(foreign)]),
    ...(pin === null ? [] : [new PinningVerifier(pin)]),
  ]);
}
