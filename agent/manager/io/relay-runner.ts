/**
 * Runs the relay: asks the destination, and writes down what became of events, until it is stopped.
 *
 * The decisions are `relay.ts`'s. Here are the bytes of what is held, the requests, the leases, and the settlements that wait
 * for the store: these are tried again until they are written, since the destination's answer is worth keeping. Bounded by
 * `HELD_MAX` events; while settlements wait beyond it, nothing new is taken.
 */
import type { Result } from "../../../core/result.ts";
import {
  askJson,
  type Caller,
  type CallFailure,
  postDigest,
  type Target,
} from "../../callhome/io/parcels-client.ts";
import {
  PARCELS_PATH,
  type ParcelResult,
  type ParcelsAnswer,
  parcelsAnswerSchema,
} from "../../callhome/protocol.ts";
import { faultOfReceipt } from "../../callhome/receipt-check.ts";
import type { Principal, Verifier } from "../../identity/identity.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { Prng } from "../../runtime/prng.ts";
import { Relay } from "../relay.ts";
import {
  HELD_MAX,
  type RelayEffect,
  type RelayEvent,
  type RelayItem,
  type RelayReport,
  type RelayResult,
} from "../relay-events.ts";
import type { RelayTaker } from "./intake.ts";
import type { Settlement } from "./settle-tables.ts";
import type { Store } from "./store.ts";

/** With several managers one that died is followed after so long; each renews in a third of it. */
const SHARED_LEASE_MS = 15_000;
/** Of one that has its store for itself: cleared when it starts. */
const LONE_LEASE_MS: number = 1_000 * 24 * 3_600_000;
/** Other managers' events, and what their death left behind, are looked for so often. */
const LOOK_MS = 1_000;
const RETRY_STORE_MS = 500;
const SETTLE_MAX = 512;

export interface RelayParts {
  readonly store: Store;
  readonly caller: Caller;
  readonly destination: Target;
  /** Of receipts. */
  readonly verifier: Verifier;
  readonly principal: Principal;
  readonly owner: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: Prng;
  /** Something was settled. */
  readonly onChange: () => void;
  readonly onCanRelay: (canRelay: boolean, why: string, name: string | null) => void;
  readonly onAnswer: (destination: string) => void;
  readonly onRelayed: (kind: "delivered" | "not-relayed", lagMs: number | null) => void;
}

export function leaseMsOf(store: Store): number {
  return store.kind === "postgres" ? SHARED_LEASE_MS : LONE_LEASE_MS;
}

interface Held {
  readonly seq: number;
  readonly parcel: string;
}

