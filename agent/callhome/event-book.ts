/**
 * The book of events: each error once, with the ways by which it was seen.
 *
 * Decides whether a sighting is a new event or one that is known, and gives a line for the journal where something is to be
 * remembered. A sighting is known by its id; or by its likeness (`bmc/ipmi/event/event-fusion.ts`) to an event that was not
 * seen by the same way yet, so that each of two identical records meets one trap. Of events with the same record all that
 * the book holds are looked at, since a poll may come hours after a trap; of others the newest ones. Bounded: above
 * `eventsMax` the oldest events are forgotten, and would be new if they were seen again.
 *
 * Invariant: by ids there is one line of kind `event` for each event, and at most one of kind `way` for each further way and id.
 */
import type { BmcEvent, EventWay } from "../../bmc/bmc.ts";
import { type Likeness, likenessOf } from "../../bmc/ipmi/event/event-fusion.ts";
import { assert } from "../../core/assert.ts";

/** What is kept, and what is streamed; numbers rise by one, also over restarts. */
export type BookLine =
  | { readonly seq: number; readonly kind: "event"; readonly event: BmcEvent }
  | {
      readonly seq: number;
      readonly kind: "way";
      /** The event's id in this book. */
      readonly id: string;
      /** As it was seen this time, under an id of its own perhaps. */
      readonly event: BmcEvent;
    };

export interface Sighted {
  /** The event's id in this book. */
  readonly id: string;
  /** To be kept; null: nothing new. */
  readonly line: BookLine | null;
}

interface Entry {
  readonly id: string;
  /** One a way, the first one first: a later one may be like any of them. */
  readonly sightings: BmcEvent[];
}

export const EVENTS_MAX = 10_000;
/** Of events without an equal record, so many of the newest are compared with. */
const RECENT_MAX = 1_024;

export class EventBook {
  readonly #eventsMax: number;
  /** By every id under which it was seen; oldest event first. */
  readonly #byId: Map<string, Entry> = new Map();
  readonly #byRecord: Map<string, Entry[]> = new Map();
  #recent: Entry[] = [];
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

  /** O(1) for an id that is known, else O(RECENT_MAX + events with an equal record). */
  sight(event: BmcEvent): Sighted {
    const known = this.#byId.get(event.id) ?? this.#alike(event);
    const seq = this.#nextSeq;
    if (known === null) {
      const line: BookLine = { seq, kind: "event", event };
      this.#read(line);
      return { id: event.id, line };
    }
    const { id } = known;
    if (hasWay(known, event)) return { id, line: null };
    const line: BookLine = { seq, kind: "way", id, event };
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
    return (this.#byId.get(id)?.sightings ?? []).map(({ way }) => way);
  }

  /** The strongest likeness wins, of equals the oldest: identical events pair up in their order. */
  #alike(event: BmcEvent): Entry | null {
    let best: Entry | null = null;
    let bestRank = LIKENESS.length;
    const compare = (entry: Entry): void => {
      if (hasWay(entry, event)) return;
      for (const sighting of entry.sightings) {
        const likeness = likenessOf(sighting, event);
        const rank = likeness === null ? LIKENESS.length : LIKENESS.indexOf(likeness);
        if (rank >= bestRank) continue;
        best = entry;
        bestRank = rank;
      }
    };
    for (const entry of this.#byRecord.get(event.record ?? "") ?? []) compare(entry);
    if (best === null) for (const entry of this.#recent) compare(entry);
    return best;
  }

  #read(line: BookLine): void {
    if (line.seq < this.#nextSeq) return;
    if (line.kind === "event") this.#add(line.event);
    else {
      const entry = this.#byId.get(line.id);
      if (entry !== undefined) this.#note(entry, line.event);
    }
    this.#lines.push(line);
    this.#nextSeq = line.seq + 1;
  }

  #note(entry: Entry, event: BmcEvent): void {
    entry.sightings.push(event);
    this.#byId.set(event.id, entry);
    if (event.record === null) return;
    const same = this.#byRecord.get(event.record);
    if (same === undefined) this.#byRecord.set(event.record, [entry]);
    else if (!same.includes(entry)) same.push(entry);
  }

  #add(event: BmcEvent): void {
    const entry: Entry = { id: event.id, sightings: [] };
    this.#entries.add(entry);
    this.#recent.push(entry);
    // Cut in bulk, so that adding stays cheap.
    if (this.#recent.length > RECENT_MAX * 2) this.#recent = this.#recent.slice(-RECENT_MAX);
    this.#note(entry, event);
    for (const oldest of this.#entries) {
      if (this.#entries.size <= this.#eventsMax) break;
      this.#forget(oldest);
    }
  }

  #forget(entry: Entry): void {
    this.#entries.delete(entry);
    for (const { id, record } of entry.sightings) {
      if (this.#byId.get(id) === entry) this.#byId.delete(id);
      if (record === null) continue;
      const left = (this.#byRecord.get(record) ?? []).filter((one) => one !== entry);
      if (left.length === 0) this.#byRecord.delete(record);
      else this.#byRecord.set(record, left);
    }
    if (this.#recent[0] === entry) this.#recent.shift();
    // Lines of forgotten events leave once there are many: each is moved once in a while, O(1) on average.
    if (this.#lines.length > this.#entries.size * 4 + 1024) {
      this.#lines = this.#lines.filter((one) => this.#byId.has(idOf(one)));
    }
  }
}

const LIKENESS: readonly Likeness[] = ["id", "record", "fuzzy", "words"];

function hasWay(entry: Entry, { way }: BmcEvent): boolean {
  return entry.sightings.some((sighting) => sighting.way === way);
}

function idOf(line: BookLine): string {
  return line.kind === "event" ? line.event.id : line.id;
}
