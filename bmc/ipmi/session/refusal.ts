/**
 * What went wrong with a session, in words for whoever wanted it; and what a BMC's status in Open Session and RAKP means (IPMI
 * 2.0 §13.24).
 */
import { type BmcError, type BmcErrorKind, bmcError } from "../../bmc-error.ts";
import type { IpmiRequest } from "../ipmi.ts";
import { rakpStatusText } from "../rmcp/rakp.ts";
import { requestName } from "./unanswered.ts";

const NO_RESOURCES = 0x01;
const INVALID_SESSION = 0x02;
const INACTIVE_SESSION = 0x08;
const INVALID_ROLE = 0x09;
const UNAUTHORISED_ROLE = 0x0a;
const NO_RESOURCES_AT_ROLE = 0x0b;
const INVALID_NAME_LENGTH = 0x0c;
const UNAUTHORISED_NAME = 0x0d;
const WRONG_CHECK_VALUE = 0x0f;
const ILLEGAL_PARAMETER = 0x12;

/** Algorithms: 04h, 05h, 06h, 07h, 10h, 11h; and 12h, which some say instead. */
const OTHER_SUITE: readonly number[] = [0x04, 0x05, 0x06, 0x07, 0x10, 0x11, ILLEGAL_PARAMETER];

export function isOtherSuiteWorthTrying(status: number): boolean {
  return OTHER_SUITE.includes(status);
}

/** An older BMC that does not know the bit for lookup by name alone. */
export function isUserLookupRefused(status: number): boolean {
  return [INVALID_ROLE, UNAUTHORISED_ROLE, UNAUTHORISED_NAME, ILLEGAL_PARAMETER].includes(status);
}

/** The BMC lost the session that is being opened, or has another random number in it than the one we know. */
export function isWorthAnew(status: number): boolean {
  return [INVALID_SESSION, INACTIVE_SESSION, WRONG_CHECK_VALUE].includes(status);
}

const KINDS: Readonly<Record<number, readonly [kind: BmcErrorKind, remedy: string]>> = {
  [NO_RESOURCES]: ["no-session", "close other sessions, or wait a minute until they expire"],
  [NO_RESOURCES_AT_ROLE]: ["no-session", "close other sessions, or wait a minute"],
  [INVALID_ROLE]: ["privilege-too-low", "ask for less, such as ?privilege=operator"],
  [UNAUTHORISED_ROLE]: ["privilege-too-low", "ask for less, such as ?privilege=operator"],
  [INVALID_NAME_LENGTH]: ["wrong-password", "the user's name is not one it can have"],
  [UNAUTHORISED_NAME]: ["wrong-password", "it knows no such user, or not with this privilege"],
};

export function refusal(name: string, message: string, status: number): BmcError {
  const [kind, remedy] = KINDS[status] ?? ["refused", "see the BMC's own log"];
  return bmcError(kind, `${name} refuses ${message}: ${rakpStatusText(status)}; ${remedy}`);
}

export function noAnswer(name: string, to: string): BmcError {
  return bmcError(
    "timeout",
    `${name} does not answer ${to}: is IPMI over LAN enabled in it, and is UDP let through?`,
  );
}

export function wrongPassword(name: string): BmcError {
  return bmcError(
    "wrong-password",
    `${name} does not know this password for this user: check both (HOLDFAST_BMC_PASSWORD or the password file)`,
  );
}

export function wrongKg(name: string, isGiven: boolean, isSet: boolean): BmcError {
  const why = isGiven
    ? "HOLDFAST_BMC_KG is not its key"
    : `it ${isSet ? "has" : "seems to have"} a key of its own (Kg): give it in HOLDFAST_BMC_KG`;
  return bmcError("wrong-password", `${name} knows the password, but ${why}`);
}

export function privilegeNotRaised(name: string, completionCode: number): BmcError {
  const hex = completionCode.toString(16).padStart(2, "0");
  const detail = `${name} does not raise the session's privilege (${hex}h)`;
  const remedy = "ask for less, such as ?privilege=operator";
  return bmcError("privilege-too-low", `${detail}: ${remedy}`, completionCode);
}

export function sessionLost(name: string, request: IpmiRequest): BmcError {
  const doubt = `whether ${requestName(request)} was carried out is unknown: look before repeating`;
  return bmcError("disconnected", `${name} lost the session; ${doubt}`);
}

export function closedError(name: string): BmcError {
  return bmcError("disconnected", `${name}: the connection is closed`);
}