export class RelayRunner implements RelayTaker {
  readonly #parts: RelayParts;
  readonly #machine: Relay;
  readonly #held = new Map<string, Held>();
  readonly #underWay = new Set<Promise<void>>();
  #settlements: Settlement[] = [];
  #isSettling = false;
  #timer: Timer | null = null;
  #look: Timer | null = null;
  #renew: Timer | null = null;
  #isStopped = false;
  #destinationName: string | null = null;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#machine = new Relay(parts.random);
  }

  begin(): void {
    this.#step({ kind: "start" });
    if (this.#parts.store.kind === "postgres") {
      this.#lookAround();
      this.#renewLeases();
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of [this.#timer, this.#look, this.#renew]) timer?.end();
    await Promise.all(this.#underWay);
    await this.#writeSettlements();
    await this.#parts.store.releaseOwner(this.#parts.owner);
  }

  report(): RelayReport {
    return this.#machine.report(this.#parts.clock.nowMs());
  }

  room(): number {
    if (this.#isStopped) return 0;
    return Math.max(0, this.#machine.room() - this.#settlements.length);
  }

  take(items: readonly (RelayItem & { readonly parcel: string })[]): void {
    for (const { id, seq, parcel } of items) this.#held.set(id, { seq, parcel });
    this.#step({ kind: "queued", items });
  }

  more(): void {
    this.#step({ kind: "more" });
  }

  withdraw(ids: readonly string[]): void {
    for (const id of ids) this.#held.delete(id);
    this.#step({ kind: "withdrawn", ids });
  }

  #step(event: RelayEvent): void {
    if (this.#isStopped) return;
    const nowMs = this.#parts.clock.nowMs();
    for (const effect of this.#machine.step(event, nowMs)) this.#do(effect);
    this.#timer?.end();
    const dueMs = this.#machine.dueMs();
    if (dueMs === Number.POSITIVE_INFINITY) return;
    const delayMs = Math.max(1, dueMs - this.#parts.clock.nowMs());
    this.#timer = this.#parts.clock.after(delayMs, () => this.#step({ kind: "tick" }));
  }

  #do(effect: RelayEffect): void {
    switch (effect.kind) {
      case "claim":
        this.#run(this.#claim(effect.countMax));
        return;
      case "send":
        this.#run(this.#send(effect));
        return;
      case "ask-digest":
        this.#run(this.#ask(effect));
        return;
      case "settle":
        this.#settle(effect);
        return;
      case "release":
        this.#run(this.#release(effect.ids));
        return;
      case "can-relay":
        this.#parts.onCanRelay(effect.canRelay, effect.why, this.#destinationName);
        return;
      case "say":
        this.#parts.log.say(effect.level, effect.text);
        return;
      default:
        effect satisfies never;
    }
  }

  #run(work: Promise<void>): void {
    this.#underWay.add(work);
    const done = (): void => {
      this.#underWay.delete(work);
    };
    work.then(done, (cause: unknown) => {
      done();
      const detail = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
      this.#parts.log.say("fault", `defect of the relay: ${detail}`);
    });
  }

  async #claim(countMax: number): Promise<void> {
    const { store, owner } = this.#parts;
    const room = Math.max(0, countMax - this.#settlements.length);
    const lease = { owner, leaseMs: leaseMsOf(store) };
    const claimed = room === 0 ? null : await store.claim(lease, room);
    if (claimed === null || !claimed.ok) {
      await this.#rest(RETRY_STORE_MS);
      this.#step({ kind: "claimed", items: [], isAll: false });
      return;
    }
    for (const { id, seq, envelope, trail } of claimed.value) {
      this.#held.set(id, { seq, parcel: `{"id":"${id}","envelope":${envelope},"trail":${trail}}` });
    }
    this.#step({ kind: "claimed", items: claimed.value, isAll: claimed.value.length < room });
  }

  async #send({ request, ids, timeoutMs }: Extract<RelayEffect, { kind: "send" }>): Promise<void> {
    const { caller, destination } = this.#parts;
    const parcels = ids.flatMap((id) => this.#held.get(id)?.parcel ?? []);
    const answer: Result<ParcelsAnswer, CallFailure> = await askJson(caller, {
      target: destination,
      path: PARCELS_PATH,
      method: "POST",
      body: `{"parcels":[${parcels.join(",")}]}`,
      schema: parcelsAnswerSchema,
      timeoutMs,
    });
    if (!answer.ok) {
      this.#step(failedEvent(request, answer.error));
      return;
    }
    this.#heard(answer.value.name);
    const results = answer.value.results.map((result) => this.#resultOf(result));
    this.#step({ kind: "answered", request, results });
  }

  #resultOf(result: ParcelResult): RelayResult {
    const { id } = result;
    if (result.kind === "kept") {
      return { id, kind: "turned-away", reason: "the destination has not made a ticket yet" };
    }
    if (result.kind === "refused") {
      const { reason, isPermanent } = result;
      return { id, kind: isPermanent ? "refused" : "turned-away", reason };
    }
    const { verifier, principal } = this.#parts;
    const { receipt } = result;
    const fault =
      receipt.id === id
        ? faultOfReceipt(receipt, verifier, principal.cluster)
        : "the receipt is of another event";
    if (fault === null) return { id, kind: "delivered", receipt };
    return { id, kind: "turned-away", reason: fault };
  }

  async #ask({
    request,
    ids,
    timeoutMs,
  }: Extract<RelayEffect, { kind: "ask-digest" }>): Promise<void> {
    const { caller, destination, verifier, principal, log } = this.#parts;
    const answer = await postDigest(caller, destination, ids, timeoutMs);
    if (!answer.ok) {
      this.#step(failedEvent(request, answer.error));
      return;
    }
    const states = answer.value.states.map(({ id, receipt }) => {
      const fault = receipt === null ? null : faultOfReceipt(receipt, verifier, principal.cluster);
      if (fault !== null) log.say("fault", fault);
      const isGood = receipt !== null && fault === null && receipt.id === id;
      return { id, receipt: isGood ? receipt : null };
    });
    this.#step({ kind: "digest", request, states });
  }

  #heard(name: string): void {
    this.#destinationName = name;
    this.#parts.onAnswer(name);
  }

  #settle({ id, outcome }: Extract<RelayEffect, { kind: "settle" }>): void {
    const atMs = this.#parts.clock.wallMs();
    const destination = this.#destinationName;
    if (outcome.kind === "delivered") {
      const { receipt, path } = outcome;
      this.#settlements.push({ id, atMs, outcome: { kind: "delivered", receipt, path } });
    } else {
      const { kind, reason } = outcome;
      const line = reason.slice(0, 500);
      this.#settlements.push({ id, atMs, outcome: { kind, reason: line, destination } });
    }
    if (outcome.kind !== "failed") this.#held.delete(id);
    if (!this.#isSettling) this.#run(this.#writeSettlements());
  }

  async #writeSettlements(): Promise<void> {
    if (this.#isSettling) return;
    this.#isSettling = true;
    try {
      // Those of the same turn of the event loop share a transaction.
      await Promise.resolve();
      while (this.#settlements.length > 0) {
        const batch = this.#settlements.slice(0, SETTLE_MAX);
        const settled = await this.#parts.store.settle(batch);
        if (settled.ok) {
          this.#settlements = this.#settlements.slice(batch.length);
          for (const { kind, arrivedMs } of settled.value) {
            if (kind === "failed") continue;
            this.#parts.onRelayed(kind, this.#parts.clock.wallMs() - arrivedMs);
          }
          this.#parts.onChange();
        } else if (this.#isStopped) return;
        else await this.#rest(RETRY_STORE_MS);
      }
    } finally {
      this.#isSettling = false;
    }
  }

  async #release(ids: readonly string[]): Promise<void> {
    const { store, owner } = this.#parts;
    const seqs = ids.flatMap((id) => this.#held.get(id)?.seq ?? []);
    for (const id of ids) this.#held.delete(id);
    // One that cannot be released runs out by itself, or is cleared by the next start.
    while (!(await store.releaseSome(owner, seqs)).ok && !this.#isStopped) {
      await this.#rest(RETRY_STORE_MS);
    }
    this.#step({ kind: "more" });
  }

  #lookAround(): void {
    this.#look = this.#parts.clock.after(LOOK_MS, () => {
      this.#step({ kind: "more" });
      this.#lookAround();
    });
  }

  #renewLeases(): void {
    this.#renew = this.#parts.clock.after(SHARED_LEASE_MS / 3, () => {
      this.#run(this.#renewOnce());
    });
  }

  async #renewOnce(): Promise<void> {
    const { store, owner } = this.#parts;
    const held = [...this.#held].slice(0, HELD_MAX);
    if (held.length > 0) {
      const lease = { owner, leaseMs: SHARED_LEASE_MS };
      const renewed = await store.renew(
        lease,
        held.map(([, { seq }]) => seq),
      );
      if (renewed.ok) {
        const ours = new Set(renewed.value);
        // Settled by us a moment ago is not lost: the machine passes over ids that it does not hold.
        this.withdraw(held.filter(([, { seq }]) => !ours.has(seq)).map(([id]) => id));
      }
    }
    if (!this.#isStopped) this.#renewLeases();
  }

  #rest(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.clock.after(delayMs, resolve);
    });
  }
}

function failedEvent(request: number, failure: CallFailure): RelayEvent {
  const status = /answers (\d{3})/.exec(failure.detail)?.[1];
  return {
    kind: "failed",
    request,
    failure: failure.failure,
    status: status === undefined ? null : Number(status),
    detail: failure.detail,
    retryAfterMs: failure.retryAfterMs,
  };
}
