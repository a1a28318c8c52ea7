/**
 * Reads all records about sensors and devices, from the repository or from the controller's own records (IPMI 2.0 §33, §35).
 *
 * Decides where they are, goes along the chain of ids, and judges whether the whole was read: times and count of the
 * repository are the same before and after, each id once, no end before the last. Where ids count up one by one, several
 * records are asked for at once; the first wrong guess ends that. A record that the BMC does not give whole is a problem in
 * the list, beside the records that are sound. Bounds: RECORDS_MAX records, LOST_MAX lost reservations for each, PASSES_MAX passes.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { DeviceId } from "../app/get-device-id.ts";
import { ask, type Part } from "../ask.ts";
import { malformed } from "../decode.ts";
import type { Steps } from "../ipmi.ts";
import { decodeSdr, type SdrRecord } from "./decode-sdr.ts";
import { getDeviceSdrInfo } from "./get-device-sdr-info.ts";
import {
  getDeviceSdr,
  getSdr,
  reserveDeviceSdrRepository,
  reserveSdrRepository,
  SDR_ID_END,
  SDR_ID_FIRST,
} from "./get-sdr.ts";
import { getSdrRepositoryInfo, type SdrRepositoryInfo } from "./get-sdr-repository-info.ts";
import {
  type Fetched,
  SdrRecordReader,
  type SdrStore,
  type WireLimits,
} from "./sdr-record-reader.ts";

export interface SdrList {
  readonly source: "repository" | "device";
  /** null of a device's own records. */
  readonly info: SdrRepositoryInfo | null;
  readonly records: readonly SdrRecord[];
  /** Of records that cannot be read; whoever needs all of them must not go on. */
  readonly problems: readonly BmcError[];
}

/** Ids have 16 bits; large machines have some thousand records. */
const RECORDS_MAX = 16_384;
/** Without a record between them: two readers that cancel each other's reservation could do so for ever. */
const LOST_MAX = 16;
const LOST_WAIT_MS = 40;
const PASSES_MAX = 3;

const REPOSITORY: SdrStore = { reserve: reserveSdrRepository, get: getSdr, lun: 0 };

interface Chain {
  readonly records: SdrRecord[];
  readonly problems: BmcError[];
}

/** `changed`: the records are not what they were when reading began. */
type ChainEnd = Result<Chain, BmcError | "changed">;

function hexId(recordId: number): string {
  return `${recordId.toString(16).toUpperCase().padStart(4, "0")}h`;
}

function truncated(recordId: number, gotBytes: number, wantBytes: number): BmcError {
  return bmcError(
    "truncated-record",
    `SDR ${hexId(recordId)}: the BMC gives ${gotBytes} of its ${wantBytes} bytes`,
  );
}

/** One pass along the chain: what is known and what is asked next. */
class ChainReader {
  readonly chain: Chain = { records: [], problems: [] };
  readonly #seen = new Set<number>();
  readonly #reader: SdrRecordReader;
  readonly #expected: number;
  readonly #windowMax: number;
  #nextId = SDR_ID_FIRST;
  #guessCount = 1;
  #lostCount = 0;

  constructor(reader: SdrRecordReader, expected: number, windowMax: number) {
    this.#reader = reader;
    this.#expected = expected;
    this.#windowMax = windowMax;
  }

  *read(): Part<ChainEnd> {
    const refused = yield* this.#reader.reserve();
    if (refused !== null) return err(refused);
    while (!this.#isAtEnd()) {
      const end = yield* this.#readSome();
      if (end !== null) return err(end);
      yield { kind: "progress", done: this.#readCount(), total: this.#expected };
    }
    this.#judgeEnd();
    return ok(this.chain);
  }

  /** An id that leads back: what hides behind the circle is not known, so it must not pass for the whole. */
  #judgeEnd(): void {
    if (this.#nextId === SDR_ID_END) return;
    const isEndless = this.#seen.size >= RECORDS_MAX;
    if (!isEndless && this.#readCount() >= this.#expected) return;
    const where = isEndless ? "does not end" : `leads back to ${hexId(this.#nextId)}`;
    const counts = `after ${this.#readCount()} records, of which it has ${this.#expected}`;
    this.chain.problems.push(bmcError("malformed", `SDR: the chain of ids ${where} ${counts}`));
  }

  #readCount(): number {
    return this.chain.records.length + this.chain.problems.length;
  }

  #isAtEnd(): boolean {
    const isOver = this.#nextId === SDR_ID_END || this.#seen.has(this.#nextId);
    return isOver || this.#seen.size >= RECORDS_MAX;
  }

