/**
 * An identity in memory, whose certificates and trust may be replaced while the process works: what every way to an identity
 * (a folder, the cluster `local`, a test) gives. Who holds it asks it anew each time, or is called back.
 */
import type { KeyObject } from "node:crypto";
import type {
  ClusterKey,
  Envelope,
  Identity,
  Principal,
  Signer,
  TlsMaterial,
  Verifier,
} from "../identity.ts";
import type { Trust } from "../trust.ts";
import { clusterKeysOf } from "./bundle.ts";
import { openSigner } from "./signer.ts";
import { openLocalVerifier, openVerifier, type TrustingVerifier } from "./verifier.ts";

/** Roles whose processes speak by datagrams. */
export function hasClusterKeys({ role }: Principal): boolean {
  return role === "agent";
}

export interface IdentityParts {
  readonly principal: Principal;
  readonly signKey: KeyObject;
  /** DER. */
  readonly signCert: Uint8Array;
  /** PEM. null: speaks in the clear. */
  readonly tls: { readonly cert: string; readonly key: string } | null;
  /** Of its own cluster first. Empty: cluster `local`. */
  readonly trusts: readonly Trust[];
}

export class HeldIdentity implements Identity {
  readonly principal: Principal;
  readonly signer: Signer;
  readonly #verifier: TrustingVerifier;
  readonly #callbacks = new Set<() => void>();
  #signer: Signer;
  #tls: TlsMaterial | null = null;
  #clusterKeys: readonly ClusterKey[] = [];
  #trust: Trust | null = null;

  constructor(parts: IdentityParts) {
    this.principal = parts.principal;
    this.#verifier = parts.trusts.length === 0 ? openLocalVerifier() : openVerifier([]);
    this.#signer = openSigner(parts.principal, parts.signKey, parts.signCert);
    this.signer = {
      principal: parts.principal,
      sign: (payloadType: string, payload: Uint8Array): Envelope =>
        this.#signer.sign(payloadType, payload),
    };
    this.#take(parts);
  }

  get verifier(): Verifier {
    return this.#verifier;
  }

  /** Of its own cluster. null: cluster `local`. */
  trust(): Trust | null {
    return this.#trust;
  }

  tls(): TlsMaterial | null {
    return this.#tls;
  }

  clusterKeys(): readonly ClusterKey[] {
    return this.#clusterKeys;
  }

  onChange(callback: () => void): () => void {
    this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
  }

  /** Of the same principal. */
  replace(parts: IdentityParts): void {
    this.#signer = openSigner(parts.principal, parts.signKey, parts.signCert);
    this.#take(parts);
    for (const callback of [...this.#callbacks]) callback();
  }

  close(): void {
    this.#callbacks.clear();
  }

  #take({ trusts, tls, principal }: IdentityParts): void {
    this.#verifier.believe(trusts);
    const [own] = trusts;
    this.#trust = own ?? null;
    this.#clusterKeys = own !== undefined && hasClusterKeys(principal) ? clusterKeysOf(own) : [];
    this.#tls =
      tls === null
        ? null
        : {
            ...tls,
            ca: trusts.flatMap(({ statement }) => statement.authorities),
            crl: trusts.flatMap(({ statement }) => statement.crls),
          };
  }
}
