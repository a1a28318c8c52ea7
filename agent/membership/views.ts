/**
 * The views of one node: learning them, voting on the next, proposing it when it is our turn, and whether we may act.
 *
 * View e + 1 is decided by a majority of the members of view e, told apart by id and instance (`voter.ts`, `candidacy.ts`).
 * Whoever hears of a newer epoch in a packet asks for that view. The lowest-numbered member heard alive proposes; the others
 * follow in their order when nothing comes of it.
 *
 * Invariants: epochs only rise; a view is told to the world after it is on disk; a vote leaves after it is on disk; a node
 * that is not in the newest view it knows, that has restarted since, or that hears no majority, is frozen.
 */
import { assert } from "../../core/assert.ts";
import type { Prng } from "../runtime/prng.ts";
import { Acceptor, NO_BALLOT } from "./acceptor.ts";
import { type Base, Candidacy } from "./candidacy.ts";
import type { Journal } from "./journal.ts";
import type { Epoch, Member, NodeId, View } from "./membership.ts";
import type { SavedMembership } from "./membership-events.ts";
import type { Outbox } from "./outbox.ts";
import { clusterTag } from "./packet.ts";
import { NEVER } from "./peers.ts";
import { Quorum } from "./quorum.ts";
import type { Swim } from "./swim.ts";
import type { MembershipTiming } from "./timing.ts";
import { isWellFormed } from "./view-change.ts";
import type { Ballot, ViewMessage } from "./view-message.ts";
import { type Body, Voter } from "./voter.ts";

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
  readonly #candidacy: Candidacy;
  readonly #voter: Voter;
  readonly #quorum: Quorum;
  /** The newest decided view known; what votes and packets go by. */
  #decided: View | null;
  /** The newest view told to the world. */
  #installed: View | null = null;
  #cluster: string;
  /** The last message about an epoch after the next, for when the view between has come. */
  #ahead: { readonly from: Member; readonly message: ViewMessage } | null = null;
  #now = 0;
  #foundMs: number = Number.POSITIVE_INFINITY;
  #leaveMs: number = Number.POSITIVE_INFINITY;
  #hasLeft = false;
  #askMs: number = NEVER;

  constructor(needs: ViewsNeeds) {
    this.#needs = needs;
    const { saved, swim, outbox, timing } = needs;
    this.#decided = saved?.view ?? null;
    this.#cluster = saved?.cluster ?? "";
    this.#acceptor = new Acceptor(saved?.promised ?? NO_BALLOT, saved?.accepted ?? null);
    this.#quorum = new Quorum({ swim, outbox, timing });
    const send = (to: Member, body: Body, epoch: Epoch): void => this.#send(to, body, epoch);
    const { journal, prng } = needs;
    const acceptor = this.#acceptor;
    const yieldTo = (ballot: Ballot, before: Ballot): void =>
      this.#candidacy.yieldTo(ballot, before);
    this.#voter = new Voter({ swim, timing, journal, acceptor, send, yieldTo });
    this.#candidacy = new Candidacy({
      ...{ swim, outbox, journal, timing, prng, acceptor, send },
      quorum: this.#quorum,
      voter: this.#voter,
      decided: (view) => this.#announce(view),
    });
    this.#candidacy.reset(this.#nextEpoch());
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
    return Math.min(this.#foundMs, this.#leaveMs, this.#candidacy.dueMs());
  }

  /** The incarnation of this run is on disk. */
  start(found: boolean, seedCount: number, now: number): void {
    this.setNow(now);
    this.#candidacy.boot();
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
    this.#voter.closePoll();
    this.#needs.swim.setView(view, clusterTag(cluster), true, this.#now);
    this.#needs.journal.write(() => this.#install(view));
    this.#candidacy.reset(this.#nextEpoch());
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
      else if (message.kind === "wish" && this.#isVoter()) this.#candidacy.onWish(message.reason);
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
        this.#candidacy.othersAtWork();
        this.#voter.onPoll(from, message, epoch, this.#now);
        break;
      case "prepare":
        this.#candidacy.othersAtWork();
        this.#voter.onPrepare(from, message.ballot, epoch);
        break;
      case "accept":
        if (message.view.epoch !== epoch || !isWellFormed(message.view)) break;
        this.#candidacy.othersAtWork();
        this.#voter.onAccept(from, message.ballot, message.view, epoch);
        break;
      default:
        this.#candidacy.onAnswer(from, message);
    }
  }

  wish(reason: string): void {
    if (this.#decided !== null) this.#candidacy.wish(reason);
  }

  // Leaving.

  leave(now: number): void {
    const { swim } = this.#needs;
    swim.leave();
    this.#candidacy.abort();
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

  heldUp(): void {
    this.#voter.closePoll();
    this.#candidacy.heldUp();
  }

  setNow(now: number): void {
    this.#now = now;
    this.#candidacy.setNow(now);
  }

  #base(): Base | null {
    const view = this.#decided;
    if (view === null || this.#needs.swim.wire.leaving || !this.#isVoter()) return null;
    return { view, isBooting: this.#installed === null };
  }

  /** At the end of a step. */
  tick(isRound: boolean, now: number): void {
    if (now >= this.#foundMs) this.#found();
    if (now >= this.#leaveMs) this.#finishLeaving();
    this.#voter.tick(now);
    if (isRound) this.#look();
    this.#candidacy.tick(this.#base(), isRound);
  }
}

function isQuestion(message: ViewMessage): boolean {
  return message.kind === "poll" || message.kind === "prepare" || message.kind === "accept";
}
