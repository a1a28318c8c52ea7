/**
 * Sums over the store, read at most each `FRESH_MS`: how many events in which state, what is open on which node.
 *
 * What is at hand may be that old; when the store cannot be read it is older, and says nothing of that: `Store.isUp` does.
 */
import type { EventState } from "../api.ts";
import type { OpenTickets } from "../fleet.ts";
import type { Tally } from "./lists.ts";
import type { Store } from "./store.ts";

const FRESH_MS = 500;

export interface Current {
  readonly events: Readonly<Record<EventState, number>>;
  readonly openTickets: number;
}

export class Sums {
  readonly #store: Store;
  #tallies: readonly Tally[] = [];
  #openByNode: ReadonlyMap<string, OpenTickets> = new Map();
  #openTickets = 0;
  #oldestKeptMs: number | null = null;
  #readMs = Number.NEGATIVE_INFINITY;
  #isStale = true;
  #reading: Promise<void> | null = null;

  constructor(store: Store) {
    this.#store = store;
  }

  get tallies(): readonly Tally[] {
    return this.#tallies;
  }

  /** Whether anything was delivered, as of the last reading. */
  get hasTickets(): boolean {
    this.#refreshSoon();
    return this.#events().delivered > 0;
  }

  get oldestKeptMs(): number | null {
    return this.#oldestKeptMs;
  }

  /** Of the last reading; a fresher one is begun. */
  get keptCount(): number {
    this.#refreshSoon();
    return this.#events().kept;
  }

  openByNode(): ReadonlyMap<string, OpenTickets> {
    this.#refreshSoon();
    return this.#openByNode;
  }

  /** Something was written. */
  stale(): void {
    this.#isStale = true;
  }

  async current(): Promise<Current> {
    if (this.#isDue()) await this.refresh();
    return { events: this.#events(), openTickets: this.#openTickets };
  }

  refresh(): Promise<void> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  #isDue(): boolean {
    return this.#isStale && performance.now() - this.#readMs >= FRESH_MS;
  }

  #refreshSoon(): void {
    if (this.#isDue()) void this.refresh();
  }

  async #read(): Promise<void> {
    this.#isStale = false;
    this.#readMs = performance.now();
    const sums = await this.#store.sums();
    const open = await this.#store.openByNode();
    if (!sums.ok || !open.ok) {
      this.#isStale = true;
      return;
    }
    this.#tallies = sums.value.tallies;
    this.#oldestKeptMs = sums.value.oldestKeptMs;
    this.#openTickets = sums.value.openTickets;
    this.#openByNode = open.value;
  }

  #events(): Readonly<Record<EventState, number>> {
    const events = { kept: 0, delivered: 0, "not-relayed": 0 };
    for (const { state, count } of this.#tallies) events[state] = (events[state] ?? 0) + count;
    return events;
  }
}
