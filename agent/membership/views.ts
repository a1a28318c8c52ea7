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
import { isHeard, Turn } from "./turn.ts";
import { type Change, isWellFormed, wantedChange } from "./view-change.ts";
import type { ViewMessage } from "./view-message.ts";
import { type Body, Voter } from "./voter.ts";
import { Wishes } from "./wishes.ts";

export interface ViewsNeeds {
  readonly swim: Swim;
  readonly outbox: Outbox;
  readonly journal: Journal;
  readonly timing: MembershipTiming;
  readonly prng: Prng;
  readonly saved: SavedMembership | null;
}

const LEAVE_WITHIN_MS = 2000;

export class Views {
  readonly #needs: ViewsNeeds;
  readonly #acceptor: Acceptor;
  readonly #proposer: Proposer;
  readonly #voter: Voter;
  readonly #turn: Turn;
  readonly #quorum: Quorum;
  /** The newest decided view known; what votes and packets go by. */
  #decided: View | null;
  /** The newest view told to the world. */
  #installed: View | null = null;
  #cluster: string;
  readonly #wishes: Wishes;
  /** The last message about an epoch after the next, for when the view between has come. */
  #ahead: { readonly from: Member; readonly message: ViewMessage } | null = null;
  #now = 0;
  #foundMs: number = Number.POSITIVE_INFINITY;
  #leaveMs: number = Number.POSITIVE_INFINITY;
  #hasLeft = false;
  #considerMs: number = Number.POSITIVE_INFINITY;
  #askMs: number = NEVER;
  #mustConsider = true;

