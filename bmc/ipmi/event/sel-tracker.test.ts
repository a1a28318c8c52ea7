/**
 * New records of a log: no event lost, none told twice. A model log is changed at random, looked at in between, and holdfast
 * restarted; what was told is compared with what was added.
 *
 * What no observer can tell apart is kept out of the model: a record that is gone, and a byte-identical one that came in its
 * second, when no record with a known id is left. That may be a renumbering as well. So the clock moves before a clear and
 * a renumbering, and the last known record is not removed, nor all ids changed, while a twin of a known record is unseen.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { pollSel, type SelLook } from "./sel-poll.ts";
import { contentOf, KNOWN_MAX, SelTracker } from "./sel-tracker.ts";
import { type ModelEntry, ModelLog, readChain, runOn } from "./test-model-log.ts";

const GUID = "00112233445566778899aabbccddeeff";

function look(log: ModelLog, tracker: SelTracker): SelLook {
  const result = runOn(log, pollSel(tracker, readChain));
  if (!result.ok) throw new Error(result.error.detail);
  return result.value;
}

function restart(tracker: SelTracker): SelTracker {
  return new SelTracker(GUID, JSON.parse(JSON.stringify(tracker.memory())));
}

function started(log: ModelLog): SelTracker {
  const tracker = new SelTracker(GUID);
  look(log, tracker);
  return tracker;
}

type Operation =
  | { readonly kind: "add"; readonly sensor: number }
  | { readonly kind: "storm"; readonly count: number }
  | { readonly kind: "delete"; readonly at: number }
  | { readonly kind: "clear" }
  | { readonly kind: "renumber"; readonly first: number }
  | { readonly kind: "second" }
  | { readonly kind: "look" }
  /** Events come between the requests of the look. */
  | { readonly kind: "busy-look"; readonly sensor: number; readonly after: number }
  | { readonly kind: "restart" };

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("add" as const),
      sensor: fc.integer({ min: 1, max: 2 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("storm" as const),
      count: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete" as const), at: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.constant({ kind: "clear" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("renumber" as const),
      first: fc.integer({ min: 1, max: 30 }),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: "second" as const }) },
  { weight: 5, arbitrary: fc.constant({ kind: "look" as const }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("busy-look" as const),
      sensor: fc.integer({ min: 1, max: 2 }),
      after: fc.integer({ min: 1, max: 6 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "restart" as const }) },
);

/** Counts of contents. */
class Bag {
  readonly counts: Map<string, number> = new Map();

  add(bytes: Uint8Array): void {
    const content = contentOf(bytes);
    this.counts.set(content, (this.counts.get(content) ?? 0) + 1);
  }

  count(content: string): number {
    return this.counts.get(content) ?? 0;
  }
}

