/**
 * The reader of the event log against logs of all shapes: contiguous, sparse, unordered, cyclic, repeating, changing while they
 * are read. What it gives is compared with what the log holds; requests and batches are counted.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { Answers, IpmiReply, IpmiRequest, Steps } from "../ipmi.ts";
import { encodeSelInfo, type SelInfo } from "./get-sel-info.ts";
import type { SelRead } from "./sel-read.ts";
import { readSel } from "./sel-reader.ts";

interface LogRecord {
  /** Asked by this. */
  readonly id: number;
  readonly next: number;
  readonly bytes: Uint8Array;
}

function record(id: number, salt = 0): Uint8Array {
  const bytes = new Uint8Array(16).fill(0x55);
  bytes[0] = id & 0xff;
  bytes[1] = id >> 8;
  bytes[3] = salt & 0xff;
  bytes[4] = salt >> 8;
  return bytes;
}

/** A chain in the order of the ids. */
function chain(ids: readonly number[]): LogRecord[] {
  return ids.map((id, index) => ({ id, next: ids[index + 1] ?? 0xffff, bytes: record(id) }));
}

class FakeSel {
  records: LogRecord[];
  /** null: as many as there are. */
  count: number | null = null;
  lastAdd = 100;
  lastErase = 50;
  asked: number[] = [];
  batches: number[] = [];
  waits = 0;
  /** Called before each request for an entry is answered; what it gives is the answer. */
  onEntry: (asked: number, id: number, reservation: number) => number | BmcError | null = () =>
    null;

  constructor(records: LogRecord[]) {
    this.records = records;
  }

