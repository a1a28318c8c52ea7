/**
 * Platform Event Filtering of an emulated BMC: parameters as they are stored, and which of them an event meets (IPMI 2.0 §17,
 * §30).
 *
 * Decides what is to be done about an event: the actions and the alert policy. Does not do it: the power is the chassis's,
 * sending the traps is in `alerts.ts`. Filters and policies are kept as the bytes in which they were set.
 *
 *   filter, 20 bytes   0 config (b7 on), 1 actions, 2 policy, 3 severity, 4–5 generator, 6 sensor type, 7 sensor, 8 event type,
 *                      9–10 offsets, 11–13 AND mask, compare 1, compare 2 of event data 1, 14–16 of 2, 17–19 of 3
 *   policy, 3 bytes    0 b7:4 set, b3 on, b2:0 step; 1 b7:4 channel, b3:0 destination; 2 string
 */
export const FILTERS = 16;
export const FILTER_BYTES = 20;
export const POLICIES = 16;
export const POLICY_BYTES = 3;
const ANY = 0xff;
const IS_ON = 0x80;

export const PEF_ACTION = {
  alert: 0x01,
  off: 0x02,
  reset: 0x04,
  cycle: 0x08,
  diagnostic: 0x20,
} as const;

export interface PefVerdict {
  /** Bits of `PEF_ACTION`, of all filters that matched, as far as globally allowed. */
  readonly actions: number;
  /** Of the first matching filter that asks for an alert; 0: none. */
  readonly policySet: number;
  readonly severity: number;
}

const NOTHING: PefVerdict = { actions: 0, policySet: 0, severity: 0 };

/**
 * §17.7: bits with compare 1 = 1 must all equal compare 2; of the others, if there are any, at least one must. Bits that the
 * mask takes out count as 0.
 */
export function dataMatches(
  data: number,
  mask: number,
  compare1: number,
  compare2: number,
): boolean {
  const masked = data & mask;
  const equal = ~(masked ^ compare2) & 0xff;
  if ((equal & compare1) !== compare1) return false;
  const loose = ~compare1 & 0xff;
  return loose === 0 || (equal & loose) !== 0;
}

function byteMatches(wanted: number, is: number): boolean {
  return wanted === ANY || wanted === is;
}

/** `record` in SEL format. */
export function filterMatches(filter: Uint8Array, record: Uint8Array): boolean {
  const f = (index: number): number => filter[index] ?? 0;
  const r = (index: number): number => record[index] ?? 0;
  if ((f(0) & IS_ON) === 0) return false;
  const offsets = f(9) | (f(10) << 8);
  return (
    byteMatches(f(4), r(7)) &&
    byteMatches(f(5), r(8)) &&
    byteMatches(f(6), r(10)) &&
    byteMatches(f(7), r(11)) &&
    byteMatches(f(8), r(12) & 0x7f) &&
    (offsets & (1 << (r(13) & 0x0f))) !== 0 &&
    [0, 1, 2].every((n) => {
      const at = 11 + n * 3;
      return dataMatches(r(13 + n), f(at), f(at + 1), f(at + 2));
    })
  );
}

export interface PolicyEntry {
  readonly step: number;
  readonly channel: number;
  readonly destination: number;
}

export class Pef {
  setInProgress = 0;
  /** b0 on, b1 its actions are logged. */
  control = 0;
  globalActions = 0;
  startDelays: readonly [number, number] = [0, 0];
  /** 0: not postponed; else as given. */
  postpone = 0;
  /** Parameter 10: use flag and GUID. */
  guid: Uint8Array = new Uint8Array(17);
  lastSoftwareId = 0xffff;
  lastBmcId = 0xffff;
  readonly filters: Uint8Array[] = Array.from(
    { length: FILTERS },
    () => new Uint8Array(FILTER_BYTES),
  );
  readonly policies: Uint8Array[] = Array.from(
    { length: POLICIES },
    () => new Uint8Array(POLICY_BYTES),
  );

  /** A filter that every event meets, and a policy that sends to each of the destinations: what a new BMC comes with here. */
  sendAllTo(destinations: number, severity: number): void {
    if (destinations === 0) return;
    this.control = 0x01;
    this.globalActions = PEF_ACTION.alert;
    const any = [ANY, ANY, ANY, ANY, ANY, 0xff, 0xff];
    this.filters[0] = Uint8Array.from([
      IS_ON,
      PEF_ACTION.alert,
      1,
      severity,
      ...any,
      ...new Uint8Array(9),
    ]);
    for (let index = 0; index < Math.min(destinations, POLICIES); index++) {
      this.policies[index] = Uint8Array.of(0x18, 0x10 | (index + 1), 0);
    }
  }

  judge(record: Uint8Array): PefVerdict {
    if ((this.control & 0x01) === 0) return NOTHING;
    let verdict = NOTHING;
    for (const filter of this.filters) {
      if (!filterMatches(filter, record)) continue;
      const actions = (filter[1] ?? 0) & this.globalActions;
      const isFirst = verdict.policySet === 0 && (actions & PEF_ACTION.alert) !== 0;
      verdict = {
        actions: verdict.actions | actions,
        policySet: isFirst ? (filter[2] ?? 0) & 0x0f : verdict.policySet,
        severity: Math.max(verdict.severity, filter[3] ?? 0),
      };
    }
    return verdict;
  }

  /** Those of a set that are on, in the order of the table. */
  policy(set: number): readonly PolicyEntry[] {
    return this.policies
      .filter((entry) => (entry[0] ?? 0) >> 4 === set && ((entry[0] ?? 0) & 0x08) !== 0)
      .map((entry) => ({
        step: (entry[0] ?? 0) & 0x07,
        channel: (entry[1] ?? 0) >> 4,
        destination: (entry[1] ?? 0) & 0x0f,
      }));
  }
}
