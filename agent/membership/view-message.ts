/**
 * What agents say to each other over links (reliable streams, though a message may be lost with its link) to agree on views.
 *
 * `epoch` is the epoch being decided. `instance` is the sender's: a vote counts only when the view before it lists that id
 * with that instance, so a wiped node never votes in the name of its former self.
 */
import type { Epoch, View } from "./membership.ts";

/** Round and proposer in one number: round · BALLOT_SLOTS + index of the proposer in the view before. */
export type Ballot = number;
export const BALLOT_SLOTS = 1024;

/** A view that may be chosen for its epoch. */
export interface Accepted {
  readonly ballot: Ballot;
  readonly view: View;
}

interface Envelope {
  /** The founder's instance: two clusters never mix. Empty: the sender belongs to none yet. */
  readonly cluster: string;
  readonly instance: string;
  readonly epoch: Epoch | 0;
}

/** A voter's own observation of one that is to be expelled or let in. */
export type Opinion = "silent" | "heard" | "unsure";

export type ViewMessage = Envelope &
  (
    | {
        /** Before anything is promised: are these instances silent to you, have you a direct path to those? */
        readonly kind: "poll";
        readonly nonce: number;
        readonly expel: readonly string[];
        readonly admit: readonly string[];
      }
    | {
        readonly kind: "opinion";
        readonly nonce: number;
        /** One for each of `expel`, then one for each of `admit`. */
        readonly opinions: readonly Opinion[];
      }
    | { readonly kind: "prepare"; readonly ballot: Ballot }
    | { readonly kind: "promise"; readonly ballot: Ballot; readonly accepted: Accepted | null }
    | { readonly kind: "accept"; readonly ballot: Ballot; readonly view: View }
    | { readonly kind: "accepted"; readonly ballot: Ballot }
    /** A higher ballot was promised. */
    | { readonly kind: "reject"; readonly ballot: Ballot; readonly promised: Ballot }
    /** This view is decided. `epoch` is the view's. */
    | { readonly kind: "decided"; readonly view: View }
    /** I have `epoch`; give me what is newer. */
    | { readonly kind: "ask-view" }
    /** To the one who proposes: I want a view after `epoch`. */
    | { readonly kind: "wish"; readonly reason: string }
    /** To one who wants in: why not. */
    | { readonly kind: "turned-away"; readonly reason: string }
  );
