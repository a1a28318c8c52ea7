/**
 * The contract of a BMC, whatever wire leads to it: who it is, what happened, what it measures, what is built in, power,
 * watchdog.
 *
 * Types only. Links (`bmc/link/`) implement it, commands and the agent use it. A `Bmc` never throws and never rejects: what
 * goes wrong is a `BmcError`. Times are milliseconds since 1970 in UTC unless a name says otherwise; temperatures and
 * the like are in the unit that stands beside them.
 */
import type { Result } from "../core/result.ts";
import type { BmcError } from "./bmc-error.ts";

/** What is printed by `bmc info`. A field that this BMC does not tell is null. */
export interface BmcIdentity {
  /** System GUID, 32 hex digits in the order of the bytes as sent: an opaque key, see `ipmi.md` of the standard's §20.8. */
  readonly guid: string | null;
  readonly manufacturer: { readonly id: number | null; readonly name: string };
  readonly productId: number | null;
  readonly productName: string | null;
  readonly serial: string | null;
  readonly firmware: string;
  /** Such as `2.0`; of Redfish its own version. */
  readonly protocolVersion: string;
  readonly deviceId: number | null;
  readonly selfTest: string | null;
  /** Such as `sel`, `sdr`, `fru`, `chassis`. */
  readonly supports: readonly string[];
}

export type Severity = "information" | "ok" | "warning" | "critical" | "non-recoverable";

/** By which way an event was seen. */
export type EventWay =
  | "sel"
  | "kcs"
  | "pet"
  | "redfish-push"
  | "redfish-sse"
  | "redfish-log"
  | "hook"
  /** Seen by holdfast itself: a node declared dead, a path that is broken. */
  | "host";

/**
 * One error or change of state, the same by whichever way it was seen.
 *
 * Invariant: two sightings of one event have one `id`. The id is SHA-256 over system, epoch, record with its id zeroed, and
 * n (`bmc/ipmi/event/event-identity.ts` has the layout).
 */
export interface BmcEvent {
  /** 64 hex digits. */
  readonly id: string;
  /** System GUID as in `BmcIdentity`, or the BMC's URL without user where it has none. */
  readonly system: string;
  /** Which generation of the SEL; 0 where the source has none. */
  readonly epoch: number;
  /** 0 for the first of byte-identical records in one epoch. */
  readonly nth: number;
  readonly way: EventWay;
  readonly severity: Severity;
  /** null: the BMC did not know the time. */
  readonly whenMs: number | null;
  /** When this machine saw it. */
  readonly seenMs: number;
  readonly isAssertion: boolean;
  /** Such as `memory` or `temperature`: the standard's sensor type in kebab case, or the source's own word. */
  readonly category: string;
  /** Name of the sensor or component where known, else `sensor 0x30`. */
  readonly subject: string;
  /** The whole in one line of plain English. */
  readonly text: string;
  /** Lower-case hex of the 16-byte SEL record with its id zeroed; null where there is no such record. */
  readonly record: string | null;
  /** What the source gave besides, for whoever digs: strings and numbers only. */
  readonly extra: Readonly<Record<string, string | number>>;
}

/** One entry of the event log as it is kept. */
export interface LogEntry {
  /** Handle of the BMC: may be reused, never a key. */
  readonly recordId: string;
  readonly event: BmcEvent;
}

export interface EventLog {
  readonly entries: readonly LogEntry[];
  readonly isOverflowed: boolean;
  /** null: the BMC does not tell. */
  readonly freeBytes: number | null;
  readonly lastAddMs: number | null;
  readonly lastEraseMs: number | null;
}

export interface SensorReading {
  readonly name: string;
  /** As the BMC numbers it; null with Redfish. */
  readonly number: number | null;
  /** The standard's sensor type in kebab case. */
  readonly category: string;
  readonly entity: string | null;
  /** null: no number, or no reading now. */
  readonly value: number | null;
  readonly unit: string;
  /** `ok`, a crossed threshold (`upper-critical` …), `unavailable`, `disabled`; of discrete sensors `states`. */
  readonly status: string;
  /** Texts of the states that are asserted, of discrete sensors. */
  readonly states: readonly string[];
  /** In the sensor's unit; those that it has. */
  readonly thresholds: {
    readonly [name in "lnr" | "lc" | "lnc" | "unc" | "uc" | "unr"]?: number;
  };
}

export interface FruDevice {
  readonly id: number;
  readonly name: string;
  /** Such as `board.serial` → `ABC`; in the order of the areas. Custom fields are `board.custom1` and so on. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** What is wrong with it; whoever shows fields says these too. Empty for a sound one. */
  readonly problems: readonly BmcError[];
}

export type PowerAction = "on" | "off" | "soft-off" | "cycle" | "reset" | "nmi";

export interface PowerStatus {
  readonly isOn: boolean;
  readonly restorePolicy: "off" | "previous" | "on" | null;
  readonly lastCause: string | null;
  /** Such as `power fault`, `drive fault`, `chassis intrusion`. */
  readonly faults: readonly string[];
}

export type WatchdogAction = "none" | "reset" | "off" | "cycle";

