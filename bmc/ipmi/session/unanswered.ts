/**
 * Answers that are none: codes that say "later", and what it is called when nothing came (IPMI 2.0 §5.2).
 */
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { IpmiRequest } from "../ipmi.ts";

export const NODE_BUSY = 0xc0;
const TIMED_OUT = 0xc3;
const RESPONSE_LOST = 0xce;
const DUPLICATE = 0xcf;
/** D0h SDR update, D1h firmware update, D2h initialising. */
const UPDATING_MIN = 0xd0;
const UPDATING_MAX = 0xd2;

/** Codes that leave open whether the request was carried out count only for what may be repeated, `isOnce` false. */
export function isLater(code: number, isOnce: boolean, busyCount: number): boolean {
  if (code === NODE_BUSY || (code >= UPDATING_MIN && code <= UPDATING_MAX)) return true;
  if (isOnce) return false;
  if (code === TIMED_OUT) return true;
  return (code === RESPONSE_LOST || code === DUPLICATE) && busyCount === 0;
}

export function requestName(request: IpmiRequest): string {
  const hex = (value: number): string => value.toString(16).padStart(2, "0");
  return `request ${hex(request.netFn)}/${hex(request.command)}h`;
}

export function stillBusy(request: IpmiRequest, code: number, ms: number): BmcError {
  const hex = code.toString(16).toUpperCase();
  const what = `${requestName(request)}: the BMC answered ${hex}h for ${Math.round(ms / 1000)} s`;
  return bmcError("busy", `${what}; try again later`, code);
}

interface Tried {
  readonly request: IpmiRequest;
  readonly isOnce: boolean;
  readonly sends: number;
}

export function unanswered({ request, isOnce, sends }: Tried, ms: number): BmcError {
  const doubt = "; whether it was carried out is unknown: look before repeating";
  const tries = sends === 1 ? "1 try" : `${sends} tries`;
  const what = `${requestName(request)}: no answer to ${tries} in ${(ms / 1000).toFixed(1)} s`;
  return bmcError("timeout", isOnce ? `${what}${doubt}` : what);
}
