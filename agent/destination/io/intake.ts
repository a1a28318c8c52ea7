/**
 * Takes judged events in batches: each is a receipt once it is on disk, and once only.
 *
 * What comes while a batch is written goes into the next one, so however many senders there are, a flush is shared. A batch
 * that cannot be written is written not at all: each of its senders is told so and keeps its events. Invariant: nobody is told of a ticket,
 * a receipt or a change before it is durable.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { DiskFailure } from "../../runtime/disk.ts";
import type { Log } from "../../runtime/log.ts";
import type { TicketChange } from "../adapter.ts";
import { recordKey } from "../fault.ts";
import { gathered } from "../forwarding.ts";
import { type Judged, REPLAY_HORIZON_MS, type Refusal } from "../judge.ts";
import type { Arrival, Ticket } from "../ticket.ts";
import {
  changesOf,
  closeByHand,
  type Filing,
  fileEvent,
  keyOf,
  mergeEvent,
  relatedTo,
  withRelated,
} from "../tickets.ts";
import type { KeptReceipt, Store } from "./store.ts";

/** Events that wait for the disk; above it senders are asked to come later. */
export const WAITING_MAX = 16_384;
const BATCH_MAX = 4_096;
const NEIGHBOURS_MAX = 16;

export interface Receipted {
  readonly kind: "receipted";
  readonly ticketId: string;
  readonly receivedMs: number;
  readonly isDuplicate: boolean;
}

export type Taken = Receipted | { readonly kind: "refused"; readonly refusal: Refusal };

/** After it is durable. */
export interface Told {
  readonly change: TicketChange;
  readonly ticket: Ticket;
}

export interface IntakeSetting {
  readonly store: Store;
  readonly destination: string;
  /** Names of the adapters that are told of changes. */
  readonly adapters: readonly string[];
  readonly log: Log;
  readonly onTold: (told: readonly Told[]) => void;
}

interface Waiting {
  readonly judged: readonly Judged[];
  readonly done: (result: Result<readonly Taken[], DiskFailure>) => void;
}

export interface IntakeCounts {
  accepted: number;
  merged: number;
  duplicates: number;
  refused: number;
  batches: number;
  failures: number;
}

export class Intake {
  readonly #setting: IntakeSetting;
  #waiting: Waiting[] = [];
  #waitingCount = 0;
  /** Of the batch that is being written, by ticket. */
  readonly #changes = new Map<number, TicketChange[]>();
  #isScheduled = false;
  #failure: DiskFailure | null = null;
  readonly counts: IntakeCounts = {
    accepted: 0,
    merged: 0,
    duplicates: 0,
    refused: 0,
    batches: 0,
    failures: 0,
  };

  constructor(setting: IntakeSetting) {
    this.#setting = setting;
  }

  /** null: what came last is on disk. */
  get failure(): DiskFailure | null {
    return this.#failure;
  }

  get isFull(): boolean {
    return this.#waitingCount >= WAITING_MAX;
  }

