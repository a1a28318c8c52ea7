/**
 * Get Self Test Results: what the BMC found when it tested itself (IPMI 2.0 §20.4).
 *
 *   byte  reply
 *      0  55h passed, 56h there is none, 57h data cannot be read, 58h fatal hardware error, FFh reserved, others its maker's
 *      1  with 57h a bit for each fault; with others 00h or its maker's
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { encodeNothing } from "../no-data.ts";

/** By bit of the second byte of a result 57h, from 0. */
const FAULTS = [
  "operational firmware is corrupt",
  "update firmware (boot block) is corrupt",
  "internal use area of its FRU is corrupt",
  "SDR repository is empty",
  "IPMB signal lines do not respond",
  "its FRU cannot be read",
  "SDR repository cannot be read",
  "SEL cannot be read",
] as const;

export interface SelfTestResults {
  readonly result: "passed" | "none" | "faults" | "fatal" | "device-specific";
  readonly faults: readonly string[];
  readonly code: number;
  readonly detail: number;
  /** One line, such as `passed` or `SEL cannot be read, its FRU cannot be read`. */
  readonly text: string;
}

function resultOf(code: number): SelfTestResults["result"] {
  if (code === 0x55) return "passed";
  if (code === 0x56) return "none";
  if (code === 0x57) return "faults";
  return code === 0x58 ? "fatal" : "device-specific";
}

function textOf(result: SelfTestResults["result"], faults: readonly string[], hex: string): string {
  switch (result) {
    case "passed":
      return "passed";
    case "none":
      return "this controller has no self test";
    case "faults":
      return faults.length === 0 ? "faults that it does not name" : faults.join(", ");
    case "fatal":
      return `fatal hardware error (${hex})`;
    case "device-specific":
      return `failed with a code of its maker (${hex})`;
  }
}

function decode(data: Uint8Array): Result<SelfTestResults, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get Self Test Results", 2);
  if (short !== null) return err(short);
  const code = reader.u8();
  const detail = reader.u8();
  const result = resultOf(code);
  const faults =
    result === "faults" ? FAULTS.filter((_, bit) => (detail & (1 << bit)) !== 0).reverse() : [];
  const hex = `${code.toString(16).padStart(2, "0")} ${detail.toString(16).padStart(2, "0")}`;
  return ok({ result, faults, code, detail, text: textOf(result, faults, hex) });
}

export const getSelfTestResults: IpmiCommand<void, SelfTestResults> = {
  name: "Get Self Test Results",
  netFn: NET_FN.app,
  command: 0x04,
  encode: encodeNothing,
  decode,
};
