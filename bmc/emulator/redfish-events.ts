/**
 * The EventService of the emulated BMC: subscriptions with their retry policies, and streams of server-sent events.
 *
 * Decides what is sent to whom and what becomes of a subscription whose deliveries fail; sending is for `io/`. Everything here
 * is the memory of a process, as in bmcweb: a restart of the BMC forgets subscriptions and counts events from 1 again, so an
 * `EventId` comes twice. One delivery is under way for each subscription; the others wait in order.
 */
import type { JsonObject } from "../redfish/json.ts";

export const RETRY_POLICIES: readonly string[] = [
  "TerminateAfterRetries",
  "SuspendRetries",
  "RetryForever",
];

export interface Subscription {
  readonly id: string;
  readonly destination: string;
  readonly context: string;
  readonly policy: string;
  isSuspended: boolean;
  /** Bodies that wait, the one under way first. */
  readonly queue: string[];
  isSending: boolean;
  attempts: number;
  retryAtMs: number | null;
}

export interface Delivery {
  readonly subscription: Subscription;
  readonly destination: string;
  readonly body: string;
}

/** A stream's frame, whole. */
export interface Frame {
  readonly id: string;
  readonly text: string;
}

export interface EventLimits {
  retryAttempts: number;
  retryIntervalMs: number;
}

export const SUBSCRIPTIONS_MAX = 20;
/** As in bmcweb; what comes when it is full is lost. */
const QUEUE_MAX = 500;

export class RedfishEvents {
  readonly limits: EventLimits = { retryAttempts: 3, retryIntervalMs: 200 };
  #subscriptions: Map<string, Subscription> = new Map<string, Subscription>();
  #nextId = 1;
  #nextEventId = 1;

  list(): readonly Subscription[] {
    return [...this.#subscriptions.values()];
  }

  get(id: string): Subscription | null {
    return this.#subscriptions.get(id) ?? null;
  }

  /** null: there are as many as there may be. */
  add(destination: string, context: string, policy: string): Subscription | null {
    if (this.#subscriptions.size >= SUBSCRIPTIONS_MAX) return null;
    const subscription: Subscription = {
      ...{ id: String(this.#nextId++), destination, context, policy },
      ...{ isSuspended: false, queue: [], isSending: false, attempts: 0, retryAtMs: null },
    };
    this.#subscriptions.set(subscription.id, subscription);
    return subscription;
  }

  remove(id: string): boolean {
    return this.#subscriptions.delete(id);
  }

  resume(subscription: Subscription): void {
    subscription.isSuspended = false;
    subscription.attempts = 0;
    subscription.retryAtMs = null;
    subscription.queue.length = 0;
  }

  forget(): void {
    this.#subscriptions = new Map<string, Subscription>();
    this.#nextId = 1;
    this.#nextEventId = 1;
  }

  /** Puts it in everybody's queue; the frame is for the streams. */
  raise(record: JsonObject): Frame {
    const id = String(this.#nextEventId++);
    const bodyFor = (context: string): JsonObject => ({
      "@odata.type": "#Event.v1_9_0.Event",
      Id: id,
      Name: "Event",
      Context: context,
      "Events@odata.count": 1,
      Events: [{ EventId: id, MemberId: "0", ...record }],
    });
    for (const subscription of this.#subscriptions.values()) {
      if (subscription.isSuspended || subscription.queue.length >= QUEUE_MAX) continue;
      subscription.queue.push(JSON.stringify(bodyFor(subscription.context)));
    }
    return { id, text: `id: ${id}\ndata: ${JSON.stringify(bodyFor(""))}\n\n` };
  }

  /** What is to be sent now. */
  takeDeliveries(nowMs: number): readonly Delivery[] {
    const found: Delivery[] = [];
    for (const one of this.#subscriptions.values()) {
      const body = one.queue[0];
      const isDue = one.retryAtMs === null || nowMs >= one.retryAtMs;
      if (body === undefined || one.isSending || one.isSuspended || !isDue) continue;
      one.isSending = true;
      found.push({ subscription: one, destination: one.destination, body });
    }
    return found;
  }

  /** How a delivery ended. A subscription that was removed meanwhile does not mind. */
  delivered(one: Subscription, isTaken: boolean, nowMs: number): void {
    if (this.#subscriptions.get(one.id) !== one) return;
    one.isSending = false;
    one.retryAtMs = null;
    if (isTaken) {
      one.queue.shift();
      one.attempts = 0;
      return;
    }
    one.attempts++;
    if (one.attempts <= this.limits.retryAttempts || one.policy === "RetryForever") {
      one.retryAtMs = nowMs + this.limits.retryIntervalMs;
    } else if (one.policy === "TerminateAfterRetries") this.#subscriptions.delete(one.id);
    else {
      one.isSuspended = true;
      one.queue.length = 0;
    }
  }

  dueMs(): number | null {
    const due = this.list().flatMap((one) => (one.retryAtMs === null ? [] : [one.retryAtMs]));
    return due.length === 0 ? null : due.reduce((a, b) => Math.min(a, b));
  }
}
