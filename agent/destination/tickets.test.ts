/**
 * Goal: one ticket a fault, whatever order, repetition and path its events come by; open exactly while something is wrong.
 * Method: short stories of one machine, and random histories against a model that knows the order in which things happened.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { BmcEvent } from "../../bmc/bmc.ts";
import type { TicketChangeKind } from "./adapter.ts";
import { arrivalOf, GUID, testEvent, threshold } from "./harness/test-events.ts";
import { TestShelf } from "./harness/test-shelf.ts";
import { type Ticket, ticketId, ticketNumber, yearOf } from "./ticket.ts";
import { closeByHand, holding, REOPEN_WITHIN_MS, relatedTo } from "./tickets.ts";

const T0 = Date.UTC(2026, 10, 25, 12);
const HOUR_MS = 3_600_000;

function filed(events: readonly BmcEvent[], shelf = new TestShelf()): TestShelf {
  for (const event of events) shelf.take(arrivalOf(event));
  return shelf;
}

function only(shelf: TestShelf): Ticket {
  const [ticket, ...more] = shelf.all();
  if (ticket === undefined || more.length > 0) throw new Error(`${shelf.tickets.size} tickets`);
  return ticket;
}

function kinds(shelf: TestShelf): readonly string[] {
  return shelf.told.map(({ kind }) => kind);
}

describe("a fault", () => {
  test("with 1,000 events on one DIMM is one ticket that counts them all and rises with the gravest", () => {
    const events = Array.from({ length: 1_000 }, (_, index) =>
      testEvent({ whenMs: T0 + index * 10, severity: index === 700 ? "critical" : "warning" }),
    );
    const shelf = filed(events);
    expect(only(shelf)).toMatchObject({
      eventCount: 1_000,
      severity: "critical",
      isOpen: true,
      firstMs: T0,
      lastMs: T0 + 9_990,
    });
    expect(kinds(shelf).filter((kind) => kind !== "appended")).toEqual(["opened", "raised"]);
  });

  test("of another DIMM, of another module on one sensor, of another machine, of another cluster is another ticket", () => {
    const extra = { sensorNumber: 0x71, generator: 0x20, lun: 0, eventType: 0x6f, offset: 0 };
    const module = (data3: number): BmcEvent =>
      testEvent({ extra: { ...extra, data1: 0xb0, data3 } });
    const shelf = filed([
      testEvent(),
      testEvent({ subject: "DIMM B1" }),
      testEvent({ system: GUID.replace("00", "01") }),
      module(1),
      module(2),
    ]);
    const statement = { ...arrivalOf(testEvent()).statement, cluster: "c2" };
    shelf.take({ ...arrivalOf(testEvent()), statement });
    expect(shelf.tickets.size).toBe(6);
    expect(shelf.all().map(({ component }) => component.subject)).toContain("DIMM A1 module 2");
  });

  test("is the same by whichever order of bytes a BMC tells its GUID, and whether or not a sensor's name is known", () => {
    const named = threshold(7, true, T0);
    const shelf = filed([
      named,
      { ...threshold(9, true, T0 + 1_000), subject: "sensor 0x30" },
      { ...threshold(7, true, T0 + 2_000), system: "33221100-5544-7766-8899-AABBCCDDEEFF" },
      { ...threshold(7, true, T0 + 3_000), system: "ffeeddccbbaa99887766554433221100" },
    ]);
    expect(only(shelf).eventCount).toBe(4);
  });

  test("that is told by two observers of one log without a common generation is counted once, and each id has its ticket", () => {
    const record = "0000022d4a8e5e200004010c6fa00102";
    const first = testEvent({ record, epoch: 100, whenMs: T0 });
    const second = testEvent({ record, epoch: 200, whenMs: T0 });
    const again = testEvent({ record, epoch: 200, whenMs: T0, nth: 1 });
    const shelf = filed([first, second]);
    expect(only(shelf)).toMatchObject({ eventCount: 1, mergedCount: 1 });
    filed([again], shelf);
    expect(only(shelf)).toMatchObject({ eventCount: 2, mergedCount: 1 });
  });

  test("of a BMC that did not know the time is not taken for the one of an earlier start", () => {
    const record = "00000220000000200004010c6fa00102";
    const shelf = filed([
      testEvent({ record, epoch: 1, whenMs: null, seenMs: T0 }),
      testEvent({ record, epoch: 2, whenMs: null, seenMs: T0 + HOUR_MS }),
    ]);
    expect(only(shelf)).toMatchObject({ eventCount: 2, mergedCount: 0 });
  });
});

describe("a ticket is closed", () => {
  test("when the last threshold is back, and not before", () => {
    const shelf = new TestShelf();
    const steps: readonly (readonly [7 | 9, boolean, boolean])[] = [
      [7, true, true],
      [9, true, true],
      [9, false, true],
      [7, false, false],
    ];
    for (const [index, [offset, isAssertion, isOpen]] of steps.entries()) {
      const ticket = shelf.take(arrivalOf(threshold(offset, isAssertion, T0 + index * 1_000)));
      expect(ticket.isOpen).toBe(isOpen);
    }
    expect(kinds(shelf)).toEqual(["opened", "raised", "appended", "closed"]);
    expect(only(shelf)).toMatchObject({ severity: "critical", eventCount: 4 });
    expect(only(shelf).closeReason).toContain("offset 7 deasserted");
  });

  test("by a good state that is asserted in the place of a deassertion", () => {
    const redundancy = (offset: number, severity: BmcEvent["severity"], atMs: number): BmcEvent =>
      testEvent({
        category: "power-supply",
        subject: "PS Redundancy",
        severity,
        whenMs: atMs,
        extra: { sensorNumber: 1, generator: 0x20, lun: 0, eventType: 0x0b, offset },
      });
    const shelf = filed([
      redundancy(1, "critical", T0),
      redundancy(2, "warning", T0 + 1_000),
      redundancy(0, "ok", T0 + 2_000),
    ]);
    expect(only(shelf).isOpen).toBe(false);
  });

  test("opens for a good thing that went away, and closes when it is back", () => {
    const presence = (isAssertion: boolean, atMs: number): BmcEvent =>
      testEvent({
        category: "power-supply",
        subject: "PS1",
        isAssertion,
        severity: isAssertion ? "ok" : "warning",
        whenMs: atMs,
        extra: { sensorNumber: 2, generator: 0x20, lun: 0, eventType: 0x6f, offset: 0 },
      });
    const shelf = filed([presence(false, T0)]);
    expect(only(shelf).isOpen).toBe(true);
    filed([presence(true, T0 + 1_000)], shelf);
    expect(only(shelf).isOpen).toBe(false);
  });

  test("by the messages of Redfish: thresholds each by its own, others by whichever word says that it is over", () => {
    const told = (messageId: string, isAssertion: boolean, atMs: number): BmcEvent =>
      testEvent({
        category: "sensors",
        subject: "fan1",
        severity: isAssertion ? "critical" : "ok",
        isAssertion,
        whenMs: atMs,
        extra: { messageId: `OpenBMC.0.1.${messageId}` },
      });
    const shelf = filed([
      told("SensorThresholdWarningHighGoingHigh", true, T0),
      told("SensorThresholdCriticalHighGoingHigh", true, T0 + 1_000),
      told("SensorThresholdCriticalHighGoingLow", false, T0 + 2_000),
    ]);
    expect(only(shelf).isOpen).toBe(true);
    filed([told("SensorThresholdWarningHighGoingLow", false, T0 + 3_000)], shelf);
    expect(only(shelf).isOpen).toBe(false);
    filed([told("FanFailed", true, T0 + 4_000), told("FanRecovered", false, T0 + 5_000)], shelf);
    expect(only(shelf)).toMatchObject({ isOpen: false, reopenCount: 1, eventCount: 6 });
  });

  test("of two things that holdfast sees of one job each by its own end", () => {
    const told = (what: string, isAssertion: boolean, atMs: number): BmcEvent =>
      testEvent({
        way: "host",
        system: "cluster:c1",
        category: "job",
        subject: "job j1",
        severity: isAssertion ? "warning" : "ok",
        isAssertion,
        whenMs: atMs,
        extra: { about: JSON.stringify([what, "c1", "j1", 3]) },
      });
    const shelf = filed([told("job-lost", true, T0), told("job-degraded", true, T0 + 1)]);
    filed([told("job-lost", false, T0 + 2)], shelf);
    expect(only(shelf).isOpen).toBe(true);
    filed([told("job-degraded", false, T0 + 3)], shelf);
    expect(only(shelf).isOpen).toBe(false);
  });

  test("at once where it is a test of call home, each test by itself, and told all the same", () => {
    const told = (): BmcEvent =>
      testEvent({ way: "host", category: "test", severity: "information", whenMs: T0 });
    const shelf = filed([told(), told()]);
    expect(shelf.all().map(({ isOpen }) => isOpen)).toEqual([false, false]);
    expect(kinds(shelf)).toEqual(["opened", "closed", "opened", "closed"]);
  });

  test("by hand, and stays so for what was seen before, and opens for what is seen after", () => {
    const shelf = filed([testEvent({ whenMs: T0 })]);
    const closed = closeByHand(only(shelf), "DIMM replaced", T0 + 60_000);
    expect(closed?.kinds).toEqual(["closed"]);
    if (closed !== null) shelf.keep(closed.ticket);
    expect(closeByHand(only(shelf), "again", T0 + 61_000)).toBeNull();
    shelf.take(arrivalOf(testEvent({ whenMs: T0 + 1_000, seenMs: T0 + 59_000 })));
    expect(only(shelf)).toMatchObject({ isOpen: false, eventCount: 2 });
    // The BMC's clock is five hours behind; the observer's is right.
    const seenMs = T0 + 120_000;
    shelf.take(arrivalOf(testEvent({ whenMs: seenMs - 5 * HOUR_MS, seenMs })));
    expect(only(shelf)).toMatchObject({ isOpen: true, reopenCount: 1, closedMs: null });
    expect(holding(only(shelf))).toHaveLength(1);
  });
});

describe("what comes back", () => {
  test("within a day opens the ticket again, with the gravity of what holds now; later it is another one that names it", () => {
    const shelf = filed([
      threshold(9, true, T0),
      threshold(9, false, T0 + HOUR_MS),
      threshold(7, true, T0 + 2 * HOUR_MS),
    ]);
    expect(only(shelf)).toMatchObject({ isOpen: true, reopenCount: 1, severity: "warning" });
    filed([threshold(7, false, T0 + 3 * HOUR_MS)], shelf);
    const laterMs = T0 + 3 * HOUR_MS + REOPEN_WITHIN_MS + 1;
    filed([threshold(7, true, laterMs)], shelf);
    const [first, second] = shelf.all();
    expect([first?.isOpen, second?.isOpen]).toEqual([false, true]);
    expect(second?.related).toEqual([first?.id ?? ""]);
  });

  test("while a ticket is open is counted on it, however old it is", () => {
    const shelf = filed([testEvent({ whenMs: T0 }), testEvent({ whenMs: T0 + 400 * HOUR_MS })]);
    expect(only(shelf).eventCount).toBe(2);
  });

  test("in doubt is open: the log's clock was set back by an hour between the end and the new beginning", () => {
    const again = { ...threshold(9, true, T0 - HOUR_MS), seenMs: T0 + 300_000 };
    const shelf = filed([threshold(9, true, T0), threshold(9, false, T0 + 1_000), again]);
    expect(only(shelf).isOpen).toBe(true);
  });
});

describe("what is no fault", () => {
  test("is counted and wakes nobody; a fault of that component has a ticket of its own", () => {
    const shelf = filed([
      testEvent({ severity: "information", whenMs: T0 }),
      testEvent({ severity: "information", whenMs: T0 + 1_000 }),
    ]);
    expect(only(shelf)).toMatchObject({ isOpen: false, eventCount: 2 });
    expect(shelf.told).toEqual([]);
    filed([testEvent({ whenMs: T0 + 2_000 })], shelf);
    expect(shelf.all().map(({ eventCount, isOpen }) => [eventCount, isOpen])).toEqual([
      [2, false],
      [1, true],
    ]);
  });

  test("an end whose beginning comes later is one ticket, told as opened and closed", () => {
    const shelf = filed([threshold(9, false, T0 + 1_000), threshold(9, true, T0)]);
    expect(only(shelf)).toMatchObject({ isOpen: false, eventCount: 2 });
    expect(kinds(shelf)).toEqual(["opened", "closed"]);
  });
});

describe("tickets of one node", () => {
  test("of what holdfast saw and of what its BMC said name each other when they are near in time", () => {
    const host = (node: string, atMs: number): BmcEvent =>
      testEvent({
        way: "host",
        system: `node:${node}`,
        category: "node",
        subject: node,
        whenMs: atMs,
        extra: { node },
      });
    const shelf = new TestShelf();
    const dimm = shelf.take(arrivalOf(testEvent({ whenMs: T0 })));
    const fan = shelf.take(arrivalOf(testEvent({ whenMs: T0, category: "fan", subject: "Fan 1" })));
    const old = shelf.take(arrivalOf(testEvent({ whenMs: T0 - HOUR_MS, subject: "DIMM C1" })));
    const near = shelf.take(arrivalOf(host("n1", T0 + 30_000), {}, "n2"));
    const other = shelf.take(arrivalOf(host("n3", T0 + 30_000), {}, "n2"));
    const all = [dimm, fan, old, near, other];
    expect(relatedTo(near, all)).toEqual([dimm, fan]);
    expect(relatedTo(other, all)).toEqual([]);
    expect(relatedTo(dimm, all)).toEqual([near]);
  });
});

describe("ids of tickets", () => {
  test("name the year in UTC and a number that is read back", () => {
    expect(ticketId(123, T0)).toBe("T-2026-000123");
    expect(ticketNumber("T-2026-000123")).toBe(123);
    expect(ticketNumber(ticketId(12_345_678, T0))).toBe(12_345_678);
    for (const text of ["", "T-2026-12", "T-2026-000123 ", "X-2026-000123"]) {
      expect(ticketNumber(text)).toBeNull();
    }
    fc.assert(
      fc.property(
        fc.date({ min: new Date(0), max: new Date("2400-12-31"), noInvalidDate: true }),
        (date) => {
          expect(yearOf(date.getTime())).toBe(date.getUTCFullYear());
        },
      ),
    );
  });
});

/** What happened to two thresholds of one sensor, and to a DIMM that is never well again; a second apart at least. */
const historyOf = (gapMsMax: number): fc.Arbitrary<readonly BmcEvent[]> =>
  fc
    .array(
      fc.record({
        what: fc.constantFrom("7", "9", "dimm"),
        isAssertion: fc.boolean(),
        gapMs: fc.integer({ min: 1_000, max: gapMsMax }),
      }),
      { minLength: 1, maxLength: 12 },
    )
    .map((steps) => {
      let atMs = T0;
      return steps.map(({ what, isAssertion, gapMs }) => {
        atMs += gapMs;
        if (what === "dimm") return testEvent({ whenMs: atMs, seenMs: atMs + 500 });
        return threshold(what === "7" ? 7 : 9, isAssertion, atMs);
      });
    });

