/**
 * What the delivery machine remembers, and the few changes that all of its parts make in the same way: opening, moving and closing
 * an event, and saying so.
 *
 * Invariant: an open event is in exactly one place: it waits in a class, or is in requests, or is kept by a manager and due,
 * or is asked about. What is closed leaves nothing behind but its id, for a while, to know a late receipt.
 */
import { assert } from "../../core/assert.ts";
import type { Prng } from "../runtime/prng.ts";
import type { ClosedAs, DeliveryEffect, Path, QueuedEvent, StepKind } from "./delivery-events.ts";
import { backoffMs, PathBook, type PathState } from "./delivery-paths.ts";
import { type AvoidWhy, type OpenEvent, WaitingEvents } from "./delivery-queue.ts";
import { DueHeap } from "./due-heap.ts";
import type { Receipt } from "./protocol.ts";

export interface Request {
  readonly number: number;
  readonly kind: "send" | "digest";
  readonly path: PathState;
  readonly ids: readonly string[];
  readonly sentMs: number;
  dueMs: number;
}

/** Closed ids that are remembered, to tell a late receipt from one that was never ours. */
const CLOSED_MAX = 10_000;
/** Requests whose time had passed, to tell whose late answer it is. */
const EXPIRED_MAX = 64;

export interface Counts {
  delivered: number;
  refused: number;
  late: number;
}

export class DeliveryState {
  readonly paths: PathBook = new PathBook();
  readonly events: Map<string, OpenEvent> = new Map();
  readonly waiting: WaitingEvents = new WaitingEvents();
  readonly due: DueHeap<OpenEvent> = new DueHeap();
  readonly requests: Map<number, Request> = new Map();
  readonly expired: Map<number, Request> = new Map();
  readonly counts: Counts = { delivered: 0, refused: 0, late: 0 };
  readonly random: Prng;
  keptCount = 0;
  nowMs = 0;
  arePeersKnown = false;
  peersAskedMs: number = Number.NEGATIVE_INFINITY;
  /** Since when something is open; null: nothing is. */
  openSinceMs: number | null = null;
  deliveredMs: number | null = null;
  #effects: DeliveryEffect[] = [];
  #order = 0;
  #request = 0;
  /** Key of the path that each was delivered by. */
  readonly #closed = new Map<string, string>();

  constructor(random: Prng) {
    this.random = random;
  }

  emit(effect: DeliveryEffect): void {
    this.#effects.push(effect);
  }

  takeEffects(): readonly DeliveryEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  say(level: "fault" | "event" | "detail", text: string): void {
    this.emit({ kind: "say", level, text });
  }

  record(id: string, step: StepKind, path: Path | null, reason: string): void {
    this.emit({ kind: "record", step: { id, step, path, reason, ticket: null } });
  }

  /** null: it is open already. */
  open(event: QueuedEvent): OpenEvent | null {
    if (this.events.has(event.id)) return null;
    const { id, urgency, bytes, queuedMs } = event;
    const opened: OpenEvent = {
      id,
      urgency,
      bytes,
      queuedMs,
      order: this.#order++,
      place: "asking",
      pendingCount: 0,
      avoid: null,
      touched: null,
      keptBy: null,
      keptUntilMs: 0,
      hasFailedOver: false,
      turnCount: 0,
      notRelayedCount: 0,
      why: "new",
      list: null,
      before: null,
      after: null,
      dueMs: 0,
      dueIndex: -1,
    };
    this.events.set(id, opened);
    this.openSinceMs ??= this.nowMs;
    return opened;
  }

  /** To where a path is chosen for it. */
  wait(event: OpenEvent, why: string): void {
    this.#leave(event);
    event.place = "waiting";
    event.why = why;
    this.waiting.add(event);
    if (event.turnCount > 0 && hasTurnedAway(event)) {
      this.due.set(event, this.nowMs + backoffMs(event.turnCount, this.random));
    }
  }

  /** R1 was had: R2 is awaited until `keptUntilMs`. */
  keep(event: OpenEvent, why: string): void {
    this.#leave(event);
    event.place = "kept";
    event.why = why;
    this.keptCount++;
    this.due.set(event, event.keptUntilMs);
  }

  /** To requests or questions, `pendingCount` of which are counted by whoever makes them. */
  hold(event: OpenEvent, place: "sent" | "asking", why: string): void {
    this.#leave(event);
    event.place = place;
    event.why = why;
  }

