/**
 * What the outbox holds, where, and what must go when it is full: the decisions of `io/outbox-folder.ts`, without its files.
 *
 * A segment may be deleted only as the oldest one, since a closure lies in a later segment than its event; it may once
 * nothing in it is live. Where one old event keeps a segment that is otherwise dead, and the folder is more than twice as large as what
 * it holds, what is live in the oldest is written anew at the end.
 */
import { assert } from "../../core/assert.ts";
import type { Urgency } from "./delivery-events.ts";
import type { OutboxEntry, OutboxItem, OutboxLimits } from "./outbox.ts";
import type { Closure } from "./outbox-record.ts";

export interface IndexEntry extends OutboxEntry {
  readonly component: string;
  state: "open" | "refused";
  /** Its closure is not on disk yet. */
  isClosing: boolean;
  /** What its closure will say, once that is being written. */
  closingAs: Closure | null;
  segment: Segment;
  /** Of its record in the segment. */
  offset: number;
  recordBytes: number;
}

export interface Segment {
  readonly number: number;
  bytes: number;
  readonly live: Set<IndexEntry>;
  /** Components whose count stands in it. */
  readonly folds: Set<string>;
}

/** For events that tell what is wrong with call home itself, above the bound. */
const RESERVED = 64;
/** There is room again below this share of the bound. */
const ROOM_SHARE = 0.9;
/** Small segments that restarts leave behind are gathered once there are so many more than needed. */
const SEGMENTS_SPARE = 8;

export class OutboxIndex {
  readonly #limits: OutboxLimits;
  readonly #byId = new Map<string, IndexEntry>();
  /** By urgency, in order of queueing; closed ones are dropped as they come up. */
  readonly #stacks: IndexEntry[][] = [[], [], [], [], []];
  readonly segments: Segment[] = [];
  openCount = 0;
  refusedCount = 0;
  liveBytes = 0;
  isFull = false;

  constructor(limits: OutboxLimits) {
    this.#limits = limits;
  }

  get(id: string): IndexEntry | undefined {
    return this.#byId.get(id);
  }

  addSegment(number: number, bytes: number): Segment {
    const segment: Segment = { number, bytes, live: new Set(), folds: new Set() };
    this.segments.push(segment);
    return segment;
  }

  add(
    item: Omit<OutboxItem, "envelope"> & { readonly bytes: number },
    segment: Segment,
    offset: number,
    recordBytes: number,
  ): IndexEntry {
    assert(!this.#byId.has(item.id), "an id is in the outbox once");
    const { id, urgency, queuedWallMs, isByEveryPath, component, bytes } = item;
    const what = { id, urgency, queuedWallMs, isByEveryPath, component, bytes };
    const entry: IndexEntry = {
      ...what,
      state: "open",
      isClosing: false,
      closingAs: null,
      segment,
      offset,
      recordBytes,
    };
    this.#byId.set(id, entry);
    segment.live.add(entry);
    this.openCount++;
    this.liveBytes += recordBytes;
    this.#push(entry);
    return entry;
  }

  move(entry: IndexEntry, segment: Segment, offset: number): void {
    entry.segment.live.delete(entry);
    entry.segment = segment;
    entry.offset = offset;
    segment.live.add(entry);
  }

  setState(entry: IndexEntry, state: "open" | "refused"): void {
    if (entry.state === state) return;
    this.#count(entry, -1);
    entry.state = state;
    this.#count(entry, 1);
    if (state === "open") this.#push(entry);
  }

  remove(entry: IndexEntry): void {
    if (this.#byId.get(entry.id) !== entry) return;
    this.#byId.delete(entry.id);
    entry.segment.live.delete(entry);
    this.#count(entry, -1);
    this.liveBytes -= entry.recordBytes;
  }

  /** Oldest first. */
  all(state: "open" | "refused"): readonly IndexEntry[] {
    const found = [...this.#byId.values()].filter((entry) => entry.state === state);
    return found.sort((a, b) => a.queuedWallMs - b.queuedWallMs);
  }

  oldestRefused(): IndexEntry | null {
    if (this.refusedCount <= this.#limits.refusedMax) return null;
    for (const entry of this.#byId.values()) {
      if (entry.state === "refused" && !entry.isClosing) return entry;
    }
    return null;
  }

  /** Whether one more has no room, beside what is just being written. */
  lacksRoom(bytes: number, isByEveryPath: boolean, pendingCount: number): boolean {
    const openMax = this.#limits.openMax + (isByEveryPath ? RESERVED : 0);
    return (
      this.openCount + pendingCount >= openMax || this.liveBytes + bytes > this.#limits.bytesMax
    );
  }

  hasRoomAgain(): boolean {
    const { openMax, bytesMax } = this.#limits;
    return this.openCount <= openMax * ROOM_SHARE && this.liveBytes <= bytesMax * ROOM_SHARE;
  }

  /** The newest of the least urgent, if it is less urgent than this. */
  victim(urgency: Urgency): IndexEntry | null {
    for (let least = 4; least > urgency; least--) {
      const stack = this.#stacks[least] ?? [];
      for (let entry = stack.pop(); entry !== undefined; entry = stack.pop()) {
        if (this.#isOpen(entry) && !entry.isClosing) return entry;
      }
    }
    return null;
  }

  /**
   * Oldest segments in which nothing is live. `isDeliveredDead`: what is delivered counts as closed though its closure is not
   * on disk. `current`: the one that is written to, never among them.
   */
  dead(isDeliveredDead: boolean, current: Segment | null): readonly Segment[] {
    const found: Segment[] = [];
    for (const segment of this.segments) {
      if (segment === current) break;
      const isDead = isDeliveredDead
        ? [...segment.live].every(({ closingAs }) => closingAs === "delivered")
        : segment.live.size === 0;
      if (!isDead || segment.folds.size > 0) break;
      found.push(segment);
    }
    return found;
  }

  /** The oldest, when what it holds is worth writing anew. */
  wasteful(): Segment | null {
    const [oldest] = this.segments;
    if (oldest === undefined || this.segments.length < 3) return null;
    const { segmentBytes } = this.#limits;
    const spareCount = this.segments.length - this.liveBytes / segmentBytes;
    const isLarge = this.diskBytes() > 2 * this.liveBytes + 2 * segmentBytes;
    return isLarge || spareCount > SEGMENTS_SPARE ? oldest : null;
  }

  diskBytes(): number {
    return this.segments.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  drop(segment: Segment): void {
    const at = this.segments.indexOf(segment);
    if (at >= 0) this.segments.splice(at, 1);
  }

  #isOpen(entry: IndexEntry): boolean {
    return this.#byId.get(entry.id) === entry && entry.state === "open";
  }

  #count({ state }: IndexEntry, by: 1 | -1): void {
    if (state === "open") this.openCount += by;
    else this.refusedCount += by;
  }

  #push(entry: IndexEntry): void {
    const stack = this.#stacks[entry.urgency];
    if (stack === undefined) return;
    stack.push(entry);
    if (stack.length <= 2 * this.openCount + 1_024) return;
    this.#stacks[entry.urgency] = stack.filter((one) => this.#isOpen(one));
  }
}
