/**
 * The relay: what a manager keeps goes to the destination, once if it can be helped, the gravest first.
 *
 *        start ─► asking ──digest──► up ──failure──► down ──back-off ends──► asking …
 *
 * Decides what is asked and sent when, and what became of it. Does not store, send or verify. Invariants: nothing is sent that the
 * destination may have already without asking it first (what was found in the store, what a failed request may have brought,
 * what waited long); while the link is down nothing waits here, so that another manager may relay it; an event is settled once.
 * One event that the destination cannot take does not hold up the others: batches shrink to single events, which wait alone.
 */
import type { Prng } from "../runtime/prng.ts";
import {
  BACKOFF_MS_MAX,
  BACKOFF_MS_MIN,
  CHECK_HOLDS_MS,
  DIGEST_MAX,
  DIGEST_TIMEOUT_MS,
  HELD_MAX,
  IDLE_PROBE_MS,
  type RelayEffect,
  type RelayEvent,
  type RelayItem,
  type RelayOutcome,
  type RelayReport,
  type RelayResult,
  type RelayState,
  SEND_MAX,
  SEND_TIMEOUT_MS,
  SENDS_UNDER_WAY_MAX,
} from "./relay-events.ts";
import { type HeldItem, RelayQueue } from "./relay-queue.ts";

const NEVER = Number.NEGATIVE_INFINITY;
/** A single event that fails so often with an answer is not a broken link. */
const LONE_FAILURES = 2;
/** So many requests failed one after the other: then it is the link all the same. */
const FAILED_SENDS = 3;

type Failed = Extract<RelayEvent, { readonly kind: "failed" }>;

type Link = "asking" | "up" | "down";

interface Request {
  readonly kind: "send" | "digest";
  readonly items: readonly HeldItem[];
}

/** Uniform in 0 … the bound that doubles with each failure (full jitter), so that managers do not knock in step. */
function backoffMs(failures: number, random: Prng): number {
  const bound = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(20, failures - 1));
  return random.unit() * bound;
}

export class Relay {
  readonly #random: Prng;
  readonly #queue = new RelayQueue();
  readonly #requests = new Map<number, Request>();
  #link: Link = "asking";
  #why = "the destination was not asked yet";
  #failures = 0;
  #retryMs = 0;
  #nextRequest = 1;
  #isClaiming = false;
  #mayHaveMore = true;
  #sendMax = SEND_MAX;
  #heardMs = NEVER;
  #failedSends = 0;
  readonly #troubles = new Map<string, number>();
  #nowMs = NEVER;
  #effects: RelayEffect[] = [];

  constructor(random: Prng) {
    this.#random = random;
  }

  /** How many newly kept events it takes at once. */
  room(): number {
    return this.#link === "up" ? Math.max(0, HELD_MAX - this.#queue.held) : 0;
  }

  step(event: RelayEvent, nowMs: number): readonly RelayEffect[] {
    this.#effects = [];
    this.#hear(event, nowMs);
    this.#go(nowMs);
    this.#nowMs = nowMs;
    return this.#effects;
  }

  /** When it wants its next `tick`; Infinity: never. */
  dueMs(): number {
    if (this.#link === "down") return this.#retryMs;
    if (this.#link === "asking") return Number.POSITIVE_INFINITY;
    const idle = this.#requests.size === 0 ? this.#heardMs + IDLE_PROBE_MS : Infinity;
    return Math.min(
      idle,
      this.#queue.waiting === 0 ? Infinity : this.#queue.nextDueMs(this.#nowMs),
    );
  }

  report(nowMs: number): RelayReport {
    return {
      canRelay: this.#link === "up",
      why: this.#why,
      held: this.#queue.held,
      underWay: this.#queue.held - this.#queue.waiting,
      retryMs: this.#link === "down" ? Math.max(0, this.#retryMs - nowMs) : 0,
    };
  }

  #hear(event: RelayEvent, nowMs: number): void {
    switch (event.kind) {
      case "start":
      case "tick":
        return;
      case "more":
        this.#mayHaveMore = true;
        return;
      case "queued":
        this.#takeIn(event.items, nowMs, this.#link === "up" ? nowMs : NEVER);
        return;
      case "claimed":
        this.#isClaiming = false;
        // Never unset here: what was released, or told of, after the store looked is not in its answer.
        if (!event.isAll) this.#mayHaveMore = true;
        this.#takeIn(event.items, nowMs, NEVER);
        return;
      case "answered":
        this.#onAnswered(event.request, event.results, nowMs);
        return;
      case "digest":
        this.#onDigest(event.request, event.states, nowMs);
        return;
      case "failed":
        this.#onFailed(event, nowMs);
        return;
      case "withdrawn":
        for (const id of event.ids) this.#queue.forget(id);
        return;
      default:
        event satisfies never;
    }
  }

  #takeIn(items: readonly RelayItem[], nowMs: number, checkedMs: number): void {
    if (this.#link === "down") {
      // It went down while they came.
      if (items.length > 0) this.#emit({ kind: "release", ids: items.map(({ id }) => id) });
      this.#mayHaveMore = true;
      return;
    }
    for (const item of items) this.#queue.add(item, checkedMs, nowMs);
  }