  avoid(event: OpenEvent, path: PathState, why: AvoidWhy): void {
    const isListed = event.list !== null;
    if (isListed) this.waiting.remove(event);
    event.avoid ??= new Map();
    event.avoid.set(path.key, why);
    // A receipt may be lost, or what is held: it is asked about one day.
    if (why === "held") path.rearm(this.nowMs, this.random);
    if (why === "turned-away") event.turnCount++;
    if (!isListed) return;
    this.waiting.add(event);
    if (why === "turned-away") {
      this.due.set(event, this.nowMs + backoffMs(event.turnCount, this.random));
    }
  }

  /** Of one cause, of one path; null: whatever it is. */
  forgive(event: OpenEvent, why: AvoidWhy, key: string | null = null): void {
    const isListed = event.list !== null;
    if (isListed) this.waiting.remove(event);
    for (const [each, cause] of event.avoid ?? []) {
      if (cause === why && (key === null || each === key)) event.avoid?.delete(each);
    }
    if (event.avoid?.size === 0) event.avoid = null;
    if (isListed) this.waiting.add(event);
  }

  deliver(event: OpenEvent, path: Path, key: string, receipt: Receipt): void {
    this.emit({
      kind: "record",
      step: {
        id: event.id,
        step: "delivered",
        path,
        reason: `ticket ${receipt.ticket} of ${receipt.destination}`,
        ticket: receipt.ticket,
      },
    });
    this.counts.delivered++;
    this.deliveredMs = this.nowMs;
    this.#close(event, "delivered", receipt);
    this.#closed.set(event.id, key);
    if (this.#closed.size > CLOSED_MAX) {
      for (const oldest of this.#closed.keys()) {
        this.#closed.delete(oldest);
        break;
      }
    }
  }

  refuse(event: OpenEvent, path: Path | null, reason: string): void {
    this.record(event.id, "refused", path, reason);
    this.say("fault", `event ${event.id.slice(0, 12)} is refused for good: ${reason}`);
    this.counts.refused++;
    this.#close(event, "refused", null);
  }

  forget(event: OpenEvent): void {
    this.#leave(event);
    this.events.delete(event.id);
    if (this.events.size === 0) this.openSinceMs = null;
  }

  /** A receipt of something that is not open: a duplicate, if it was ours and came by another path. */
  late(path: Path, key: string, receipt: Receipt): void {
    const closedBy = this.#closed.get(receipt.id);
    if (closedBy === undefined || closedBy === key) return;
    this.counts.late++;
    const reason = `delivered before by ${closedBy}: a duplicate, which the destination counts`;
    const { id, ticket } = receipt;
    this.emit({ kind: "record", step: { id, step: "late", path, reason, ticket } });
  }

  request(
    kind: Request["kind"],
    path: PathState,
    ids: readonly string[],
    limitMs: number,
  ): Request {
    const number = ++this.#request;
    const dueMs = this.nowMs + limitMs;
    const request: Request = { number, kind, path, ids, sentMs: this.nowMs, dueMs };
    this.requests.set(number, request);
    const asked = { request: number, path: path.path, ids, timeoutMs: limitMs };
    if (kind === "send") {
      path.requestCount++;
      this.emit({ kind: "send", ...asked });
    } else {
      this.emit({ kind: "ask-digest", ...asked });
    }
    return request;
  }

  /** It is answered, or its time has passed; null: it was so before. */
  end(number: number, isAnswered: boolean): Request | null {
    const request = this.requests.get(number);
    if (request === undefined) return null;
    this.requests.delete(number);
    if (request.kind === "digest") return request;
    request.path.requestCount--;
    assert(request.path.requestCount >= 0, "a path has no fewer than no requests");
    if (isAnswered) return request;
    this.expired.set(number, request);
    if (this.expired.size > EXPIRED_MAX) {
      for (const oldest of this.expired.keys()) {
        this.expired.delete(oldest);
        break;
      }
    }
    return request;
  }

  #close(event: OpenEvent, as: ClosedAs, receipt: Receipt | null): void {
    this.forget(event);
    this.emit({ kind: "close", id: event.id, as, receipt });
  }

  #leave(event: OpenEvent): void {
    if (event.place === "kept") this.keptCount--;
    this.due.remove(event);
    this.waiting.remove(event);
    // It is nowhere now: whoever called puts it somewhere, or forgets it.
    event.place = "asking";
  }
}

export function hasTurnedAway(event: OpenEvent): boolean {
  for (const why of event.avoid?.values() ?? []) if (why === "turned-away") return true;
  return false;
}
