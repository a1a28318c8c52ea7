/**
 * An event log as a BMC keeps it, for tests: adds, deletes, clears, wraps, renumbers, and answers the SEL commands.
 *
 * Simple on purpose: a list, a clock that the test moves, no faults but those that a test asks for. `readChain` is the
 * plainest reader there can be, against which a test needs no other.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { ask, type Part } from "../ask.ts";
import type { Answers, IpmiReply, IpmiRequest, Steps } from "../ipmi.ts";
import { getSelEntry, SEL_LAST, wholeSelEntry } from "../sel/get-sel-entry.ts";
import { encodeSelInfo, getSelInfo, type SelInfo } from "../sel/get-sel-info.ts";
import type { SelRead, SelReadRecord } from "../sel/sel-read.ts";

export interface ModelEntry {
  id: number;
  /** 16 bytes; the first two are the id. */
  bytes: Uint8Array;
}

export interface ModelOptions {
  readonly capacity: number;
  /** Drops the oldest when full; else the new one, and says that it overflowed. */
  readonly isRing: boolean;
  /** Highest id before it begins at 1 again. */
  readonly idMax: number;
}

const ABSENT = 0xcb;
const CANCELLED = 0xc5;

export class ModelLog {
  readonly #options: ModelOptions;
  entries: ModelEntry[] = [];
  /** Seconds. */
  clock = 1_700_000_000;
  lastAdd = 0;
  lastErase = 0;
  isOverflowed = false;
  nextId = 1;
  reservation = 0;
  isReserved = false;
  /** Looks at an erase that is under way until it is done. */
  eraseLooks = 0;
  requestCount = 0;
  /** Called before each request is answered. */
  onRequest: (request: IpmiRequest) => void = () => undefined;

  constructor(options: Partial<ModelOptions> = {}) {
    this.#options = { capacity: 1000, isRing: false, idMax: 0xfffe, ...options };
  }

  get isFull(): boolean {
    return this.entries.length >= this.#options.capacity;
  }

  /** A memory error of this sensor; null: there was no room. */
  add(sensor: number, data1 = 0x01): ModelEntry | null {
    this.isReserved = false;
    if (this.isFull) {
      this.isOverflowed = true;
      if (!this.#options.isRing) return null;
      this.entries.shift();
    }
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    const id = this.#freeId();
    view.setUint16(0, id, true);
    bytes[2] = 0x02;
    view.setUint32(3, this.clock, true);
    bytes.set([0x20, 0, 4, 0x0c, sensor, 0x6f, data1, 0xff, 0xff], 7);
    const entry = { id, bytes };
    this.entries.push(entry);
    this.lastAdd = this.clock;
    return entry;
  }

  #freeId(): number {
    const used = new Set(this.entries.map(({ id }) => id));
    let id = this.nextId;
    while (used.has(id)) id = id >= this.#options.idMax ? 1 : id + 1;
    this.nextId = id >= this.#options.idMax ? 1 : id + 1;
    return id;
  }

  delete(index: number): void {
    this.entries.splice(index, 1);
    this.lastErase = this.clock;
    this.isReserved = false;
  }

  clear(): void {
    this.entries = [];
    this.lastErase = this.clock;
    this.isOverflowed = false;
    this.nextId = 1;
    this.isReserved = false;
  }

  /** Gives new ids from `first` on, in order: what a BMC does that packs its log. */
  renumber(first: number): void {
    for (const [index, entry] of this.entries.entries()) {
      entry.id = first + index;
      entry.bytes = entry.bytes.slice();
      new DataView(entry.bytes.buffer).setUint16(0, entry.id, true);
    }
    this.nextId = first + this.entries.length;
  }

  info(): SelInfo {
    return {
      version: 0x51,
      entryCount: this.entries.length,
      freeBytes: (this.#options.capacity - this.entries.length) * 16,
      lastAdd: this.lastAdd,
      lastErase: this.lastErase,
      isOverflowed: this.isOverflowed,
      canDelete: true,
      canAddPartially: false,
      canReserve: true,
      canTellAllocation: false,
    };
  }

  answer(request: IpmiRequest): IpmiReply {
    this.requestCount++;
    this.onRequest(request);
    if (request.netFn !== 0x0a) return reply(0xc1);
    switch (request.command) {
      case 0x40:
        return reply(0, encodeSelInfo(this.info()));
      case 0x42:
        this.reservation = (this.reservation % 0xffff) + 1;
        this.isReserved = true;
        return reply(0, Uint8Array.of(this.reservation & 0xff, this.reservation >>> 8));
      case 0x43:
        return this.#get(request.data);
      case 0x47:
        return this.#erase(request.data);
      default:
        return reply(0xc1);
    }
  }

  #get(data: Uint8Array): IpmiReply {
    const id = (data[2] ?? 0) | ((data[3] ?? 0) << 8);
    const last = this.entries.length - 1;
    const at = id === 0 ? 0 : id === SEL_LAST ? last : this.entries.findIndex((e) => e.id === id);
    const entry = this.entries[at];
    if (entry === undefined) return reply(ABSENT);
    const next = this.entries[at + 1]?.id ?? SEL_LAST;
    return reply(0, Uint8Array.of(next & 0xff, next >>> 8, ...entry.bytes));
  }

  #erase(data: Uint8Array): IpmiReply {
    const reservation = (data[0] ?? 0) | ((data[1] ?? 0) << 8);
    if (!this.isReserved || reservation !== this.reservation) return reply(CANCELLED);
    if (data[5] === 0xaa) {
      const { reservation: kept } = this;
      this.clear();
      this.isReserved = true;
      this.reservation = kept;
    } else if (this.eraseLooks > 0) this.eraseLooks--;
    return reply(0, Uint8Array.of(this.eraseLooks > 0 ? 0 : 1));
  }
}

function reply(completionCode: number, data: Uint8Array = new Uint8Array(0)): IpmiReply {
  return { completionCode, data };
}

/** Runs a task against a log to its end; waits pass at once. `onWait` may move the log's clock. */
export function runOn<T>(
  log: Pick<ModelLog, "answer">,
  steps: Steps<T>,
  onWait: (ms: number) => void = () => undefined,
): Result<T, BmcError> {
  let next = steps.next([]);
  while (!next.done) {
    let answers: Answers = [];
    if (next.value.kind === "ask") {
      answers = next.value.requests.map((request) => ok(log.answer(request)));
    } else if (next.value.kind === "wait") onWait(next.value.ms);
    next = steps.next(answers);
  }
  return next.value;
}

/** One record after the other by the chain, again when the log changed meanwhile. */
export function* readChain(): Steps<SelRead> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const before = yield* ask(getSelInfo, undefined);
    if (!before.ok) return before;
    const records = yield* chain();
    const after = yield* ask(getSelInfo, undefined);
    if (!after.ok) return after;
    const isSame = JSON.stringify(before.value) === JSON.stringify(after.value);
    if (isSame && records.length === after.value.entryCount) {
      return ok({ info: after.value, records });
    }
  }
  return err(bmcError("changed-while-read", "the log changes all the time"));
}

function* chain(): Part<readonly SelReadRecord[]> {
  const records: SelReadRecord[] = [];
  for (let id = 0; id !== SEL_LAST; ) {
    const entry = yield* ask(getSelEntry, wholeSelEntry(id));
    if (!entry.ok) break;
    const { bytes, nextRecordId } = entry.value;
    records.push({ recordId: (bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8), bytes: bytes.slice() });
    id = nextRecordId;
  }
  return records;
}