/** By what is newest of each threshold. */
function isHot(events: readonly BmcEvent[]): boolean {
  const state = new Map<unknown, boolean>();
  for (const { category, extra, isAssertion } of events) {
    if (category === "temperature") state.set(extra["offset"], isAssertion);
  }
  return [...state.values()].includes(true);
}

interface Seen {
  readonly hot: boolean;
  readonly openCount: number;
  readonly counted: number;
}

function outcome(shelf: TestShelf): Seen {
  const open = shelf.all().filter(({ isOpen }) => isOpen);
  return {
    hot: open.some(({ component }) => component.category === "temperature"),
    openCount: open.length,
    counted: shelf.all().reduce((sum, { eventCount }) => sum + eventCount, 0),
  };
}

function toldCount(shelf: TestShelf): number {
  return shelf.all().filter(({ wasOpen }) => wasOpen).length;
}

/** Whether a listener takes it that a ticket is open, after each kind of change; throws where a change makes no sense. */
function heard(isOpen: boolean | undefined, kind: TicketChangeKind): boolean {
  switch (kind) {
    case "opened":
      expect(isOpen).toBeUndefined();
      return true;
    case "reopened":
      expect(isOpen).toBe(false);
      return true;
    case "raised":
      expect(isOpen).toBe(true);
      return true;
    case "closed":
      expect(isOpen).toBe(true);
      return false;
    case "appended":
      expect(isOpen).toBeDefined();
      return isOpen ?? false;
  }
}

