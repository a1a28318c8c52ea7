/**
 * A BMC made of a script, for tests of the commands: answers as it is told, and remembers what was asked of it.
 */
import type {
  Bmc,
  BmcEvent,
  BmcIdentity,
  EventLog,
  FruDevice,
  PowerAction,
  PowerStatus,
  Progress,
  ReadOptions,
  SensorReading,
  WatchdogSetting,
  WatchdogStatus,
  WatchHandlers,
  WatchOptions,
} from "../../../../bmc/bmc.ts";
import { type BmcError, bmcError } from "../../../../bmc/bmc-error.ts";
import { err, ok, type Result } from "../../../../core/result.ts";

type Answer<T> = Promise<Result<T, BmcError>>;

const GUID = "00112233445566778899aabbccddeeff";

export function fakeEvent(nth: number, fields: Partial<BmcEvent> = {}): BmcEvent {
  return {
    id: String(nth).padStart(64, "0"),
    system: GUID,
    epoch: 1,
    nth: 0,
    way: "sel",
    severity: "critical",
    whenMs: Date.UTC(2026, 10, 22, 10, 36, 42) + nth * 1000,
    seenMs: Date.UTC(2026, 10, 22, 10, 36, 43) + nth * 1000,
    isAssertion: true,
    category: "memory",
    subject: "DIMM A1",
    text: "DIMM A1: uncorrectable ECC error",
    record: "000002b2a1216a2000040c876f010000",
    extra: {},
    ...fields,
  };
}

const THRESHOLDS = { lnr: 0, lc: 5, lnc: 10, unc: 70, uc: 80, unr: 90.5 };

export const FAKE_SENSORS: readonly SensorReading[] = [
  {
    name: "CPU0 Temp",
    number: 0x30,
    category: "temperature",
    entity: "processor 0",
    value: 41.000000001,
    unit: "°C",
    status: "ok",
    states: [],
    thresholds: THRESHOLDS,
  },
  {
    name: "P12V\u001b[2J",
    number: 0x41,
    category: "voltage",
    entity: null,
    value: 13.1,
    unit: "V",
    status: "upper-critical",
    states: [],
    thresholds: { uc: 13 },
  },
  {
    name: "PSU1 Status",
    number: null,
    category: "power-supply",
    entity: null,
    value: null,
    unit: "",
    status: "states",
    states: ["presence detected", "power supply failure detected"],
    thresholds: {},
  },
];

export const FAKE_IDENTITY: BmcIdentity = {
  guid: GUID,
  manufacturer: { id: 674, name: "Dell Inc." },
  productId: 256,
  productName: "PowerEdge",
  serial: "ABC1234",
  firmware: "6.10",
  protocolVersion: "2.0",
  deviceId: 0x20,
  selfTest: "passed",
  supports: ["sel", "sdr", "fru", "chassis"],
};

export class FakeBmc implements Bmc {
  readonly url = "lan://bmc.example";
  readonly asked: string[] = [];
  isClosed = false;
  watchOptions: WatchOptions | null = null;
  handlers: WatchHandlers | null = null;
  /** Given in place of an answer to everything, when set. */
  error: BmcError | null = null;
  entries: EventLog["entries"] = [];
  isOverflowed = false;
  progress: readonly Progress[] = [];
  fruDevices: readonly FruDevice[] = [];
  /** Power states as they are seen, one a question; the last one stays. */
  powerStates: (boolean | BmcError)[] = [true];
  reply: Uint8Array = Uint8Array.of(0, 0x20, 0x81);
  watchdogStatus: WatchdogStatus = {
    isRunning: true,
    use: "sms-os",
    action: "cycle",
    initialMs: 120_000,
    presentMs: 61_300,
  };
  /** Set: nothing is ever answered. */
  isSilent = false;

  #answer<T>(what: string, value: T): Answer<T> {
    this.asked.push(what);
    if (this.isSilent) return new Promise(() => undefined);
    return Promise.resolve(this.error === null ? ok(value) : err(this.error));
  }

  identity(): Answer<BmcIdentity> {
    return this.#answer("identity", FAKE_IDENTITY);
  }

  log({ onProgress }: ReadOptions = {}): Answer<EventLog> {
    for (const step of this.progress) onProgress?.(step);
    const { entries, isOverflowed } = this;
    const rest = { freeBytes: 4096, lastAddMs: 0, lastEraseMs: 0 };
    return this.#answer("log", { entries, isOverflowed, ...rest });
  }

  clearLog(): Answer<null> {
    return this.#answer("clearLog", null);
  }

  sensors(): Answer<readonly SensorReading[]> {
    return this.#answer("sensors", FAKE_SENSORS);
  }

  fru(): Answer<readonly FruDevice[]> {
    return this.#answer("fru", this.fruDevices);
  }

  power(): Answer<PowerStatus> {
    const state = this.powerStates.length > 1 ? this.powerStates.shift() : this.powerStates[0];
    if (typeof state === "object") return Promise.resolve(err(state));
    return this.#answer("power", {
      isOn: state === true,
      restorePolicy: "previous",
      lastCause: "power button",
      faults: ["drive fault"],
    });
  }

  control(action: PowerAction): Answer<null> {
    return this.#answer(`control ${action}`, null);
  }

  watchdog(): Answer<WatchdogStatus> {
    return this.#answer("watchdog", this.watchdogStatus);
  }

  setWatchdog({ action, timeoutMs }: WatchdogSetting): Answer<null> {
    return this.#answer(`setWatchdog ${action} ${timeoutMs}`, null);
  }

  resetWatchdog(): Answer<null> {
    return this.#answer("resetWatchdog", null);
  }

  stopWatchdog(): Answer<null> {
    return this.#answer("stopWatchdog", null);
  }

  identify(how: number | "on" | "off"): Answer<null> {
    return this.#answer(`identify ${how}`, null);
  }

  raw(netFn: number, command: number, data: Uint8Array): Answer<Uint8Array> {
    return this.#answer(`raw ${netFn} ${command} ${data.toHex()}`, this.reply);
  }

  watch(options: WatchOptions, handlers: WatchHandlers): { stop(): Promise<void> } {
    this.watchOptions = options;
    this.handlers = handlers;
    return {
      stop: () => {
        this.asked.push("watch stopped");
        return Promise.resolve();
      },
    };
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}

export const REFUSED: BmcError = bmcError("refused", "Chassis Control: completion code d5");
