/**
 * Goal: a trap becomes the event that its log record is; repetitions are one, and what is no trap is refused with a reason.
 * Method: traps made by the codec beside a log record read from the log, through the book.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { eventOf } from "../../bmc/ipmi/event/event-identity.ts";
import type { NameOf } from "../../bmc/ipmi/event/event-text.ts";
import { realCrypto } from "../../bmc/ipmi/io/crypto.ts";
import { decodeRequestMessage } from "../../bmc/ipmi/message.ts";
import { encodePet, PET_EPOCH_SECONDS, type Pet, specificTrapOf } from "../../bmc/ipmi/pef/pet.ts";
import { decodePetAcknowledge } from "../../bmc/ipmi/pef/pet-acknowledge.ts";
import { decodeSelRecord } from "../../bmc/ipmi/sel/sel-record.ts";
import { EventBook } from "./event-book.ts";
import { describePetRefusal, readPet } from "./pet-event.ts";

const GUID = "00112233445566778899aabbccddeeff";
const SECONDS = 1_763_807_802;

const PET: Pet = {
  sensorType: 0x0c,
  eventType: 0x6f,
  isAssertion: true,
  offset: 1,
  guid: GUID,
  sequence: 7,
  timestamp: SECONDS - PET_EPOCH_SECONDS,
  utcOffsetMinutes: 0,
  trapSource: 0x20,
  eventSource: 0x20,
  severity: 0x10,
  sensorDevice: 0x20,
  sensorNumber: 0x87,
  entityId: 32,
  entityInstance: 1,
  eventData: Uint8Array.of(0xa1, 0xff, 0x05, 0xff, 0xff, 0xff, 0xff, 0xff),
  language: 25,
  manufacturerId: 674,
  systemId: 256,
  oem: new Uint8Array(0),
};

function ber(tag: number, ...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const body = parts.flatMap((part) => [...part]);
  const head =
    body.length < 128 ? [tag, body.length] : [tag, 0x82, body.length >> 8, body.length & 255];
  return Uint8Array.from([...head, ...body]);
}

function datagramOf(pet: Pet, enterprise = [0x2b, 6, 1, 4, 1, 0x98, 0x6f, 1, 1]): Uint8Array {
  const specific = specificTrapOf(pet);
  const number = [specific >> 16, (specific >> 8) & 255, specific & 255];
  const bound = ber(0x30, ber(0x06, [...enterprise, 1]), ber(0x04, encodePet(pet)));
  const trap = ber(
    0xa4,
    ber(0x06, enterprise),
    ber(0x40, [10, 0, 0, 5]),
    ber(0x02, [6]),
    ber(0x02, [0, ...number]),
    ber(0x43, [0]),
    ber(0x30, bound),
  );
  return ber(0x30, ber(0x02, [0]), ber(0x04, new TextEncoder().encode("public")), trap);
}

function sightingOf(pet: Pet) {
  const read = readPet(datagramOf(pet), { from: "10.0.0.5", nowMs: 99 }, realCrypto.sha256);
  if (!read.ok) throw new Error(describePetRefusal(read.error));
  return read.value;
}

/** The same event as the log of that BMC holds it. */
function fromLog(nth: number) {
  const bytes = Uint8Array.fromHex("2a0002000000002000040c876fa1ff05");
  new DataView(bytes.buffer).setUint32(3, SECONDS, true);
  const record = decodeSelRecord(bytes);
  if (!record.ok) throw new Error("the record is whole");
  const sighting = { system: GUID, epoch: 5, nth, way: "sel", seenMs: 1 } as const;
  return eventOf({ ...sighting, bytes, record: record.value }, realCrypto.sha256);
}

