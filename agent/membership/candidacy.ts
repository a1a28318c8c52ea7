/**
 * This node as one who may propose the next view: what it wants changed, whose wishes it knows, when its turn has come, and
 * the proposal under way. Does not vote and does not learn views (`voter.ts`, `views.ts`).
 */
import { assert } from "../../core/assert.ts";
import type { Prng } from "../runtime/prng.ts";
import type { Acceptor } from "./acceptor.ts";
import type { Journal } from "./journal.ts";
import type { Epoch, Member, View } from "./membership.ts";
import type { Outbox } from "./outbox.ts";
import type { Peer } from "./peers.ts";
import { Proposer } from "./proposer.ts";
import type { Quorum } from "./quorum.ts";
import type { Swim } from "./swim.ts";
import type { MembershipTiming } from "./timing.ts";
import { isHeard, Turn } from "./turn.ts";
import { type Change, isWellFormed, wantedChange } from "./view-change.ts";
import type { Ballot, ViewMessage } from "./view-message.ts";
import type { Body, Voter } from "./voter.ts";
import { Wishes } from "./wishes.ts";

export interface CandidacyNeeds {
  readonly swim: Swim;
  readonly outbox: Outbox;
  readonly journal: Journal;
  readonly timing: MembershipTiming;
  readonly prng: Prng;
  readonly acceptor: Acceptor;
  readonly quorum: Quorum;
  readonly voter: Voter;
  readonly send: (to: Member, body: Body, epoch: Epoch) => void;
  readonly decided: (view: View) => void;
}

/** What a candidate stands on: the newest view, in which it has a vote. */
export interface Base {
  readonly view: View;
  /** This run has not been in a view yet. */
  readonly isBooting: boolean;
}

export class Candidacy {
  readonly #needs: CandidacyNeeds;
  readonly #proposer: Proposer;
  readonly #turn: Turn;
  readonly #wishes: Wishes;
  #now = 0;
  #epoch: Epoch = 1 as Epoch;
  #considerMs: number = Number.POSITIVE_INFINITY;
  #mustConsider = true;

  constructor(needs: CandidacyNeeds) {
    this.#needs = needs;
    this.#turn = new Turn(needs.swim, needs.timing);
    this.#wishes = new Wishes(needs.timing);
    this.#proposer = this.#makeProposer();
  }

