/**
 * The membership of one node behind one step function: failure detection (`swim.ts`) and agreed views (`views.ts`).
 *
 * Pure: reads no clock, draws from the given generator, asks the world for everything by effects. Time inside is the
 * time this node was awake: when a step comes later than it was due, the difference is taken out of every timer, so a
 * node that was stopped for five seconds finds its probes and suspicions as it left them, reads what has come in
 * meanwhile, and accuses no one.
 */
import { assert } from "../../core/assert.ts";
import type { Prng } from "../runtime/prng.ts";
import { Journal } from "./journal.ts";
import type { Member, Standing, View } from "./membership.ts";
import type {
  MemberStatus,
  MembershipConfig,
  MembershipEffect,
  MembershipEvent,
  OwnHealth,
  SavedMembership,
} from "./membership-events.ts";
import { Outbox } from "./outbox.ts";
import type { Endpoint } from "./packet.ts";
import { isSendable } from "./packet-codec.ts";
import { NEVER, type Peer } from "./peers.ts";
import { Swim } from "./swim.ts";
import { assertTiming, DEFAULT_TIMING, type MembershipTiming } from "./timing.ts";
import { Views } from "./views.ts";

export class Membership {
  readonly #config: MembershipConfig;
  readonly #timing: MembershipTiming;
  readonly #outbox: Outbox = new Outbox();
  readonly #journal: Journal;
  readonly #swim: Swim;
  readonly #views: Views;
  #state: "new" | "starting" | "running" = "new";
  /** Time that passed while this node did not run, taken out of the inner clock. */
  #stolenMs = 0;
  #innerMs: number = NEVER;
  #stalls = 0;

