/**
 * The delivery machine: which event goes by which path, when it is given to another, and when it is done.
 *
 *   queued ──► manager ──R1──► kept ──R2──► delivered
 *                 │              │
 *     R1 missing, dead,    R2 missing, dead, stuck,
 *     turned away          not relayed
 *                 └──────┬───────┘
 *                        ▼
 *                     direct ──R2──► delivered      direct down or absent ──► peers, as ranked ──R2──► delivered
 *                        │                                                      │ none
 *              refused for good ──► refused                                     ▼
 *                                                                   waits for the first path that comes back
 *
 * One path at a time. A second manager is never tried in parallel: where the first is known dead and another one lives, that
 * one is simply the first choice, as quick as the first would have been; and where R1 or R2 of an event is missing, what fails
 * is perhaps what managers share, so the destination itself is asked at once instead of losing another 3 s and risking a third
 * copy. So each fail-over adds at most one copy at the destination, which is idempotent; a late R2 is counted and harmless.
 * A manager that says it cannot relay is gone around after 2 s; where nothing else works it is given the event all the
 * same, since what it keeps survives this node.
 *
 * Nothing is given up for its age. Memory is O(open events), which the outbox bounds. Where a process was stopped and goes
 * on, what came meanwhile is looked at before anything is declared late.
 */
import { assert } from "../../core/assert.ts";
import type { Prng } from "../runtime/prng.ts";
import {
  failOver,
  giveToOthers,
  markDown,
  onAnswered,
  onDigest,
  onFailed,
  onManagerBack,
  onManagerDead,
  onNotRelayed,
  onReceipt,
  recheck,
  refuseWhatAllRefuse,
} from "./delivery-answers.ts";
import {
  BEATS_MISSED_MS,
  CANNOT_RELAY_MS,
  DEFAULT_TIMING,
  type DeliveryEffect,
  type DeliveryEvent,
  type DeliveryMachine,
  type DeliveryReport,
  type DeliveryTiming,
  type QueuedEvent,
  R2_MS,
} from "./delivery-events.ts";
import type { PathState } from "./delivery-paths.ts";
import type { OpenEvent } from "./delivery-queue.ts";
import { ask, nameOf, probe, pump, spread } from "./delivery-sending.ts";
import { Silence } from "./delivery-silence.ts";
import { DeliveryState, hasTurnedAway } from "./delivery-state.ts";

/** A tick that comes so late means that this process was stopped, not that others were. */
const STALL_MS = 1_000;
/** Then what was received meanwhile is given so long to be looked at. */
const GRACE_MS = 500;
/** A machine that is always slow may not put things off for ever. */
const GRACE_EVERY_MS = 10_000;

export class Delivery implements DeliveryMachine {
  readonly #state: DeliveryState;
  readonly #silence: Silence;
  #graceUntilMs = Number.NEGATIVE_INFINITY;
  #expectedMs = Number.POSITIVE_INFINITY;

  constructor(random: Prng, timing: DeliveryTiming = DEFAULT_TIMING) {
    this.#state = new DeliveryState(random);
    this.#silence = new Silence(timing);
  }