  #onAnswered(request: number, results: readonly RelayResult[], nowMs: number): void {
    const sent = this.#requests.get(request);
    if (sent === undefined) return;
    this.#requests.delete(request);
    this.#heardMs = nowMs;
    this.#failedSends = 0;
    this.#sendMax = Math.min(SEND_MAX, this.#sendMax * 2);
    const byId = new Map(results.map((result) => [result.id, result]));
    for (const item of sent.items) {
      const result = byId.get(item.id);
      if (this.#queue.get(item.id) !== item) continue;
      if (result?.kind === "delivered") {
        this.#settle(item, { kind: "delivered", receipt: result.receipt, path: "manager" });
      } else if (result?.kind === "refused") {
        this.#settle(item, { kind: "not-relayed", reason: result.reason });
      } else {
        this.#putOff(item, result?.reason ?? "the destination's answer does not name it", nowMs);
      }
    }
  }

  #onDigest(request: number, states: readonly RelayState[], nowMs: number): void {
    const asked = this.#requests.get(request);
    if (asked === undefined) return;
    this.#requests.delete(request);
    this.#heardMs = nowMs;
    if (this.#link !== "up") this.#rise();
    const byId = new Map(states.map((state) => [state.id, state]));
    for (const item of asked.items) {
      if (this.#queue.get(item.id) !== item) continue;
      const receipt = byId.get(item.id)?.receipt ?? null;
      if (receipt !== null) {
        // What we sent ourselves, and whose answer was lost, came by us.
        this.#settle(item, { kind: "delivered", receipt, path: item.wasSent ? "manager" : null });
      } else {
        item.checkedMs = nowMs;
        this.#queue.wait(item);
      }
    }
  }

  #onFailed(failed: Failed, nowMs: number): void {
    const request = this.#requests.get(failed.request);
    if (request === undefined) return;
    this.#requests.delete(failed.request);
    const items = request.items.filter((item) => this.#queue.get(item.id) === item);
    if (request.kind === "digest") for (const item of items) this.#queue.wait(item);
    const isOfEvent = request.kind === "send" && this.#onSendFailed(failed, items, nowMs);
    if (!isOfEvent) this.#fall(failed.detail, failed.retryAfterMs, nowMs);
  }

  /** True: it was the fault of what was sent, not of the link. */
  #onSendFailed(failed: Failed, items: readonly HeldItem[], nowMs: number): boolean {
    const { failure, status, detail } = failed;
    this.#failedSends++;
    for (const item of items) {
      item.checkedMs = NEVER;
      item.wasSent = item.wasSent || failure !== "unreachable";
      this.#note(item, detail);
      this.#queue.wait(item);
    }
    if (failure !== "rejected") return false;
    this.#sendMax = Math.max(1, Math.floor(this.#sendMax / 4));
    const isNotUnderstood = status === 400 || status === 413 || status === 422;
    const [lone] = items.length === 1 ? this.#queue.takeThis(items[0]) : [];
    // Not understood as a whole: the parts are tried.
    if (lone === undefined) return isNotUnderstood;
    if (isNotUnderstood) {
      this.#settle(lone, { kind: "not-relayed", reason: detail });
      return true;
    }
    const troubles = this.#trouble(lone.id);
    const isLoneFault = troubles > LONE_FAILURES && this.#failedSends <= FAILED_SENDS;
    if (isLoneFault) this.#putOff(lone, detail, nowMs);
    else this.#queue.wait(lone);
    return isLoneFault;
  }

  /** How often that event alone has failed, over losses of the link too. */
  #trouble(id: string): number {
    const count = (this.#troubles.get(id) ?? 0) + 1;
    this.#troubles.delete(id);
    this.#troubles.set(id, count);
    const oldest = this.#troubles.size > HELD_MAX ? this.#troubles.keys().next() : null;
    if (oldest?.done === false) this.#troubles.delete(oldest.value);
    return count;
  }