  /** Which ids to ask for at once: the next one, and those that follow if they count up. */
  #wanted(): readonly number[] {
    const left = Math.max(1, this.#expected - this.#readCount());
    const count = Math.min(this.#guessCount, this.#windowMax, left);
    const ids = [this.#nextId];
    for (let id = this.#nextId + 1; ids.length < count && id < SDR_ID_END; id++) {
      if (!this.#seen.has(id)) ids.push(id);
    }
    return ids;
  }

  /** null: go on. */
  *#readSome(): Part<BmcError | "changed" | null> {
    const ids = this.#wanted();
    const fetched = yield* this.#reader.readRecords(ids);
    let isGuessRight = true;
    for (const [index, one] of fetched.entries()) {
      const recordId = ids[index];
      if (recordId === undefined || recordId !== this.#nextId) {
        isGuessRight = false;
        break;
      }
      const end = yield* this.#take(recordId, one);
      if (end !== null) return end;
      if (one.kind === "lost") isGuessRight = false;
    }
    isGuessRight = isGuessRight && fetched.length === ids.length;
    this.#guessCount = isGuessRight ? Math.min(this.#windowMax, this.#guessCount * 2) : 1;
    return null;
  }

  *#take(recordId: number, one: Fetched): Part<BmcError | "changed" | null> {
    switch (one.kind) {
      case "record":
        this.#keep(recordId, one.bytes);
        this.#goOn(recordId, one.nextRecordId);
        return null;
      case "short":
        this.chain.problems.push(truncated(recordId, one.bytes.byteLength, one.wantBytes));
        this.#goOn(recordId, one.nextRecordId);
        return null;
      case "lost":
        return yield* this.#reserveAgain();
      case "absent":
        return this.#absent(recordId);
      case "failed":
        return one.error;
    }
  }

  #keep(recordId: number, bytes: Uint8Array): void {
    const record = decodeSdr(bytes);
    if (record.ok) this.chain.records.push(record.value);
    else {
      const { kind, detail } = malformed(record.error);
      const isShort = record.error.kind === "too-short";
      const text = `SDR ${hexId(recordId)}: ${detail}`;
      this.chain.problems.push(bmcError(isShort ? "truncated-record" : kind, text));
    }
    // The first is asked for as 0; its true id must not be taken twice. Of others the chain's id counts, not the record's.
    if (recordId === SDR_ID_FIRST) this.#seen.add((bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8));
  }

  #goOn(recordId: number, nextRecordId: number): void {
    this.#seen.add(recordId);
    this.#nextId = nextRecordId;
    this.#lostCount = 0;
  }

  *#reserveAgain(): Part<BmcError | null> {
    this.#lostCount++;
    if (this.#lostCount > LOST_MAX) {
      const text = `SDR: the reservation was lost ${LOST_MAX} times in a row; end other tools that read this BMC`;
      return bmcError("changed-while-read", text);
    }
    yield { kind: "wait", ms: LOST_WAIT_MS * Math.min(this.#lostCount, 8) };
    return yield* this.#reader.reserve();
  }

  /** An id of the chain that is no more; an empty repository has not even a first. */
  #absent(recordId: number): "changed" | null {
    if (recordId !== SDR_ID_FIRST) return "changed";
    this.#nextId = SDR_ID_END;
    return null;
  }
}

function* readRepositoryOnce(info: SdrRepositoryInfo, limits: WireLimits): Part<ChainEnd> {
  if (info.recordCount === 0) return ok({ records: [], problems: [] });
  const reader = new SdrRecordReader(REPOSITORY, limits);
  const read = yield* new ChainReader(reader, info.recordCount, limits.windowMax).read();
  if (!read.ok) return read;
  const after = yield* ask(getSdrRepositoryInfo, undefined);
  if (!after.ok) return after;
  const { lastAdd, lastErase, recordCount } = after.value;
  const isSame =
    lastAdd === info.lastAdd && lastErase === info.lastErase && recordCount === info.recordCount;
  return isSame ? read : err("changed");
}

const changedError: BmcError = bmcError(
  "changed-while-read",
  `SDR: the records changed each of ${PASSES_MAX} times they were read; try again later`,
);

export function* readRepository(limits: WireLimits): Steps<SdrList> {
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    const info = yield* ask(getSdrRepositoryInfo, undefined);
    if (!info.ok) return info;
    const read = yield* readRepositoryOnce(info.value, limits);
    if (read.ok) return ok({ source: "repository", info: info.value, ...read.value });
    if (read.error !== "changed") return err(read.error);
  }
  return err(changedError);
}

function* readDeviceOnce(limits: WireLimits): Part<ChainEnd> {
  const info = yield* ask(getDeviceSdrInfo, "records");
  if (!info.ok) return info;
  const all: Chain = { records: [], problems: [] };
  const known = new Set<number>();
  for (const lun of info.value.luns) {
    const store = { reserve: reserveDeviceSdrRepository, get: getDeviceSdr, lun };
    const count = lun === 0 ? info : yield* ask(getDeviceSdrInfo, "records", lun);
    if (!count.ok) return count;
    const reader = new SdrRecordReader(store, limits);
    const read = yield* new ChainReader(reader, count.value.count, limits.windowMax).read();
    if (!read.ok) return read;
    // Some controllers give all records at each LUN.
    all.records.push(...read.value.records.filter(({ recordId }) => !known.has(recordId)));
    all.problems.push(...read.value.problems);
    for (const { recordId } of read.value.records) known.add(recordId);
  }
  const after = yield* ask(getDeviceSdrInfo, "records");
  if (!after.ok) return after;
  const isSame = after.value.changeIndicator === info.value.changeIndicator;
  return isSame ? ok(all) : err("changed");
}

export function* readDeviceSdrs(limits: WireLimits): Steps<SdrList> {
  for (let pass = 0; pass < PASSES_MAX; pass++) {
    const read = yield* readDeviceOnce(limits);
    if (read.ok) return ok({ source: "device", info: null, ...read.value });
    if (read.error !== "changed") return err(read.error);
  }
  return err(changedError);
}

/** From the repository where there is one, else from the records of the device itself. */
export function* readSdrs(device: DeviceId, limits: WireLimits): Steps<SdrList> {
  if (device.supports.includes("sdr")) return yield* readRepository(limits);
  if (device.hasDeviceSdrs) return yield* readDeviceSdrs(limits);
  const text = "this BMC has neither an SDR repository nor records of its own sensors";
  return err(bmcError("unsupported", text));
}
