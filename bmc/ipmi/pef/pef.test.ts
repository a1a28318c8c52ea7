/**
 * Event filtering: the commands and parameters byte for byte, which event meets which filter, and no reply that throws.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { IpmiCommand } from "../ipmi.ts";
import type { SystemEventRecord } from "../sel/sel-record.ts";
import { alertImmediate } from "./alert-immediate.ts";
import { decodeAlertPolicy, encodeAlertPolicy } from "./alert-policy.ts";
import { armPefPostponeTimer } from "./arm-pef-postpone-timer.ts";
import {
  decodeEventFilter,
  type EventFilter,
  encodeEventFilter,
  isDataMatch,
  isFilterMatch,
} from "./event-filter.ts";
import { getPefCapabilities } from "./get-pef-capabilities.ts";
import {
  decodeDestinationAddress,
  decodeDestinationType,
  encodeDestinationAddress,
  encodeDestinationType,
  getLanConfigurationParameters,
  setLanConfigurationParameters,
} from "./lan-destination.ts";
import { getLastProcessedEvent, setLastProcessedEvent } from "./last-processed-event.ts";
import {
  getPefConfigurationParameters,
  pefActions,
  pefControl,
  pefFilter,
  pefFilterConfig,
  pefGuid,
  pefPolicy,
  pefStringKey,
  pefStringText,
  setPefConfigurationParameters,
} from "./pef-parameters.ts";

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text);

function readBack<Reply>(command: IpmiCommand<never, Reply>, data: string): Reply {
  const decoded = command.decode(hex(data));
  if (!decoded.ok) throw new Error(JSON.stringify(decoded.error));
  return decoded.value;
}

describe("commands", () => {
  test("capabilities, postpone timer, last processed event", () => {
    expect(readBack(getPefCapabilities, "51bf10")).toEqual({
      version: 0x51,
      actions: 0x3f,
      canFilterOemRecords: true,
      filterCount: 16,
    });
    expect(armPefPostponeTimer.encode("tell").toHex()).toBe("ff");
    expect(armPefPostponeTimer.encode("forever").toHex()).toBe("fe");
    expect(armPefPostponeTimer.encode(999).toHex()).toBe("fd");
    expect(readBack(armPefPostponeTimer, "3c")).toBe(60);
    expect(readBack(armPefPostponeTimer, "fe")).toBe("forever");
    expect(setLastProcessedEvent.encode({ by: "bmc", recordId: 0x1234 }).toHex()).toBe("013412");
    expect(readBack(getLastProcessedEvent, "78563412030002000100")).toEqual({
      lastAdd: 0x12345678,
      lastRecordId: 3,
      softwareId: 2,
      bmcId: 1,
    });
  });

  test("Alert Immediate, and what became of it", () => {
    const alert = { channel: 1, action: "tell", destination: 2, stringSelector: 3 } as const;
    expect(alertImmediate.encode(alert).toHex()).toBe("014283");
    const begin = { ...alert, action: "begin", stringSelector: null } as const;
    expect(alertImmediate.encode(begin).toHex()).toBe("010200");
    expect(
      ["00", "01", "02", "03", "ff", ""].map((data) => readBack(alertImmediate, data)),
    ).toEqual(["none", "sent", "dial-failed", "not-acknowledged", "in-progress", "none"]);
  });

  test("parameters are asked for with set and block, and written with their bytes", () => {
    const request = { parameter: 6, set: 3, block: 0 };
    expect(getPefConfigurationParameters.encode(request).toHex()).toBe("060300");
    expect(readBack(getPefConfigurationParameters, "1101")).toEqual({
      revision: 0x11,
      data: hex("01"),
    });
    const setting = { parameter: 1, data: pefControl.encode(3) };
    expect(setPefConfigurationParameters.encode(setting).toHex()).toBe("0103");
    const lan = { channel: 1, parameter: 18, set: 2, block: 0 };
    expect(getLanConfigurationParameters.encode(lan).toHex()).toBe("01120200");
    const address = { channel: 1, parameter: 19, data: hex("02") };
    expect(setLanConfigurationParameters.encode(address).toHex()).toBe("011302");
  });

  test("no reply makes a decoder throw", () => {
    const decoders = [
      getPefCapabilities,
      armPefPostponeTimer,
      getLastProcessedEvent,
      alertImmediate,
      getPefConfigurationParameters,
      getLanConfigurationParameters,
      pefControl,
      pefActions,
      pefFilter,
      pefFilterConfig,
      pefPolicy,
      pefGuid,
      pefStringKey,
      pefStringText,
    ];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (bytes) => {
        for (const one of decoders) expect(typeof one.decode(bytes).ok).toBe("boolean");
        for (const decode of [decodeDestinationAddress, decodeDestinationType, decodeAlertPolicy]) {
          expect(typeof decode(bytes).ok).toBe("boolean");
        }
      }),
    );
  });
});

const ANY: EventFilter = {
  isEnabled: true,
  isFactory: false,
  actions: 1,
  policy: 1,
  severity: 0x10,
  generator: [0xff, 0xff],
  sensorType: 0xff,
  sensorNumber: 0xff,
  eventType: 0xff,
  offsets: 0xffff,
  data: [
    { andMask: 0, compare1: 0, compare2: 0 },
    { andMask: 0, compare1: 0, compare2: 0 },
    { andMask: 0, compare1: 0, compare2: 0 },
  ],
};

const EVENT: SystemEventRecord = {
  kind: "event",
  recordId: 1,
  timestamp: 0,
  generatorId: 0x0120,
  revision: 4,
  sensorType: 0x0c,
  sensorNumber: 2,
  isAssertion: true,
  eventType: 0x6f,
  data1: 0xa1,
  data2: 0x34,
  data3: 0xff,
};

describe("tables", () => {
  test("a filter entry has 20 bytes, in their places", () => {
    const filter: EventFilter = {
      ...ANY,
      isFactory: true,
      generator: [0x20, 0x01],
      sensorType: 0x0c,
      sensorNumber: 2,
      eventType: 0x6f,
      offsets: 0x0102,
      data: [
        { andMask: 1, compare1: 2, compare2: 3 },
        { andMask: 4, compare1: 5, compare2: 6 },
        { andMask: 7, compare1: 8, compare2: 9 },
      ],
    };
    const bytes = "c0010110 2001 0c 02 6f 0201 010203 040506 070809".replaceAll(" ", "");
    expect(encodeEventFilter(filter).toHex()).toBe(bytes);
    expect(decodeEventFilter(hex(bytes))).toEqual({ ok: true, value: filter });
    expect(pefFilter.encode({ index: 3, value: filter }).toHex()).toBe(`03${bytes}`);
    expect(pefFilter.decode(hex(`03${bytes}`))).toEqual({
      ok: true,
      value: { index: 3, value: filter },
    });
    expect(decodeEventFilter(hex(bytes).subarray(1)).ok).toBe(false);
  });

  test("policies and destinations come back as they were", () => {
    const policy = {
      policySet: 1,
      isEnabled: true,
      step: "stop-set",
      channel: 2,
      destination: 3,
      alertString: 0x81,
    } as const;
    expect(encodeAlertPolicy(policy).toHex()).toBe("1a2381");
    expect(decodeAlertPolicy(hex("1a2381"))).toEqual({ ok: true, value: policy });
    const type = { selector: 1, isAcknowledged: true, type: 0, timeoutSeconds: 3, retries: 2 };
    expect(encodeDestinationType(type).toHex()).toBe("01800302");
    expect(decodeDestinationType(hex("01800302"))).toEqual({ ok: true, value: type });
    const address = {
      selector: 1,
      format: 0,
      isBackupGateway: false,
      address: "192.0.2.17",
      mac: "02:00:5e:00:53:01",
    };
    expect(encodeDestinationAddress(address).toHex()).toBe("010000c000021102005e005301");
    expect(decodeDestinationAddress(hex("010000c000021102005e005301"))).toEqual({
      ok: true,
      value: address,
    });
  });

  test("GUID and alert strings come back as they were", () => {
    const guid = { isUsed: true, guid: hex("000102030405060708090a0b0c0d0e0f") };
    expect(pefGuid.decode(pefGuid.encode(guid))).toEqual({ ok: true, value: guid });
    const key = { index: 2, value: { filterIndex: 5, stringSet: 1 } };
    expect(pefStringKey.decode(pefStringKey.encode(key))).toEqual({ ok: true, value: key });
    const text = { index: 2, block: 1, text: new TextEncoder().encode("fan lost") };
    expect(pefStringText.decode(pefStringText.encode(text))).toEqual({ ok: true, value: text });
  });
});

describe("a filter", () => {
  test("of wildcards meets every event, and none when it is off", () => {
    expect(isFilterMatch(ANY, EVENT)).toBe(true);
    expect(isFilterMatch({ ...ANY, isEnabled: false }, EVENT)).toBe(false);
  });

  test.each([
    ["another controller", { generator: [0x22, 0xff] }],
    ["another LUN", { generator: [0xff, 0x00] }],
    ["another type", { sensorType: 0x07 }],
    ["another sensor", { sensorNumber: 3 }],
    ["another event type", { eventType: 0x01 }],
    ["other offsets", { offsets: 0xfffd }],
    [
      "other data",
      { data: [ANY.data[0], { andMask: 0xff, compare1: 0xff, compare2: 0x35 }, ANY.data[2]] },
    ],
  ] satisfies [string, Partial<EventFilter>][])("for %s does not meet it", (_, changes) => {
    expect(isFilterMatch({ ...ANY, ...changes }, EVENT)).toBe(false);
  });

  test("with its own values meets it", () => {
    const exact: EventFilter = {
      ...ANY,
      generator: [0x20, 0x01],
      sensorType: 0x0c,
      sensorNumber: 2,
      eventType: 0x6f,
      offsets: 0x0002,
      data: [
        { andMask: 0x0f, compare1: 0xff, compare2: 0x01 },
        { andMask: 0xff, compare1: 0xff, compare2: 0x34 },
        ANY.data[2],
      ],
    };
    expect(isFilterMatch(exact, EVENT)).toBe(true);
  });

  test("compares data bit by bit, as the standard's words say", () => {
    const byte = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(byte, byte, byte, byte, (data, andMask, compare1, compare2) => {
        let isExact = true;
        let looseCount = 0;
        let looseEqual = 0;
        for (let bit = 0; bit < 8; bit++) {
          const of = (value: number): number => (value >>> bit) & 1;
          const isEqual = (of(data) & of(andMask)) === of(compare2);
          if (of(compare1) === 1) isExact &&= isEqual;
          else {
            looseCount++;
            looseEqual += isEqual ? 1 : 0;
          }
        }
        const expected = isExact && (looseCount === 0 || looseEqual > 0);
        expect(isDataMatch({ andMask, compare1, compare2 }, data)).toBe(expected);
      }),
    );
  });
});