  constructor(needs: ViewsNeeds) {
    this.#needs = needs;
    const { saved, swim, outbox, timing } = needs;
    this.#decided = saved?.view ?? null;
    this.#cluster = saved?.cluster ?? "";
    this.#acceptor = new Acceptor(saved?.promised ?? NO_BALLOT, saved?.accepted ?? null);
    this.#quorum = new Quorum({ swim, outbox, timing });
    this.#turn = new Turn(swim, timing);
    this.#wishes = new Wishes(timing);
    this.#voter = new Voter({
      swim,
      timing,
      journal: needs.journal,
      acceptor: this.#acceptor,
      send: (to, body, epoch) => this.#send(to, body, epoch),
      yieldTo: (ballot, before) => this.#proposer.onReject(before, ballot),
    });
    this.#proposer = this.#makeProposer();
  }

  #makeProposer(): Proposer {
    const { swim, timing, outbox, journal, prng } = this.#needs;
    return new Proposer({
      timing,
      prng,
      self: () => swim.wire.self,
      now: () => this.#now,
      send: (to, message) => this.#send(to, message, this.#nextEpoch()),
      opinions: (expel, admit) => this.#voter.opinions(expel, admit, this.#now),
      prepareOwn: (ballot, then) => {
        if (!this.#acceptor.prepare(ballot)) return false;
        const accepted = this.#acceptor.accepted();
        journal.write(() => then(accepted));
        return true;
      },
      acceptOwn: (ballot, view, then) => {
        assert(view.epoch === this.#nextEpoch(), "only the next epoch is voted on");
        if (!this.#acceptor.accept(ballot, view)) return false;
        journal.write(then);
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
      this.#wishes.dueMs(),
      this.#foundMs,
      this.#leaveMs,
      this.#proposer.dueMs(),
    );
  }

  /** The incarnation of this run is on disk. */
  start(found: boolean, seedCount: number, now: number): void {
    this.#now = now;
    this.#turn.boot(now);
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
    this.#decided = view;
    this.#cluster = cluster;
    this.#foundMs = Number.POSITIVE_INFINITY;
    this.#acceptor.reset();
    this.#proposer.reset();
    this.#wishes.clear();
    this.#voter.closePoll();
    this.#turn.reset();
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
    if (cluster !== "" && isWellFormed(view)) this.#learn(view, cluster);
  }

  #tell(to: Member): void {
    const view = this.#decided;
    if (view !== null) this.#send(to, { kind: "decided", view }, view.epoch);
  }

  #onRequest(from: Member, message: ViewMessage): void {
    const epoch = this.#decided?.epoch ?? 0;
    if (message.kind === "ask-view" || message.kind === "wish") {
      // These are about a view that is, all others about deciding the next.
      if (message.epoch < epoch) this.#tell(from);
      else if (message.epoch > epoch) this.heardEpoch(message.epoch, from);
      else if (message.kind === "wish" && this.#isVoter()) {
        this.#wishes.add(message.reason);
        this.#mustConsider = true;
      }
    } else if (message.epoch <= epoch) {
      if (isQuestion(message)) this.#tell(from);
    } else if (message.epoch > epoch + 1) {
      this.#ahead = { from, message };
      this.heardEpoch(message.epoch - 1, from);
    } else if (this.#isVoter()) this.#onVote(from, message);
  }

  #onVote(from: Member, message: ViewMessage): void {
    const epoch = this.#nextEpoch();
    switch (message.kind) {
      case "poll":
        this.#turn.othersAtWork(this.#now);
        this.#voter.onPoll(from, message, epoch, this.#now);
        break;
      case "prepare":
        this.#turn.othersAtWork(this.#now);
        this.#voter.onPrepare(from, message.ballot, epoch);
        break;
      case "accept":
        if (message.view.epoch !== epoch || !isWellFormed(message.view)) break;
        this.#turn.othersAtWork(this.#now);
        this.#voter.onAccept(from, message.ballot, message.view, epoch);
        break;
      default:
        this.#onAnswer(from, message);
    }
  }

  /** To what this node proposed. */
  #onAnswer(from: Member, message: ViewMessage): void {
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

  // Proposing.

  wish(reason: string, now: number): void {
    this.#now = now;
    if (this.#decided === null) return;
    const own = this.#needs.swim.wire.self.id;
    this.#wishes.addOwn(`${own} asks for an epoch: ${reason}`, now);
    this.#mustConsider = true;
  }

  #sendWishes(view: View): void {
    const { swim, timing } = this.#needs;
    const first = view.members.find((member) => isHeard(swim, timing, member, this.#now));
    if (first === undefined || first.instance === swim.wire.self.instance) return;
    for (const reason of this.#wishes.reasons()) {
      this.#send(first, { kind: "wish", reason }, view.epoch);
    }
  }

  #consider(): void {
    this.#mustConsider = false;
    this.#considerMs = Number.POSITIVE_INFINITY;
    const view = this.#decided;
    const { swim, timing } = this.#needs;
    if (view === null || this.#proposer.isBusy() || swim.wire.leaving || !this.#isVoter()) return;
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
    if (!this.#quorum.isHeard(view, this.#now)) return;
    const { startMs, lookMs } = this.#turn.plan(view, change, this.#installed === null, this.#now);
    if (this.#now < startMs) this.#considerMs = Math.min(laterMs, lookMs);
    else this.#propose(view, change);
  }

  #propose(view: View, change: Change): void {
    const { timing, prng } = this.#needs;
    this.#proposer.begin(view, change, this.#now);
    const failures = Math.min(4, this.#proposer.failures());
    // Should this one fail: not again at once, and not in step with another.
    const rank = this.#turn.rank(view, this.#now);
    const spreadMs = timing.takeoverMs * (1 + rank) * (1 + prng.unit());
    const waitMs = spreadMs * (failures > 0 ? 2 ** failures : 0.25);
    this.#turn.backOff(this.#now + waitMs);
    this.#considerMs = this.#now + waitMs;
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
    this.#voter.closePoll();
    this.#turn.backOff(this.#now + this.#needs.timing.stallGraceMs);
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
    if (this.#decided !== null && this.#wishes.isTime(now)) this.#sendWishes(this.#decided);
    this.#voter.tick(now);
    if (isRound) this.#look();
    const { standings } = this.#needs.swim;
    if (standings.changed || this.#mustConsider || isRound || now >= this.#considerMs) {
      standings.changed = false;
      this.#consider();
    }
  }
}

function isQuestion(message: ViewMessage): boolean {
  return message.kind === "poll" || message.kind === "prepare" || message.kind === "accept";
}
