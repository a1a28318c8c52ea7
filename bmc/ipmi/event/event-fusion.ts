/**
 * One error seen by several ways is one event: whether two sightings are the same, and a bounded window of what was seen.
 *
 * Decides by what the sightings say, in this order, and only for one system:
 *
 *   id        equal: the same
 *   record    both have a log record, byte for byte the same but for its id; times near
 *   fuzzy     both have a system event record: sensor type, number, event type, direction and offset are equal, event data is
 *             equal where neither is FFh, times near. A trap does not carry the LUN, a pushed event may lack the time.
 *   words     at most one has a record: category, subject and direction are equal, times near
 *
 * Two sightings by the same way are never one event unless their ids are equal: a log that holds two identical records holds
 * two events, and each of them meets one sighting of another way. An event is given back as new at its first sighting, with
 * the id that this sighting has; later ones are told to belong to it. Bounds: `windowMax` events, `windowMs`; older ones are
 * forgotten, so the window has to be longer than the slowest way.
 */
import type { BmcEvent, EventWay } from "../../bmc.ts";
import { canonicalRecord } from "../sel/sel-record.ts";
import { selTimeMs } from "../sel/sel-time.ts";
import { isSameSystem } from "./event-identity.ts";

export interface FusionLimits {
  /** Two times of one event may differ by this: clocks, time zones told wrong are not in it. */
  readonly toleranceMs: number;
  readonly windowMs: number;
  readonly windowMax: number;
}

export const FUSION_LIMITS: FusionLimits = {
  toleranceMs: 5_000,
  windowMs: 15 * 60_000,
  windowMax: 4096,
};

/** How two sightings were found to be one. */
export type Likeness = "id" | "record" | "fuzzy" | "words";

const SYSTEM_EVENT = 0x02;
const UNSPECIFIED = 0xff;

/** null: they are two events. Does not look at the ways. */
export function likenessOf(
  source: BmcEvent,
  target: BmcEvent,
  toleranceMs: number = FUSION_LIMITS.toleranceMs,
): Likeness | null {
  if (source.id === target.id) return "id";
  if (!isSameSystem(source.system, target.system)) return null;
  if (!isNear(source, target, toleranceMs)) return null;
  if (source.record !== null && target.record !== null) {
    if (source.record === target.record) return "record";
    return isFuzzyMatch(source.record, target.record) ? "fuzzy" : null;
  }
  const isSame =
    source.category === target.category &&
    source.isAssertion === target.isAssertion &&
    source.subject.toLowerCase() === target.subject.toLowerCase();
  return isSame ? "words" : null;
}

/** By the BMC's times where both know it, else by the times at which they were seen. */
function isNear(source: BmcEvent, target: BmcEvent, toleranceMs: number): boolean {
  const areTimed = source.whenMs !== null && target.whenMs !== null;
  const apart = areTimed
    ? (source.whenMs ?? 0) - (target.whenMs ?? 0)
    : source.seenMs - target.seenMs;
  // Without the BMC's time only the slowest way bounds it: a poll may be far behind a push.
  return Math.abs(apart) <= (areTimed ? toleranceMs : FUSION_LIMITS.windowMs);
}

/** Of two records in hex. */
export function isFuzzyMatch(source: string, target: string): boolean {
  const a = Uint8Array.fromHex(source);
  const b = Uint8Array.fromHex(target);
  if (a.length !== 16 || b.length !== 16) return false;
  if (a[2] !== SYSTEM_EVENT || b[2] !== SYSTEM_EVENT) return false;
  const isSameSensor = a[10] === b[10] && a[11] === b[11] && a[12] === b[12];
  const isSameOffset = ((a[13] ?? 0) & 0x0f) === ((b[13] ?? 0) & 0x0f);
  return isSameSensor && isSameOffset && isLike(a[14], b[14]) && isLike(a[15], b[15]);
}

/**
 * Whether two 16-byte records tell of one event: the same but for the id, or alike as above with times that are near where
 * both have one.
 */
export function isSameRecord(
  source: Uint8Array,
  target: Uint8Array,
  toleranceMs: number = FUSION_LIMITS.toleranceMs,
): boolean {
  const a = canonicalRecord(source);
  const b = canonicalRecord(target);
  if (a.toHex() === b.toHex()) return true;
  if (!isFuzzyMatch(a.toHex(), b.toHex())) return false;
  const first = selTimeMs(new DataView(a.buffer).getUint32(3, true));
  const second = selTimeMs(new DataView(b.buffer).getUint32(3, true));
  return first === null || second === null || Math.abs(first - second) <= toleranceMs;
}

function isLike(source: number | undefined, target: number | undefined): boolean {
  return source === target || source === UNSPECIFIED || target === UNSPECIFIED;
}

export interface Fused {
  /** The event as it was first seen. */
  readonly event: BmcEvent;
  /** Null for the first sighting. */
  readonly likeness: Likeness | null;
}

interface Group {
  readonly event: BmcEvent;
  readonly ways: Set<EventWay>;
  readonly ids: Set<string>;
  /** Every sighting: a later one may match any of them. */
  readonly sightings: BmcEvent[];
}

const STRENGTH: readonly Likeness[] = ["id", "record", "fuzzy", "words"];

export class EventFusion {
  readonly #limits: FusionLimits;
  /** Oldest first. */
  #groups: Group[] = [];
  readonly #byId: Map<string, Group> = new Map();

  constructor(limits: Partial<FusionLimits> = {}) {
    this.#limits = { ...FUSION_LIMITS, ...limits };
  }

  get size(): number {
    return this.#groups.length;
  }

  /** O(events in the window), for a new one; O(1) for an id that was seen. */
  sight(event: BmcEvent, nowMs: number): Fused {
    this.#forget(nowMs);
    const known = this.#byId.get(event.id);
    if (known !== undefined) {
      known.ways.add(event.way);
      return { event: known.event, likeness: "id" };
    }
    const best = this.#best(event);
    if (best === null) {
      const ways = new Set([event.way]);
      const group = { event, ways, ids: new Set([event.id]), sightings: [event] };
      this.#groups.push(group);
      this.#byId.set(event.id, group);
      return { event, likeness: null };
    }
    const { group, likeness } = best;
    group.ways.add(event.way);
    group.ids.add(event.id);
    group.sightings.push(event);
    this.#byId.set(event.id, group);
    return { event: group.event, likeness };
  }

  /** The strongest likeness wins, of equals the oldest: identical events pair up in their order. */
  #best(event: BmcEvent): { readonly group: Group; readonly likeness: Likeness } | null {
    let best: { readonly group: Group; readonly likeness: Likeness } | null = null;
    for (const group of this.#groups) {
      if (group.ways.has(event.way)) continue;
      for (const sighting of group.sightings) {
        const likeness = likenessOf(sighting, event, this.#limits.toleranceMs);
        if (likeness === null) continue;
        const isBetter =
          best === null || STRENGTH.indexOf(likeness) < STRENGTH.indexOf(best.likeness);
        if (isBetter) best = { group, likeness };
      }
    }
    return best;
  }

  #forget(nowMs: number): void {
    const { windowMs, windowMax } = this.#limits;
    let count = 0;
    for (const group of this.#groups) {
      const isOver = this.#groups.length - count >= windowMax;
      if (!isOver && group.event.seenMs + windowMs >= nowMs) break;
      for (const id of group.ids) this.#byId.delete(id);
      count++;
    }
    if (count > 0) this.#groups = this.#groups.slice(count);
  }
}