  step(event: DeliveryEvent, nowMs: number): readonly DeliveryEffect[] {
    const state = this.#state;
    assert(nowMs >= state.nowMs || state.nowMs === 0, "time does not go back");
    state.nowMs = nowMs;
    const isLate = nowMs - this.#expectedMs > STALL_MS;
    if (isLate && nowMs - this.#graceUntilMs > GRACE_EVERY_MS)
      this.#graceUntilMs = nowMs + GRACE_MS;
    this.#take(event);
    if (nowMs >= this.#graceUntilMs) this.#passTime();
    probe(state);
    pump(state);
    this.#silence.step(state);
    this.#expectedMs = this.#nextMs();
    return state.takeEffects();
  }

  dueMs(): number {
    return this.#expectedMs;
  }

  report(nowMs: number): DeliveryReport {
    const { waiting, keptCount, events, counts, paths } = this.#state;
    return {
      waitingCount: waiting.count,
      underWayCount: events.size - waiting.count - keptCount,
      keptCount,
      deliveredCount: counts.delivered,
      refusedCount: counts.refused,
      lateCount: counts.late,
      isSilent: this.#silence.isRaised,
      paths: paths.all().map((path) => path.report(nowMs)),
    };
  }

  explain(id: string, nowMs: number): readonly string[] {
    const event = this.#state.events.get(id);
    if (event === undefined) return [];
    const lines = [`${event.place}: ${event.why}`];
    for (const path of this.#state.paths.all()) {
      const { state, why, backoffMs } = path.report(nowMs);
      const avoided = event.avoid?.get(path.key);
      const own = avoided === undefined ? "" : `; this event is ${avoided} there`;
      const again = backoffMs > 0 ? `; tried again in ${Math.ceil(backoffMs / 1_000)} s` : "";
      lines.push(`${nameOf(path.path)}: ${state}, ${why}${again}${own}`);
    }
    return lines;
  }

  #take(event: DeliveryEvent): void {
    const state = this.#state;
    switch (event.kind) {
      case "paths":
        state.paths.configure(event.managers, event.hasDirect, state.nowMs);
        return;
      case "peers":
        state.paths.setPeers(event.names, state.nowMs);
        if (!state.arePeersKnown) refuseWhatAllRefuse(state);
        return;
      case "queued":
        for (const each of event.events) this.#queue(each);
        return;
      case "restored":
        this.#restore(event.events);
        return;
      case "beat":
        this.#hearBeat(event.manager, event.epoch, event.canRelay);
        return;
      case "manager-lost":
        this.#lose(event.manager, event.detail);
        return;
      case "answered":
        onAnswered(state, event);
        return;
      case "digest":
        onDigest(state, event);
        return;
      case "failed":
        onFailed(state, event);
        return;
      case "receipt":
        onReceipt(state, event);
        return;
      case "not-relayed":
        onNotRelayed(state, event);
        return;
      case "try-now":
        this.#tryNow(event.why);
        return;
      case "retry":
        this.#retry(event.event);
        return;
      case "withdrawn":
        this.#withdraw(event.id, event.reason);
        return;
      case "tick":
    }
  }

  #queue(queued: QueuedEvent): void {
    const state = this.#state;
    const event = state.open(queued);
    if (event === null) return;
    state.record(event.id, "queued", null, "durable in the outbox");
    if (queued.isByEveryPath) spread(state, event);
    else state.wait(event, "queued");
  }

