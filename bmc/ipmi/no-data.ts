/**
 * The codecs of requests and replies that carry no data, which many commands share.
 *
 * A reply may be longer than a command says: what follows is of a later version of the standard, and is not looked at.
 */
import { ok, type Result } from "../../core/result.ts";
import type { DecodeError } from "./decode.ts";

export function encodeNothing(): Uint8Array {
  return new Uint8Array(0);
}

export function decodeNothing(): Result<null, DecodeError> {
  return ok(null);
}