  #makeProposer(): Proposer {
    const { swim, timing, outbox, journal, prng, acceptor, voter, send, decided } = this.#needs;
    return new Proposer({
      timing,
      prng,
      self: () => swim.wire.self,
      now: () => this.#now,
      send: (to, message) => send(to, message, this.#epoch),
      opinions: (expel, admit) => voter.opinions(expel, admit, this.#now),
      prepareOwn: (ballot, then) => {
        if (!acceptor.prepare(ballot)) return false;
        const accepted = acceptor.accepted();
        journal.write(() => then(accepted));
        return true;
      },
      acceptOwn: (ballot, view, then) => {
        assert(view.epoch === this.#epoch, "only the next epoch is voted on");
        if (!acceptor.accept(ballot, view)) return false;
        journal.write(then);
        return true;
      },
      ownPromised: () => acceptor.promised(),
      decided,
      contradicted: ({ member }, detail) => {
        const peer = swim.peers.get(member.instance);
        if (peer !== undefined) swim.standings.doubt(peer, detail, this.#now);
      },
      log: (text) => outbox.log("info", text),
    });
  }

  dueMs(): number {
    return Math.min(this.#considerMs, this.#wishes.dueMs(), this.#proposer.dueMs());
  }

  setNow(now: number): void {
    this.#now = now;
  }

  boot(): void {
    this.#turn.boot(this.#now);
  }

  /** A newer view is known; `next` is the epoch after it. */
  reset(next: Epoch): void {
    this.#epoch = next;
    this.#proposer.reset();
    this.#wishes.clear();
    this.#turn.reset();
    this.#mustConsider = true;
  }

  abort(): void {
    this.#proposer.abort();
  }

  /** Held up for long: what we were about to propose was founded on old observations. */
  heldUp(): void {
    this.#proposer.abort();
    this.#turn.backOff(this.#now + this.#needs.timing.stallGraceMs);
    this.#mustConsider = true;
  }

  othersAtWork(): void {
    this.#turn.othersAtWork(this.#now);
  }

  yieldTo(ballot: Ballot, before: Ballot): void {
    this.#proposer.onReject(before, ballot);
  }

  /** An answer to what this node proposed. */
  onAnswer(from: Member, message: ViewMessage): void {
    const proposer = this.#proposer;
    if (message.kind === "opinion") {
      proposer.onOpinion(from.instance, message.nonce, message.opinions, this.#now);
    } else if (message.kind === "promise") {
      const { ballot, accepted } = message;
      if (accepted !== null && !isWellFormed(accepted.view)) return;
      proposer.onPromise(from.instance, ballot, accepted, this.#now);
    } else if (message.kind === "accepted") {
      proposer.onAccepted(from.instance, message.ballot);
    } else if (message.kind === "reject") {
      proposer.onReject(message.ballot, message.promised);
      this.#mustConsider = true;
    }
  }

  wish(reason: string): void {
    const own = this.#needs.swim.wire.self.id;
    this.#wishes.addOwn(`${own} asks for an epoch: ${reason}`, this.#now);
    this.#mustConsider = true;
  }

  /** Another's, told to us. */
  onWish(reason: string): void {
    this.#wishes.add(reason);
    this.#mustConsider = true;
  }

  #sendWishes(view: View): void {
    const { swim, timing, send } = this.#needs;
    const first = view.members.find((member) => isHeard(swim, timing, member, this.#now));
    if (first === undefined || first.instance === swim.wire.self.instance) return;
    for (const reason of this.#wishes.reasons()) send(first, { kind: "wish", reason }, view.epoch);
  }

  #consider({ view, isBooting }: Base): void {
    const { swim, timing, quorum } = this.#needs;
    const turnAway = (peer: Peer, reason: string): void => this.#turnAway(peer, reason);
    const needs = { view, swim, timing, wishes: this.#wishes.reasons(), turnAway };
    const { change, laterMs } = wantedChange(needs, this.#now);
    this.#considerMs = laterMs;
    if (change === null) {
      this.#turn.nothingWanted();
      return;
    }
    this.#turn.wanted(this.#now);
    // Without a majority nothing can be decided: looked at again in the next round.
    if (!quorum.isHeard(view, this.#now)) return;
    const { startMs, lookMs } = this.#turn.plan(view, change, isBooting, this.#now);
    if (this.#now < startMs) this.#considerMs = Math.min(laterMs, lookMs);
    else this.#propose(view, change);
  }

  #propose(view: View, change: Change): void {
    const { timing, prng } = this.#needs;
    const failures = Math.min(4, this.#proposer.failures());
    // Should this one fail: not again at once, and not in step with another.
    const rank = this.#turn.rank(view, this.#now);
    const spreadMs = timing.takeoverMs * (1 + rank) * (1 + prng.unit());
    const waitMs = spreadMs * (failures > 0 ? 2 ** failures : 0.25);
    this.#turn.backOff(this.#now + waitMs);
    this.#considerMs = this.#now + waitMs;
    this.#proposer.begin(view, change, this.#now);
  }

  #turnAway(peer: Peer, reason: string): void {
    if (this.#now - peer.turnedAwayMs < this.#needs.timing.retryMs) return;
    peer.turnedAwayMs = this.#now;
    this.#needs.send(peer.member, { kind: "turned-away", reason }, this.#epoch);
  }

  /** `base` null: no view yet, no vote in it, or about to leave. */
  tick(base: Base | null, isRound: boolean): void {
    const now = this.#now;
    if (this.#proposer.dueMs() <= now) {
      this.#proposer.tick(now);
      this.#mustConsider = true;
    }
    if (this.#wishes.isTime(now) && base !== null) this.#sendWishes(base.view);
    const { standings } = this.#needs.swim;
    const isDue = standings.changed || this.#mustConsider || isRound || now >= this.#considerMs;
    if (!isDue) return;
    standings.changed = false;
    this.#mustConsider = false;
    this.#considerMs = Number.POSITIVE_INFINITY;
    if (base !== null && !this.#proposer.isBusy()) this.#consider(base);
  }
}
