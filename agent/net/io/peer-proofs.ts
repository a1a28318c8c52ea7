/**
 * Proofs on the links between agents: that the node which a hello names is the one that says it.
 *
 * TLS shows that the other side has a certificate of an agent of this cluster, and Bun does not show which. So a hello carries a
 * token that is signed by the node it names, for exactly the node it is said to: an agent that is given one cannot use it
 * with a third. Without certificates there is nothing to prove, and everybody is taken at his word.
 */

import type { Envelope } from "../../identity/identity.ts";
import { type Identity, spiffeId, TOKEN_TYPE } from "../../identity/identity.ts";
import { makeToken } from "../../identity/io/bearer.ts";
import type { Hello } from "../frames.ts";
import { checkerOf, isSecure } from "./secure.ts";

export class PeerProofs {
  readonly #identity: Identity | null;
  readonly #forget: () => void;

  constructor(identity: Identity | null, onChange: () => void) {
    this.#identity = identity;
    this.#forget = identity === null ? () => undefined : identity.onChange(onChange);
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
    return isIt ? null : `it says it is ${hello.node} and proves to be ${role} ${name}`;
  }

  /** Of a hello that was proved before: whether its signer would still be believed. */
  whyNoLonger(hello: Hello): string | null {
    const identity = this.#identity;
    if (!isSecure(identity) || hello.proof === undefined) return null;
    try {
      const text = Buffer.from(hello.proof, "base64url").toString("utf8");
      const verified = identity.verifier.verify(
        JSON.parse(text) as Envelope,
        TOKEN_TYPE,
        Date.now(),
      );
      return verified.ok ? null : verified.error.detail;
    } catch {
      return "its proof cannot be read";
    }
  }

  close(): void {
    this.#forget();
  }
}
