/**
 * This node as a voter on the next view: it answers polls by its own observation, and prepares and accepts by its acceptor.
 *
 * Invariant: a promise or an acceptance leaves only after it is on disk. A poll promises nothing; while it is open, whoever
 * asked is told again when the observation changes.
 */
import type { Acceptor } from "./acceptor.ts";
import type { Journal } from "./journal.ts";
import type { Epoch, Member, View } from "./membership.ts";
import type { Swim } from "./swim.ts";
import type { MembershipTiming } from "./timing.ts";
import type { Ballot, Opinion, ViewMessage } from "./view-message.ts";

/** A view message without what every one of them carries. */
export type Body<M = ViewMessage> = M extends ViewMessage
  ? Omit<M, "cluster" | "instance" | "epoch">
  : never;

export interface VoterNeeds {
  readonly swim: Swim;
  readonly journal: Journal;
  readonly timing: MembershipTiming;
  readonly acceptor: Acceptor;
  readonly send: (to: Member, body: Body, epoch: Epoch) => void;
  /** Another proposer is at work, with this ballot; `before` was the highest promised. */
  readonly yieldTo: (ballot: Ballot, before: Ballot) => void;
}

type Poll = Extract<ViewMessage, { readonly kind: "poll" }>;

interface OpenPoll {
  readonly from: Member;
  readonly poll: Poll;
  readonly epoch: Epoch;
  readonly endMs: number;
  told: string;
}

export class Voter {
  readonly #needs: VoterNeeds;
  #open: OpenPoll | null = null;

  constructor(needs: VoterNeeds) {
    this.#needs = needs;
  }

  /** The epoch is decided, or what we observed is void. */
  closePoll(): void {
    this.#open = null;
  }

  opinions(expel: readonly string[], admit: readonly string[], now: number): readonly Opinion[] {
    const { swim } = this.#needs;
    return [
      ...expel.map((one) => swim.opinion(one, now)),
      ...admit.map((one) => swim.opinionOnEntry(one, now)),
    ];
  }

  onPoll(from: Member, poll: Poll, epoch: Epoch, now: number): void {
    const endMs = now + this.#needs.timing.phaseMs;
    this.#open = { from, poll, epoch, endMs, told: "" };
    this.tick(now);
  }

  tick(now: number): void {
    const open = this.#open;
    if (open === null) return;
    if (now > open.endMs) {
      this.#open = null;
      return;
    }
    const { nonce, expel, admit } = open.poll;
    const opinions = this.opinions(expel, admit, now);
    const told = opinions.join(" ");
    if (told === open.told) return;
    open.told = told;
    this.#needs.send(open.from, { kind: "opinion", nonce, opinions }, open.epoch);
    const isFinal = opinions.every((one, i) => one === (i < expel.length ? "silent" : "heard"));
    if (isFinal) this.#open = null;
  }

  onPrepare(from: Member, ballot: Ballot, epoch: Epoch): void {
    const { acceptor, send, yieldTo } = this.#needs;
    const before = acceptor.promised();
    if (!acceptor.prepare(ballot)) {
      send(from, { kind: "reject", ballot, promised: before }, epoch);
      return;
    }
    if (ballot > before) yieldTo(ballot, before);
    const accepted = acceptor.accepted();
    this.#vote(before === ballot, () => send(from, { kind: "promise", ballot, accepted }, epoch));
  }

  onAccept(from: Member, ballot: Ballot, view: View, epoch: Epoch): void {
    const { acceptor, send, yieldTo } = this.#needs;
    const before = acceptor.promised();
    const isKnown = acceptor.accepted()?.ballot === ballot;
    if (!acceptor.accept(ballot, view)) {
      send(from, { kind: "reject", ballot, promised: before }, epoch);
      return;
    }
    if (ballot > before) yieldTo(ballot, before);
    this.#vote(isKnown, () => send(from, { kind: "accepted", ballot }, epoch));
  }

  /** Asked again: it is written already, or on its way to the disk. */
  #vote(isWritten: boolean, answer: () => void): void {
    if (isWritten) this.#needs.journal.afterWrites(answer);
    else this.#needs.journal.write(answer);
  }
}
