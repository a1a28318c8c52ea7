/**
 * Events as messages: Platform Event in both its forms, the event receiver, and the flags by which the BMC tells the system that
 * one waits. Bytes by hand from IPMI 2.0 §22 and §29; no bytes make a decoder throw.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { getBmcGlobalEnables, setBmcGlobalEnables } from "../app/bmc-global-enables.ts";
import { clearMessageFlags, getMessageFlags } from "../app/message-flags.ts";
import { readEventMessageBuffer } from "../app/read-event-message-buffer.ts";
import { getEventReceiver, setEventReceiver } from "./event-receiver.ts";
import { decodePlatformEvent, type PlatformEvent, platformEvent } from "./platform-event.ts";

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text);

const EVENT: PlatformEvent = {
  generator: null,
  sensorType: 0x0c,
  sensorNumber: 2,
  isAssertion: false,
  eventType: 0x6f,
  eventData: [0x01, 0xff, 0xff],
};

test("a platform event has 7 bytes, and 8 over the system interface", () => {
  expect(platformEvent.encode(EVENT).toHex()).toBe("040c02ef01ffff");
  expect(platformEvent.encode({ ...EVENT, generator: 0x41 }).toHex()).toBe("41040c02ef01ffff");
  expect(decodePlatformEvent(hex("040c02ef01ffff"), false)).toEqual({
    ok: true,
    value: { ...EVENT, revision: 4 },
  });
  expect(decodePlatformEvent(hex("41040c02ef01ffff"), true)).toEqual({
    ok: true,
    value: { ...EVENT, generator: 0x41, revision: 4 },
  });
});

test("event data that is missing is unspecified", () => {
  const decoded = decodePlatformEvent(hex("040c02ef01"), false);
  expect(decoded.ok && decoded.value.eventData).toEqual([0x01, 0xff, 0xff]);
  expect(decodePlatformEvent(hex("040c02ef"), false).ok).toBe(false);
  expect(decodePlatformEvent(hex("040c02ef01"), true).ok).toBe(false);
});

test("the event receiver is an address, or off", () => {
  expect(setEventReceiver.encode({ address: 0x20, lun: 1 }).toHex()).toBe("2001");
  expect(setEventReceiver.encode({ address: null, lun: 0 }).toHex()).toBe("ff00");
  expect(getEventReceiver.decode(hex("2001"))).toEqual({
    ok: true,
    value: { address: 0x20, lun: 1 },
  });
  expect(getEventReceiver.decode(hex("ff00"))).toEqual({
    ok: true,
    value: { address: null, lun: 0 },
  });
});

test("global enables and message flags keep every bit", () => {
  for (let bits = 0; bits < 256; bits++) {
    const data = Uint8Array.of(bits);
    const enables = getBmcGlobalEnables.decode(data);
    const flags = getMessageFlags.decode(data);
    if (!enables.ok || !flags.ok) throw new Error("one byte");
    // Bit 4 is reserved in both, bit 2 in the flags.
    expect(setBmcGlobalEnables.encode(enables.value)[0]).toBe(bits & ~0x10);
    expect(clearMessageFlags.encode(flags.value)[0]).toBe(bits & ~0x14);
  }
});

test("the event message buffer holds a record", () => {
  const record = hex("4d150290b3c66741000409010b03ffff");
  expect(readEventMessageBuffer.decode(record)).toEqual({ ok: true, value: record });
  expect(readEventMessageBuffer.decode(record.subarray(1)).ok).toBe(false);
});

test("no bytes make a decoder throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 20 }), fc.boolean(), (bytes, isSystemInterface) => {
      expect(typeof decodePlatformEvent(bytes, isSystemInterface).ok).toBe("boolean");
      for (const one of [getEventReceiver, getBmcGlobalEnables, getMessageFlags]) {
        expect(typeof one.decode(bytes).ok).toBe("boolean");
      }
      expect(typeof readEventMessageBuffer.decode(bytes).ok).toBe("boolean");
    }),
  );
});
