/**
 * The acceptor of single-decree Paxos (Lamport, "Paxos made simple", 2001) for the epoch after the newest view this node knows.
 *
 * Invariant: `promised` never falls within an epoch, and what is answered is on disk before the answer leaves (the caller's
 * duty: `views.ts` sends only after the journal has confirmed). A restart loads both values back.
 */
import type { View } from "./membership.ts";
import type { Accepted, Ballot } from "./view-message.ts";

/** Below every ballot. */
export const NO_BALLOT: Ballot = -1;

export class Acceptor {
  #promised: Ballot;
  #accepted: Accepted | null;

  constructor(promised: Ballot, accepted: Accepted | null) {
    this.#promised = promised;
    this.#accepted = accepted;
  }

  promised(): Ballot {
    return this.#promised;
  }

  accepted(): Accepted | null {
    return this.#accepted;
  }

  /** False: a higher ballot was promised. */
  prepare(ballot: Ballot): boolean {
    if (ballot < this.#promised) return false;
    this.#promised = ballot;
    return true;
  }

  /** False: a higher ballot was promised. */
  accept(ballot: Ballot, view: View): boolean {
    if (ballot < this.#promised) return false;
    this.#promised = ballot;
    this.#accepted = { ballot, view };
    return true;
  }

  /** The epoch is decided; the next begins with nothing promised. */
  reset(): void {
    this.#promised = NO_BALLOT;
    this.#accepted = null;
  }
}