function playHistory(operations: readonly Operation[], log: ModelLog): void {
  let tracker = started(log);
  const added = new Bag();
  const due = new Bag();
  const told = new Bag();
  const ids = new Set<string>();
  /** Entries that were in the log from the beginning to the end of a look. */
  const seen = new Set<object>();
  const isLastKnown = (entry: ModelEntry | undefined): boolean => {
    const known = log.entries.filter((one) => seen.has(one));
    return entry !== undefined && known.length === 1 && known[0] === entry;
  };
  const lookIfTwins = (): void => {
    const unseen = log.entries.filter((one) => !seen.has(one));
    if (unseen.some(({ bytes }) => due.count(contentOf(bytes)) > 0)) lookNow();
  };
  const add = (sensor: number, isBetweenRequests = false): void => {
    if (log.isFull && isLastKnown(log.entries[0])) {
      if (isBetweenRequests) return;
      lookNow();
    }
    const entry = log.add(sensor);
    if (entry !== null) added.add(entry.bytes);
  };
  const lookNow = (): void => {
    const before = [...log.entries];
    const { fresh } = look(log, tracker);
    for (const entry of before) {
      // A ring may have dropped it while the look was under way.
      if (seen.has(entry) || !log.entries.includes(entry)) continue;
      seen.add(entry);
      due.add(entry.bytes);
    }
    for (const record of fresh) {
      told.add(record.bytes);
      const id = `${record.epoch} ${contentOf(record.bytes)} ${record.nth}`;
      expect(ids.has(id)).toBe(false);
      ids.add(id);
    }
  };
  for (const one of operations) {
    switch (one.kind) {
      case "add":
        add(one.sensor);
        break;
      case "storm":
        for (let count = 0; count < one.count; count++) add(1);
        break;
      case "delete":
        log.clock++;
        if (isLastKnown(log.entries[one.at % log.entries.length])) lookNow();
        if (log.entries.length > 0) log.delete(one.at % log.entries.length);
        break;
      case "clear":
        log.clock++;
        log.clear();
        break;
      case "renumber":
        log.clock++;
        lookIfTwins();
        log.renumber(firstId(one.first, log));
        break;
      case "second":
        log.clock++;
        break;
      case "look":
        lookNow();
        break;
      case "busy-look": {
        const from = log.requestCount + one.after;
        log.onRequest = () => {
          if (log.requestCount === from) add(one.sensor, true);
        };
        lookNow();
        log.onRequest = () => undefined;
        break;
      }
      case "restart":
        tracker = restart(tracker);
        break;
    }
  }
  lookNow();
  // A second look in peace finds what came during the first.
  lookNow();
  for (const [content, count] of due.counts)
    expect(told.count(content)).toBeGreaterThanOrEqual(count);
  for (const [content, count] of told.counts)
    expect(count).toBeLessThanOrEqual(added.count(content));
}

/** A log that is packed begins at 1; one that is written anew may give ids that it never had. */
function firstId(wish: number, log: ModelLog): number {
  return wish > 20 ? log.nextId + 100 : 1;
}

describe("no event is lost and none told twice", () => {
  const histories = fc.array(operation, { maxLength: 60 });

  test("by a log that has room", () => {
    fc.assert(
      fc.property(histories, (operations) => playHistory(operations, new ModelLog())),
      { numRuns: 400 },
    );
  });

  test("by a ring that drops its oldest", () => {
    fc.assert(
      fc.property(histories, (operations) => {
        const inPlace = operations.filter(({ kind }) => kind !== "renumber");
        playHistory(inPlace, new ModelLog({ capacity: 12, isRing: true }));
      }),
      { numRuns: 400 },
    );
  });

  test("by a small log that refuses what it has no room for", () => {
    fc.assert(
      fc.property(histories, (operations) =>
        playHistory(operations, new ModelLog({ capacity: 6 })),
      ),
      { numRuns: 200 },
    );
  });

  test("by a BMC whose clock stands still, as long as nothing is deleted", () => {
    fc.assert(
      fc.property(histories, (operations) => {
        const log = new ModelLog();
        log.clock = 5;
        const without = operations.filter(({ kind }) =>
          ["add", "storm", "look", "busy-look", "restart"].includes(kind),
        );
        playHistory(without, log);
      }),
      { numRuns: 200 },
    );
  });
});

