/**
 * An event of a BMC for tests of service data, with whatever a test cares about replaced.
 */
import type { BmcEvent } from "../../../../bmc/bmc.ts";

export function bmcEvent(of: Partial<BmcEvent> = {}): BmcEvent {
  return {
    id: "1".repeat(64),
    system: "a123456789abcdefa123456789abcdef",
    epoch: 1,
    nth: 0,
    way: "sel",
    severity: "critical",
    whenMs: 1_800_000_000_000,
    seenMs: 1_800_000_000_100,
    isAssertion: true,
    category: "memory",
    subject: "DIMM_A1",
    text: "DIMM_A1: uncorrectable ECC error",
    record: null,
    extra: {},
    ...of,
  };
}
