/**
 * Which of two connections to the same peer is the link.
 *
 * Both sides decide alone and must keep the same one: of two connections between the same runs, the one that the lower id
 * dialled wins, and of two in the same direction the newer (its dialler has given the older up). A later run of the peer
 * replaces an earlier one; an earlier run is refused, since its process is dead or a copy.
 */
import type { Hello } from "./frames.ts";

/** Codes of the close frame that mean something between agents. */
export const CLOSE = { going: 1001, garbage: 4000, duplicate: 4001, stale: 4002 } as const;

export interface Refusal {
  readonly kind: "refuse";
  readonly code: (typeof CLOSE)[keyof typeof CLOSE];
  readonly detail: string;
}

export type LinkChoice =
  | Refusal
  | { readonly kind: "first" }
  /** The same run of the peer: nobody needs to hear of it. */
  | { readonly kind: "replace" }
  /** The one in use stays; what the other side has sent over this one already still counts. */
  | { readonly kind: "spare" }
  /** The peer was started anew: its old link is lost. */
  | { readonly kind: "new-run" };

export interface Candidate {
  readonly hello: Hello;
  /** By this side. */
  readonly isDialled: boolean;
}

export interface ChoiceInput {
  readonly own: Hello;
  readonly candidate: Candidate;
  /** The id that was meant to be reached; null for a connection that came in. */
  readonly wanted: string | null;
  readonly current: Candidate | null;
  readonly compareIds: (a: string, b: string) => number;
}

export function chooseLink(input: ChoiceInput): LinkChoice {
  const { own, candidate, wanted, current } = input;
  const { hello } = candidate;
  if (hello.node === own.node) {
    const detail = `it says it is ${own.node}, which is this node: two nodes must not share an id`;
    return { kind: "refuse", code: CLOSE.garbage, detail };
  }
  if (wanted !== null && hello.node !== wanted) {
    return { kind: "refuse", code: CLOSE.garbage, detail: `it is ${hello.node}, not ${wanted}` };
  }
  if (current === null) return { kind: "first" };
  if (hello.instance !== current.hello.instance) return { kind: "new-run" };
  if (hello.incarnation > current.hello.incarnation) return { kind: "new-run" };
  if (hello.incarnation < current.hello.incarnation) {
    return { kind: "refuse", code: CLOSE.stale, detail: "a later run of this node is linked" };
  }
  if (candidate.isDialled === current.isDialled) return { kind: "replace" };
  const isOwnLower = input.compareIds(own.node, hello.node) < 0;
  return candidate.isDialled === isOwnLower ? { kind: "replace" } : { kind: "spare" };
}
