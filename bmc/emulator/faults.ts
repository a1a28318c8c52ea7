/**
 * The faults that real BMCs show, as switches: a closed list, each with where it was observed.
 *
 * Decides which there are and what value each takes, not what they do: that is where the thing lives that misbehaves. Every
 * one is off at the start and can be switched while the emulator runs. `percent` is drawn from the seeded sequence, so a
 * run can be repeated.
 */
import { err, ok, type Result } from "../../core/result.ts";

/** What the number of a fault means; null: it is on or off. */
export type FaultUnit = "percent" | "ms" | "requests" | "bytes" | null;

export interface Fault {
  readonly unit: FaultUnit;
  readonly byDefault: number;
  readonly what: string;
  /** An issue, a section of the standard, or a peer in which it was measured. */
  readonly source: string;
}

function row(unit: FaultUnit, byDefault: number, what: string, source: string): Fault {
  return { unit, byDefault, what, source };
}

export type FaultName =
  | "rakp2-tag-zero"
  | "rakp2-wrong-check"
  | "rakp4-wrong-check"
  | "rakp2-late"
  | "rakp2-repeated"
  | "suite-3-only"
  | "suite-17-only"
  | "no-ping"
  | "drop"
  | "late"
  | "delay"
  | "duplicate"
  | "reorder"
  | "garbage"
  | "out-of-order"
  | "one-outstanding"
  | "session-expiry"
  | "stops-after"
  | "reset-after"
  | "reset-changes-guid"
  | "busy"
  | "sdr-updating"
  | "firmware-updating"
  | "initialising"
  | "sel-full"
  | "sel-slow-erase"
  | "sel-ids-sparse"
  | "sel-ids-reordered"
  | "sel-ids-duplicate"
  | "sel-ids-cyclic"
  | "sel-ids-reused"
  | "sel-renumbers"
  | "sel-delete-moves-erase-time"
  | "sel-event-before-clear"
  | "sel-delete-unsupported"
  | "sel-free-wraps"
  | "long-read-ca"
  | "long-read-ff"
  | "fru-words"
  | "fru-bad-checksum"
  | "sdr-truncated"
  | "power-late"
  | "power-never"
  | "cycle-when-off"
  | "serial-noise"
  | "serial-handshake-inside";