  /** In the order of what was given. An error: none of it is kept. */
  take(judged: readonly Judged[]): Promise<Result<readonly Taken[], DiskFailure>> {
    return new Promise((done) => {
      this.#waiting.push({ judged, done });
      this.#waitingCount += judged.length;
      if (this.#isScheduled) return;
      this.#isScheduled = true;
      // Behind the sockets that are ready to be read now.
      setImmediate(() => this.#write());
    });
  }

  /** null: there is no such ticket, or it is closed. */
  close(number: number, reason: string, nowMs: number): Result<Ticket | null, DiskFailure> {
    const { store } = this.#setting;
    const told: Told[] = [];
    const result = store.transact(() => {
      told.length = 0;
      this.#changes.clear();
      const ticket = store.tickets.get(number);
      const filing = ticket === null ? null : closeByHand(ticket, reason, nowMs);
      if (filing === null) return null;
      this.#keep(filing, null, nowMs, told);
      this.#flush();
      return filing.ticket;
    });
    if (result.ok) this.#setting.onTold(told);
    return result;
  }

  #nextBatch(): readonly Waiting[] {
    let count = 0;
    let end = 0;
    while (end < this.#waiting.length && count < BATCH_MAX) {
      count += this.#waiting[end]?.judged.length ?? 0;
      end++;
    }
    this.#waitingCount -= count;
    return this.#waiting.splice(0, end);
  }

  #write(): void {
    const batch = this.#nextBatch();
    const { store } = this.#setting;
    const told: Told[] = [];
    const before = { ...this.counts };
    const result = store.transact(() => {
      told.length = 0;
      Object.assign(this.counts, before);
      this.#changes.clear();
      const taken = batch.map(({ judged }) => judged.map((one) => this.#takeOne(one, told)));
      this.#flush();
      return taken;
    });
    this.counts.batches++;
    if (!result.ok) {
      Object.assign(this.counts, { ...before, failures: before.failures + 1 });
    }
    this.#note(result.ok ? null : result.error);
    if (result.ok && told.length > 0) this.#setting.onTold(told);
    batch.forEach(({ done }, index) => {
      done(result.ok ? ok(result.value[index] ?? []) : err(result.error));
    });
    this.#isScheduled = this.#waiting.length > 0;
    if (this.#isScheduled) setImmediate(() => this.#write());
  }

  #takeOne(judged: Judged, told: Told[]): Taken {
    const { store } = this.#setting;
    const { parcel, arrival, tooOld } = judged;
    const known = store.receipt(parcel.id);
    if (known !== null) {
      this.counts.duplicates++;
      store.samples.addCopy(known.number, known.n, parcel.id);
      return receiptedOf(known, true);
    }
    if (tooOld !== null) {
      this.counts.refused++;
      return { kind: "refused", refusal: tooOld };
    }
    const { cluster, event } = arrival.statement;
    const byRecord = recordKey(cluster, event);
    const twin = byRecord === null ? null : store.twin(byRecord, event.epoch);
    const merged = twin === null ? null : store.tickets.get(twin.number);
    if (twin !== null && merged !== null) {
      this.counts.merged++;
      store.tickets.save(mergeEvent(merged, arrival));
      const kept = { ...twin, receivedMs: arrival.receivedMs };
      return this.#receipt(judged, byRecord, kept, true);
    }
    this.counts.accepted++;
    const ticket = this.#file(arrival, told);
    const kept: KeptReceipt = {
      number: ticket.number,
      ticketId: ticket.id,
      n: ticket.eventCount,
      receivedMs: arrival.receivedMs,
    };
    return this.#receipt(judged, byRecord, kept, false);
  }

  #file(arrival: Arrival, told: Told[]): Ticket {
    const { tickets, numbers } = this.#setting.store;
    const filing = fileEvent(arrival, tickets.latest(keyOf(arrival)), numbers.peek());
    if (filing.isNew) numbers.take();
    const isOpened = filing.kinds.includes("opened") || filing.kinds.includes("reopened");
    const whole = isOpened ? this.#related(filing) : filing;
    this.#keep(whole, arrival.statement.event.id, arrival.receivedMs, told);
    return whole.ticket;
  }

  #related(filing: Filing): Filing {
    const { tickets } = this.#setting.store;
    let { ticket } = filing;
    for (const other of relatedTo(ticket, tickets.neighbours(ticket, NEIGHBOURS_MAX))) {
      ticket = withRelated(ticket, other.id);
      tickets.save(withRelated(other, ticket.id));
    }
    return { ...filing, ticket };
  }

  #keep(filing: Filing, eventId: string | null, atMs: number, told: Told[]): void {
    const { store, destination, adapters } = this.#setting;
    const { ticket } = filing;
    store.tickets.save(ticket);
    for (const change of changesOf(filing, { destination, atMs, eventId })) {
      if (adapters.length > 0) this.#gather(ticket.number, change);
      told.push({ change, ticket });
    }
  }

  /** A batch with a thousand events of one ticket is one row of each outbox. */
  #gather(number: number, change: TicketChange): void {
    const changes = this.#changes.get(number) ?? [];
    const last = changes.at(-1);
    const one = last === undefined ? null : gathered(last, change);
    if (one === null) changes.push(change);
    else changes[changes.length - 1] = one;
    this.#changes.set(number, changes);
  }

  /** Within the transaction, at its end. */
  #flush(): void {
    const { store, adapters } = this.#setting;
    for (const [number, changes] of this.#changes) {
      for (const adapter of adapters) {
        for (const change of changes) store.outbox.add(adapter, number, change);
      }
    }
    this.#changes.clear();
    store.tickets.flush();
  }

  #receipt(
    { parcel, arrival }: Judged,
    byRecord: string | null,
    kept: KeptReceipt,
    isMerged: boolean,
  ): Receipted {
    const { store } = this.#setting;
    const { statement, signer, trail, receivedMs } = arrival;
    const id = parcel.id;
    store.addId({
      ...kept,
      id,
      epoch: Math.trunc(statement.event.epoch),
      keptUntilMs: Math.max(statement.signedMs, receivedMs) + REPLAY_HORIZON_MS,
      byRecord,
    });
    store.samples.add({
      number: kept.number,
      n: kept.n,
      isMerged,
      id,
      receivedMs,
      signer: `${signer.role} ${signer.name}`,
      trail,
      envelope: parcel.envelope,
    });
    return receiptedOf(kept, false);
  }

  /** Said once when it begins and once when it ends. */
  #note(failure: DiskFailure | null): void {
    const { log } = this.#setting;
    if (failure !== null && this.#failure === null) {
      const remedy = failure.kind === "no-space" ? "make room" : "see to the disk";
      log.say("fault", `events cannot be kept, senders keep them: ${failure.detail}: ${remedy}`);
    }
    if (failure === null && this.#failure !== null) log.say("event", "events are kept again");
    this.#failure = failure;
  }
}

function receiptedOf({ ticketId, receivedMs }: KeptReceipt, isDuplicate: boolean): Receipted {
  return { kind: "receipted", ticketId, receivedMs, isDuplicate };
}
