/**
 * Platform event traps: a trap that a real server sent, the round trip, the record each stands for, and no bytes that make the
 * decoder throw.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { buildPet } from "../../emulator/pet.ts";
import { canonicalRecord, generatorOf } from "../sel/sel-record.ts";
import {
  acknowledgeOf,
  decodePet,
  encodePet,
  type Pet,
  petSeverity,
  petTexts,
  petTimeMs,
  recordBytesOfPet,
  recordOfPet,
  specificTrapOf,
} from "./pet.ts";
import { decodePetAcknowledge, petAcknowledge } from "./pet-acknowledge.ts";
import { decodePetTrap, encodePetTrap } from "./pet-trap.ts";

const GUID = "44454c4c360010448035b3c04f333453";

const PET: Pet = {
  sensorType: 0x05,
  eventType: 0x6f,
  isAssertion: true,
  offset: 0,
  guid: GUID,
  sequence: 0x1234,
  timestamp: 0x184a74d5,
  utcOffsetMinutes: -300,
  trapSource: 0x20,
  eventSource: 0x20,
  severity: 0x10,
  sensorDevice: 0x20,
  sensorNumber: 0x73,
  entityId: 0x18,
  entityInstance: 1,
  eventData: Uint8Array.of(0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
  language: 0x19,
  manufacturerId: 674,
  systemId: 0x0100,
  oem: new Uint8Array(0),
};

const BYTES = `${GUID}1234184a74d5fed42020102073180100ffffffffffffff19000002a20100c1`;

describe("a platform event trap", () => {
  test("has its fields big-endian, as the specification's table says", () => {
    expect(encodePet(PET).toHex()).toBe(BYTES);
    expect(decodePet(356_096, Uint8Array.fromHex(BYTES))).toEqual({ ok: true, value: PET });
    expect(specificTrapOf(PET)).toBe(0x56f00);
  });

  // blissfulidiot.com, 2010-12: a Dell R300 whose chassis was opened.
  test("of 2010-11-30 19:32:37 by the sender's clock is the chassis intrusion that it was", () => {
    expect(petTimeMs({ ...PET, utcOffsetMinutes: 0 })).toBe(Date.UTC(2010, 10, 30, 19, 32, 37));
    expect(petTimeMs(PET)).toBe(Date.UTC(2010, 11, 1, 0, 32, 37));
    expect(petTimeMs({ ...PET, timestamp: 0 })).toBeNull();
    expect(petSeverity(PET)).toBe("critical");
    expect(petSeverity({ ...PET, severity: 0 })).toBeNull();
    const record = recordOfPet(PET);
    expect(record).toMatchObject({
      sensorType: 5,
      sensorNumber: 0x73,
      data1: 0,
      timestamp: 0x184a74d5 + 883_612_800,
    });
    expect(generatorOf(record.generatorId).address).toBe(0x20);
    expect(recordBytesOfPet(PET).toHex()).toBe(
      "00000255 51f54c 20000405736f00ffff".replaceAll(" ", ""),
    );
  });

  // The example of FreeIPMI's manual page ipmi-pet(8).
  test("of FreeIPMI's manual is a chassis that was closed again", () => {
    const sent =
      "44454c4c5000105980 43b2c04f333358 0002 19e87e26 ffff 20 20 04 20 73 18 00 8001ff0000000000 19 000002a2 0100 c1";
    const decoded = decodePet(356_224, Uint8Array.fromHex(sent.replaceAll(" ", "")));
    if (!decoded.ok) throw new Error(JSON.stringify(decoded.error));
    expect(decoded.value).toMatchObject({
      sensorType: 0x05,
      isAssertion: false,
      offset: 0,
      sequence: 2,
      utcOffsetMinutes: null,
      sensorNumber: 0x73,
      manufacturerId: 674,
    });
    expect(petSeverity(decoded.value)).toBe("ok");
    expect(recordOfPet(decoded.value)).toMatchObject({ data1: 0x80, data2: 0x01, data3: 0xff });
  });

  test("of the emulated BMC, written without a look at this decoder, is the record that it was made of", () => {
    const record = Uint8Array.fromHex("34120290b3c66520000 40c30ef310207".replaceAll(" ", ""));
    const datagram = buildPet({
      community: "trap",
      guid: Uint8Array.fromHex(GUID),
      sequence: 0xfffe,
      seconds: 0x65c6b390,
      utcOffsetMinutes: -90,
      severity: 0x10,
      entityId: 0x20,
      entityInstance: 3,
      manufacturerId: 0x1291,
      systemId: 7,
      upTimeMs: 123_450,
      record,
    });
    const decoded = decodePetTrap(datagram);
    if (!decoded.ok) throw new Error(JSON.stringify(decoded.error));
    const { community, pet } = decoded.value;
    expect(community).toBe("trap");
    expect(pet).toMatchObject({ guid: GUID, sequence: 0xfffe, utcOffsetMinutes: -90, systemId: 7 });
    expect(recordBytesOfPet(pet).toHex()).toBe(canonicalRecord(record).toHex());
    expect(petTimeMs(pet)).toBe((0x65c6b390 + 90 * 60) * 1000);
  });

  test("without event data has the offset of its number", () => {
    const bare = { ...PET, offset: 6, eventData: new Uint8Array(8).fill(0xff) };
    expect(recordOfPet(bare).data1).toBe(6);
  });

  test("comes back as it was, for all fields", () => {
    const byte = fc.integer({ min: 0, max: 255 });
    const oem = fc
      .uint8Array({ maxLength: 50 })
      .map((bytes) => bytes.map((value) => (value === 0xc1 || value === 0x80 ? 0 : value)));
    const pets: fc.Arbitrary<Pet> = fc.record({
      sensorType: byte,
      eventType: fc.integer({ min: 0, max: 127 }),
      isAssertion: fc.boolean(),
      offset: fc.integer({ min: 0, max: 15 }),
      guid: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => bytes.toHex()),
      sequence: fc.integer({ min: 0, max: 0xffff }),
      timestamp: fc.integer({ min: 0, max: 0xffffffff }),
      utcOffsetMinutes: fc.option(fc.integer({ min: -1440, max: 1440 }).filter((m) => m !== -1)),
      trapSource: byte,
      eventSource: byte,
      severity: byte,
      sensorDevice: byte,
      sensorNumber: byte,
      entityId: byte,
      entityInstance: byte,
      eventData: fc.uint8Array({ minLength: 8, maxLength: 8 }),
      language: byte,
      manufacturerId: fc.integer({ min: 0, max: 0xffffffff }),
      systemId: fc.integer({ min: 0, max: 0xffff }),
      oem,
    });
    fc.assert(
      fc.property(pets, (pet) => {
        expect(decodePet(specificTrapOf(pet), encodePet(pet))).toEqual({ ok: true, value: pet });
        const community = "public";
        expect(decodePetTrap(encodePetTrap({ community, pet }, 77))).toEqual({
          ok: true,
          value: { community, pet },
        });
      }),
    );
  });

  test("carries alert texts, whatever byte stands in them", () => {
    const text = new TextEncoder().encode("Fan lost");
    const binary = [0x80, 0x02, 0x02, 0xc1, 0xc1];
    const oem = Uint8Array.of(...binary, 0x80, 0xc0 | text.length, 0x01, ...text);
    const decoded = decodePet(specificTrapOf(PET), encodePet({ ...PET, oem }));
    expect(decoded.ok && decoded.value.oem.toHex()).toBe(oem.toHex());
    expect(decoded.ok && petTexts(decoded.value)).toEqual(["Fan lost"]);
  });

  test("that is cut is too short, and no bytes make the decoders throw", () => {
    const bytes = Uint8Array.fromHex(BYTES);
    for (let length = 0; length < 46; length++) {
      expect(decodePet(356_096, bytes.subarray(0, length)).ok).toBe(false);
    }
    expect(decodePet(356_096, bytes.subarray(0, 46)).ok).toBe(true);
    expect(decodePet(0x1000000, bytes).ok).toBe(false);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 160 }), fc.integer(), (any, specific) => {
        const decoded = decodePet(specific, any);
        if (decoded.ok) petTexts(decoded.value);
        expect(typeof decodePetTrap(any).ok).toBe("boolean");
      }),
    );
  });

  test("of another enterprise is none", () => {
    const datagram = encodePetTrap({ community: "public", pet: PET });
    const at = datagram.toHex().indexOf("986f") / 2;
    datagram[at] = 0x99;
    expect(decodePetTrap(datagram)).toMatchObject({ ok: false, error: { kind: "bad-value" } });
  });

  test("is acknowledged by its own fields, little-endian", () => {
    const request = petAcknowledge.encode(acknowledgeOf(PET));
    expect(request.toHex()).toBe("3412d5744a1820207300ffff");
    expect(decodePetAcknowledge(request)).toEqual({ ok: true, value: acknowledgeOf(PET) });
    expect(decodePetAcknowledge(request.subarray(1)).ok).toBe(false);
  });
});
