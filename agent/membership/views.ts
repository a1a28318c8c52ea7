/**
 * The views of one node: learning them, voting on the next, proposing it when it is our turn, and whether we may act.
 *
 * View e + 1 is decided by a majority of the members of view e, told apart by id and instance (`acceptor.ts`,
 * `proposer.ts`). Whoever hears of a newer epoch in a packet asks for that view. The lowest-numbered member heard alive
 * proposes; the others follow in their order when nothing comes of it.
 *
 * Invariants: epochs only rise; a view is told to the world after it is on disk; a vote leaves after it is on disk; a node
 * that is not in the newest view it knows, that has restarted since, or that hears no majority, is frozen.
 */
import { assert } from "../../core/assert.ts";
import type { Prng } from "../runtime/prng.ts";
import { Acceptor, NO_BALLOT } from "./acceptor.ts";
import type { Journal } from "./journal.ts";
import type { Epoch, Member, NodeId, View } from "./membership.ts";
import type { SavedMembership } from "./membership-events.ts";
import type { Outbox } from "./outbox.ts";
import { clusterTag } from "./packet.ts";
import { NEVER, type Peer } from "./peers.ts";
import { Proposer } from "./proposer.ts";
import { Quorum } from "./quorum.ts";
import type { Swim } from "./swim.ts";
import type { MembershipTiming } from "./timing.ts";
import { assertView, type Change, wantedChange } from "./view-change.ts";
import type { Ballot, Opinion, ViewMessage } from "./view-message.ts";

type Body<M = ViewMessage> = M extends ViewMessage
  ? Omit<M, "cluster" | "instance" | "epoch">
  : never;

export interface ViewsNeeds {
  readonly swim: Swim;
  readonly outbox: Outbox;
  readonly journal: Journal;
  readonly timing: MembershipTiming;
  readonly prng: Prng;
  readonly saved: SavedMembership | null;
}

interface PendingPoll {
  readonly from: Member;
  readonly nonce: number;
  readonly expel: readonly string[];
  readonly admit: readonly string[];
  readonly endMs: number;
  told: string;
}

const WISHES_MAX = 16;
const LEAVE_WITHIN_MS = 2000;
const RECONSIDER_MS = 10;

export class Views {
  readonly #needs: ViewsNeeds;
  readonly #acceptor: Acceptor;
  readonly #proposer: Proposer;
  readonly #quorum: Quorum;
  /** The newest decided view known; what votes and packets go by. */
  #decided: View | null;
  /** The newest view told to the world. */
  #installed: View | null = null;
  #cluster: string;
  #wishes: string[] = [];
  #pendingPoll: PendingPoll | null = null;
  /** The last message about an epoch after the next, for when the view between has come. */
  #ahead: { readonly from: Member; readonly message: ViewMessage } | null = null;
  #now = 0;
  #startedMs = 0;
  #foundMs: number = Number.POSITIVE_INFINITY;
  #leaveMs: number = Number.POSITIVE_INFINITY;
  #hasLeft = false;
  #wantedSinceMs: number = NEVER;
  #othersMs: number = NEVER;
  #backoffMs: number = NEVER;
  #considerMs: number = Number.POSITIVE_INFINITY;
  #wishMs: number = Number.POSITIVE_INFINITY;
  #wishGapMs = 0;
  #askMs: number = NEVER;
  #mustConsider = true;