describe("a trap of a BMC", () => {
  test("is the event that its log record is, whichever is seen first", () => {
    for (const isTrapFirst of [true, false]) {
      const book = new EventBook();
      const trap = sightingOf(PET).event;
      const log = fromLog(0);
      const first = book.sight(isTrapFirst ? trap : log);
      const second = book.sight(isTrapFirst ? log : trap);
      expect(second.id).toBe(first.id);
      expect(book.eventCount).toBe(1);
    }
  });

  test("says what happened, when, and how grave", () => {
    expect(sightingOf(PET).event).toMatchObject({
      system: GUID,
      way: "pet",
      severity: "critical",
      category: "memory",
      whenMs: SECONDS * 1000,
      seenMs: 99,
      extra: { from: "10.0.0.5", sequence: 7 },
    });
    expect(sightingOf({ ...PET, utcOffsetMinutes: 60 }).event.whenMs).toBe((SECONDS - 3600) * 1000);
  });

  test("has the name of its sensor where it is known, under the same id", () => {
    const nameOf: NameOf = (_generator, _lun, sensor) =>
      sensor === PET.sensorNumber ? { name: "DIMM A1", entity: "memory device 1" } : null;
    const read = readPet(
      datagramOf(PET),
      { from: "10.0.0.5", nowMs: 99, nameOf },
      realCrypto.sha256,
    );
    if (!read.ok) throw new Error(describePetRefusal(read.error));
    const { event } = read.value;
    expect([event.subject, event.id]).toEqual(["DIMM A1", sightingOf(PET).event.id]);
    expect(event.text).toContain("DIMM A1");
    expect(event.record).toBe(sightingOf(PET).event.record);
  });

  test("that is repeated is one event, the next one with the same content is another", () => {
    const book = new EventBook();
    for (const sequence of [7, 7, 8, 7, 8]) book.sight(sightingOf({ ...PET, sequence }).event);
    expect(book.eventCount).toBe(2);
    expect([fromLog(0), fromLog(1)].map((event) => book.sight(event).line?.kind)).toEqual([
      "way",
      "way",
    ]);
  });

  test("without a GUID belongs to whoever sent it", () => {
    expect(sightingOf({ ...PET, guid: "0".repeat(32) }).event.system).toBe("10.0.0.5");
  });

  test("is acknowledged with what it said", () => {
    const { acknowledgement } = sightingOf(PET);
    expect(acknowledgement.subarray(0, 14).toHex()).toBe("0600ff0700000000000000000013");
    const request = decodeRequestMessage(acknowledgement.subarray(14));
    if (!request.ok) throw new Error("the message is whole");
    expect(request.value).toMatchObject({ netFn: 4, command: 0x17 });
    expect(decodePetAcknowledge(request.value.data)).toMatchObject({
      ok: true,
      value: {
        sequence: 7,
        timestamp: PET.timestamp,
        sensorNumber: 0x87,
        eventData: [0xa1, 0xff, 5],
      },
    });
  });
});

describe("what is no trap of a BMC", () => {
  test("is refused with a reason", () => {
    const refusalOf = (datagram: Uint8Array): string => {
      const read = readPet(datagram, { from: "10.0.0.5", nowMs: 0 }, realCrypto.sha256);
      return read.ok ? "taken" : describePetRefusal(read.error);
    };
    expect(refusalOf(Uint8Array.of(1, 2, 3))).toContain("SNMP message");
    expect(refusalOf(datagramOf(PET, [0x2b, 6, 1, 4, 1, 9, 1]))).toBe(
      "a trap of enterprise 1.3.6.1.4.1.9.1, not a platform event",
    );
    const whole = datagramOf(PET);
    for (let length = 0; length < whole.length; length++) {
      expect(refusalOf(whole.subarray(0, length))).not.toBe("taken");
    }
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 64 }),
        fc.nat({ max: whole.length - 1 }),
        (noise, at) => {
          const bytes = whole.slice();
          bytes.set(noise.subarray(0, bytes.length - at), at);
          expect(typeof refusalOf(bytes)).toBe("string");
        },
      ),
    );
  });
});
