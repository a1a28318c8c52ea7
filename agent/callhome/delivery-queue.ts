/**
 * The events that are open, and those of them that wait for a path, by what they must avoid and by urgency.
 *
 * All events that avoid the same paths are one class, so that a path is chosen once for thousands of them. Classes are few: one for new
 * events, a handful for those that failed over or were turned away. Within a class the urgent come first, then the older.
 * Moving an event costs O(1): the lists are linked through the events themselves.
 */
import type { Urgency } from "./delivery-events.ts";
import type { Due } from "./due-heap.ts";

export type AvoidWhy =
  /** A manager has it and did not deliver it in time: it will, or say why not. */
  | "held"
  /** Refused for good. */
  | "refused"
  /** Refused for now; forgotten when the event is due. */
  | "turned-away";

export interface OpenEvent extends Due {
  readonly id: string;
  readonly urgency: Urgency;
  readonly bytes: number;
  readonly queuedMs: number;
  /** Rises with each event: the order of queueing. */
  readonly order: number;
  /** `kept`: R1 was had and R2 is awaited. `asking`: somebody is asked whether it is delivered. */
  place: "waiting" | "sent" | "kept" | "asking";
  /** Requests or digests it is in. */
  pendingCount: number;
  avoid: Map<string, AvoidWhy> | null;
  /** Keys of managers that may have it though no R1 came. */
  touched: Set<string> | null;
  /** Key of the one that R1 is of and R2 is awaited from. */
  keptBy: string | null;
  keptUntilMs: number;
  hasFailedOver: boolean;
  /** How often it was turned away, for its own back-off. */
  turnCount: number;
  /** How often a manager said that it could not relay it. */
  notRelayedCount: number;
  /** Why it is where it is. */
  why: string;
  list: EventList | null;
  before: OpenEvent | null;
  after: OpenEvent | null;
}

export class EventList {
  #first: OpenEvent | null = null;
  #last: OpenEvent | null = null;
  /** The one that was added last, while it is here: its neighbours tend to be added next. */
  #newest: OpenEvent | null = null;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get first(): OpenEvent | null {
    return this.#first;
  }

  /** By order of queueing; O(1) for what comes last, and for a run of events that comes back together. */
  add(event: OpenEvent): void {
    const before = this.#placeOf(event);
    const next = before === null ? this.#first : before.after;
    event.list = this;
    event.before = before;
    event.after = next;
    if (before === null) this.#first = event;
    else before.after = event;
    if (next === null) this.#last = event;
    else next.before = event;
    this.#newest = event;
    this.#count++;
  }

  /** The one that it comes after. */
  #placeOf(event: OpenEvent): OpenEvent | null {
    if (this.#last === null || this.#last.order < event.order) return this.#last;
    if (this.#first === null || event.order < this.#first.order) return null;
    let at: OpenEvent = this.#newest?.list === this ? this.#newest : this.#first;
    while (at.order > event.order && at.before !== null) at = at.before;
    while (at.after !== null && at.after.order < event.order) at = at.after;
    return at;
  }

  remove(event: OpenEvent): void {
    if (event.before === null) this.#first = event.after;
    else event.before.after = event.after;
    if (event.after === null) this.#last = event.before;
    else event.after.before = event.before;
    event.list = null;
    event.before = null;
    event.after = null;
    this.#count--;
  }
}

export interface EventClass {
  readonly key: string;
  readonly avoid: ReadonlySet<string>;
  readonly hasFailedOver: boolean;
  /** A manager keeps it: it need not be kept by another one that cannot relay either. */
  readonly isHeld: boolean;
  /** By urgency. */
  readonly lists: readonly EventList[];
}

export const URGENCIES: readonly Urgency[] = [0, 1, 2, 3, 4];

export class WaitingEvents {
  readonly #classes = new Map<string, EventClass>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Those with something in them; the ones that failed over first. */
  classes(): readonly EventClass[] {
    const all = [...this.#classes.values()];
    return all.sort((a, b) => Number(b.hasFailedOver) - Number(a.hasFailedOver));
  }

  add(event: OpenEvent): void {
    const avoided = event.avoid === null ? [] : [...event.avoid.keys()].sort();
    const isHeld = event.avoid?.values().some((why) => why === "held") === true;
    const key = `${event.hasFailedOver ? "!" : ""}${isHeld ? "~" : ""}${avoided.join("\n")}`;
    let found = this.#classes.get(key);
    if (found === undefined) {
      const lists = URGENCIES.map(() => new EventList());
      const { hasFailedOver } = event;
      found = { key, avoid: new Set(avoided), hasFailedOver, isHeld, lists };
      this.#classes.set(key, found);
    }
    found.lists[event.urgency]?.add(event);
    this.#count++;
  }

  remove(event: OpenEvent): void {
    if (event.list === null) return;
    event.list.remove(event);
    this.#count--;
  }

  /** An empty class is forgotten, or every path that ever refused something would leave one behind. */
  sweep(): void {
    for (const [key, one] of this.#classes) {
      if (one.lists.every((list) => list.count === 0)) this.#classes.delete(key);
    }
  }
}
