/**
 * Goal: waiting events keep their order and what is due comes up in its order, whatever is taken out between. Method: random
 * operations against plain arrays that are sorted each time.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EventList, type OpenEvent } from "./delivery-queue.ts";
import { type Due, DueHeap } from "./due-heap.ts";

function eventOf(order: number): OpenEvent {
  return {
    id: String(order),
    urgency: 1,
    bytes: 1,
    queuedMs: 0,
    order,
    place: "waiting",
    pendingCount: 0,
    avoid: null,
    touched: null,
    keptBy: null,
    keptUntilMs: 0,
    hasFailedOver: false,
    turnCount: 0,
    notRelayedCount: 0,
    why: "",
    list: null,
    before: null,
    after: null,
    dueMs: 0,
    dueIndex: -1,
  };
}

function ordersIn(list: EventList): readonly number[] {
  const found: number[] = [];
  for (let event = list.first; event !== null; event = event.after) found.push(event.order);
  return found;
}

describe("a list of waiting events", () => {
  test("is in the order of queueing after any adding and removing", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(30), { maxLength: 200 }), (toggled) => {
        const events = Array.from({ length: 31 }, (_, order) => eventOf(order));
        const list = new EventList();
        const model = new Set<number>();
        for (const order of toggled) {
          const event = events[order] as OpenEvent;
          if (model.delete(order)) list.remove(event);
          else {
            model.add(order);
            list.add(event);
          }
          expect(ordersIn(list)).toEqual([...model].sort((a, b) => a - b));
          expect(list.count).toBe(model.size);
        }
      }),
    );
  });
});

describe("things that are due", () => {
  test("come up in their order, each once, the ones that were settled never", () => {
    const operation = fc.tuple(fc.nat(20), fc.integer({ min: -1, max: 50 }));
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const items: Due[] = Array.from({ length: 21 }, () => ({ dueMs: 0, dueIndex: -1 }));
        const heap = new DueHeap<Due>();
        const model = new Map<Due, number>();
        for (const [index, dueMs] of operations) {
          const item = items[index] as Due;
          if (dueMs < 0) {
            heap.remove(item);
            model.delete(item);
          } else {
            heap.set(item, dueMs);
            model.set(item, dueMs);
          }
          expect(heap.dueMs()).toBe(Math.min(Number.POSITIVE_INFINITY, ...model.values()));
        }
        const taken: number[] = [];
        for (let item = heap.take(1_000); item !== null; item = heap.take(1_000)) {
          taken.push(item.dueMs);
        }
        expect(taken).toEqual([...model.values()].sort((a, b) => a - b));
      }),
    );
  });
});