export interface WatchdogStatus {
  readonly isRunning: boolean;
  readonly use: "frb2" | "post" | "os-load" | "sms-os" | "oem" | "none";
  readonly action: WatchdogAction;
  /** null: the BMC does not tell (Redfish has no times of it). */
  readonly initialMs: number | null;
  readonly presentMs: number | null;
}

export interface WatchdogSetting {
  readonly action: WatchdogAction;
  readonly timeoutMs: number;
}

/** What a watch must remember so that after a restart it neither repeats nor forgets an event. Plain JSON. */
export type WatchMemory = unknown;

export interface WatchOptions {
  /** Floor: the log is looked at this often even when events are pushed. */
  readonly pollMs: number;
  /** What an earlier watch remembered; null: what stands in the log now is old, only what comes is told. */
  readonly memory: WatchMemory | null;
  /** Tell what already stands in the log as well; only where `memory` is null. */
  readonly tellsOld: boolean;
  /** Where a BMC that can push over HTTP is to push to; without it other ways are taken. */
  readonly push?: PushDoor | null;
}

/** An HTTP address that the caller answers at, for a BMC that pushes events (Redfish). */
export interface PushDoor {
  /** Told to the BMC. Holds a secret in its path, as a BMC sends no credentials of its own. */
  readonly url: string;
  /**
   * From now on `handler` is given each body that is POSTed to `url`; what it returns is the HTTP status to answer with.
   * Undone by calling what comes back.
   */
  open(handler: (body: string) => PushStatus): () => void;
}

/** 204: taken, and its events were told. 400: not a Redfish event. 503: the watch has ended. */
export type PushStatus = 204 | 400 | 503;

export interface WatchHandlers {
  onEvent(event: BmcEvent): void;
  /** After the events that it covers were given to `onEvent`; to be kept durably. */
  onMemory(memory: WatchMemory): void;
  /** The BMC went away, came back, was cleared, overflowed: a line for people, and a kind for machines. */
  onNotice(notice: WatchNotice): void;
}

export type WatchNotice =
  | { readonly kind: "lost"; readonly error: BmcError }
  | { readonly kind: "back" }
  | { readonly kind: "cleared" }
  | { readonly kind: "overflowed" }
  | { readonly kind: "nearly-full"; readonly freeBytes: number }
  | { readonly kind: "pushed"; readonly way: EventWay }
  | { readonly kind: "polling"; readonly why: string };

export interface Watch {
  stop(): Promise<void>;
}

export interface Progress {
  readonly done: number;
  /** null: not known yet. */
  readonly total: number | null;
}

export interface ReadOptions {
  readonly onProgress?: (progress: Progress) => void;
}

export interface NamedSensor {
  readonly name: string;
  /** Such as `processor 1`; null where it is not known. */
  readonly entity: string | null;
  /** A raw reading or threshold with its unit, such as `85 °C`; null where it cannot be converted. */
  readonly reading?: (raw: number) => string | null;
}

/** `generator` is the address byte of an event record's generator id. null: nothing names it. */
export type SensorNames = (
  generator: number,
  lun: number,
  sensorNumber: number,
) => NamedSensor | null;

export interface Bmc {
  /** As given, without user and password: safe to print. */
  readonly url: string;
  identity(): Promise<Result<BmcIdentity, BmcError>>;
  log(options?: ReadOptions): Promise<Result<EventLog, BmcError>>;
  /** Removes every entry. Fails with `changed-while-read` when entries keep coming while it tries. */
  clearLog(): Promise<Result<null, BmcError>>;
  sensors(options?: ReadOptions): Promise<Result<readonly SensorReading[], BmcError>>;
  /** For events that have a sensor's number only; not of a BMC whose events have names. null: they cannot be read now. */
  sensorNames?(): Promise<SensorNames | null>;
  fru(options?: ReadOptions): Promise<Result<readonly FruDevice[], BmcError>>;
  power(): Promise<Result<PowerStatus, BmcError>>;
  /** Resolves when the BMC has accepted it; that it happened is seen by `power`. */
  control(action: PowerAction): Promise<Result<null, BmcError>>;
  watchdog(): Promise<Result<WatchdogStatus, BmcError>>;
  /** Sets and starts it. */
  setWatchdog(setting: WatchdogSetting): Promise<Result<null, BmcError>>;
  /** Feeds it: the countdown begins anew. */
  resetWatchdog(): Promise<Result<null, BmcError>>;
  /** Stops it: nothing happens any more, and no event is logged. */
  stopWatchdog(): Promise<Result<null, BmcError>>;
  /** `off` ends it; a number of seconds, at most 255; `on` until told otherwise. */
  identify(how: number | "on" | "off"): Promise<Result<null, BmcError>>;
  /** A message as it is: reply with completion code first. Only links that carry IPMI. */
  raw(netFn: number, command: number, data: Uint8Array): Promise<Result<Uint8Array, BmcError>>;
  /** Begins at once, and goes on through resets of the BMC until it is stopped. */
  watch(options: WatchOptions, handlers: WatchHandlers): Watch;
  close(): Promise<void>;
}