  /** Throws when `saved` belongs to another id: the shell has to check that and say so. */
  constructor(config: MembershipConfig, saved: SavedMembership | null, prng: Prng) {
    assert(saved === null || saved.id === config.id, "the saved state belongs to another id");
    this.#config = config;
    this.#timing = config.timing ?? DEFAULT_TIMING;
    assertTiming(this.#timing);
    const self: Member = {
      id: config.id,
      instance: saved?.instance ?? config.instance,
      incarnation: (saved?.incarnation ?? 0) + 1,
      address: config.address,
      port: config.port,
      role: config.role,
    };
    assert(isSendable(self), "id, instance, address or port cannot be sent");
    this.#journal = new Journal(this.#outbox);
    this.#swim = new Swim(self, this.#timing, prng, this.#outbox);
    this.#views = new Views({
      swim: this.#swim,
      outbox: this.#outbox,
      journal: this.#journal,
      timing: this.#timing,
      prng: prng.fork("views"),
      saved,
    });
  }

  step(event: MembershipEvent, nowMs: number): readonly MembershipEffect[] {
    if (this.#views.hasLeft()) return this.#outbox.take();
    const now = this.#innerTime(nowMs);
    if (this.#state === "running") this.#handle(event, now);
    else this.#begin(event);
    if (this.#state === "running") {
      const isRound = this.#swim.tick(now);
      this.#views.tick(isRound, now);
      this.#swim.flush(now);
    }
    this.#journal.flush(() => this.#views.savedState());
    return this.#outbox.take();
  }

  /** Never goes back. What a step is late by is not counted as time. */
  #innerTime(nowMs: number): number {
    const dueMs = this.#innerDueMs();
    const lateMs = nowMs - (dueMs + this.#stolenMs);
    // A step that is due is due inside too: adding and subtracting fractions must not lose the last bit.
    const atLeastMs = lateMs >= 0 ? dueMs : NEVER;
    const isLate = lateMs > this.#timing.lateToleranceMs && this.#state === "running";
    if (isLate) this.#stolenMs += lateMs;
    const now = Math.max(this.#innerMs, nowMs - this.#stolenMs, atLeastMs);
    this.#innerMs = now;
    this.#views.setNow(now);
    if (isLate && lateMs >= this.#timing.stallMs) this.#heldUp(lateMs, now);
    else if (isLate) this.#swim.late(lateMs, now);
    return now;
  }

  #heldUp(lateMs: number, now: number): void {
    this.#stalls++;
    this.#outbox.log("warn", `this agent was held up for ${Math.round(lateMs)} ms`);
    this.#swim.heldUp(now);
    this.#views.heldUp();
  }

  #begin(event: MembershipEvent): void {
    if (event.kind === "start" && this.#state === "new") {
      this.#state = "starting";
      const { seeds } = event;
      this.#views.announceFreeze();
      // The incarnation is on disk before anybody hears it.
      this.#journal.write(() => this.#run(seeds));
    } else if (event.kind === "persisted") this.#journal.persisted(event.token);
  }

  #run(seeds: readonly Endpoint[]): void {
    this.#state = "running";
    const { address, port, found } = this.#config;
    const others = seeds.filter((seed) => seed.address !== address || seed.port !== port);
    this.#views.start(found, others.length, this.#innerMs);
    this.#swim.start(others, this.#innerMs);
  }

  #handle(event: MembershipEvent, now: number): void {
    switch (event.kind) {
      case "packet": {
        const peer = this.#swim.onPacket(event.from, event.packet, now);
        if (peer !== null) this.#views.heardEpoch(event.packet.epoch, peer.member);
        break;
      }
      case "message":
        this.#views.onMessage(event.from, event.message, now);
        break;
      case "link-opened":
        this.#swim.linkOpened(event.peer, now);
        break;
      case "link-closed":
        this.#swim.linkClosed(event.peer, now);
        break;
      case "link-refused":
        this.#swim.linkRefused(event.peer, now);
        break;
      case "tcp-checked":
        this.#swim.probes.onTcp(event.token, event.outcome, now);
        break;
      case "persisted":
        this.#journal.persisted(event.token);
        break;
      case "want-epoch":
        this.#views.wish(event.reason);
        break;
      case "leave":
        this.#views.leave(now);
        break;
      case "start":
      case "tick":
        break;
    }
  }

  /** Absolute time at which a tick is wanted; Infinity before the start and after leaving. */
  dueMs(): number {
    return this.#innerDueMs() + this.#stolenMs;
  }

  #innerDueMs(): number {
    if (this.#state !== "running" || this.#views.hasLeft()) return Number.POSITIVE_INFINITY;
    return Math.min(this.#swim.dueMs(), this.#views.dueMs());
  }

  /** This node as it shows itself in this run. */
  self(): Member {
    return this.#swim.wire.self;
  }

  /** The newest view this node told of by a `view` effect; null before the first of this run. */
  view(): View | null {
    return this.#views.view();
  }

  /** Why this node may not act, or null. */
  frozen(): string | null {
    return this.#views.frozen();
  }

  members(): readonly MemberStatus[] {
    const { wire, peers } = this.#swim;
    const view = this.#views.decided();
    const isInView = view?.members.some((member) => member.instance === wire.self.instance);
    const own: MemberStatus = {
      member: wire.self,
      standing: wire.leaving ? "left" : "alive",
      reason: "this node",
      inView: isInView ?? false,
      epoch: wire.epoch,
      answeredAgoMs: null,
      rebuttal: wire.rebuttal,
      suspicion: null,
    };
    return [own, ...[...peers.all()].map((peer) => this.#status(peer))];
  }

  #status(peer: Peer): MemberStatus {
    const now = this.#innerMs;
    const { suspicion } = peer;
    const standing: Standing =
      peer.standing === "unreachable" && !peer.inView ? "dead" : peer.standing;
    return {
      member: peer.member,
      standing,
      reason: peer.reason,
      inView: peer.inView,
      epoch: peer.epoch,
      answeredAgoMs: peer.answeredMs === NEVER ? null : now - peer.answeredMs,
      rebuttal: peer.rebuttal,
      suspicion:
        suspicion === null
          ? null
          : {
              confirmedBy: [...suspicion.accusers()],
              verdictInMs: Math.max(0, suspicion.verdictMs() - now),
            },
    };
  }

  health(): OwnHealth {
    return { awareness: this.#swim.awareness.score(), stalls: this.#stalls };
  }
}
