/**
 * An entry of the alert policy table (IPMI 2.0 §17.11, parameter 9): to whom an alert goes, and to whom if that fails.
 *
 * Entries with the number of the matching filter's policy set are taken in the order of the table, the lowest set first.
 *
 *   offset  bytes  field
 *        0      1  bits 7:4 policy set, 3 enabled, 2:0 step
 *        1      1  bits 7:4 channel, 3:0 destination
 *        2      1  bit 7 string depends on the event, 6:0 its set, 00h none
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";

export const ALERT_POLICY_BYTES = 3;

/** What happens after the entry before this one succeeded; `always` sends in any case. */
export const POLICY_STEPS = [
  "always",
  "next-entry",
  "stop-set",
  "next-channel",
  "next-destination-type",
] as const;

export type PolicyStep = (typeof POLICY_STEPS)[number];

export interface AlertPolicy {
  readonly policySet: number;
  readonly isEnabled: boolean;
  /** A number above 4 is reserved, and given as null. */
  readonly step: PolicyStep | null;
  readonly channel: number;
  readonly destination: number;
  /** The whole byte. */
  readonly alertString: number;
}

export function decodeAlertPolicy(data: Uint8Array): Result<AlertPolicy, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("alert policy", ALERT_POLICY_BYTES);
  if (short !== null) return err(short);
  const head = reader.u8();
  const target = reader.u8();
  return ok({
    policySet: head >>> 4,
    isEnabled: (head & 0x08) !== 0,
    step: POLICY_STEPS[head & 0x07] ?? null,
    channel: target >>> 4,
    destination: target & 0x0f,
    alertString: reader.u8(),
  });
}

export function encodeAlertPolicy(policy: AlertPolicy): Uint8Array {
  const step = policy.step === null ? 0x07 : POLICY_STEPS.indexOf(policy.step);
  return Uint8Array.of(
    (policy.policySet << 4) | (policy.isEnabled ? 0x08 : 0) | step,
    (policy.channel << 4) | policy.destination,
    policy.alertString,
  );
}
