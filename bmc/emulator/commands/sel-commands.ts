/**
 * The event log's commands of the emulated BMC (IPMI 2.0 §31, NetFn Storage).
 *
 * Decides completion codes and layouts; records, handles and reservations are the `SelStore`'s.
 */
import { NET_FN } from "../../ipmi/ipmi.ts";
import type { BmcState } from "../bmc-state.ts";
import { SEL_RECORD_BYTES } from "../sel-store.ts";
import {
  CODE,
  type CommandRow,
  done,
  doneBytes,
  fail,
  readU16,
  readU32,
  table,
  tooLongRead,
  u16,
  u32,
} from "./command.ts";

const SEL_VERSION = 0x51;
const WHOLE = 0xff;
const ERASE_IN_PROGRESS = 0x81;
const RECORD_TYPE_UNSUPPORTED = 0x80;
/** Types from E0h on have no timestamp (§32.3). */
const FIRST_TYPE_WITHOUT_TIME = 0xe0;
const CLEAR_INITIATE = 0xaa;
const CLEAR_STATUS = 0x00;
const MAGIC = [0x43, 0x4c, 0x52] as const;

type Answer = CommandRow["answer"];

/** Everything but its own status is refused while the log is erased (§31.9). */
function unlessErasing(answer: Answer): Answer {
  return (bmc, data, nowMs, asker) => {
    bmc.sel.tick(nowMs, bmc.seconds(nowMs));
    return bmc.sel.isErasing ? fail(ERASE_IN_PROGRESS) : answer(bmc, data, nowMs, asker);
  };
}

const getSelInfo: Answer = (bmc) => {
  const { count, freeBytes, addSeconds, eraseSeconds, isOverflowed } = bmc.sel.info();
  const canDelete = bmc.faults.isOn("sel-delete-unsupported") ? 0 : 0x08;
  return done([
    SEL_VERSION,
    ...u16(count),
    ...u16(freeBytes),
    ...u32(addSeconds),
    ...u32(eraseSeconds),
    (isOverflowed ? 0x80 : 0) | canDelete | 0x02 | 0x01,
  ]);
};

const getSelAllocationInfo: Answer = (bmc) => {
  const units = Math.min(bmc.config.selEntriesMax, 0xffff);
  const free = Math.max(0, units - bmc.sel.count);
  return done([...u16(units), ...u16(SEL_RECORD_BYTES), ...u16(free), ...u16(free), 1]);
};

const getSelEntry: Answer = (bmc, data) => {
  const [reservation, id] = [readU16(data, 0), readU16(data, 2)];
  const [offset = 0, count = 0] = data.subarray(4);
  const isWhole = offset === 0 && count === WHOLE;
  // Only a partial read needs a reservation; at offset 0 it may say 0000h, for none (§31.5).
  const needsReservation = offset !== 0 || (!isWhole && reservation !== 0);
  if (needsReservation && !bmc.sel.isReservedBy(reservation)) return fail(CODE.reservation);
  const found = bmc.sel.get(id);
  if (found === null) return fail(CODE.absent);
  const bytes = isWhole ? SEL_RECORD_BYTES : count;
  const refused = tooLongRead(bmc, bytes);
  if (refused !== null) return refused;
  if (!isWhole && offset + count > SEL_RECORD_BYTES) {
    return fail(offset >= SEL_RECORD_BYTES ? CODE.outOfRange : CODE.tooMuch);
  }
  const reply = new Uint8Array(2 + bytes);
  reply[0] = found.nextId & 0xff;
  reply[1] = found.nextId >> 8;
  reply.set(found.record.subarray(offset, offset + bytes), 2);
  return doneBytes(reply);
};

const addSelEntry: Answer = (bmc, data, nowMs) => {
  const record = data.slice(0, SEL_RECORD_BYTES);
  const type = record[2] ?? 0;
  if (type === 0x00) return fail(RECORD_TYPE_UNSUPPORTED);
  if (type < FIRST_TYPE_WITHOUT_TIME) {
    new DataView(record.buffer).setUint32(3, bmc.seconds(nowMs), true);
  }
  const id = bmc.accept(record, nowMs);
  return id === null ? fail(CODE.noSpace) : done(u16(id));
};

/** A new event that comes just before, where that fault is on; it cancels the reservation. */
function comeBetween(bmc: BmcState, nowMs: number): void {
  if (!bmc.faults.isOn("sel-event-before-clear")) return;
  const data = [0x00, 0xff, 0xff] as const;
  bmc.raise({ sensorType: 0x13, sensorNumber: 0, isAssertion: true, eventType: 0x6f, data }, nowMs);
}

const deleteSelEntry: Answer = (bmc, data, nowMs) => {
  if (bmc.faults.isOn("sel-delete-unsupported")) return fail(CODE.unknown);
  comeBetween(bmc, nowMs);
  if (!bmc.sel.isReservedBy(readU16(data, 0))) return fail(CODE.reservation);
  const id = bmc.sel.remove(readU16(data, 2), bmc.seconds(nowMs));
  return id === null ? fail(CODE.absent) : done(u16(id));
};

const clearSel: Answer = (bmc, data, nowMs) => {
  const action = data[5] ?? 0;
  if (MAGIC.some((byte, index) => data[2 + index] !== byte)) return fail(CODE.invalidField);
  bmc.sel.tick(nowMs, bmc.seconds(nowMs));
  if (action === CLEAR_STATUS) return done([bmc.sel.isErasing ? 0 : 1]);
  if (action !== CLEAR_INITIATE) return fail(CODE.invalidField);
  if (bmc.sel.isErasing) return fail(ERASE_IN_PROGRESS);
  comeBetween(bmc, nowMs);
  if (!bmc.sel.isReservedBy(readU16(data, 0))) return fail(CODE.reservation);
  bmc.clearSel(nowMs);
  return done([bmc.sel.isErasing ? 0 : 1]);
};

const setSelTime: Answer = (bmc, data, nowMs) => {
  bmc.clockOffsetSeconds = readU32(data, 0) - Math.floor(nowMs / 1000);
  return done();
};

const setUtcOffset: Answer = (bmc, data) => {
  const minutes = (readU16(data, 0) << 16) >> 16;
  if (minutes !== 0x7ff && Math.abs(minutes) > 1440) return fail(CODE.outOfRange);
  bmc.utcOffsetMinutes = minutes;
  return done();
};

export const SEL_COMMANDS: readonly (readonly [number, CommandRow])[] = table(NET_FN.storage, [
  [0x40, "Get SEL Info", 2, 0, unlessErasing(getSelInfo)],
  [0x41, "Get SEL Allocation Info", 2, 0, unlessErasing(getSelAllocationInfo)],
  [0x42, "Reserve SEL", 2, 0, unlessErasing((bmc) => done(u16(bmc.sel.reserve())))],
  [0x43, "Get SEL Entry", 2, 6, unlessErasing(getSelEntry)],
  [0x44, "Add SEL Entry", 3, SEL_RECORD_BYTES, unlessErasing(addSelEntry)],
  [0x46, "Delete SEL Entry", 3, 4, unlessErasing(deleteSelEntry)],
  [0x47, "Clear SEL", 3, 6, clearSel],
  [0x48, "Get SEL Time", 2, 0, (bmc, _data, nowMs) => done(u32(bmc.seconds(nowMs)))],
  [0x49, "Set SEL Time", 3, 4, setSelTime],
  [0x5c, "Get SEL Time UTC Offset", 2, 0, (bmc) => done(u16(bmc.utcOffsetMinutes))],
  [0x5d, "Set SEL Time UTC Offset", 3, 2, setUtcOffset],
]);
