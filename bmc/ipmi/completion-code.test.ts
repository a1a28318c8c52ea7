/**
 * Completion codes: which error each is, and that it names the command and the code.
 */
import { describe, expect, test } from "bun:test";
import { getDeviceId } from "./app/get-device-id.ts";
import { resetWatchdogTimer } from "./app/watchdog-timer.ts";
import { chassisControl } from "./chassis/chassis-control.ts";
import { type CommandName, completionText, replyError } from "./completion-code.ts";

const NO_DATA = new Uint8Array(0);

function errorOf(command: CommandName, completionCode: number): ReturnType<typeof replyError> {
  return replyError(command, { completionCode, data: NO_DATA });
}

describe("a completion code", () => {
  test.each([
    [0xc0, "busy"],
    [0xc1, "unsupported"],
    [0xc5, "changed-while-read"],
    [0xd4, "privilege-too-low"],
    [0xd5, "refused"],
    [0x12, "refused"],
    [0x9f, "refused"],
    [0xfe, "refused"],
  ])("%d is of kind %s", (code, kind) => {
    const error = errorOf(getDeviceId, code);
    expect(error.kind).toBe(kind as typeof error.kind);
    expect(error.completionCode).toBe(code);
    expect(error.detail).toStartWith("Get Device ID: ");
  });

  test("reads as one line that names command, meaning and code", () => {
    expect(errorOf(chassisControl, 0xd5).detail).toBe(
      "Chassis Control: not possible in the present state (completion code D5h)",
    );
  });

  test("means something else in another command", () => {
    expect(errorOf(resetWatchdogTimer, 0x80).detail).toContain("set it first");
    expect(errorOf(getDeviceId, 0x80).detail).toContain("a code of this command");
    const selClear = { name: "Clear SEL", netFn: 0x0a, command: 0x47 };
    expect(errorOf(selClear, 0x81).kind).toBe("busy");
  });

  test("of 0 is no error", () => {
    expect(completionText(getDeviceId, 0)).toBe("done");
  });
});