  answer(request: IpmiRequest): Result<IpmiReply, BmcError> {
    const code = (
      completionCode: number,
      data: Uint8Array = new Uint8Array(0),
    ): Result<IpmiReply, BmcError> => ok({ completionCode, data });
    if (request.command === 0x40) return code(0, encodeSelInfo(this.#info()));
    if (request.command === 0x42) return code(0, Uint8Array.of(0x34, 0x12));
    const { data } = request;
    const id = (data[2] as number) | ((data[3] as number) << 8);
    this.asked.push(id);
    const special = this.onEntry(
      this.asked.length,
      id,
      (data[0] as number) | ((data[1] as number) << 8),
    );
    if (typeof special === "number") return code(special);
    if (special !== null) return err(special);
    const found = id === 0 ? this.records[0] : this.records.find((one) => one.id === id);
    if (found === undefined) return code(0xcb);
    return code(0, Uint8Array.of(found.next & 0xff, found.next >> 8, ...found.bytes));
  }

  #info(): SelInfo {
    return {
      version: 0x51,
      entryCount: this.count ?? this.records.length,
      freeBytes: 1000,
      lastAdd: this.lastAdd,
      lastErase: this.lastErase,
      isOverflowed: false,
      canDelete: true,
      canAddPartially: false,
      canReserve: true,
      canTellAllocation: false,
    };
  }
}

function run(sel: FakeSel, steps: Steps<SelRead> = readSel()): Result<SelRead, BmcError> {
  let answers: Answers = [];
  for (let turn = 0; turn < 100_000; turn++) {
    const next = steps.next(answers);
    if (next.done) return next.value;
    answers = [];
    if (next.value.kind === "wait") sel.waits++;
    if (next.value.kind !== "ask") continue;
    if (next.value.requests[0]?.command === 0x43) sel.batches.push(next.value.requests.length);
    answers = next.value.requests.map((request) => sel.answer(request));
  }
  throw new Error("it does not end");
}

function idsOf(read: Result<SelRead, BmcError>): readonly number[] {
  if (!read.ok) throw new Error(`${read.error.kind}: ${read.error.detail}`);
  return read.value.records.map(({ recordId }) => recordId);
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n + 1);

describe("a log in good order", () => {
  test("an empty one is read as empty", () => {
    expect(idsOf(run(new FakeSel([])))).toEqual([]);
  });

  test("10,000 entries are read in their order, each asked once, in a handful of batches", () => {
    const sel = new FakeSel(chain(upTo(10_000)));
    const byId = new Map(sel.records.map((one) => [one.id, one]));
    sel.records.find = ((_: unknown) => undefined) as never;
    sel.answer = (request) => {
      if (request.command === 0x40) return FakeSel.prototype.answer.call(sel, request);
      const id = (request.data[2] as number) | ((request.data[3] as number) << 8);
      sel.asked.push(id);
      const one = byId.get(id === 0 ? 1 : id);
      const data = Uint8Array.of(
        (one?.next ?? 0) & 0xff,
        (one?.next ?? 0) >> 8,
        ...(one?.bytes ?? []),
      );
      return ok({ completionCode: 0, data });
    };
    const read = run(sel);
    expect(idsOf(read)).toEqual(upTo(10_000));
    expect(sel.asked).toHaveLength(10_000);
    expect(sel.batches.length).toBeLessThanOrEqual(7);
  });

  test("even steps other than one are guessed", () => {
    const ids = upTo(400).map((n) => n * 20);
    const sel = new FakeSel(chain(ids));
    expect(idsOf(run(sel))).toEqual(ids);
    expect(sel.batches.length).toBeLessThan(12);
  });
});

describe("a log in no good order", () => {
  test("sparse and unordered ids: every record once, in the order of the chain", () => {
    const ids = fc.uniqueArray(fc.integer({ min: 1, max: 0xfffe }), {
      minLength: 1,
      maxLength: 80,
    });
    fc.assert(
      fc.property(ids, (some) => {
        const sel = new FakeSel(chain(some));
        expect(idsOf(run(sel))).toEqual(some);
        // Guesses that fail may cost as much again, and no more.
        expect(sel.asked.length).toBeLessThan(some.length * 3 + 40);
      }),
      { numRuns: 150 },
    );
  });

  test("any graph of next ids ends, and gives every record that is there at most once", () => {
    const graph = fc
      .uniqueArray(fc.integer({ min: 1, max: 120 }), { minLength: 1, maxLength: 60 })
      .chain((ids) =>
        fc.tuple(
          fc.constant(ids),
          fc.array(fc.oneof(fc.constantFrom(...ids), fc.constantFrom(0, 0xffff)), {
            minLength: ids.length,
            maxLength: ids.length,
          }),
        ),
      );
    fc.assert(
      fc.property(graph, ([ids, nexts]) => {
        const sel = new FakeSel(
          ids.map((id, n) => ({ id, next: nexts[n] ?? 0xffff, bytes: record(id) })),
        );
        const got = idsOf(run(sel));
        // Ids are below 120: whatever the chain hides, the sweep finds.
        expect([...got].sort((a, b) => a - b)).toEqual([...ids].sort((a, b) => a - b));
      }),
      { numRuns: 200 },
    );
  });

  test("a chain in a circle ends at the record that comes again", () => {
    const sel = new FakeSel(chain([1, 2, 3, 4]));
    sel.records = sel.records.map((one) => (one.id === 4 ? { ...one, next: 2 } : one));
    expect(idsOf(run(sel))).toEqual([1, 2, 3, 4]);
  });

  test("a BMC that gives its last record for every further id is read to the last once", () => {
    const good = chain(upTo(30));
    const sel = new FakeSel(good);
    const last = good.at(-1) as LogRecord;
    sel.records = good.map((one) => (one.id === 30 ? { ...one, next: 31 } : one));
    for (let id = 31; id < 200; id++) sel.records.push({ id, next: id + 1, bytes: last.bytes });
    sel.count = 30;
    expect(idsOf(run(sel))).toEqual(upTo(30));
  });

  test("records that do not say their own id are all kept when they differ", () => {
    const sel = new FakeSel(
      upTo(40).map((id) => ({ id, next: id === 40 ? 0xffff : id + 1, bytes: record(7, id) })),
    );
    const read = run(sel);
    expect(read.ok && read.value.records).toHaveLength(40);
  });

  test("a chain that comes back and hides records that no id leads to is an error", () => {
    const sel = new FakeSel(chain([1, 2, 3]));
    sel.records = sel.records.map((one) => (one.id === 3 ? { ...one, next: 2 } : one));
    sel.count = 9;
    const read = run(sel);
    expect(!read.ok && read.error.kind).toBe("malformed");
    expect(!read.ok && read.error.detail).toContain("6 of 9");
  });

  test("a count that is wrong does not spoil a chain that ends in good order", () => {
    const sel = new FakeSel(chain(upTo(20)));
    sel.count = 23;
    expect(idsOf(run(sel))).toEqual(upTo(20));
  });

  test("a next id of 0 at the end is the end", () => {
    const sel = new FakeSel(chain([5, 6, 7]));
    sel.records = sel.records.map((one) => (one.id === 7 ? { ...one, next: 0 } : one));
    expect(idsOf(run(sel))).toEqual([5, 6, 7]);
  });
});

describe("a log that changes while it is read", () => {
  test("a record that is added meanwhile is read on, without asking for all again", () => {
    const sel = new FakeSel(chain(upTo(100)));
    sel.onEntry = (asked) => {
      if (asked === 90) {
        sel.records = chain(upTo(101));
        sel.lastAdd++;
      }
      return null;
    };
    expect(idsOf(run(sel))).toEqual(upTo(101));
    expect(sel.asked.length).toBeLessThan(110);
  });

  test("a clear in the middle gives the log of after it", () => {
    const sel = new FakeSel(chain(upTo(100)));
    sel.onEntry = (asked) => {
      if (asked === 50) {
        sel.records = [{ id: 1, next: 0xffff, bytes: record(1, 9) }];
        sel.lastErase++;
      }
      return null;
    };
    const read = run(sel);
    expect(idsOf(read)).toEqual([1]);
    expect(read.ok && read.value.records[0]?.bytes).toEqual(record(1, 9));
  });

  test("a log that never stands still is an error, not a part of it", () => {
    const sel = new FakeSel(chain(upTo(20)));
    let salt = 0;
    sel.onEntry = () => {
      salt++;
      sel.lastErase++;
      return null;
    };
    const read = run(sel);
    expect(!read.ok && read.error.kind).toBe("changed-while-read");
    expect(salt).toBeLessThan(200);
  });

  test("an entry that is deleted under the chain begins the reading anew", () => {
    const sel = new FakeSel(chain([3, 5, 9]));
    sel.onEntry = (asked) => {
      if (asked === 2) {
        sel.records = chain([3, 9]);
        sel.lastErase++;
      }
      return null;
    };
    expect(idsOf(run(sel))).toEqual([3, 9]);
  });
});

describe("a BMC in trouble", () => {
  test("an erase in progress is waited for", () => {
    const sel = new FakeSel(chain(upTo(5)));
    sel.onEntry = (asked) => (asked <= 3 ? 0x81 : null);
    expect(idsOf(run(sel))).toEqual(upTo(5));
    expect(sel.waits).toBe(3);
  });

  test("an erase that does not end is given up", () => {
    const sel = new FakeSel(chain(upTo(5)));
    sel.onEntry = () => 0x81;
    const read = run(sel);
    expect(!read.ok && read.error.kind).toBe("busy");
    expect(sel.waits).toBe(40);
  });

  test("one that wants a reservation for whole records gets it", () => {
    const sel = new FakeSel(chain(upTo(50)));
    sel.onEntry = (_asked, _id, reservation) => (reservation === 0x1234 ? null : 0xc5);
    expect(idsOf(run(sel))).toEqual(upTo(50));
  });

  test("an answer that does not come is the error of the whole", () => {
    const sel = new FakeSel(chain(upTo(200)));
    sel.onEntry = (_asked, id) => (id === 120 ? bmcError("timeout", "no answer") : null);
    const read = run(sel);
    expect(!read.ok && read.error.kind).toBe("timeout");
  });

  test("a guess that gets no answer is no error", () => {
    const sel = new FakeSel(chain([...upTo(30), 40, 41]));
    sel.onEntry = (_asked, id) => (id > 30 && id < 40 ? bmcError("timeout", "no answer") : null);
    expect(idsOf(run(sel))).toEqual([...upTo(30), 40, 41]);
  });

  test("a record that is cut short is an error", () => {
    const sel = new FakeSel(chain(upTo(20)));
    sel.records = sel.records.map((one) =>
      one.id === 12 ? { ...one, bytes: one.bytes.subarray(0, 9) } : one,
    );
    const read = run(sel);
    expect(!read.ok && read.error.kind).toBe("truncated-record");
  });

  test("a privilege that is too low is told as such", () => {
    const sel = new FakeSel(chain(upTo(20)));
    sel.onEntry = () => 0xd4;
    const read = run(sel);
    expect(!read.ok && read.error).toMatchObject({
      kind: "privilege-too-low",
      completionCode: 0xd4,
    });
  });
});
