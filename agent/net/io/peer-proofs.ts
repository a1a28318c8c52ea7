/**
 * Proofs on the links between agents: that the node which a hello names is the one that says it.
 *
 * TLS shows that the other side has a certificate of an agent of this cluster, and Bun does not show which. So a hello carries a
 * token that is signed by the node it names, for exactly the node it is said to: an agent that is given one cannot use it
 * with a third. The last proof of each node is kept, and looked at again whenever certificates or revocations change.
 * Without certificates there is nothing to prove, and everybody is taken at his word.
 */
import { type Envelope, type Identity, spiffeId, TOKEN_TYPE } from "../../identity/identity.ts";
import type { Hello } from "../frames.ts";
import { makeToken } from "./bearer.ts";
import { checkerOf, isSecure } from "./secure.ts";

/** Of so many nodes the last proof is remembered. */
const PROOFS_MAX = 4096;

export class PeerProofs {
  readonly #identity: Identity | null;
  readonly #forget: () => void;
  readonly #proofs = new Map<string, string>();
  /** Nodes whose last proof is by a certificate that is not believed any more. */
  readonly #out = new Map<string, string>();

  constructor(identity: Identity | null, onChange: () => void) {
    this.#identity = identity;
    const look = (): void => {
      this.#lookAgain();
      onChange();
    };
    this.#forget = identity === null ? () => undefined : identity.onChange(look);
  }

  /** Why that node is not to be heard any more, by whatever way; null: it may be. */
  whyOut(node: string): string | null {
    return this.#out.get(node) ?? null;
  }

  /** null: nothing is proved here. */
  make(peer: string): string | null {
    const identity = this.#identity;
    if (!isSecure(identity)) return null;
    const { cluster } = identity.principal;
    return makeToken(identity, spiffeId({ cluster, role: "agent", name: peer }), Date.now());
  }

  /** null: it is the node that it names. */
  whyNot(hello: Hello): string | null {
    const identity = this.#identity;
    if (!isSecure(identity)) return null;
    if (hello.proof === undefined) return `it says it is ${hello.node} and proves nothing`;
    const checked = checkerOf(identity).check(hello.proof);
    if (!checked.ok) return `it says it is ${hello.node}: ${checked.error.detail}`;
    const { role, name, cluster } = checked.value;
    const isIt = role === "agent" && name === hello.node && cluster === identity.principal.cluster;
    if (isIt) this.#remember(name, hello.proof);
    return isIt ? null : `it says it is ${hello.node} and proves to be ${role} ${name}`;
  }

  #remember(node: string, proof: string): void {
    this.#out.delete(node);
    this.#proofs.delete(node);
    this.#proofs.set(node, proof);
    if (this.#proofs.size <= PROOFS_MAX) return;
    const oldest = this.#proofs.keys().next();
    if (oldest.done !== true) this.#proofs.delete(oldest.value);
  }

  #lookAgain(): void {
    for (const [node, proof] of this.#proofs) {
      const why = this.#whyNoLonger(proof);
      if (why === null) this.#out.delete(node);
      else this.#out.set(node, why);
    }
  }

  /** A certificate that has ended meanwhile is no reason: a node renews it while its links stay. */
  #whyNoLonger(proof: string): string | null {
    const identity = this.#identity;
    if (!isSecure(identity)) return null;
    const envelope = JSON.parse(Buffer.from(proof, "base64url").toString("utf8")) as Envelope;
    const verified = identity.verifier.verify(envelope, TOKEN_TYPE, Date.now());
    return verified.ok || verified.error.kind === "expired" ? null : verified.error.detail;
  }

  close(): void {
    this.#forget();
  }
}
