/**
 * What a completion code means, and which error it is to whoever asked (IPMI 2.0 §5.2).
 *
 * Codes below 80h are the controller's maker's, 80h to BEh mean something else in each command, the others are the same
 * everywhere. Decides only what a code is called; whether to ask again is `ask.ts`.
 */
import { type BmcError, type BmcErrorKind, bmcError } from "../bmc-error.ts";
import type { IpmiCommand, IpmiReply } from "./ipmi.ts";

type Meaning = readonly [kind: BmcErrorKind, text: string];

const GENERIC: ReadonlyMap<number, Meaning> = new Map<number, Meaning>([
  [0xc0, ["busy", "node busy"]],
  [0xc1, ["unsupported", "this BMC does not know the command"]],
  [0xc2, ["unsupported", "not a command of this LUN"]],
  [0xc3, ["busy", "timed out inside the BMC, no answer available"]],
  [0xc4, ["refused", "out of space"]],
  [0xc5, ["changed-while-read", "the reservation was cancelled: somebody else changed or read it"]],
  [0xc6, ["refused", "the BMC says that the request is truncated"]],
  [0xc7, ["refused", "the BMC says that the request has a wrong length"]],
  [0xc8, ["refused", "the BMC says that a field is too long"]],
  [0xc9, ["refused", "the BMC says that a parameter is out of range"]],
  [0xca, ["refused", "the BMC cannot return that many bytes"]],
  [0xcb, ["refused", "there is no such sensor, record or data"]],
  [0xcc, ["refused", "the BMC says that a field is invalid"]],
  [0xcd, ["refused", "not a command of this type of sensor or record"]],
  [0xce, ["busy", "no response is available"]],
  [0xcf, ["busy", "the BMC takes it for a repeated request"]],
  [0xd0, ["busy", "the SDR repository is being updated"]],
  [0xd1, ["busy", "the firmware is being updated"]],
  [0xd2, ["busy", "the BMC is starting"]],
  [0xd3, ["refused", "the destination is unavailable"]],
  [0xd4, ["privilege-too-low", "the user's privilege is too low; use one with more"]],
  [0xd5, ["refused", "not possible in the present state"]],
  [0xd6, ["unsupported", "this function is switched off"]],
  [0xff, ["refused", "unspecified error"]],
]);

/** Codes of single commands, by `netFn command code` in one number. */
const SPECIFIC: ReadonlyMap<number, Meaning> = new Map<number, Meaning>([
  ...specific(0x0a, [0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x5a], {
    129: ["busy", "the SEL is being erased"],
  }),
  ...specific(0x0a, [0x44, 0x45, 0x46], {
    128: ["unsupported", "not with this type of record"],
  }),
  ...specific(0x04, [0x14, 0x15], { 129: ["busy", "the SEL is being erased"] }),
  ...specific(0x04, [0x12, 0x13], parameterCodes()),
  ...specific(0x0c, [0x01, 0x02, 0x10, 0x11], parameterCodes()),
  ...specific(0x00, [0x08, 0x09], parameterCodes()),
  ...specific(0x04, [0x16], {
    129: ["busy", "another alert is being sent"],
    130: ["busy", "a session of IPMI messages is open on the channel"],
  }),
  ...specific(0x04, [0x21], { 128: ["changed-while-read", "the record has changed"] }),
  ...specific(0x0a, [0x11, 0x12], { 129: ["busy", "the FRU device is busy"] }),
  ...specific(0x0a, [0x12], {
    128: ["refused", "this place of the FRU device is write-protected"],
  }),
  ...specific(0x06, [0x22], {
    128: ["refused", "the watchdog was not set since the BMC started; set it first"],
  }),
  ...specific(0x06, [0x35, 0x33], { 128: ["refused", "nothing is there to be read"] }),
  ...specific(0x06, [0x39], {
    129: ["wrong-password", "there is no such user"],
    130: ["wrong-password", "the user without a name is disabled"],
  }),
  ...specific(0x06, [0x3a], {
    129: ["no-session", "no free session"],
    130: ["no-session", "no free session for this user"],
    131: ["no-session", "no free session at this privilege"],
    132: ["no-session", "session sequence number out of range"],
    133: ["no-session", "the session id is not valid"],
    134: ["privilege-too-low", "the privilege is above the limit of the user or the channel"],
  }),
  ...specific(0x06, [0x3b], {
    128: ["privilege-too-low", "this privilege is not available to the user"],
    129: ["privilege-too-low", "the privilege is above the limit of the user or the channel"],
    130: ["refused", "authentication at user level cannot be switched off"],
  }),
  ...specific(0x06, [0x3c], {
    135: ["no-session", "the session id is not valid"],
    136: ["no-session", "the session handle is not valid"],
  }),
]);

function parameterCodes(): Readonly<Record<number, Meaning>> {
  return {
    128: ["unsupported", "this BMC does not have the parameter"],
    129: ["busy", "somebody else is changing the parameters"],
    130: ["refused", "the parameter is read-only"],
    131: ["refused", "the parameter is write-only"],
  };
}

function keyOf(netFn: number, command: number, code: number): number {
  return (netFn << 16) | (command << 8) | code;
}

function specific(
  netFn: number,
  commands: readonly number[],
  codes: Readonly<Record<number, Meaning>>,
): [number, Meaning][] {
  return commands.flatMap((command) =>
    Object.entries(codes).map(([code, meaning]): [number, Meaning] => [
      keyOf(netFn, command, Number(code)),
      meaning,
    ]),
  );
}

/** `netFn` is that of the request. */
function meaningOf(netFn: number, command: number, code: number): Meaning {
  const known = SPECIFIC.get(keyOf(netFn, command, code)) ?? GENERIC.get(code);
  if (known !== undefined) return known;
  if (code >= 0x01 && code <= 0x7e) return ["refused", "a code of the BMC's maker"];
  if (code >= 0x80 && code <= 0xbe) return ["refused", "a code of this command"];
  return ["refused", "a code that the standard does not give"];
}

/** What to call a command of which only the numbers are known. */
export type CommandName = Pick<IpmiCommand<never, unknown>, "name" | "netFn" | "command">;

export function completionText(command: Omit<CommandName, "name">, code: number): string {
  return code === 0 ? "done" : meaningOf(command.netFn, command.command, code)[1];
}

/** Whether a code says that the same request may succeed a little later. */
export function isBusy(command: Omit<CommandName, "name">, code: number): boolean {
  return code !== 0 && meaningOf(command.netFn, command.command, code)[0] === "busy";
}

/** The error that a reply with a completion code other than 0 is. */
export function replyError(command: CommandName, reply: IpmiReply): BmcError {
  const code = reply.completionCode;
  const [kind, text] = meaningOf(command.netFn, command.command, code);
  const hex = code.toString(16).toUpperCase().padStart(2, "0");
  return bmcError(kind, `${command.name}: ${text} (completion code ${hex}h)`, code);
}
