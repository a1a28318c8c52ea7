/**
 * The proposer of one epoch: poll → (prepare) → accept → decided.
 *
 * The poll comes before Paxos and promises nothing. Whoever is to be expelled must be found silent by a majority of the
 * voters, each by its own observation, so one half-detached node cannot expel healthy ones. It must come before: once a
 * value may have been accepted somewhere nobody may refuse it any more, or the epoch would never be decided.
 *
 * Ballot 0 belongs to the first member of the view before, in the run that the view names, for one value: it needs no
 * prepare. All other ballots go through both phases, and a node's own promise is on disk before its prepare leaves, so
 * no ballot is ever used by two runs.
 */
import { assert } from "../../core/assert.ts";
import type { Prng } from "../runtime/prng.ts";
import { type Member, majorityOf, type View } from "./membership.ts";
import type { MembershipTiming } from "./timing.ts";
import { type Change, type Confirmed, composeView, type Expulsion } from "./view-change.ts";
import { type Accepted, BALLOT_SLOTS, type Ballot, type Opinion } from "./view-message.ts";

export type ProposerMessage =
  | {
      readonly kind: "poll";
      readonly nonce: number;
      readonly expel: readonly string[];
      readonly admit: readonly string[];
    }
  | { readonly kind: "prepare"; readonly ballot: Ballot }
  | { readonly kind: "accept"; readonly ballot: Ballot; readonly view: View };

export interface ProposerHost {
  readonly timing: MembershipTiming;
  readonly prng: Prng;
  readonly self: () => Member;
  readonly now: () => number;
  readonly send: (to: Member, message: ProposerMessage) => void;
  readonly opinions: (expel: readonly string[], admit: readonly string[]) => readonly Opinion[];
  /** This node's own acceptor; `then` once the answer is on disk. False: it promised a higher ballot. */
  readonly prepareOwn: (ballot: Ballot, then: (accepted: Accepted | null) => void) => boolean;
  readonly acceptOwn: (ballot: Ballot, view: View, then: () => void) => boolean;
  readonly ownPromised: () => Ballot;
  readonly decided: (view: View) => void;
  /** The others hear whom we do not. */
  readonly contradicted: (expulsion: Expulsion, detail: string) => void;
  readonly log: (text: string) => void;
}

const NOTHING_CONFIRMED: Confirmed = { expelled: [], entering: [] };

type Phase = "idle" | "polling" | "preparing" | "accepting";

/** A poll in which all but some agree waits so many resends for the rest, then goes on with those agreed upon. */
const POLL_PATIENCE = 2;

export class Proposer {
  readonly #host: ProposerHost;
  #phase: Phase = "idle";
  #base: View | null = null;
  #change: Change | null = null;
  #confirmed: Confirmed = NOTHING_CONFIRMED;
  #view: View | null = null;
  #ballot: Ballot = -1;
  /** Highest ballot seen anywhere for this epoch. */
  #seen: Ballot = -1;
  #hasUsedFirstBallot = false;
  #nonce = 0;
  /** Told apart from any other by number: a ballot may come again under the next epoch while a write is on its way. */
  #attempt = 0;
  /** By index in the base: who answered in this phase. */
  readonly #answered: Set<number> = new Set();
  readonly #opinions: Map<number, readonly Opinion[]> = new Map();
  #highest: Accepted | null = null;
  #resendMs = 0;
  #resendGapMs = 0;
  #resendCount = 0;
  #endMs = 0;
  #failures = 0;
  #message: ProposerMessage | null = null;

  constructor(host: ProposerHost) {
    this.#host = host;
  }

  isBusy(): boolean {
    return this.#phase !== "idle";
  }

