/**
 * SDR repository and FRU inventory of the emulated BMC (IPMI 2.0 §33, §34, NetFn Storage).
 *
 * Decides completion codes and layouts, with the limits of length that real BMCs have. Both are read-only here but for Write
 * FRU, which is refused as write-protected (80h).
 */
import { NET_FN } from "../../ipmi/ipmi.ts";
import type { BmcState } from "../bmc-state.ts";
import {
  CODE,
  type CommandRow,
  done,
  doneBytes,
  fail,
  readU16,
  table,
  tooLongRead,
  u16,
  u32,
} from "./command.ts";

const SDR_VERSION = 0x51;
const WHOLE = 0xff;
/** Longest that a LAN message of ours carries besides its heads; the standard's own limit is one byte of count. */
const SDR_BYTES_MAX = 0xfe;
const WRITE_PROTECTED = 0x80;
/** A date in the past: the repository came with the firmware. */
const SDR_SECONDS = 1_600_000_000;

type Answer = CommandRow["answer"];

function unlessUpdating(answer: Answer): Answer {
  return (bmc, data, nowMs, asker) =>
    bmc.faults.takeOne("sdr-updating") ? fail(CODE.sdrUpdating) : answer(bmc, data, nowMs, asker);
}

const getSdrRepositoryInfo: Answer = (bmc) =>
  done([SDR_VERSION, ...u16(bmc.sdr.count), ...u16(0), ...u32(SDR_SECONDS), ...u32(0), 0x02]);

const getSdr: Answer = (bmc, data) => {
  const [reservation, id] = [readU16(data, 0), readU16(data, 2)];
  const [offset = 0, count = 0] = data.subarray(4);
  // Only a read that does not begin at 0 needs a reservation (§33.12).
  const isUnreserved = reservation === 0 && offset === 0;
  if (!isUnreserved && !bmc.sdr.isReservedBy(reservation)) return fail(CODE.reservation);
  const found = bmc.sdr.get(id);
  if (found === null) return fail(CODE.absent);
  const left = found.record.length - offset;
  if (left < 0) return fail(CODE.outOfRange);
  const bytes = Math.min(count === WHOLE ? SDR_BYTES_MAX : count, left);
  const refused = tooLongRead(bmc, count === WHOLE ? WHOLE : bytes);
  if (refused !== null) return refused;
  const reply = new Uint8Array(2 + bytes);
  reply[0] = found.nextId & 0xff;
  reply[1] = found.nextId >> 8;
  reply.set(found.record.subarray(offset, offset + bytes), 2);
  return doneBytes(reply);
};

function fruUnitBytes(bmc: BmcState): 1 | 2 {
  return bmc.faults.isOn("fru-words") ? 2 : 1;
}

const getFruAreaInfo: Answer = (bmc, data) => {
  const fru = bmc.frus.get(data[0] ?? 0);
  if (fru === undefined) return fail(CODE.absent);
  return done([...u16(fru.bytes.length), fruUnitBytes(bmc) === 2 ? 1 : 0]);
};

const readFru: Answer = (bmc, data) => {
  const fru = bmc.frus.get(data[0] ?? 0);
  if (fru === undefined) return fail(CODE.absent);
  const unitBytes = fruUnitBytes(bmc);
  const offset = readU16(data, 1) * unitBytes;
  const wanted = (data[3] ?? 0) * unitBytes;
  if (offset >= fru.bytes.length) return fail(CODE.outOfRange);
  const refused = tooLongRead(bmc, wanted);
  if (refused !== null) return refused;
  // The count of the reply is one byte, and there must be room for it.
  const bytes = Math.min(wanted, fru.bytes.length - offset, 0xf0);
  const reply = new Uint8Array(1 + bytes);
  reply[0] = bytes / unitBytes;
  reply.set(fru.bytes.subarray(offset, offset + bytes), 1);
  const spoiled = fru.boardChecksumOffset;
  if (spoiled !== null && bmc.faults.isOn("fru-bad-checksum")) {
    const at = spoiled - offset + 1;
    if (at >= 1 && at < reply.length) reply[at] = (reply[at] ?? 0) ^ 0x55;
  }
  return doneBytes(reply);
};

export const INVENTORY_COMMANDS: readonly (readonly [number, CommandRow])[] = table(
  NET_FN.storage,
  [
    [0x10, "Get FRU Inventory Area Info", 2, 1, getFruAreaInfo],
    [0x11, "Read FRU Data", 2, 4, readFru],
    [0x12, "Write FRU Data", 3, [3, 255], () => fail(WRITE_PROTECTED)],
    [0x20, "Get SDR Repository Info", 2, 0, unlessUpdating(getSdrRepositoryInfo)],
    [0x22, "Reserve SDR Repository", 2, 0, unlessUpdating((bmc) => done(u16(bmc.sdr.reserve())))],
    [0x23, "Get SDR", 2, 6, unlessUpdating(getSdr)],
  ],
);
