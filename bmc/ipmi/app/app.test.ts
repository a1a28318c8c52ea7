/**
 * The commands every controller answers, on bytes of real ones and of the standard's tables.
 *
 * Replies of ipmi_sim 2.0.33 and of QEMU's own BMC were seen on the wire; the others follow the tables byte by byte.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type IpmiCommand, requestOf } from "../ipmi.ts";
import { getDeviceId } from "./get-device-id.ts";
import { getDeviceGuid, getSystemGuid } from "./get-guid.ts";
import { getSelfTestResults } from "./get-self-test-results.ts";
import { manufacturerName } from "./manufacturer.ts";
import { coldReset, warmReset } from "./reset-device.ts";
import {
  getWatchdogTimer,
  resetWatchdogTimer,
  setWatchdogTimer,
  type WatchdogTimerSetting,
} from "./watchdog-timer.ts";

function decoded<T>(command: IpmiCommand<never, T>, hex: string): T {
  const reply = command.decode(Uint8Array.fromHex(hex.replaceAll(" ", "")));
  if (!reply.ok) throw new Error(JSON.stringify(reply.error));
  return reply.value;
}

describe("Get Device ID", () => {
  test("reads what ipmi_sim says of itself", () => {
    expect(decoded(getDeviceId, "00 03 09 08 02 9f 91 12 00 02 0f 00 00 00 00")).toEqual({
      deviceId: 0,
      revision: 3,
      hasDeviceSdrs: false,
      isBusy: false,
      firmwareMajor: 9,
      firmwareMinor: 8,
      firmware: "9.08",
      ipmiVersion: "2.0",
      supports: ["sensors", "sdr", "sel", "fru", "event-receiver", "chassis"],
      manufacturerId: 4753,
      productId: 0x0f02,
      auxiliaryFirmware: Uint8Array.of(0, 0, 0, 0),
    });
  });

  test("does without the auxiliary revision, which version 1.0 does not have", () => {
    const id = decoded(getDeviceId, "20 81 82 34 51 ff a2 02 f0 00 01");
    expect(id.auxiliaryFirmware).toBeNull();
    expect(id.hasDeviceSdrs).toBe(true);
    expect(id.isBusy).toBe(true);
    expect(id.firmware).toBe("2.34");
    expect(id.ipmiVersion).toBe("1.5");
    // The upper four bits of the manufacturer are reserved.
    expect(id.manufacturerId).toBe(674);
    expect(id.productId).toBe(0x0100);
    expect(manufacturerName(id.manufacturerId)).toBe("Dell");
  });

  test("says how many bytes are missing", () => {
    expect(getDeviceId.decode(new Uint8Array(10))).toEqual({
      ok: false,
      error: { kind: "too-short", what: "Get Device ID", wantBytes: 11, gotBytes: 10 },
    });
  });

  test("is asked as the standard says", () => {
    expect(requestOf(getDeviceId, undefined)).toEqual({
      netFn: 6,
      lun: 0,
      command: 1,
      data: new Uint8Array(0),
    });
  });
});

describe("manufacturers", () => {
  test("have a name, or their number for one", () => {
    expect(manufacturerName(10876)).toBe("Supermicro");
    expect(manufacturerName(0)).toBe("unspecified");
    expect(manufacturerName(60_000)).toBe("manufacturer 60000");
  });
});

describe("Get Self Test Results", () => {
  test.each([
    ["55 00", "passed", "passed"],
    ["56 00", "none", "this controller has no self test"],
    ["57 a0", "faults", "SEL cannot be read, its FRU cannot be read"],
    ["57 00", "faults", "faults that it does not name"],
    ["58 12", "fatal", "fatal hardware error (58 12)"],
    ["77 01", "device-specific", "failed with a code of its maker (77 01)"],
  ])("reads %s as %s: %s", (hex, result, text) => {
    const results = decoded(getSelfTestResults, hex);
    expect(results.result).toBe(result as typeof results.result);
    expect(results.text).toBe(text);
  });
});

describe("GUIDs", () => {
  test("keep the order of their bytes", () => {
    const hex = "a123456789abcdefa123456789abcdef";
    expect(decoded(getSystemGuid, hex).toHex()).toBe(hex);
    expect(decoded(getDeviceGuid, hex).toHex()).toBe(hex);
    expect(getSystemGuid.decode(new Uint8Array(15)).ok).toBe(false);
  });
});

describe("the watchdog timer", () => {
  const setting: WatchdogTimerSetting = {
    use: "sms-os",
    doesLog: true,
    keepsRunning: false,
    interrupt: "none",
    action: "cycle",
    preTimeoutSeconds: 0,
    clears: ["sms-os"],
    countdownTicks: 600,
  };

  test("is set by the bytes of the table", () => {
    expect(setWatchdogTimer.encode(setting).toHex()).toBe("040300105802");
    const other: WatchdogTimerSetting = {
      ...setting,
      use: "post",
      doesLog: false,
      keepsRunning: true,
      interrupt: "nmi",
      action: "reset",
      preTimeoutSeconds: 5,
      clears: ["frb2", "oem"],
      countdownTicks: 0xffff,
    };
    expect(setWatchdogTimer.encode(other).toHex()).toBe("c2210522ffff");
  });

  test("is read back", () => {
    expect(decoded(getWatchdogTimer, "44 13 0a 12 58 02 2c 01")).toEqual({
      use: "sms-os",
      doesLog: true,
      isRunning: true,
      interrupt: "smi",
      action: "cycle",
      preTimeoutSeconds: 10,
      expired: ["frb2", "sms-os"],
      initialTicks: 600,
      presentTicks: 300,
    });
  });

  test("is read where the BMC leaves out the present countdown, as ipmi_sim 2.0.33 does", () => {
    expect(decoded(getWatchdogTimer, "04 03 00 10 58 02").presentTicks).toBeNull();
    expect(getWatchdogTimer.decode(new Uint8Array(5)).ok).toBe(false);
  });

  test("reads reserved numbers as none", () => {
    const timer = decoded(getWatchdogTimer, "87 77 00 c1 00 00 00 00");
    expect([timer.use, timer.action, timer.interrupt]).toEqual(["none", "none", "none"]);
    expect(timer.doesLog).toBe(false);
    expect(timer.expired).toEqual([]);
  });
});

describe("resets", () => {
  test("carry no data and expect none", () => {
    for (const command of [coldReset, warmReset, resetWatchdogTimer]) {
      expect(command.encode().byteLength).toBe(0);
      expect(command.decode(new Uint8Array(0)).ok).toBe(true);
    }
  });
});

test("no bytes at all make a decoder throw", () => {
  const commands = [getDeviceId, getSelfTestResults, getSystemGuid, getWatchdogTimer];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      for (const command of commands) command.decode(bytes);
    }),
  );
});