  constructor(needs: ViewsNeeds) {
    this.#needs = needs;
    const { saved, swim, outbox, timing } = needs;
    this.#decided = saved?.view ?? null;
    this.#cluster = saved?.cluster ?? "";
    this.#acceptor = new Acceptor(saved?.promised ?? NO_BALLOT, saved?.accepted ?? null);
    this.#quorum = new Quorum({ swim, outbox, timing });
    this.#proposer = new Proposer({
      timing,
      prng: needs.prng,
      self: () => swim.wire.self,
      now: () => this.#now,
      send: (to, message) => this.#send(to, message, this.#nextEpoch()),
      opinions: (expel, admit) => this.#opinions(expel, admit),
      prepareOwn: (ballot, then) => {
        if (!this.#acceptor.prepare(ballot)) return false;
        const accepted = this.#acceptor.accepted();
        needs.journal.write(() => then(accepted));
        return true;
      },
      acceptOwn: (ballot, view, then) => {
        if (!this.#acceptor.accept(ballot, view)) return false;
        needs.journal.write(then);
        return true;
      },
      ownPromised: () => this.#acceptor.promised(),
      decided: (view) => this.#announce(view),
      contradicted: ({ member }, detail) => {
        const peer = swim.peers.get(member.instance);
        if (peer !== undefined) swim.standings.doubt(peer, detail, this.#now);
      },
      log: (text) => outbox.log("info", text),
    });
  }

  view(): View | null {
    return this.#installed;
  }

  decided(): View | null {
    return this.#decided;
  }

  frozen(): string | null {
    return this.#quorum.frozen();
  }

  hasLeft(): boolean {
    return this.#hasLeft;
  }

  savedState(): SavedMembership {
    const { id, instance, incarnation } = this.#needs.swim.wire.self;
    return {
      format: 1,
      id,
      instance,
      incarnation,
      cluster: this.#cluster,
      view: this.#decided,
      promised: this.#acceptor.promised(),
      accepted: this.#acceptor.accepted(),
    };
  }

  dueMs(): number {
    return Math.min(
      this.#considerMs,
      this.#wishMs,
      this.#foundMs,
      this.#leaveMs,
      this.#proposer.dueMs(),
    );
  }

  /** The incarnation of this run is on disk. */
  start(found: boolean, seedCount: number, now: number): void {
    this.#now = now;
    this.#startedMs = now;
    if (this.#decided !== null) {
      const tag = clusterTag(this.#cluster);
      this.#needs.swim.setView(this.#decided, tag, false, now);
    } else if (found) {
      if (seedCount === 0) this.#found();
      else this.#foundMs = now + this.#needs.timing.foundWaitMs;
    }
    this.#look();
  }

  #found(): void {
    this.#foundMs = Number.POSITIVE_INFINITY;
    if (this.#decided !== null) return;
    const self = this.#needs.swim.wire.self;
    const reason = `${self.id} founded the cluster`;
    this.#learn({ epoch: 1 as Epoch, members: [self], reason }, self.instance);
  }

  /** Before the first view of this run: a node begins frozen. */
  announceFreeze(): void {
    this.#look();
  }

  #look(): void {
    this.#quorum.look(this.#installed, this.#decided, this.#now);
  }

  #nextEpoch(): Epoch {
    return ((this.#decided?.epoch ?? 0) + 1) as Epoch;
  }

  #send(to: Member, body: Body, epoch: Epoch | 0): void {
    const instance = this.#needs.swim.wire.self.instance;
    const message = { ...body, cluster: this.#cluster, instance, epoch } as ViewMessage;
    const { id, address, port } = to;
    this.#needs.outbox.push({ kind: "send", to: id, address, port, message });
  }

  /** Whether this data folder is a voter of the newest view, in whatever run. */
  #isVoter(): boolean {
    const instance = this.#needs.swim.wire.self.instance;
    return this.#decided?.members.some((member) => member.instance === instance) ?? false;
  }

  // Learning.

  #announce(view: View): void {
    const self = this.#needs.swim.wire.self.instance;
    const told = new Set<string>([self]);
    const targets = [...view.members, ...(this.#decided as View).members];
    this.#learn(view, this.#cluster);
    for (const member of targets) {
      if (told.has(member.instance)) continue;
      told.add(member.instance);
      this.#send(member, { kind: "decided", view }, view.epoch);
    }
  }

  #learn(view: View, cluster: string): void {
    if (view.epoch <= (this.#decided?.epoch ?? 0)) return;
    assertView(view);
    this.#decided = view;
    this.#cluster = cluster;
    this.#foundMs = Number.POSITIVE_INFINITY;
    this.#acceptor.reset();
    this.#proposer.reset();
    this.#wishes = [];
    this.#wishMs = Number.POSITIVE_INFINITY;
    this.#pendingPoll = null;
    this.#wantedSinceMs = NEVER;
    this.#othersMs = NEVER;
    this.#backoffMs = NEVER;
    this.#mustConsider = true;
    this.#needs.swim.setView(view, clusterTag(cluster), true, this.#now);
    this.#needs.journal.write(() => this.#install(view));
    const ahead = this.#ahead;
    this.#ahead = null;
    if (ahead?.message.epoch === this.#nextEpoch()) this.#onRequest(ahead.from, ahead.message);
  }

  #install(view: View): void {
    assert(view.epoch > (this.#installed?.epoch ?? 0), "epochs only rise");
    const previous = this.#installed;
    this.#installed = view;
    const self = this.#needs.swim.wire.self;
    const isMember = view.members.some((member) => member.instance === self.instance);
    // Who is out stops before it hears of the view; who is in hears of it before it may go on.
    if (!isMember) this.#look();
    this.#needs.outbox.push({ kind: "view", view, previous });
    if (isMember) this.#look();
    if (!isMember && this.#needs.swim.wire.leaving) this.#finishLeaving();
  }

  /** A packet or message shows that its sender knows a newer view. */
  heardEpoch(epoch: number, from: Member): void {
    if (epoch <= (this.#decided?.epoch ?? 0)) return;
    if (this.#now - this.#askMs < this.#needs.timing.resendMs) return;
    this.#askMs = this.#now;
    this.#send(from, { kind: "ask-view" }, this.#decided?.epoch ?? 0);
  }

  // Messages.

  onMessage(fromId: NodeId, message: ViewMessage, now: number): void {
    this.#now = now;
    const { swim } = this.#needs;
    if (this.#cluster !== "" && message.cluster !== "" && message.cluster !== this.#cluster) return;
    swim.contact(message.instance, now);
    const from = this.#memberOf(fromId, message.instance);
    if (message.kind === "decided") {
      this.#onDecided(message.view, message.cluster, from);
    } else if (message.kind === "turned-away") {
      if (!this.#isVoter()) this.#quorum.turnAway(message.reason);
      this.#look();
    } else if (from !== null) this.#onRequest(from, message);
  }

  #memberOf(id: NodeId, instance: string): Member | null {
    const known = this.#needs.swim.peers.get(instance)?.member;
    if (known !== undefined) return known.id === id ? known : null;
    return this.#decided?.members.find((member) => member.instance === instance) ?? null;
  }

  #onDecided(view: View, cluster: string, from: Member | null): void {
    const known = this.#decided;
    if (known !== null && view.epoch <= known.epoch) {
      // Stale: refused, and the sender is told what is newer.
      if (view.epoch < known.epoch && from !== null) this.#tell(from);
      return;
    }
    if (cluster === "") return;
    this.#learn(view, cluster);
  }

  #tell(to: Member): void {
    const view = this.#decided;
    if (view !== null) this.#send(to, { kind: "decided", view }, view.epoch);
  }

  #onRequest(from: Member, message: ViewMessage): void {
    const epoch = this.#decided?.epoch ?? 0;
    if (message.kind === "ask-view" || message.kind === "wish") {
      if (message.epoch < epoch) this.#tell(from);
      else if (message.epoch > epoch) this.heardEpoch(message.epoch, from);
      else if (message.kind === "wish" && this.#isVoter()) this.#addWish(message.reason);
      return;
    }
    // All others are about deciding `message.epoch`.
    if (message.epoch <= epoch) {
      const isQuestion =
        message.kind === "poll" || message.kind === "prepare" || message.kind === "accept";
      if (isQuestion) this.#tell(from);
      return;
    }
    if (message.epoch > epoch + 1) {
      this.#ahead = { from, message };
      this.heardEpoch(message.epoch - 1, from);
    } else if (this.#isVoter()) this.#onVote(from, message);
  }

  #onVote(from: Member, message: ViewMessage): void {
    const proposer = this.#proposer;
    switch (message.kind) {
      case "poll":
        this.#othersMs = this.#now;
        this.#pendingPoll = {
          from,
          nonce: message.nonce,
          expel: message.expel,
          admit: message.admit,
          endMs: this.#now + this.#needs.timing.phaseMs,
          told: "",
        };
        this.#answerPoll();
        break;
      case "prepare":
        this.#othersMs = this.#now;
        this.#onPrepare(from, message.ballot);
        break;
      case "accept":
        this.#othersMs = this.#now;
        this.#onAccept(from, message.ballot, message.view);
        break;
      case "opinion":
        proposer.onOpinion(from.instance, message.nonce, message.opinions, this.#now);
        break;
      case "promise":
        proposer.onPromise(from.instance, message.ballot, message.accepted, this.#now);
        break;
      case "accepted":
        proposer.onAccepted(from.instance, message.ballot);
        break;
      case "reject":
        proposer.onReject(message.ballot, message.promised);
        this.#mustConsider = true;
        break;
    }
  }

  // Voting.

  /** Opinions change while a poll is open: whoever asked is told of it. */
  #answerPoll(): void {
    const poll = this.#pendingPoll;
    if (poll === null) return;
    if (this.#now > poll.endMs) {
      this.#pendingPoll = null;
      return;
    }
    const opinions = this.#opinions(poll.expel, poll.admit);
    const told = opinions.join(" ");
    if (told === poll.told) return;
    poll.told = told;
    const { nonce } = poll;
    this.#send(poll.from, { kind: "opinion", nonce, opinions }, this.#nextEpoch());
    const isSettled = opinions.every(
      (one, i) => one === (i < poll.expel.length ? "silent" : "heard"),
    );
    if (isSettled) this.#pendingPoll = null;
  }

  #opinions(expel: readonly string[], admit: readonly string[]): readonly Opinion[] {
    const { swim } = this.#needs;
    return [
      ...expel.map((one) => swim.opinion(one, this.#now)),
      ...admit.map((one) => swim.opinionOnEntry(one, this.#now)),
    ];
  }

  #onPrepare(from: Member, ballot: Ballot): void {
    const epoch = this.#nextEpoch();
    const before = this.#acceptor.promised();
    if (!this.#acceptor.prepare(ballot)) {
      this.#send(from, { kind: "reject", ballot, promised: before }, epoch);
      return;
    }
    this.#yieldTo(ballot, before);
    const accepted = this.#acceptor.accepted();
    this.#vote(before === ballot, () => {
      this.#send(from, { kind: "promise", ballot, accepted }, epoch);
    });
  }

  #onAccept(from: Member, ballot: Ballot, view: View): void {
    const epoch = this.#nextEpoch();
    if (view.epoch !== epoch) return;
    const before = this.#acceptor.promised();
    const isKnown = this.#acceptor.accepted()?.ballot === ballot;
    if (!this.#acceptor.accept(ballot, view)) {
      this.#send(from, { kind: "reject", ballot, promised: before }, epoch);
      return;
    }
    this.#yieldTo(ballot, before);
    this.#vote(isKnown, () => this.#send(from, { kind: "accepted", ballot }, epoch));
  }

  /** Another's higher ballot makes ours void. */
  #yieldTo(ballot: Ballot, before: Ballot): void {
    if (ballot > before) this.#proposer.onReject(before, ballot);
  }

  #vote(isOnItsWay: boolean, answer: () => void): void {
    if (isOnItsWay) this.#needs.journal.afterWrites(answer);
    else this.#needs.journal.write(answer);
  }

  // Proposing.

  wish(reason: string, now: number): void {
    this.#now = now;
    if (this.#decided === null) return;
    this.#addWish(`${this.#needs.swim.wire.self.id} asks for an epoch: ${reason}`.slice(0, 200));
    this.#wishGapMs = this.#needs.timing.resendMs;
    this.#wishMs = now;
  }

  #addWish(reason: string): void {
    this.#mustConsider = true;
    if (this.#wishes.includes(reason) || this.#wishes.length >= WISHES_MAX) return;
    this.#wishes.push(reason);
  }

  #sendWishes(): void {
    this.#wishGapMs = Math.min(this.#wishGapMs * 2, this.#needs.timing.resendMs * 8);
    this.#wishMs = this.#now + this.#wishGapMs;
    const first = (this.#decided as View).members.find((member) => this.#isHeard(member));
    if (first === undefined || first.instance === this.#needs.swim.wire.self.instance) return;
    const epoch = (this.#decided as View).epoch;
    for (const reason of this.#wishes) this.#send(first, { kind: "wish", reason }, epoch);
  }

  #isHeard(member: Member): boolean {
    if (member.instance === this.#needs.swim.wire.self.instance) return true;
    const peer = this.#needs.swim.peers.get(member.instance);
    if (peer === undefined || peer.standing !== "alive") return false;
    return this.#now - peer.contactMs <= this.#needs.timing.freezeMs;
  }

  /** How many members come before us. */
  #rank(view: View): number {
    let rank = 0;
    for (const member of view.members) {
      if (member.instance === this.#needs.swim.wire.self.instance) return rank;
      if (this.#isHeard(member)) rank++;
    }
    return rank;
  }

  #consider(): void {
    this.#mustConsider = false;
    this.#considerMs = Number.POSITIVE_INFINITY;
    const view = this.#decided;
    const { swim, timing } = this.#needs;
    if (view === null || this.#proposer.isBusy() || swim.wire.leaving || !this.#isVoter()) return;
    const turnAway = (peer: Peer, reason: string): void => this.#turnAway(peer, reason);
    const needs = { view, swim, timing, wishes: this.#wishes, turnAway };
    const { change, laterMs } = wantedChange(needs, this.#now);
    this.#considerMs = laterMs;
    if (change === null) {
      this.#wantedSinceMs = NEVER;
      return;
    }
    if (this.#wantedSinceMs === NEVER) this.#wantedSinceMs = this.#now;
    // Without a majority nothing can be decided: looked at again in the next round.
    if (!this.#quorum.isHeard(view, this.#now)) return;
    const rank = this.#rank(view);
    const startMs = Math.max(
      this.#wantedSinceMs + rank * timing.takeoverMs + this.#patience(view, change),
      this.#othersMs === NEVER ? NEVER : this.#othersMs + (rank + 1) * timing.takeoverMs,
      this.#backoffMs,
    );
    if (this.#now < startMs) {
      // What we wait for may be settled at any moment.
      this.#considerMs = Math.min(laterMs, startMs, this.#now + RECONSIDER_MS);
    } else this.#propose(view, change, rank);
  }

  #propose(view: View, change: Change, rank: number): void {
    const { timing, prng } = this.#needs;
    this.#proposer.begin(view, change, this.#now);
    const failures = Math.min(4, this.#proposer.failures());
    // Should this one fail: not again at once, and not in step with another.
    const spreadMs = timing.takeoverMs * (1 + rank) * (1 + prng.unit());
    this.#backoffMs = this.#now + spreadMs * 2 ** failures * (failures > 0 ? 1 : 0.25);
    this.#considerMs = this.#backoffMs;
  }

  /** How long a change is held back so that what belongs together goes together. Strong evidence does not wait. */
  #patience(view: View, change: Change): number {
    const { swim, timing } = this.#needs;
    const isBooting = this.#installed === null;
    if (isBooting && !view.members.every((member) => this.#isHeard(member))) {
      return Math.max(0, this.#startedMs + timing.bootGraceMs - this.#wantedSinceMs);
    }
    const { expelled, restarted } = change;
    if (expelled.some((one) => one.isCertain) || restarted.length > 0) return 0;
    if (expelled.length > 0) return swim.isMoreToCome(this.#now) ? timing.batchMs : 0;
    if (change.wishes.length > 0) {
      // A peer's connection was just lost: if the peer is gone, one change says both.
      return swim.probes.hasHint() ? timing.hintTimeoutMs : 0;
    }
    return timing.joinBatchMs;
  }

  #turnAway(peer: Peer, reason: string): void {
    if (this.#now - peer.turnedAwayMs < this.#needs.timing.retryMs) return;
    peer.turnedAwayMs = this.#now;
    this.#send(peer.member, { kind: "turned-away", reason }, this.#nextEpoch());
  }

  // Leaving.

  leave(now: number): void {
    this.#now = now;
    const { swim } = this.#needs;
    swim.leave();
    this.#proposer.abort();
    const others = this.#decided?.members.filter((one) => one.instance !== swim.wire.self.instance);
    if (others === undefined || others.length === 0 || !this.#isVoter()) this.#finishLeaving();
    else this.#leaveMs = now + LEAVE_WITHIN_MS;
  }

  #finishLeaving(): void {
    this.#leaveMs = Number.POSITIVE_INFINITY;
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    this.#quorum.leave();
    this.#needs.outbox.push({ kind: "left" });
  }

  // Time.

  /** Held up for long: what we were about to propose was founded on old observations. */
  heldUp(): void {
    this.#proposer.abort();
    this.#pendingPoll = null;
    this.#backoffMs = this.#now + this.#needs.timing.stallGraceMs;
    this.#mustConsider = true;
  }

  setNow(now: number): void {
    this.#now = now;
  }

  /** At the end of a step. */
  tick(isRound: boolean, now: number): void {
    this.#now = now;
    if (now >= this.#foundMs) this.#found();
    if (now >= this.#leaveMs) this.#finishLeaving();
    if (this.#proposer.dueMs() <= now) {
      this.#proposer.tick(now);
      this.#mustConsider = true;
    }
    if (now >= this.#wishMs) this.#sendWishes();
    if (this.#pendingPoll !== null) this.#answerPoll();
    if (isRound) this.#look();
    const { standings } = this.#needs.swim;
    if (standings.changed || this.#mustConsider || isRound || now >= this.#considerMs) {
      standings.changed = false;
      this.#consider();
    }
  }
}