export const FAULTS: Readonly<Record<FaultName, Fault>> = {
  "rakp2-tag-zero": row(
    null,
    1,
    "RAKP2 and RAKP4 carry tag 0, not the one asked with",
    "xcat2/xcat-core#7555",
  ),
  "rakp2-wrong-check": row(
    null,
    1,
    "the key exchange code of RAKP2 is wrong",
    "ipmitool/ipmitool#344",
  ),
  "rakp4-wrong-check": row(null, 1, "the integrity check value of RAKP4 is wrong", "gebn/bmc#49"),
  "rakp2-late": row(
    "ms",
    1_500,
    "RAKP2 comes late, after the console has asked again",
    "openbmc/phosphor-net-ipmid#16",
  ),
  "rakp2-repeated": row(
    null,
    1,
    "RAKP2 comes a second time, when the console is already further",
    "openbmc/phosphor-net-ipmid#24",
  ),
  "suite-3-only": row(null, 1, "only cipher suite 3", "openipmi 2.0.33 ipmi_sim"),
  "suite-17-only": row(null, 1, "only cipher suite 17", "openbmc/openbmc#3666"),
  "no-ping": row(null, 1, "an RMCP presence ping is not answered", "openbmc/openbmc#3273"),
  drop: row("percent", 10, "datagrams are lost, both ways", "IPMI 2.0 §13.2: UDP"),
  late: row("ms", 300, "one answer in four comes this much late", "ipmitool/ipmitool#82"),
  delay: row(
    "ms",
    5,
    "every answer comes this much later, as over a long way",
    "measured with a delaying relay",
  ),
  duplicate: row("percent", 10, "answers come twice", "ipmitool/ipmitool#277"),
  reorder: row("percent", 10, "an answer is overtaken by the next", "IPMI 2.0 §13.2: UDP"),
  garbage: row(
    "percent",
    10,
    "a datagram that is none of RMCP comes before an answer",
    "ipmitool/ipmitool#277",
  ),
  "out-of-order": row(
    null,
    1,
    "requests that came together are answered last first",
    "IPMI 2.0 §6.12.13: answers are matched, not counted",
  ),
  "one-outstanding": row(
    "ms",
    2,
    "a request that comes while another is worked on, this long, is dropped",
    "IPMI 2.0 §6.13: a BMC need hold one request",
  ),
  "session-expiry": row(
    "requests",
    20,
    "a session ends without a word after so many requests",
    "IPMI 2.0 §6.12.15",
  ),
  "stops-after": row(
    "requests",
    10,
    "after so many more requests nothing is answered, on any wire",
    "openbmc/phosphor-net-ipmid#26",
  ),
  "reset-after": row(
    "requests",
    10,
    "after so many more requests the BMC resets: sessions and reservations are gone",
    "openbmc/openbmc#565",
  ),
  "reset-changes-guid": row(
    null,
    1,
    "a reset gives the BMC another GUID",
    "openbmc/phosphor-host-ipmid#194: identities made anew at start",
  ),
  busy: row("percent", 20, "C0h, node busy", "IPMI 2.0 §5.2"),
  "sdr-updating": row(
    "requests",
    3,
    "D0h for the next so many requests to the SDRs",
    "IPMI 2.0 §5.2",
  ),
  "firmware-updating": row("requests", 3, "D1h for the next so many requests", "IPMI 2.0 §5.2"),
  initialising: row("requests", 3, "D2h for the next so many requests", "IPMI 2.0 §5.2"),
  "sel-full": row(
    null,
    1,
    "the log is full: events are dropped and it says overflow",
    "chu11/freeipmi-mirror#35",
  ),
  "sel-slow-erase": row(
    "ms",
    1_000,
    "clearing takes this long; meanwhile SEL commands get 81h",
    "IPMI 2.0 §31.9",
  ),
  "sel-ids-sparse": row(null, 1, "record ids have gaps", "IPMI 2.0 §31: ids are handles"),
  "sel-ids-reordered": row(
    null,
    1,
    "the chain of ids goes back and forth",
    "IPMI 2.0 §31: ids are handles",
  ),
  "sel-ids-duplicate": row(
    null,
    1,
    "after a wrap, the first id is met twice",
    "facebook/openbmc#273",
  ),
  "sel-ids-cyclic": row(
    null,
    1,
    "the last record's next id is the first again",
    "facebook/openbmc#273",
  ),
  "sel-ids-reused": row(null, 1, "a new record takes the lowest id that is free", "IPMI 2.0 §31.6"),
  "sel-renumbers": row(
    null,
    1,
    "after a deletion all ids are given anew from 1",
    "IPMI 2.0 §31.8: ids may change",
  ),
  "sel-delete-moves-erase-time": row(
    null,
    1,
    "the erase time moves with a single deletion too",
    "IPMI 2.0 §31.2",
  ),
  "sel-event-before-clear": row(
    null,
    1,
    "a new event comes between reservation and clear or delete: C5h",
    "IPMI 2.0 §31.4",
  ),
  "sel-delete-unsupported": row(null, 1, "Delete SEL Entry is not there", "ipmitool/ipmitool#335"),
  "sel-free-wraps": row(null, 1, "free bytes wrap at 64 K", "openipmi 2.0.33 ipmi_sim"),
  "long-read-ca": row(
    "bytes",
    16,
    "CAh to reads longer than this, of SEL, SDR and FRU",
    "IPMI 2.0 §33.12",
  ),
  "long-read-ff": row(
    "bytes",
    16,
    "FFh to reads longer than this, of SEL, SDR and FRU",
    "IPMI 2.0 §33.12",
  ),
  "fru-words": row(null, 1, "FRU data is counted in words", "IPMI 2.0 §34.1"),
  "fru-bad-checksum": row(null, 1, "the board area's checksum is wrong", "FRU specification §2"),
  "sdr-truncated": row(null, 1, "the last SDR ends before it says", "chu11/freeipmi-mirror#29"),
  "power-late": row("ms", 3_000, "power follows this much after the reply", "IPMI 2.0 §28.3"),
  "power-never": row(
    null,
    1,
    "power control is accepted and nothing happens",
    "ClusterLabs/fence-agents#525",
  ),
  "cycle-when-off": row(
    null,
    1,
    "D5h to power cycle of a node that is off",
    "ClusterLabs/fence-agents#596",
  ),
  "serial-noise": row(
    "percent",
    20,
    "bytes that mean nothing before and after frames",
    "IPMI 2.0 §14.4: receivers resynchronise",
  ),
  "serial-handshake-inside": row(null, 1, "A6h in the middle of a frame", "IPMI 2.0 §14.4.5"),
};

export const FAULT_NAMES: readonly FaultName[] = Object.keys(FAULTS) as FaultName[];

export function isFaultName(name: string): name is FaultName {
  return Object.hasOwn(FAULTS, name);
}

const VALUE_MAX = 1_000_000;

/** Which faults are on, with their values. */
export class FaultTable {
  readonly #values: Map<FaultName, number> = new Map<FaultName, number>();

  isOn(name: FaultName): boolean {
    return this.#values.size > 0 && this.#values.has(name);
  }

  /** null when it is off. */
  valueOf(name: FaultName): number | null {
    if (this.#values.size === 0) return null;
    return this.#values.get(name) ?? null;
  }

  /** The error is one line for whoever set it. */
  setOn(name: FaultName, value: number | null): Result<null, string> {
    const fault: Fault = FAULTS[name];
    const chosen = value ?? fault.byDefault;
    const most = fault.unit === "percent" ? 100 : VALUE_MAX;
    if (fault.unit === null && value !== null) return err(`${name} takes no value`);
    if (!Number.isSafeInteger(chosen) || chosen < 0 || chosen > most) {
      return err(`${name} takes a whole number of ${fault.unit}, 0 to ${most}`);
    }
    this.#values.set(name, chosen);
    return ok(null);
  }

  setOff(name: FaultName): void {
    this.#values.delete(name);
  }

  clear(): void {
    this.#values.clear();
  }

  /** Of a fault that lasts for so many requests: takes one away; true while it still acts. */
  takeOne(name: FaultName): boolean {
    const left = this.valueOf(name);
    if (left === null) return false;
    if (left <= 1) this.#values.delete(name);
    else this.#values.set(name, left - 1);
    return left > 0;
  }

  list(): readonly { readonly name: FaultName; readonly value: number }[] {
    return [...this.#values].map(([name, value]) => ({ name, value }));
  }
}