describe("one look after the other", () => {
  test("an unchanged log costs one request, a new event four", () => {
    const log = new ModelLog();
    for (let count = 0; count < 100; count++) log.add(1);
    const tracker = started(log);
    log.requestCount = 0;
    expect(look(log, tracker).fresh).toEqual([]);
    expect(log.requestCount).toBe(1);
    log.clock++;
    const entry = log.add(2);
    log.requestCount = 0;
    expect(look(log, tracker).fresh).toEqual([
      { bytes: entry?.bytes ?? new Uint8Array(0), epoch: 0, nth: 0 },
    ]);
    // Information, the newest known record, the new one, the information again.
    expect(log.requestCount).toBe(4);
  });

  test("a single delete tells nothing and begins no epoch", () => {
    const log = new ModelLog();
    for (let sensor = 1; sensor <= 3; sensor++) log.add(sensor);
    const tracker = started(log);
    const { epoch } = tracker;
    log.clock++;
    log.delete(1);
    expect(look(log, tracker)).toMatchObject({ fresh: [], isCleared: false });
    expect(tracker.epoch).toBe(epoch);
  });

  test("a cleared log begins an epoch at its erase time, also when its ids are those of before", () => {
    const log = new ModelLog();
    log.add(1);
    log.add(2);
    const tracker = started(log);
    log.clock += 10;
    log.clear();
    const erasedAt = log.clock;
    const entry = log.add(1);
    log.add(2);
    const found = look(log, tracker);
    expect(found.isCleared).toBe(true);
    expect(found.fresh).toHaveLength(2);
    expect(found.fresh[0]).toEqual({
      bytes: entry?.bytes ?? new Uint8Array(0),
      epoch: erasedAt,
      nth: 0,
    });
  });

  test("identical records of one second are counted, over a restart too", () => {
    const log = new ModelLog();
    const tracker = started(log);
    log.add(1);
    log.add(1);
    expect(look(log, tracker).fresh.map(({ nth }) => nth)).toEqual([0, 1]);
    const again = restart(tracker);
    log.add(1);
    expect(look(log, again).fresh.map(({ nth }) => nth)).toEqual([2]);
  });

  test("a ring that turns by identical events within a second loses none", () => {
    const log = new ModelLog({ capacity: 10, isRing: true });
    for (let count = 0; count < 10; count++) log.add(1);
    const tracker = started(log);
    for (let count = 0; count < 5; count++) log.add(1);
    expect(look(log, tracker).fresh.map(({ nth }) => nth)).toEqual([10, 11, 12, 13, 14]);
  });

  test("renumbered records are old, a new one among them is new", () => {
    const log = new ModelLog();
    for (let sensor = 1; sensor <= 5; sensor++) log.add(sensor);
    const tracker = started(log);
    log.clock++;
    log.delete(0);
    log.renumber(1);
    log.clock++;
    log.add(9);
    expect(look(log, tracker).fresh.map(({ bytes }) => bytes[11])).toEqual([9]);
  });

  test("an overflow is said once", () => {
    const log = new ModelLog({ capacity: 2 });
    log.add(1);
    log.add(2);
    const tracker = started(log);
    log.clock++;
    log.add(3);
    expect(look(log, tracker).hasOverflowed).toBe(true);
    expect(look(log, tracker).hasOverflowed).toBe(false);
  });

  test("a circle of next ids ends, and the whole is read instead", () => {
    const log = new ModelLog();
    log.add(1);
    log.add(2);
    const tracker = started(log);
    log.clock++;
    log.add(3);
    log.add(4);
    let isTail = true;
    const circular = {
      answer: (request: Parameters<ModelLog["answer"]>[0]): ReturnType<ModelLog["answer"]> => {
        const reply = log.answer(request);
        if (isTail && request.command === 0x43) reply.data.set([2, 0], 0);
        return reply;
      },
    };
    const result = runOn(
      circular,
      pollSel(tracker, function* () {
        isTail = false;
        return yield* readChain();
      }),
    );
    expect(result.ok && result.value.fresh.map(({ bytes }) => bytes[11])).toEqual([3, 4]);
  });
});

describe("memory", () => {
  test("of another system, or that is no memory, is as none", () => {
    const log = new ModelLog();
    log.add(1);
    const memory = started(log).memory();
    expect(new SelTracker("ff".repeat(16), memory).isNew).toBe(true);
    for (const bad of [
      null,
      7,
      "x",
      {},
      [],
      { ...memory, known: "*" },
      { ...memory, gone: [[1, 2]] },
      { ...memory, epoch: -1 },
      { ...memory, version: 2 },
    ]) {
      expect(new SelTracker(GUID, bad).isNew).toBe(true);
    }
    expect(new SelTracker(GUID, memory).isNew).toBe(false);
  });

  test("is bounded, and what is older than it is not told again", () => {
    const log = new ModelLog({ capacity: 20_000 });
    for (let count = 0; count < KNOWN_MAX + 50; count++) {
      log.clock++;
      log.add(1);
    }
    const tracker = restart(started(log));
    expect(JSON.stringify(tracker.memory()).length).toBeLessThan(180_000);
    log.clock++;
    // The erase time moves, so all is read again.
    log.delete(log.entries.length - 1);
    log.add(2);
    expect(look(log, tracker).fresh.map(({ bytes }) => bytes[11])).toEqual([2]);
  }, 60_000);
});
