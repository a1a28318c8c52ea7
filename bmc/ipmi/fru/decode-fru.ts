/**
 * A whole FRU device: its fields in the order of the areas, and what is wrong with it (FRU Information Storage Definition 1.3).
 *
 * Decides how a problem is told. Never throws, on any bytes; a device that was never written has no fields and one problem.
 */
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { type DecodeError, describeDecodeError } from "../decode.ts";
import { decodeFruArea, decodeFruHeader, type FruArea, type FruFields } from "./fru-areas.ts";
import { decodeMultirecords } from "./multirecord.ts";

export interface FruContent {
  readonly fields: FruFields;
  readonly problems: readonly BmcError[];
}

function problemOf(what: string, error: DecodeError): BmcError {
  const detail = `${what}: ${describeDecodeError(error)}`;
  switch (error.kind) {
    case "too-short":
      return bmcError("truncated-record", detail);
    case "bad-checksum":
      return bmcError("bad-checksum", detail);
    case "bad-value":
      return bmcError("malformed", detail);
  }
}

/** EEPROMs come with all bits set or cleared. */
function isBlank(bytes: Uint8Array): boolean {
  const [first] = bytes;
  return (first === 0xff || first === 0x00) && bytes.subarray(0, 8).every((byte) => byte === first);
}

/** `what` names the device in problems, such as `FRU 0 (built-in)`. */
export function decodeFru(bytes: Uint8Array, what: string): FruContent {
  const header = decodeFruHeader(bytes);
  if (!header.ok) {
    const blank = bmcError("malformed", `${what}: nothing was ever written to it`);
    return { fields: [], problems: [isBlank(bytes) ? blank : problemOf(what, header.error)] };
  }
  const { chassis, board, product, multirecord, isSound } = header.value;
  const areas: FruArea[] = [];
  if (chassis !== 0) areas.push(decodeFruArea("chassis", bytes, chassis));
  if (board !== 0) areas.push(decodeFruArea("board", bytes, board));
  if (product !== 0) areas.push(decodeFruArea("product", bytes, product));
  if (multirecord !== 0) areas.push(decodeMultirecords(bytes, multirecord));
  const problems = areas.flatMap((area) => area.problems.map((error) => problemOf(what, error)));
  if (!isSound)
    problems.unshift(bmcError("bad-checksum", `${what}: the header's checksum is wrong`));
  return { fields: areas.flatMap(({ fields }) => fields), problems };
}