/** Days may lie between events: several tickets of one fault. */
const history = historyOf(2 * REOPEN_WITHIN_MS);
/** All of it within a day. */
const shortHistory = historyOf(HOUR_MS);

describe("whatever the order, the repetitions and the paths", () => {
  test("what is open at the end is what is wrong at the end, and every event is counted once", () => {
    fc.assert(
      fc.property(
        history.chain((events) =>
          fc.tuple(
            fc.constant(events),
            fc.shuffledSubarray([...events, ...events], {
              minLength: events.length * 2,
              maxLength: events.length * 2,
            }),
          ),
        ),
        ([events, order]) => {
          const arrivals = order.map((event, index) =>
            arrivalOf(event, { receivedMs: T0 + 100 * REOPEN_WITHIN_MS + index }),
          );
          const shelf = new TestShelf();
          for (const arrival of arrivals) shelf.take(arrival);
          const hot = isHot(events);
          const hasDimm = events.some(({ category }) => category === "memory");
          expect(outcome(shelf)).toEqual({
            hot,
            openCount: Number(hot) + Number(hasDimm),
            counted: events.length,
          });
        },
      ),
      { numRuns: 400 },
    );
  });

  test("what happens within a day is one ticket a fault", () => {
    fc.assert(
      fc.property(
        shortHistory.chain((events) =>
          fc.shuffledSubarray([...events], { minLength: events.length, maxLength: events.length }),
        ),
        (order) => {
          const shelf = filed(order);
          const bad = order.filter(({ severity }) => severity !== "ok");
          expect(toldCount(shelf)).toBe(new Set(bad.map(({ category }) => category)).size);
        },
      ),
      { numRuns: 400 },
    );
  });

  test("nobody is told twice that a ticket is open or closed, and every ticket that was told closed was told open before", () => {
    fc.assert(
      fc.property(
        history.chain((events) =>
          fc.shuffledSubarray([...events], { minLength: events.length, maxLength: events.length }),
        ),
        (order) => {
          const shelf = filed(order);
          const state = new Map<string, boolean>();
          for (const { ticket, kind } of shelf.told) {
            state.set(ticket, heard(state.get(ticket), kind));
          }
          for (const { id, isOpen } of shelf.all()) expect(state.get(id) ?? false).toBe(isOpen);
        },
      ),
      { numRuns: 400 },
    );
  });
});