  /** The first manager and the destination are asked at once: the quicker one that knows decides. */
  #restore(queued: readonly QueuedEvent[]): void {
    const state = this.#state;
    const events: OpenEvent[] = [];
    for (const each of queued) {
      const event = state.open(each);
      if (event === null) continue;
      state.record(event.id, "restored", null, "found in the outbox at the start");
      events.push(event);
    }
    const { direct, managers } = state.paths;
    const asked = [managers[0] ?? null, direct].filter((path) => path !== null);
    for (const path of asked) ask(state, path, events);
    if (asked.length === 0) for (const event of events) state.wait(event, "queued");
  }

  #hearBeat(manager: string, epoch: string, canRelay: boolean): void {
    const state = this.#state;
    const path = state.paths.manager(manager);
    if (path === undefined) return;
    const wasDown = path.state === "down";
    if (path.beat(epoch, canRelay, state.nowMs)) onManagerBack(state, path);
    if (wasDown && path.state === "up") state.say("event", `${nameOf(path.path)} lives again`);
  }

  #lose(manager: string, detail: string): void {
    const path = this.#state.paths.manager(manager);
    if (path === undefined) return;
    if (this.#state.nowMs < this.#graceUntilMs) {
      // This process was stopped: its beats of meanwhile may still be unread.
      path.lostWhy = detail;
      return;
    }
    path.lostWhy = null;
    // Without beats it is dead to us at once, and its next beat is one of a manager that came back.
    path.beatMs = Number.NEGATIVE_INFINITY;
    onManagerDead(this.#state, path, detail);
  }

  #withdraw(id: string, reason: string): void {
    this.#state.record(id, "folded", null, reason);
    const known = this.#state.events.get(id);
    if (known !== undefined) this.#state.forget(known);
  }

  #tryNow(why: string): void {
    const state = this.#state;
    for (const path of state.paths.all()) {
      path.backoffUntilMs = Math.min(path.backoffUntilMs, state.nowMs);
      path.relayed();
    }
    for (const event of state.events.values()) {
      if (hasTurnedAway(event)) state.forgive(event, "turned-away");
    }
    state.say("detail", `every path is tried now: ${why}`);
  }

  #retry(queued: QueuedEvent): void {
    const state = this.#state;
    const known = state.events.get(queued.id);
    if (known === undefined) {
      const event = state.open(queued);
      if (event === null) return;
      state.record(event.id, "queued", null, "somebody asked for it to be sent again");
      state.wait(event, "asked for");
      return;
    }
    for (const why of ["turned-away", "refused", "held"] as const) state.forgive(known, why);
    if (known.place === "kept") {
      known.keptBy = null;
      state.wait(known, "asked for");
    }
    for (const path of state.paths.all()) {
      path.backoffUntilMs = Math.min(path.backoffUntilMs, state.nowMs);
    }
  }

  #passTime(): void {
    const state = this.#state;
    const { nowMs } = state;
    for (const { number, dueMs, kind, path } of [...state.requests.values()]) {
      if (nowMs < dueMs) continue;
      const isManager = path.path.kind === "manager";
      const seconds = kind === "send" && isManager ? "after 3 s" : "";
      const failed = { kind: "failed", request: number, failure: "no-answer" } as const;
      onFailed(state, { ...failed, detail: seconds, retryAfterMs: null });
    }
    for (const path of state.paths.managers) {
      if (path.lostWhy !== null) this.#lose(path.path.name, path.lostWhy);
      this.#watch(path);
    }
    for (;;) {
      const event = state.due.take(nowMs);
      if (event === null) return;
      if (event.place === "kept") this.#missR2(event);
      else state.forgive(event, "turned-away");
    }
  }

  #watch(path: PathState): void {
    const state = this.#state;
    const { nowMs } = state;
    if (path.state !== "down" && nowMs - path.beatMs > BEATS_MISSED_MS) {
      onManagerDead(state, path, "no beat for 3 s");
    }
    const isStuck = path.cannotRelayMs !== null && nowMs - path.cannotRelayMs >= CANNOT_RELAY_MS;
    if (isStuck && !path.isSkirted) {
      path.isSkirted = true;
      state.say("event", `${nameOf(path.path)} is gone around: ${path.whyStuck(nowMs)}`);
      giveToOthers(state, path, path.whyStuck(nowMs));
    }
    const isAlive = path.state !== "down";
    if (path.recheckMs !== null && nowMs >= path.recheckMs && isAlive) recheck(state, path);
  }

  #missR2(event: OpenEvent): void {
    const state = this.#state;
    const path = event.keptBy === null ? undefined : state.paths.get(event.keptBy);
    if (path === undefined) {
      event.keptBy = null;
      state.wait(event, "whoever kept it is configured no more");
      return;
    }
    path.relayFailed(state.nowMs, state.random);
    const why = `R2 is missing after ${R2_MS / 1_000} s`;
    if (path.path.kind === "peer") markDown(state, path, why);
    failOver(state, event, path, why);
  }

  #nextMs(): number {
    const state = this.#state;
    const { nowMs, paths } = state;
    let due = Math.min(state.due.dueMs(), this.#silence.dueMs(state));
    for (const request of state.requests.values()) due = Math.min(due, request.dueMs);
    for (const path of paths.managers) {
      // A fraction more: silence is longer than three beats, not as long.
      if (path.state !== "down") due = Math.min(due, path.beatMs + BEATS_MISSED_MS + 1);
      if (path.cannotRelayMs !== null && !path.isSkirted) {
        due = Math.min(due, path.cannotRelayMs + CANNOT_RELAY_MS);
      }
      if (path.recheckMs !== null && path.state !== "down") due = Math.min(due, path.recheckMs);
    }
    due = Math.min(due, paths.dueMs(nowMs, state.waiting.count > 0));
    return Math.max(due, this.#graceUntilMs);
  }
}
