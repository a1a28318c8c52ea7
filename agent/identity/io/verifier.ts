/**
 * Checks envelopes against the authorities of the clusters that this process knows.
 *
 * A certificate is checked once and remembered by its digest; what depends on the time, and revocation, is looked at each time.
 * What a verifier of cluster `local` says means less: there is no authority there, so it finds that an envelope is whole, and
 * takes the name in it on trust. An authority's cluster never takes anything of `local`.
 */
import { createHash, verify, X509Certificate } from "node:crypto";
import { err, ok, type Result } from "../../../core/result.ts";
import { type OpenEnvelope, type OpenSignature, openEnvelope, pae } from "../dsse.ts";
import type { Envelope, Verified, Verifier, VerifyError, VerifyFailure } from "../identity.ts";
import { LOCAL_CLUSTER } from "../names.ts";
import type { Trust } from "../trust.ts";
import { isIssuedBy, type LeafCertificate, readLeaf } from "./certificates.ts";
import { keyidOf } from "./signer.ts";

/** Certificates remembered; about 4 KiB each. A cluster has one for each process. */
export const CERTIFICATES_MAX = 4_096;

interface KnownCertificate {
  readonly leaf: LeafCertificate;
  readonly keyid: string;
}

interface KnownCluster {
  readonly trust: Trust;
  readonly authorities: readonly X509Certificate[];
}

function failure(
  kind: VerifyFailure,
  detail: string,
): { readonly ok: false; readonly error: VerifyError } {
  return err({ kind, detail });
}

function nameOf({ principal }: LeafCertificate): string {
  return `${principal.role} ${principal.name} of ${principal.cluster}`;
}

class ChainVerifier implements Verifier {
  #clusters = new Map<string, KnownCluster>();
  readonly #isLocal: boolean;
  readonly #certificatesMax: number;
  /** Insertion order is age: the oldest goes when it is full. */
  readonly #known = new Map<string, KnownCertificate>();

  constructor(isLocal: boolean, certificatesMax: number) {
    this.#isLocal = isLocal;
    this.#certificatesMax = certificatesMax;
  }

  get certificateCount(): number {
    return this.#known.size;
  }

  believe(trusts: readonly Trust[]): void {
    this.#clusters = new Map(
      trusts.map((trust) => {
        const authorities = trust.statement.authorities.map((pem) => new X509Certificate(pem));
        return [trust.statement.cluster, { trust, authorities }];
      }),
    );
    this.#known.clear();
  }

  verify(envelope: Envelope, payloadType: string, atMs: number): Result<Verified, VerifyError> {
    const opened = openEnvelope(envelope, payloadType);
    if (!opened.ok) return opened;
    const signed = pae(payloadType, opened.value.payload);
    let first: Result<Verified, VerifyError> | null = null;
    for (const signature of opened.value.signatures) {
      const result = this.#check(opened.value, signature, signed, atMs);
      if (result.ok) return result;
      first ??= result;
    }
    return first ?? failure("malformed", "it has no signatures");
  }

  #check(
    { payload }: OpenEnvelope,
    signature: OpenSignature,
    signed: Uint8Array,
    atMs: number,
  ): Result<Verified, VerifyError> {
    const known = this.#certificate(signature.cert);
    if (!known.ok) return known;
    const { leaf, keyid } = known.value;
    const refusal = this.#refusal(leaf, atMs);
    if (refusal !== null) return err(refusal);
    if (keyid !== signature.keyid) {
      return failure("malformed", `its key id is not that of the certificate of ${nameOf(leaf)}`);
    }
    if (!verify(null, signed, leaf.publicKey, signature.sig)) {
      return failure("bad-signature", `its signature is not one of ${nameOf(leaf)}`);
    }
    return ok({ principal: leaf.principal, payload });
  }

  #refusal(leaf: LeafCertificate, atMs: number): VerifyError | null {
    const at = (ms: number): string => new Date(ms).toISOString();
    // Written so that a time that is not a number is refused.
    if (!(atMs >= leaf.notBeforeMs)) {
      const detail = `the certificate of ${nameOf(leaf)} holds from ${at(leaf.notBeforeMs)} on`;
      return { kind: "not-yet-valid", detail: `${detail}: are the clocks right?` };
    }
    if (!(atMs <= leaf.notAfterMs)) {
      const detail = `the certificate of ${nameOf(leaf)} ended ${at(leaf.notAfterMs)}`;
      return { kind: "expired", detail };
    }
    const revocation = this.#clusters.get(leaf.principal.cluster)?.trust.revoked.get(leaf.serial);
    if (revocation === undefined) return null;
    if (revocation.reason === "retired" && atMs < revocation.atMs) return null;
    const since = `${revocation.reason}, ${at(revocation.atMs)}`;
    return { kind: "revoked", detail: `the certificate of ${nameOf(leaf)} is revoked (${since})` };
  }

  #certificate(der: Uint8Array): Result<KnownCertificate, VerifyError> {
    const digest = createHash("sha256").update(der).digest("base64");
    const known = this.#known.get(digest);
    if (known !== undefined) return ok(known);
    const read = readLeaf(der);
    if (!read.ok) return failure("malformed", read.error);
    const leaf = read.value;
    if (leaf.publicKey.asymmetricKeyType !== "ed25519") {
      return failure("malformed", `the certificate of ${nameOf(leaf)} is not one for signatures`);
    }
    const refusal = this.#chainRefusal(leaf);
    if (refusal !== null) return err(refusal);
    const certificate: KnownCertificate = { leaf, keyid: keyidOf(leaf.publicKey) };
    if (this.#known.size >= this.#certificatesMax) {
      const oldest = this.#known.keys().next();
      if (oldest.done !== true) this.#known.delete(oldest.value);
    }
    this.#known.set(digest, certificate);
    return ok(certificate);
  }

  #chainRefusal(leaf: LeafCertificate): VerifyError | null {
    const { cluster } = leaf.principal;
    if (this.#isLocal && cluster === LOCAL_CLUSTER) {
      return isIssuedBy(leaf.x509, leaf.x509)
        ? null
        : { kind: "unknown-authority", detail: `${nameOf(leaf)} has not signed its certificate` };
    }
    const known = this.#clusters.get(cluster);
    if (known === undefined) {
      const names = this.#isLocal ? LOCAL_CLUSTER : [...this.#clusters.keys()].join(", ");
      return { kind: "wrong-cluster", detail: `${nameOf(leaf)}: known is ${names} only` };
    }
    if (known.authorities.some((authority) => isIssuedBy(leaf.x509, authority))) return null;
    const detail = `the certificate of ${nameOf(leaf)} is not from an authority of ${cluster}`;
    return { kind: "unknown-authority", detail };
  }
}

/** A verifier whose trust may be replaced while it is used. */
export interface TrustingVerifier extends Verifier {
  /** Forgets what it believed before. */
  believe(trusts: readonly Trust[]): void;
  /** Remembered now. */
  readonly certificateCount: number;
}

export function openVerifier(
  trusts: readonly Trust[],
  certificatesMax: number = CERTIFICATES_MAX,
): TrustingVerifier {
  const verifier = new ChainVerifier(false, certificatesMax);
  verifier.believe(trusts);
  return verifier;
}

/** Of those without an authority; see the head of this file. */
export function openLocalVerifier(certificatesMax: number = CERTIFICATES_MAX): TrustingVerifier {
  return new ChainVerifier(true, certificatesMax);
}