  dueMs(): number {
    return this.isBusy() ? Math.min(this.#resendMs, this.#endMs) : Number.POSITIVE_INFINITY;
  }

  /** How often this epoch was tried in vain; the caller waits longer each time. */
  failures(): number {
    return this.#failures;
  }

  /** A new view is known: what was under way is settled. */
  reset(): void {
    this.abort();
    this.#seen = -1;
    this.#failures = 0;
    this.#hasUsedFirstBallot = false;
  }

  abort(): void {
    this.#attempt++;
    this.#phase = "idle";
    this.#message = null;
  }

  begin(base: View, change: Change, now: number): void {
    assert(!this.isBusy(), "one proposal at a time");
    this.#base = base;
    this.#change = change;
    this.#confirmed = NOTHING_CONFIRMED;
    // Who left says so itself: nobody has to confirm it.
    const isPlain = change.expelled.every((one) => one.reason === "left");
    if (isPlain && change.entering.length === 0) {
      this.#confirmed = { expelled: change.expelled, entering: [] };
      this.#propose(now);
      return;
    }
    this.#opinions.clear();
    this.#nonce++;
    const expel = change.expelled.map((one) => one.member.instance);
    const admit = change.entering.map((member) => member.instance);
    this.#enter("polling", { kind: "poll", nonce: this.#nonce, expel, admit }, now);
    this.#opinions.set(this.#ownIndex(), this.#host.opinions(expel, admit));
    this.#countPoll(now, false);
  }

  #ownIndex(): number {
    return this.#indexOf(this.#host.self().instance);
  }

  #indexOf(instance: string): number {
    return (this.#base as View).members.findIndex((member) => member.instance === instance);
  }

