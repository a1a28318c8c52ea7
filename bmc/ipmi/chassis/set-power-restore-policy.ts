/**
 * Set Power Restore Policy: what the system does when AC comes back (IPMI 2.0 §28.8).
 *
 *   byte  request                                        reply
 *      0  0 stay off, 1 as before, 2 on, 3 only tell     b2 on, b1 as before, b0 stay off can be chosen
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";

/** By number. */
const POLICIES = ["off", "previous", "on"] as const;

export type PowerRestorePolicy = (typeof POLICIES)[number];

/** null for "unknown". */
export function restorePolicyOf(code: number): PowerRestorePolicy | null {
  return POLICIES[code] ?? null;
}

/** Changes nothing: asks which can be chosen. */
const TELL = 3;

function decode(data: Uint8Array): Result<readonly PowerRestorePolicy[], DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Set Power Restore Policy", 1);
  if (short !== null) return err(short);
  const bits = reader.u8();
  return ok(POLICIES.filter((_, bit) => (bits & (1 << bit)) !== 0));
}

/** Replies which policies this chassis has. */
export const setPowerRestorePolicy: IpmiCommand<
  PowerRestorePolicy | "tell",
  readonly PowerRestorePolicy[]
> = {
  name: "Set Power Restore Policy",
  netFn: NET_FN.chassis,
  command: 0x06,
  encode: (policy) => Uint8Array.of(policy === "tell" ? TELL : POLICIES.indexOf(policy)),
  decode,
};
