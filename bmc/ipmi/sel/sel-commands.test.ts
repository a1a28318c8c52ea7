/**
 * The SEL commands byte for byte: layouts of IPMI 2.0 §31 by hand, and no reply that makes a decoder throw.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type IpmiCommand, requestOf } from "../ipmi.ts";
import { addSelEntry } from "./add-sel-entry.ts";
import { clearSel } from "./clear-sel.ts";
import { deleteSelEntry } from "./delete-sel-entry.ts";
import { getSelAllocationInfo } from "./get-sel-allocation-info.ts";
import { getSelEntry, wholeSelEntry } from "./get-sel-entry.ts";
import { encodeSelInfo, getSelInfo } from "./get-sel-info.ts";
import { reserveSel } from "./reserve-sel.ts";
import { decodeSelRecord } from "./sel-record.ts";
import {
  getSelTime,
  getSelTimeUtcOffset,
  selTimeMs,
  selUptimeSeconds,
  setSelTime,
  setSelTimeUtcOffset,
} from "./sel-time.ts";

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text);

function readBack<Reply>(command: IpmiCommand<never, Reply>, data: string): Reply {
  const decoded = command.decode(hex(data));
  if (!decoded.ok) throw new Error(JSON.stringify(decoded.error));
  return decoded.value;
}

test("Get SEL Info tells entries, room, times and flags", () => {
  const info = readBack(getSelInfo, "51640000f0785634120df0adde8f");
  expect(info).toEqual({
    version: 0x51,
    entryCount: 100,
    freeBytes: 0xf000,
    lastAdd: 0x12345678,
    lastErase: 0xdeadf00d,
    isOverflowed: true,
    canDelete: true,
    canAddPartially: true,
    canReserve: true,
    canTellAllocation: true,
  });
  expect(encodeSelInfo(info).toHex()).toBe("51640000f0785634120df0adde8f");
  expect(readBack(getSelInfo, "510000ffff00000000ffffffff02").freeBytes).toBeNull();
  expect(requestOf(getSelInfo, undefined)).toEqual({
    netFn: 0x0a,
    lun: 0,
    command: 0x40,
    data: new Uint8Array(0),
  });
});

test("Get SEL Entry asks for whole records without a reservation", () => {
  expect(getSelEntry.encode(wholeSelEntry(0x154d)).toHex()).toBe("00004d1500ff");
  const part = { reservation: 0x1234, recordId: 7, offset: 8, count: 4 };
  expect(getSelEntry.encode(part).toHex()).toBe("341207000804");
  const reply = readBack(getSelEntry, "ffff4d150290b3c66741000409010b03ffff");
  expect(reply.nextRecordId).toBe(0xffff);
  expect(reply.bytes.toHex()).toBe("4d150290b3c66741000409010b03ffff");
  expect(getSelEntry.decode(hex("ffff")).ok).toBe(false);
});

test("Reserve, Clear, Add and Delete say what the standard says", () => {
  expect(readBack(reserveSel, "4d15")).toBe(0x154d);
  expect(clearSel.encode({ reservation: 0x154d, action: "begin" }).toHex()).toBe("4d15434c52aa");
  expect(clearSel.encode({ reservation: 1, action: "tell" }).toHex()).toBe("0100434c5200");
  expect(readBack(clearSel, "00").isErased).toBe(false);
  expect(readBack(clearSel, "f1").isErased).toBe(true);
  const record = decodeSelRecord(hex("4d150290b3c66741000409010b03ffff"));
  if (!record.ok) throw new Error("a record of 16 bytes");
  expect(addSelEntry.encode(record.value).toHex()).toBe("4d150290b3c66741000409010b03ffff");
  expect(readBack(addSelEntry, "0201")).toBe(0x0102);
  expect(deleteSelEntry.encode({ reservation: 0x0201, recordId: 0x0403 }).toHex()).toBe("01020304");
  expect(readBack(deleteSelEntry, "0304")).toBe(0x0403);
  expect(readBack(getSelAllocationInfo, "e8031000e703e70301")).toEqual({
    unitCount: 1000,
    unitBytes: 16,
    freeUnits: 999,
    largestFree: 999,
    recordUnits: 1,
  });
});

test("times: a date, since start, unknown; and an offset in minutes either way", () => {
  expect(readBack(getSelTime, "90b3c667")).toBe(1_741_075_344);
  expect(setSelTime.encode(1_741_075_344).toHex()).toBe("90b3c667");
  expect(selTimeMs(1_741_075_344)).toBe(1_741_075_344_000);
  expect(selTimeMs(1_741_075_344, 60)).toBe(1_741_071_744_000);
  expect([0, 0x20000000, 0xffffffff].map((seconds) => selTimeMs(seconds))).toEqual([
    null,
    null,
    null,
  ]);
  expect(selTimeMs(0x20000001)).toBe(0x20000001 * 1000);
  expect(selUptimeSeconds(77)).toBe(77);
  expect(selUptimeSeconds(0xffffffff)).toBeNull();
  expect(readBack(getSelTimeUtcOffset, "3c00")).toBe(60);
  expect(readBack(getSelTimeUtcOffset, "c4ff")).toBe(-60);
  expect(readBack(getSelTimeUtcOffset, "ff07")).toBeNull();
  expect(getSelTimeUtcOffset.decode(hex("a105")).ok).toBe(false);
  expect(setSelTimeUtcOffset.encode(-60).toHex()).toBe("c4ff");
  expect(setSelTimeUtcOffset.encode(null).toHex()).toBe("ff07");
});

test("no reply makes a decoder throw", () => {
  const commands = [
    getSelInfo,
    getSelAllocationInfo,
    reserveSel,
    getSelEntry,
    addSelEntry,
    deleteSelEntry,
    clearSel,
    getSelTime,
    setSelTime,
    getSelTimeUtcOffset,
    setSelTimeUtcOffset,
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
      for (const command of commands) expect(typeof command.decode(bytes).ok).toBe("boolean");
    }),
  );
});
