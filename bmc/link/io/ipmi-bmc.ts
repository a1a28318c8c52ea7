/**
 * A BMC that speaks IPMI, over whichever connection: the contract, made of tasks.
 *
 * Decides which task answers which question, and nothing of how it is answered: tasks are in `bmc/ipmi/`, waiting and sending
 * in the connection. Records of sensors are kept for the whole process (`sdr-cache.ts`), so that a second question costs
 * one round trip for them. Never throws or rejects. A log is read even where the records that name its sensors cannot be.
 */
import { createHash } from "node:crypto";
import { err, ok, type Result } from "../../../core/result.ts";
import type {
  Bmc,
  BmcIdentity,
  EventLog,
  FruDevice,
  PowerAction,
  PowerStatus,
  ReadOptions,
  SensorReading,
  Watch,
  WatchdogSetting,
  WatchdogStatus,
  WatchHandlers,
  WatchOptions,
} from "../../bmc.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { type DeviceId, getDeviceId } from "../../ipmi/app/get-device-id.ts";
import {
  feedWatchdog,
  readWatchdog,
  startWatchdog,
  stopWatchdog,
} from "../../ipmi/app/host-watchdog.ts";
import { readGuid, readIdentity } from "../../ipmi/app/read-identity.ts";
import { ask } from "../../ipmi/ask.ts";
import { chassisIdentify, IDENTIFY_SECONDS_MAX } from "../../ipmi/chassis/chassis-identify.ts";
import { controlPower, readPower } from "../../ipmi/chassis/control-power.ts";
import type { Sha256 } from "../../ipmi/event/event-identity.ts";
import { type NameOf, noNames } from "../../ipmi/event/event-text.ts";
import { fruPlaces, readFru } from "../../ipmi/fru/read-fru.ts";
import type { Steps } from "../../ipmi/ipmi.ts";
import type { SdrList } from "../../ipmi/sdr/read-sdrs.ts";
import { readSdrsThrough, SdrCache } from "../../ipmi/sdr/sdr-cache.ts";
import { sensorsOf } from "../../ipmi/sdr/sensor-index.ts";
import { clearLog } from "../../ipmi/sel/clear-log.ts";
import { eventLogOf } from "../../ipmi/sel/event-log.ts";
import type { ReadSel } from "../../ipmi/sel/sel-read.ts";
import { getSelTimeUtcOffset } from "../../ipmi/sel/sel-time.ts";
import { nameSensors } from "../../ipmi/sensor/name-sensors.ts";
import { readSensors } from "../../ipmi/sensor/read-sensors.ts";
import type { IpmiConnection } from "./connection.ts";
import { watchIpmi } from "./ipmi-watch.ts";
import { type RunOptions, runSteps } from "./run-steps.ts";

export interface IpmiBmcParts {
  /** Safe to print. */
  readonly url: string;
  /** Owned from now on: `close` ends it. */
  readonly connection: IpmiConnection;
  /** A further connection to the same BMC: a watch has its own, since it lives through resets of the BMC. */
  readonly open: () => Promise<Result<IpmiConnection, BmcError>>;
  readonly readSel: ReadSel;
}

const NET_FN_MAX = 0x3e;

/** One for the process: a watch and a command ask about the same records. */
const sdrCache = new SdrCache();

const sha256: Sha256 = (data) => createHash("sha256").update(data).digest();

function badRequest(detail: string): { readonly ok: false; readonly error: BmcError } {
  return err(bmcError("bad-request", detail));
}

/** Whether anything more can be asked. */
function isOfLink(error: BmcError): boolean {
  return error.completionCode === undefined && error.kind !== "malformed";
}

/** What does not change while a connection lives: asked once, when it is first needed. */
class SystemFacts {
  readonly #connection: IpmiConnection;
  readonly #url: string;
  #device: DeviceId | null = null;
  #system: string | null = null;

  constructor(connection: IpmiConnection, url: string) {
    this.#connection = connection;
    this.#url = url;
  }

