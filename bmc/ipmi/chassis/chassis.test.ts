/**
 * The chassis commands, on bytes made by the standard's tables.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { PowerAction } from "../../bmc.ts";
import type { IpmiCommand } from "../ipmi.ts";
import { chassisControl, powerActionOf } from "./chassis-control.ts";
import { chassisIdentify } from "./chassis-identify.ts";
import { getChassisCapabilities } from "./get-chassis-capabilities.ts";
import { getChassisStatus } from "./get-chassis-status.ts";
import { getPohCounter } from "./get-poh-counter.ts";
import { getSystemRestartCause } from "./get-system-restart-cause.ts";
import { setPowerRestorePolicy } from "./set-power-restore-policy.ts";

function decoded<T>(command: IpmiCommand<never, T>, hex: string): T {
  const reply = command.decode(Uint8Array.fromHex(hex.replaceAll(" ", "")));
  if (!reply.ok) throw new Error(JSON.stringify(reply.error));
  return reply.value;
}

describe("Get Chassis Status", () => {
  test("reads a healthy chassis that is on", () => {
    expect(decoded(getChassisStatus, "21 10 40")).toEqual({
      isOn: true,
      restorePolicy: "previous",
      faults: [],
      isPanelLocked: false,
      lastPowerEvents: ["switched on by IPMI"],
      identify: "off",
      disabledButtons: [],
    });
  });

  test("names every fault, and does not take the lockout or the power bit for one", () => {
    const status = decoded(getChassisStatus, "7f 1f 6f 0f");
    expect(status.restorePolicy).toBeNull();
    expect(status.faults).toEqual([
      "power overload",
      "power interlock is open",
      "power fault",
      "power control fault",
      "chassis intrusion",
      "drive fault",
      "cooling or fan fault",
    ]);
    expect(status.isPanelLocked).toBe(true);
    expect(status.lastPowerEvents).toHaveLength(5);
    expect(status.identify).toBe("on");
    expect(status.disabledButtons).toEqual(["off", "reset", "diagnostic", "standby"]);
  });

  test("does not guess at the light where the BMC does not tell", () => {
    expect(decoded(getChassisStatus, "00 00 30").identify).toBeNull();
  });

  test("needs three bytes", () => {
    expect(getChassisStatus.decode(new Uint8Array(2)).ok).toBe(false);
  });
});

describe("Chassis Control", () => {
  test.each<[PowerAction, string]>([
    ["off", "00"],
    ["on", "01"],
    ["cycle", "02"],
    ["reset", "03"],
    ["nmi", "04"],
    ["soft-off", "05"],
  ])("sends %s as %s", (action, hex) => {
    expect(chassisControl.encode(action).toHex()).toBe(hex);
    expect(powerActionOf(Number.parseInt(hex, 16))).toBe(action);
  });

  test("knows no action by a number that the standard does not give", () => {
    expect(powerActionOf(9)).toBeNull();
  });
});

describe("Chassis Identify", () => {
  test("sends the second byte only where it is meant", () => {
    expect(chassisIdentify.encode(30).toHex()).toBe("1e");
    expect(chassisIdentify.encode("off").toHex()).toBe("00");
    expect(chassisIdentify.encode("on").toHex()).toBe("0001");
  });

  test("takes 8 bits of seconds", () => {
    expect(() => chassisIdentify.encode(256)).toThrow();
    expect(() => chassisIdentify.encode(1.5)).toThrow();
  });
});

describe("what else the chassis tells", () => {
  test("its devices, with the BMC as the bridge where none is named", () => {
    expect(decoded(getChassisCapabilities, "05 20 22 24 26")).toEqual({
      hasPowerInterlock: false,
      hasDiagnosticInterrupt: true,
      hasFrontPanelLockout: false,
      hasIntrusionSensor: true,
      fruAddress: 0x20,
      sdrAddress: 0x22,
      selAddress: 0x24,
      managementAddress: 0x26,
      bridgeAddress: 0x20,
    });
    expect(decoded(getChassisCapabilities, "00 20 20 20 20 28").bridgeAddress).toBe(0x28);
  });

  test("why it started", () => {
    expect(decoded(getSystemRestartCause, "f1 01")).toEqual({
      code: 1,
      text: "chassis control command",
      channel: 1,
    });
    expect(decoded(getSystemRestartCause, "00 00").text).toBeNull();
    expect(decoded(getSystemRestartCause, "04").channel).toBeNull();
    expect(decoded(getSystemRestartCause, "0f 00").text).toBe("cause 15");
  });

  test("how long it has been on", () => {
    expect(decoded(getPohCounter, "3c 10 00 00 80")).toEqual({
      minutesPerCount: 60,
      count: 0x8000_0010,
      minutes: 60 * 0x8000_0010,
    });
  });

  test("what it may do when AC comes back", () => {
    expect(setPowerRestorePolicy.encode("previous").toHex()).toBe("01");
    expect(setPowerRestorePolicy.encode("tell").toHex()).toBe("03");
    expect(decoded(setPowerRestorePolicy, "05")).toEqual(["off", "on"]);
  });
});

test("no bytes at all make a decoder throw", () => {
  const commands = [
    getChassisCapabilities,
    getChassisStatus,
    getPohCounter,
    getSystemRestartCause,
    setPowerRestorePolicy,
  ];
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 10 }), (bytes) => {
      for (const command of commands) command.decode(bytes);
    }),
  );
});