  #enter(phase: Phase, message: ProposerMessage, now: number): void {
    const { timing } = this.#host;
    this.#phase = phase;
    this.#message = message;
    this.#answered.clear();
    this.#resendCount = 0;
    this.#resendGapMs = timing.resendMs;
    this.#resendMs = now + timing.resendMs;
    this.#endMs = now + timing.phaseMs;
    this.#sendToMissing();
  }

  #sendToMissing(): void {
    const self = this.#host.self().instance;
    const members = (this.#base as View).members;
    for (let i = 0; i < members.length; i++) {
      const member = members[i] as Member;
      if (member.instance === self || this.#answered.has(i)) continue;
      this.#host.send(member, this.#message as ProposerMessage);
    }
  }

  #majority(): number {
    return majorityOf((this.#base as View).members.length);
  }

  // The poll.

  onOpinion(instance: string, nonce: number, opinions: readonly Opinion[], now: number): void {
    if (this.#phase !== "polling" || nonce !== this.#nonce) return;
    const index = this.#indexOf(instance);
    const { expelled, entering } = this.#change as Change;
    if (index < 0 || opinions.length !== expelled.length + entering.length) return;
    this.#answered.add(index);
    this.#opinions.set(index, opinions);
    this.#countPoll(now, false);
  }

  #votes(which: number, opinion: Opinion): number {
    let count = 0;
    for (const opinions of this.#opinions.values()) if (opinions[which] === opinion) count++;
    return count;
  }

  #countPoll(now: number, isLast: boolean): void {
    const { expelled, entering, restarted, wishes } = this.#change as Change;
    const majority = this.#majority();
    // One who hears it may break the tie of two halves that cannot talk; Paxos then decides for one of them.
    const out = expelled.filter(
      (one, which) => this.#votes(which, "silent") >= majority - (one.isCut ? 1 : 0),
    );
    // Reached by a majority, and by every worker that has tried.
    const within = entering.filter((_, i) => {
      const which = expelled.length + i;
      return this.#votes(which, "heard") >= majority && this.#votes(which, "silent") === 0;
    });
    if (out.length < expelled.length || within.length < entering.length) {
      if (!isLast || out.length + within.length + restarted.length + wishes.length === 0) return;
    }
    this.#confirmed = { expelled: out, entering: within };
    this.#propose(now);
  }

  // Paxos.

  #propose(now: number): void {
    const view = composeView(this.#base as View, this.#change as Change, this.#confirmed);
    if (view === null) {
      this.abort();
      return;
    }
    this.#view = view;
    const self = this.#host.self();
    const first = (this.#base as View).members[0] as Member;
    const isFirst = first.instance === self.instance && first.incarnation === self.incarnation;
    if (isFirst && !this.#hasUsedFirstBallot && this.#host.ownPromised() < 0) {
      this.#hasUsedFirstBallot = true;
      this.#accept(0, view, now);
    } else this.#prepare(now);
  }

  #prepare(now: number): void {
    const highest = Math.max(this.#seen, this.#host.ownPromised(), 0);
    const round = Math.floor(highest / BALLOT_SLOTS) + 1;
    const ballot = round * BALLOT_SLOTS + this.#ownIndex();
    this.#ballot = ballot;
    this.#seen = ballot;
    this.#highest = null;
    // Busy until the own promise is on disk; only then do the others hear of this ballot.
    this.#phase = "preparing";
    this.#message = null;
    this.#resendMs = Number.POSITIVE_INFINITY;
    this.#endMs = now + this.#host.timing.phaseMs;
    this.#answered.clear();
    const attempt = this.#attempt;
    const isPromised = this.#host.prepareOwn(ballot, (accepted) => {
      if (this.#attempt !== attempt) return;
      this.#enter("preparing", { kind: "prepare", ballot }, this.#host.now());
      this.onPromise(this.#host.self().instance, ballot, accepted, this.#host.now());
    });
    assert(isPromised, "a ballot above all that was promised");
  }

  onPromise(instance: string, ballot: Ballot, accepted: Accepted | null, now: number): void {
    if (this.#phase !== "preparing" || ballot !== this.#ballot) return;
    const index = this.#indexOf(instance);
    if (index < 0) return;
    this.#answered.add(index);
    if (accepted !== null && accepted.ballot > (this.#highest?.ballot ?? -1)) {
      this.#highest = accepted;
    }
    if (this.#answered.size < this.#majority()) return;
    // What may have been chosen already has to be chosen again.
    this.#accept(ballot, this.#highest?.view ?? (this.#view as View), now);
  }

  #accept(ballot: Ballot, view: View, now: number): void {
    this.#ballot = ballot;
    this.#seen = Math.max(this.#seen, ballot);
    this.#view = view;
    this.#enter("accepting", { kind: "accept", ballot, view }, now);
    const attempt = this.#attempt;
    const isAccepted = this.#host.acceptOwn(ballot, view, () => {
      if (this.#attempt === attempt) this.onAccepted(this.#host.self().instance, ballot);
    });
    if (!isAccepted) this.#fail("promised a higher ballot ourselves");
  }

  onAccepted(instance: string, ballot: Ballot): void {
    if (this.#phase !== "accepting" || ballot !== this.#ballot) return;
    const index = this.#indexOf(instance);
    if (index < 0) return;
    this.#answered.add(index);
    if (this.#answered.size < this.#majority()) return;
    const view = this.#view as View;
    this.abort();
    this.#host.decided(view);
  }

  onReject(ballot: Ballot, promised: Ballot): void {
    this.#seen = Math.max(this.#seen, promised);
    if (!this.isBusy() || this.#phase === "polling" || ballot !== this.#ballot) return;
    this.#fail("another proposal has a higher ballot");
  }

  #fail(why: string): void {
    this.#failures++;
    this.abort();
    this.#host.log(`view ${(this.#base as View).epoch + 1} not agreed yet: ${why}`);
  }

  tick(now: number): void {
    if (!this.isBusy()) return;
    if (now >= this.#endMs) {
      this.#giveUp();
      return;
    }
    if (now < this.#resendMs) return;
    this.#resendCount++;
    this.#resendGapMs = Math.min(this.#resendGapMs * 2, this.#host.timing.resendMs * 8);
    this.#resendMs = now + this.#resendGapMs;
    if (this.#phase === "polling") this.#pollAgain(now);
    else this.#sendToMissing();
  }

  #pollAgain(now: number): void {
    // Opinions change: all are asked again, those who said no too.
    this.#answered.clear();
    const { expelled, entering } = this.#change as Change;
    const own = this.#host.opinions(
      expelled.map((one) => one.member.instance),
      entering.map((member) => member.instance),
    );
    this.#opinions.set(this.#ownIndex(), own);
    this.#sendToMissing();
    this.#countPoll(now, this.#resendCount >= POLL_PATIENCE);
  }

  #giveUp(): void {
    if (this.#phase === "polling") {
      const expelled = (this.#change as Change).expelled;
      for (let which = 0; which < expelled.length; which++) {
        const heard = [...this.#opinions.entries()]
          .filter(([, opinions]) => opinions[which] === "heard")
          .map(([index]) => ((this.#base as View).members[index] as Member).id);
        if (heard.length === 0) continue;
        this.#host.contradicted(expelled[which] as Expulsion, `heard by ${heard.join(" ")}`);
      }
    }
    this.#fail(`no majority within ${this.#host.timing.phaseMs} ms while ${this.#phase}`);
  }
}
