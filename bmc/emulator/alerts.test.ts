/**
 * Goal: filters choose and traps arrive as the standard says. Method: the matching against the product's own reading of it on
 * random bytes; traps decoded by `bmc/ipmi/pef/`, which shares no code with their encoder; time by hand.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodeEventFilter, isFilterMatch } from "../ipmi/pef/event-filter.ts";
import { acknowledgeOf } from "../ipmi/pef/pet.ts";
import { petAcknowledge } from "../ipmi/pef/pet-acknowledge.ts";
import { decodePetTrap } from "../ipmi/pef/pet-trap.ts";
import { decodeSelRecord } from "../ipmi/sel/sel-record.ts";
import type { TrapDestination } from "./config.ts";
import { filterMatches } from "./pef.ts";
import { datagrams, loggedIn, type TestClient } from "./test-client.ts";

const SENSOR_EVENT = 0x04;

function destination(port: number, of: Partial<TrapDestination> = {}): TrapDestination {
  const all = { address: "127.0.0.1", port, isAcknowledged: false, timeoutMs: 1_000, retries: 2 };
  return { ...all, ...of };
}

function raise(client: TestClient, offset = 1) {
  const { model } = client.machine;
  const memory = model.state.sensors.find("DIMM A1");
  if (memory === null) throw new Error("no sensor");
  model.raiseFor(memory, [offset, 0xff, 0xff], true, client.nowMs);
  return datagrams(client.passTime(0));
}

function petOf(bytes: Uint8Array | undefined) {
  const trap = decodePetTrap(bytes ?? new Uint8Array(0));
  if (!trap.ok) throw new Error(JSON.stringify(trap.error));
  return trap.value;
}

describe("a filter", () => {
  test("matches what the product's reading of the standard says it matches", () => {
    const few = fc.constantFrom(0, 0x01, 0x0f, 0x55, 0xf0, 0xff);
    const bytes = (count: number): fc.Arbitrary<number[]> =>
      fc.array(few, { minLength: count, maxLength: count });
    // Half of the filters let the first five fields through, so that the data decides.
    const filters = fc.tuple(fc.boolean(), bytes(20)).map(([isAny, filter]) => {
      filter[0] = 0x80;
      return isAny ? filter.fill(0xff, 4, 11) : filter;
    });
    const matchCounts = { yes: 0, no: 0 };
    fc.assert(
      fc.property(filters, bytes(16), (filter, record) => {
        record[2] = 0x02;
        record[9] = 0x04;
        const mine = filterMatches(Uint8Array.from(filter), Uint8Array.from(record));
        const theirs = decodeEventFilter(Uint8Array.from(filter));
        const event = decodeSelRecord(Uint8Array.from(record));
        if (!theirs.ok || !event.ok || event.value.kind !== "event") throw new Error("no event");
        expect(mine).toBe(isFilterMatch(theirs.value, event.value));
        matchCounts[mine ? "yes" : "no"] += 1;
      }),
      { numRuns: 5_000 },
    );
    expect(Math.min(matchCounts.yes, matchCounts.no)).toBeGreaterThan(50);
  });

  test("that asks for power takes the power; its action is logged where that is wanted", () => {
    const client = loggedIn({ powerDelayMs: 10 });
    client.ask(SENSOR_EVENT, 0x12, [1, 0x03]);
    client.ask(SENSOR_EVENT, 0x12, [2, 0x3f]);
    const any = [0xff, 0xff, 0x0c, 0xff, 0xff, 0x02, 0x00, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    expect(
      client.ask(SENSOR_EVENT, 0x12, [6, 1, 0x80, 0x02, 0, 0x20, ...any])?.completionCode,
    ).toBe(0);
    raise(client, 0);
    client.passTime(100);
    expect(client.machine.model.state.chassis.isOn).toBe(true);
    raise(client, 1);
    client.passTime(100);
    expect(client.machine.model.state.chassis.isOn).toBe(false);
    const last = client.machine.model.records().at(-1);
    expect([last?.[10], (last?.[13] ?? 0) & 0x0f, last?.[14]]).toEqual([0x12, 4, 0x02]);
  });
});

describe("a trap", () => {
  test("holds what the event holds, and goes to each destination", () => {
    const client = loggedIn({ trapDestinations: [destination(1), destination(2)] });
    const sent = raise(client);
    expect(sent.map(({ peer }) => peer.port)).toEqual([1, 2]);
    const { community, pet } = petOf(sent[0]?.bytes);
    expect(community).toBe("public");
    expect(pet).toMatchObject({
      ...{ sensorType: 0x0c, eventType: 0x6f, isAssertion: true, offset: 1 },
      ...{ guid: "a123456789abcdef8123456789abcdef", severity: 0x10, sensorDevice: 0x20 },
      ...{ sensorNumber: 16, entityId: 0x20, entityInstance: 1, manufacturerId: 32_473 },
      timestamp: Math.floor(client.nowMs / 1000) - 883_612_800,
      utcOffsetMinutes: 0,
    });
    expect(pet.eventData.subarray(0, 3).toHex()).toBe("01ffff");
  });

  test("is repeated with the same sequence until it is acknowledged, at most as often as set", () => {
    const client = loggedIn({ trapDestinations: [destination(1, { isAcknowledged: true })] });
    const first = petOf(raise(client)[0]?.bytes).pet;
    const later = [1, 2, 3, 4, 5].flatMap(() => datagrams(client.passTime(1_000)));
    expect(later.map(({ bytes }) => petOf(bytes).pet.sequence)).toEqual([
      first.sequence,
      first.sequence,
    ]);
    const second = petOf(raise(client)[0]?.bytes).pet;
    expect(second.sequence).toBe((first.sequence + 1) & 0xffff);
    const acknowledge = [...petAcknowledge.encode(acknowledgeOf(second))];
    expect(client.askPlain(SENSOR_EVENT, 0x17, acknowledge)?.completionCode).toBe(0);
    expect([1, 2, 3].flatMap(() => datagrams(client.passTime(1_000)))).toEqual([]);
  });

  test("goes by the policy: another way only where the one before had no success", () => {
    const first = destination(1, { isAcknowledged: true, retries: 0 });
    const client = loggedIn({ trapDestinations: [first, destination(2)] });
    // Set 1, on, step 1: only if the one before failed.
    client.ask(SENSOR_EVENT, 0x12, [9, 2, 0x19, 0x12, 0]);
    expect(raise(client).map(({ peer }) => peer.port)).toEqual([1]);
    expect(datagrams(client.passTime(1_000)).map(({ peer }) => peer.port)).toEqual([2]);
    const { pet } = petOf(raise(client)[0]?.bytes);
    client.askPlain(SENSOR_EVENT, 0x17, [...petAcknowledge.encode(acknowledgeOf(pet))]);
    expect(datagrams(client.passTime(5_000))).toEqual([]);
  });

  test("is sent by Alert Immediate to a destination set over LAN parameters", () => {
    const client = loggedIn();
    const transport = 0x0c;
    expect(client.ask(SENSOR_EVENT, 0x16, [1, 3, 0])?.completionCode).toBe(0xcc);
    client.ask(transport, 0x01, [1, 18, 3, 0x00, 2, 1]);
    client.ask(transport, 0x01, [1, 19, 3, 0, 0, 127, 0, 0, 9, 0, 0, 0, 0, 0, 0]);
    expect(client.ask(transport, 0x02, [1, 18, 3, 0])?.data.toHex()).toBe("1103000201");
    const request = { netFn: SENSOR_EVENT, lun: 0, command: 0x16, data: Uint8Array.of(1, 3, 0) };
    const [reply, trap] = client.send(client.seal(request, client.sequence + 1));
    expect(client.read(reply)?.completionCode).toBe(0);
    expect(`${trap?.peer.address}:${trap?.peer.port}`).toBe("127.0.0.9:162");
    expect(petOf(trap?.bytes).pet.trapSource).toBe(0x20);
  });
});
