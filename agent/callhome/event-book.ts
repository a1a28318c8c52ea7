/**
 * The book of events: each error once, with the ways by which it was seen.
 *
 * Decides whether a sighting is a new event or one that is known, and gives a line for the journal where something is to be
 * remembered. Two sightings are one event when their ids are equal; or when they tell of one system by one SEL record, one of
 * them did not know the generation of the log (a trap and a script do not), and the book's entry was not seen by that way
 * yet: a log that holds two identical records holds two events, and each is met by one trap. Bounded: above `eventsMax` the
 * oldest events are forgotten, and would be new if they were seen again.
 *
 * Invariant: in whatever order and however often the sightings of an event come, by ids there is one line of kind `event`
 * for it, and at most one of kind `way` for each further way.
 */
import type { BmcEvent, EventWay } from "../../bmc/bmc.ts";
import { isSameSystem } from "../../bmc/ipmi/event/event-identity.ts";
import { assert } from "../../core/assert.ts";

/** What is kept, and what is streamed; numbers rise by one, also over restarts. */
export type BookLine =
  | { readonly seq: number; readonly kind: "event"; readonly event: BmcEvent }
  | {
      readonly seq: number;
      readonly kind: "way";
      /** The event's id in this book. */
      readonly id: string;
      /** The id under which it was seen this time. */
      readonly as: string;
      readonly way: EventWay;
      readonly seenMs: number;
    };

export interface Sighted {
  /** The event's id in this book. */
  readonly id: string;
  /** To be kept; null: nothing new. */
  readonly line: BookLine | null;
}

interface Entry {
  readonly event: BmcEvent;
  readonly seq: number;
  /** Each way with the id under which it was seen by it. */
  readonly ways: Map<EventWay, string>;
}

export const EVENTS_MAX = 10_000;

export class EventBook {
  readonly #eventsMax: number;
  /** By every id under which it was seen; oldest event first. */
  readonly #byId: Map<string, Entry> = new Map();
  readonly #byRecord: Map<string, Entry[]> = new Map();
  /** In the order of their numbers; forgotten ones are cut off in bulk. */
  #lines: BookLine[] = [];
  readonly #entries: Set<Entry> = new Set();
  #nextSeq = 1;

  /** `lines`: what an earlier book gave to be kept; a gap in them does no harm. */
  constructor(lines: readonly BookLine[] = [], eventsMax: number = EVENTS_MAX) {
    assert(eventsMax > 0, "a book holds an event at least");
    this.#eventsMax = eventsMax;
    for (const line of lines) this.#read(line);
  }

  get eventCount(): number {
    return this.#entries.size;
  }

  get lastSeq(): number {
    return this.#nextSeq - 1;
  }

  /** O(1), but for identical records: O(of those). */
  sight(event: BmcEvent): Sighted {
    const known = this.#byId.get(event.id) ?? this.#sameRecord(event);
    if (known === null) {
      const line: BookLine = { seq: this.#nextSeq, kind: "event", event };
      this.#read(line);
      return { id: event.id, line };
    }
    const { id } = known.event;
    if (known.ways.has(event.way)) return { id, line: null };
    const { way, seenMs } = event;
    const line: BookLine = { seq: this.#nextSeq, kind: "way", id, as: event.id, way, seenMs };
    this.#read(line);
    return { id, line };
  }

  /** At most `countMax` lines above `seq`, not above `upTo`. O(log n + what is given). */
  after(seq: number, countMax: number, upTo: number = this.lastSeq): readonly BookLine[] {
    const lines = this.#lines;
    let low = 0;
    let high = lines.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((lines[middle]?.seq ?? 0) <= seq) low = middle + 1;
      else high = middle;
    }
    const found = lines.slice(low, low + countMax);
    while (found.length > 0 && (found.at(-1)?.seq ?? 0) > upTo) found.pop();
    return found;
  }

  /** Of what is not forgotten, in order. */
  lines(): readonly BookLine[] {
    return this.#lines.filter((line) => this.#byId.has(idOf(line)));
  }

  waysOf(id: string): readonly EventWay[] {
    return [...(this.#byId.get(id)?.ways.keys() ?? [])];
  }

  #sameRecord(event: BmcEvent): Entry | null {
    if (event.record === null) return null;
    for (const entry of this.#byRecord.get(event.record) ?? []) {
      const known = entry.event;
      const mayBeOneEpoch = known.epoch === event.epoch || known.epoch === 0 || event.epoch === 0;
      if (!mayBeOneEpoch || !isSameSystem(known.system, event.system)) continue;
      if (!entry.ways.has(event.way)) return entry;
    }
    return null;
  }

  #read(line: BookLine): void {
    if (line.seq < this.#nextSeq) return;
    if (line.kind === "event") this.#add(line);
    else {
      const entry = this.#byId.get(line.id);
      if (entry !== undefined) {
        entry.ways.set(line.way, line.as);
        this.#byId.set(line.as, entry);
      }
    }
    this.#lines.push(line);
    this.#nextSeq = line.seq + 1;
  }

  #add({ event, seq }: Extract<BookLine, { kind: "event" }>): void {
    const entry: Entry = { event, seq, ways: new Map([[event.way, event.id]]) };
    this.#entries.add(entry);
    this.#byId.set(event.id, entry);
    if (event.record !== null) {
      const same = this.#byRecord.get(event.record);
      if (same === undefined) this.#byRecord.set(event.record, [entry]);
      else same.push(entry);
    }
    for (const oldest of this.#entries) {
      if (this.#entries.size <= this.#eventsMax) break;
      this.#forget(oldest);
    }
  }

  #forget(entry: Entry): void {
    this.#entries.delete(entry);
    for (const id of entry.ways.values()) {
      if (this.#byId.get(id) === entry) this.#byId.delete(id);
    }
    const { record } = entry.event;
    const same = record === null ? [] : (this.#byRecord.get(record) ?? []);
    const left = same.filter((one) => one !== entry);
    if (record !== null && left.length === 0) this.#byRecord.delete(record);
    else if (record !== null) this.#byRecord.set(record, left);
    // Lines of forgotten events leave the front once there are many: each is moved once in a while, O(1) on average.
    const kept = this.#entries.size * 4 + 1024;
    if (this.#lines.length > kept)
      this.#lines = this.#lines.filter((line) => this.#byId.has(idOf(line)));
  }
}

function idOf(line: BookLine): string {
  return line.kind === "event" ? line.event.id : line.id;
}
