/**
 * Tickets in memory, filed by the decisions alone: what `io/intake.ts` does, without a database.
 */
import type { TicketChangeKind } from "../adapter.ts";
import { recordKey } from "../fault.ts";
import type { Arrival, Ticket } from "../ticket.ts";
import { fileEvent, keyOf, mergeEvent } from "../tickets.ts";

export class TestShelf {
  readonly tickets: Map<number, Ticket> = new Map();
  readonly told: { readonly ticket: string; readonly kind: TicketChangeKind }[] = [];
  /** Number of its ticket, by event id. */
  readonly #ids: Map<string, number> = new Map();
  readonly #records: Map<string, { readonly number: number; readonly epoch: number }> = new Map();

  take(arrival: Arrival): Ticket {
    const { event, cluster } = arrival.statement;
    const known = this.#ids.get(event.id);
    const before = known === undefined ? undefined : this.tickets.get(known);
    if (before !== undefined) return before;
    const byRecord = recordKey(cluster, event);
    const twin = byRecord === null ? undefined : this.#records.get(byRecord);
    const counted = twin === undefined ? undefined : this.tickets.get(twin.number);
    if (twin !== undefined && counted !== undefined && twin.epoch !== event.epoch) {
      return this.#keep(mergeEvent(counted, arrival), event.id);
    }
    const filing = fileEvent(arrival, this.latest(keyOf(arrival)), this.tickets.size + 1);
    for (const kind of filing.kinds) this.told.push({ ticket: filing.ticket.id, kind });
    if (byRecord !== null) {
      this.#records.set(byRecord, { number: filing.ticket.number, epoch: event.epoch });
    }
    return this.#keep(filing.ticket, event.id);
  }

  latest(faultKey: string): Ticket | null {
    const all = [...this.tickets.values()].filter((one) => one.faultKey === faultKey);
    return all.at(-1) ?? null;
  }

  all(): readonly Ticket[] {
    return [...this.tickets.values()];
  }

  keep(ticket: Ticket): void {
    this.tickets.set(ticket.number, ticket);
  }

  #keep(ticket: Ticket, id: string): Ticket {
    this.tickets.set(ticket.number, ticket);
    this.#ids.set(id, ticket.number);
    return ticket;
  }
}