  async device(): Promise<Result<DeviceId, BmcError>> {
    if (this.#device !== null) return ok(this.#device);
    const device = await runSteps(this.#connection, ask(getDeviceId, undefined));
    if (device.ok) this.#device = device.value;
    return device;
  }

  /** GUID, or the URL of a BMC that has none. */
  async system(): Promise<Result<string, BmcError>> {
    if (this.#system !== null) return ok(this.#system);
    const guid = await runSteps(this.#connection, readGuid());
    if (!guid.ok) return guid;
    this.#system = guid.value ?? this.#url;
    return ok(this.#system);
  }

  async sdrs(options: RunOptions = {}): Promise<Result<SdrList, BmcError>> {
    const device = await this.device();
    if (!device.ok) return device;
    const system = await this.system();
    if (!system.ok) return system;
    const { replyBytesMax, windowMax } = this.#connection;
    const limits = { replyBytesMax, windowMax };
    const steps = readSdrsThrough(sdrCache, system.value, device.value, limits);
    return await runSteps(this.#connection, steps, options);
  }

  /** Of as many sensors as can be read. null: of none, which is no error, since an event has a number too. */
  async names(): Promise<NameOf | null> {
    const sdrs = await this.sdrs();
    if (sdrs.ok) return nameSensors(sensorsOf(sdrs.value.records));
    return sdrs.error.kind === "unsupported" ? noNames : null;
  }
}

export class IpmiBmc implements Bmc {
  readonly url: string;
  readonly #parts: IpmiBmcParts;
  readonly #facts: SystemFacts;

  constructor(parts: IpmiBmcParts) {
    this.url = parts.url;
    this.#parts = parts;
    this.#facts = new SystemFacts(parts.connection, parts.url);
  }

  #run<T>(steps: Steps<T>, options: RunOptions = {}): Promise<Result<T, BmcError>> {
    return runSteps(this.#parts.connection, steps, options);
  }

  identity(): Promise<Result<BmcIdentity, BmcError>> {
    return this.#run(readIdentity(this.#parts.connection.replyBytesMax));
  }

  async log(options: ReadOptions = {}): Promise<Result<EventLog, BmcError>> {
    // Side by side: from afar each question costs a round trip, and none needs another's answer.
    const [system, names, offset, read] = await Promise.all([
      this.#facts.system(),
      this.#facts.names(),
      this.#run(ask(getSelTimeUtcOffset, undefined)),
      this.#run(this.#parts.readSel(), options),
    ]);
    if (!system.ok) return system;
    if (!offset.ok && isOfLink(offset.error)) return offset;
    if (!read.ok) return read;
    const context = {
      system: system.value,
      seenMs: Date.now(),
      sha256,
      nameOf: names ?? noNames,
      utcOffsetMinutes: offset.ok ? offset.value : null,
    };
    return ok(eventLogOf(read.value, context));
  }

  async clearLog(): Promise<Result<null, BmcError>> {
    const cleared = await this.#run(clearLog(null));
    return cleared.ok ? ok(null) : cleared;
  }

  async sensors(options: ReadOptions = {}): Promise<Result<readonly SensorReading[], BmcError>> {
    const sdrs = await this.#facts.sdrs();
    if (!sdrs.ok) return sdrs;
    const { records, problems } = sdrs.value;
    const [problem] = problems;
    if (problem !== undefined) {
      const rest = problems.length === 1 ? "" : `, and ${problems.length - 1} more like it`;
      const text = `the list of sensors is not whole: ${problem.detail}${rest}`;
      return err(bmcError(problem.kind, text));
    }
    return await this.#run(readSensors(sensorsOf(records)), options);
  }

  sensorNames(): Promise<NameOf | null> {
    return this.#facts.names();
  }

  async fru(options: ReadOptions = {}): Promise<Result<readonly FruDevice[], BmcError>> {
    const sdrs = await this.#facts.sdrs();
    // A BMC without records has its own device still.
    if (!sdrs.ok && sdrs.error.kind !== "unsupported") return sdrs;
    const problems = sdrs.ok ? sdrs.value.problems : [];
    const places = fruPlaces(sdrs.ok ? sdrs.value.records : []);
    const read = await this.#run(readFru(places, this.#parts.connection.replyBytesMax), options);
    const [first, ...others] = read.ok ? read.value : [];
    if (first === undefined || problems.length === 0) return read;
    // A record that cannot be read may have named a device: the first says that the list may be short.
    return ok([{ ...first, problems: [...first.problems, ...problems] }, ...others]);
  }

  power(): Promise<Result<PowerStatus, BmcError>> {
    return this.#run(readPower());
  }

  control(action: PowerAction): Promise<Result<null, BmcError>> {
    return this.#run(controlPower(action));
  }

  watchdog(): Promise<Result<WatchdogStatus, BmcError>> {
    return this.#run(readWatchdog());
  }

  setWatchdog(setting: WatchdogSetting): Promise<Result<null, BmcError>> {
    return this.#run(startWatchdog(setting));
  }

  resetWatchdog(): Promise<Result<null, BmcError>> {
    return this.#run(feedWatchdog());
  }

  stopWatchdog(): Promise<Result<null, BmcError>> {
    return this.#run(stopWatchdog());
  }

  async identify(how: number | "on" | "off"): Promise<Result<null, BmcError>> {
    const isSeconds = typeof how === "number";
    if (isSeconds && !(Number.isInteger(how) && how >= 0 && how <= IDENTIFY_SECONDS_MAX)) {
      return badRequest(`identify takes 0 to ${IDENTIFY_SECONDS_MAX} seconds, not ${how}`);
    }
    return await this.#run(ask(chassisIdentify, how));
  }

  async raw(
    netFn: number,
    command: number,
    data: Uint8Array,
  ): Promise<Result<Uint8Array, BmcError>> {
    const { connection } = this.#parts;
    if (!Number.isInteger(netFn) || netFn < 0 || netFn > NET_FN_MAX || netFn % 2 !== 0) {
      return badRequest(`a request's network function is even, 0 to 3Eh, not ${netFn}`);
    }
    if (!Number.isInteger(command) || command < 0 || command > 0xff) {
      return badRequest(`a command is a byte, not ${command}`);
    }
    if (data.byteLength > connection.requestBytesMax) {
      const text = `this wire carries ${connection.requestBytesMax} bytes of data`;
      return badRequest(`${text}, not ${data.byteLength}`);
    }
    const reply = await connection.request({ netFn, lun: 0, command, data });
    if (!reply.ok) return reply;
    return ok(Uint8Array.of(reply.value.completionCode, ...reply.value.data));
  }

  watch(options: WatchOptions, handlers: WatchHandlers): Watch {
    const { url, open, readSel } = this.#parts;
    const namesOf = (connection: IpmiConnection): Promise<NameOf | null> =>
      new SystemFacts(connection, url).names();
    return watchIpmi({ url, open, readSel, sha256, namesOf }, options, handlers);
  }

  close(): Promise<void> {
    return this.#parts.connection.close();
  }
}