  #note(item: HeldItem, reason: string): void {
    if (!item.isNoted) this.#emit(settle(item, { kind: "failed", reason }));
    item.isNoted = true;
  }

  #rise(): void {
    const wasDown = this.#failures > 0;
    this.#link = "up";
    this.#failures = 0;
    this.#why = "the destination answers";
    this.#mayHaveMore = true;
    this.#emit({ kind: "can-relay", canRelay: true, why: this.#why });
    this.#say("event", `the destination ${wasDown ? "answers again" : "answers"}`);
  }

  #fall(detail: string, retryAfterMs: number | null, nowMs: number): void {
    // What else was under way fails with it: one failure of the link, not several.
    if (this.#link === "down") return;
    const wasKnown = this.#link === "asking" && this.#failures > 0;
    this.#failures++;
    this.#link = "down";
    this.#why = detail;
    const waitMs = Math.max(retryAfterMs ?? 0, backoffMs(this.#failures, this.#random));
    this.#retryMs = nowMs + waitMs;
    this.#emit({ kind: "can-relay", canRelay: false, why: detail });
    if (wasKnown) this.#say("detail", `still nothing can be relayed: ${detail}`);
    else this.#say("fault", `nothing can be relayed: ${detail}; events are kept, nodes go around`);
  }

  /** One that is not taken now waits by itself. */
  #putOff(item: HeldItem, reason: string, nowMs: number): void {
    item.failures++;
    item.checkedMs = NEVER;
    item.wasSent = true;
    item.dueMs = nowMs + BACKOFF_MS_MIN + backoffMs(item.failures + 2, this.#random);
    this.#note(item, reason);
    this.#say("detail", `event ${item.id.slice(0, 12)} is not taken now: ${reason}`);
    this.#queue.wait(item);
  }

  #settle(item: HeldItem, outcome: RelayOutcome): void {
    this.#queue.forget(item.id);
    this.#troubles.delete(item.id);
    this.#emit(settle(item, outcome));
    if (outcome.kind === "not-relayed") {
      this.#say("fault", `event ${item.id.slice(0, 12)} is not relayed: ${outcome.reason}`);
    }
  }

  /** Everything that can be begun now. */
  #go(nowMs: number): void {
    if (this.#link === "down") {
      this.#releaseAll();
      if (nowMs < this.#retryMs) return;
      this.#link = "asking";
    }
    this.#askDigest(nowMs);
    if (this.#link !== "up") return;
    this.#send(nowMs);
    const room = HELD_MAX - this.#queue.held;
    if (this.#mayHaveMore && !this.#isClaiming && room >= HELD_MAX / 2) {
      this.#isClaiming = true;
      this.#mayHaveMore = false;
      this.#emit({ kind: "claim", countMax: room });
    }
  }

  #askDigest(nowMs: number): void {
    for (const { kind } of this.#requests.values()) if (kind === "digest") return;
    const items = this.#queue.take(DIGEST_MAX, nowMs, (item) => !isChecked(item, nowMs));
    const isIdle = this.#requests.size === 0 && nowMs - this.#heardMs >= IDLE_PROBE_MS;
    if (items.length === 0 && this.#link === "up" && !isIdle) return;
    const request = this.#begin("digest", items);
    const ids = items.map(({ id }) => id);
    this.#emit({ kind: "ask-digest", request, ids, timeoutMs: DIGEST_TIMEOUT_MS });
  }

  #send(nowMs: number): void {
    let sends = 0;
    for (const { kind } of this.#requests.values()) if (kind === "send") sends++;
    for (; sends < SENDS_UNDER_WAY_MAX; sends++) {
      const items = this.#queue.take(this.#sendMax, nowMs, (item) => isChecked(item, nowMs));
      if (items.length === 0) return;
      const request = this.#begin("send", items);
      const ids = items.map(({ id }) => id);
      this.#emit({ kind: "send", request, ids, timeoutMs: SEND_TIMEOUT_MS });
    }
  }

  #releaseAll(): void {
    const dropped = this.#queue.dropWaiting();
    if (dropped.length === 0) return;
    this.#mayHaveMore = true;
    this.#emit({ kind: "release", ids: dropped.map(({ id }) => id) });
  }

  #begin(kind: Request["kind"], items: readonly HeldItem[]): number {
    const request = this.#nextRequest++;
    this.#requests.set(request, { kind, items });
    return request;
  }

  #emit(effect: RelayEffect): void {
    this.#effects.push(effect);
  }

  #say(level: "fault" | "event" | "detail", text: string): void {
    this.#emit({ kind: "say", level, text });
  }
}

function settle(item: HeldItem, outcome: RelayOutcome): RelayEffect {
  return { kind: "settle", id: item.id, outcome };
}

function isChecked(item: HeldItem, nowMs: number): boolean {
  return nowMs - item.checkedMs < CHECK_HOLDS_MS;
}
