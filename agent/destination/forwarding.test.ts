/**
 * Goal: however long an adapter is down, what waits for it is short, in order, and says the same as if it had heard everything.
 * Method: random changes of one ticket, gathered by the rules, against a listener that heard them one by one.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { AdapterFailure, TicketChange, TicketChangeKind } from "./adapter.ts";
import {
  BACKOFF_MS_MAX,
  dueMs,
  GATHER_MS,
  gathered,
  RETRY_AFTER_MS_MAX,
  retryMs,
} from "./forwarding.ts";
import { arrivalOf, testEvent } from "./harness/test-events.ts";
import { changesOf, fileEvent } from "./tickets.ts";

const arrival = arrivalOf(testEvent());
const FIRST = changesOf(fileEvent(arrival, null, 1), {
  destination: "support",
  atMs: 1_000,
  eventId: arrival.statement.event.id,
})[0] as TicketChange;

function change(kind: TicketChangeKind, nth: number): TicketChange {
  const hasEvent = kind !== "closed";
  return {
    ...FIRST,
    kind,
    key: `${FIRST.ticket}.${nth}`,
    eventCount: nth,
    newEventCount: hasEvent ? 1 : 0,
  };
}

/** As the outbox does it, with nothing tried yet. */
function waitingAfter(changes: readonly TicketChange[]): readonly TicketChange[] {
  const waiting: TicketChange[] = [];
  for (const next of changes) {
    const last = waiting.at(-1);
    const one = last === undefined ? null : gathered(last, next);
    if (one === null) waiting.push(next);
    else waiting[waiting.length - 1] = one;
  }
  return waiting;
}

function isOpenAfter(changes: readonly TicketChange[], before: boolean): boolean {
  let isOpen = before;
  for (const { kind } of changes) {
    if (kind === "closed") isOpen = false;
    else if (kind !== "appended") isOpen = true;
  }
  return isOpen;
}

/** Of a ticket that opens, then goes on in any way that tickets do. */
const life = fc
  .array(fc.constantFrom("append", "raise", "flip"), { maxLength: 40 })
  .map((steps) => {
    const changes = [change("opened", 1)];
    let isOpen = true;
    for (const step of steps) {
      const nth = changes.length + 1;
      if (step === "flip") {
        changes.push(change(isOpen ? "closed" : "reopened", nth));
        isOpen = !isOpen;
      } else changes.push(change(step === "raise" && isOpen ? "raised" : "appended", nth));
    }
    return changes;
  });

describe("what waits", () => {
  test("is at most three changes, ends in the same state, counts every event once, has the newest key last", () => {
    fc.assert(
      fc.property(life, fc.nat(40), (changes, heardCount) => {
        const heard = changes.slice(0, heardCount);
        const rest = changes.slice(heardCount);
        const waiting = waitingAfter(rest);
        expect(waiting.length).toBeLessThanOrEqual(3);
        const before = isOpenAfter(heard, false);
        expect(isOpenAfter(waiting, before)).toBe(isOpenAfter(rest, before));
        const sum = (all: readonly TicketChange[]): number =>
          all.reduce((total, { newEventCount }) => total + newEventCount, 0);
        expect(sum(waiting)).toBe(sum(rest));
        expect(waiting.at(-1)?.key).toBe(rest.at(-1)?.key as string);
        expect(waiting.at(-1)?.eventCount).toBe(rest.at(-1)?.eventCount as number);
        expect(new Set(waiting.map(({ key }) => key)).size).toBe(waiting.length);
        if (rest[0]?.kind === "opened") expect(waiting[0]?.kind).toBe("opened");
      }),
      { numRuns: 500 },
    );
  });

  test("of 1,000 further events is one change with their number, told in a while; anything else is told at once", () => {
    const more = Array.from({ length: 1_000 }, (_, index) => change("appended", index + 2));
    const waiting = waitingAfter(more);
    expect(waiting).toHaveLength(1);
    expect(waiting[0]).toMatchObject({ kind: "appended", newEventCount: 1_000, eventCount: 1_001 });
    expect(dueMs(change("appended", 2), 5_000)).toBe(5_000 + GATHER_MS);
    for (const kind of ["opened", "raised", "closed", "reopened"] as const) {
      expect(dueMs(change(kind, 2), 5_000)).toBe(5_000);
    }
  });
});

describe("after a failure", () => {
  const failure: AdapterFailure = {
    kind: "unreachable",
    detail: "",
    isPermanent: false,
    retryAfterMs: null,
  };

  test("the wait grows with full jitter up to a bound, or is what the far end asked for", () => {
    expect(retryMs(failure, 1, 0)).toBe(500);
    expect(retryMs(failure, 1, 1)).toBe(2_000);
    expect(retryMs(failure, 1_000, 1)).toBe(BACKOFF_MS_MAX);
    expect(retryMs({ ...failure, retryAfterMs: 60_000 }, 1, 0.5)).toBe(60_000);
    expect(retryMs({ ...failure, retryAfterMs: 0 }, 1, 0.5)).toBe(1_000);
    expect(retryMs({ ...failure, retryAfterMs: 1e12 }, 1, 0.5)).toBe(RETRY_AFTER_MS_MAX);
  });
});
