/**
 * Opens a BMC by Redfish: connects, checks the certificate, logs in, and gives the contract's `Bmc`.
 *
 * Nothing is decided here: what is read and in which order is in `bmc/redfish/`, how it travels in `redfish-client.ts`.
 */
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
  WatchdogStatus,
  WatchHandlers,
  WatchOptions,
} from "../../bmc.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { realCrypto } from "../../ipmi/io/crypto.ts";
import { Seen } from "../../redfish/event/seen.ts";
import {
  identify,
  readWatchdog,
  stopWatchdog,
  watchdogUnsupported,
} from "../../redfish/host-watchdog.ts";
import { readIdentity } from "../../redfish/identity.ts";
import { readInventory } from "../../redfish/inventory.ts";
import { linkAt } from "../../redfish/json.ts";
import { clearLog, findLog, readLog } from "../../redfish/log-service.ts";
import { control, readPower } from "../../redfish/power-state.ts";
import { get, type RedfishSteps } from "../../redfish/redfish.ts";
import type { RedfishAddress } from "../../redfish/redfish-address.ts";
import { draftOfEntry, eventOfDraft } from "../../redfish/redfish-event.ts";
import { readSensors } from "../../redfish/sensors.ts";
import { ROOT_PATH, type Survey, survey } from "../../redfish/survey.ts";
import { RedfishClient } from "./redfish-client.ts";
import { trustOf } from "./redfish-trust.ts";
import { RedfishWatch } from "./redfish-watch.ts";

export interface RedfishOptions {
  /** Of one request, from its sending to the last byte of its answer. */
  readonly requestTimeoutMs?: number;
  /** Of a connection, with its TLS handshake. */
  readonly connectTimeoutMs?: number;
}

/** Slow BMCs take some seconds for one page of a log. */
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 5_000;

/** Comes back within the limits of a few requests. Nothing is kept open where it fails. */
export async function openRedfish(
  address: RedfishAddress,
  password: string,
  options: RedfishOptions = {},
): Promise<Result<Bmc, BmcError>> {
  const trust = await trustOf(address);
  if (!trust.ok) return trust;
  const client = new RedfishClient(address, password, trust.value, {
    requestTimeoutMs: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
  });
  const failed = (error: BmcError): Promise<Result<Bmc, BmcError>> =>
    client.close().then(() => err(named(address.url, error)));
  // The root may be read without a session (DSP0266 §9.2.2), and says where sessions are made.
  const root = await client.run(get(ROOT_PATH));
  if (!root.ok) return await failed(root.error);
  const refused = await client.logIn(linkAt(root.value.body, "Links", "Sessions"));
  if (refused !== null) return await failed(refused);
  const found = await client.run(survey());
  if (!found.ok) return await failed(found.error);
  return ok(new RedfishBmc(client, found.value));
}

/** Names the BMC in an error that only names a path. */
function named(url: string, error: BmcError): BmcError {
  return error.detail.startsWith(url) ? error : { ...error, detail: `${url}: ${error.detail}` };
}

class RedfishBmc implements Bmc {
  readonly url: string;
  readonly #client: RedfishClient;
  readonly #survey: Survey;
  readonly #watches: Set<Watch> = new Set<Watch>();

  constructor(client: RedfishClient, found: Survey) {
    this.url = client.url;
    this.#client = client;
    this.#survey = found;
  }

  async #run<T>(steps: RedfishSteps<T>): Promise<Result<T, BmcError>> {
    const result = await this.#client.run(steps);
    return result.ok ? result : err(named(this.url, result.error));
  }

  async identity(): Promise<Result<BmcIdentity, BmcError>> {
    return await this.#run(readIdentity(this.#survey));
  }

  async log(options: ReadOptions = {}): Promise<Result<EventLog, BmcError>> {
    const identity = await this.identity();
    if (!identity.ok) return identity;
    const system = identity.value.guid ?? this.url;
    const place = await this.#run(findLog(this.#survey));
    if (!place.ok) return place;
    const read = await this.#run(readLog(place.value, progressOf(options)));
    if (!read.ok) return read;
    const drafts = read.value.entries.map(({ path, body }) => draftOfEntry(path, body));
    // As the first reading of a watch, so that both give an event the same id.
    const seen = new Seen(realCrypto.sha256, null);
    const seenMs = Date.now();
    const { fresh } = seen.onLog(drafts, true, true, seenMs);
    const entries = fresh.map(({ draft, nth }) => ({
      recordId: draft.entryPath?.split("/").at(-1) ?? "",
      event: eventOfDraft(draft, { system, nth, way: "redfish-log", seenMs }, realCrypto.sha256),
    }));
    const times = entries.flatMap(({ event }) => event.whenMs ?? []);
    return ok({
      entries,
      isOverflowed: read.value.isOverflowed,
      freeBytes: null,
      lastAddMs: times.length === 0 ? null : times.reduce((a, b) => Math.max(a, b)),
      lastEraseMs: null,
    });
  }

  async clearLog(): Promise<Result<null, BmcError>> {
    const place = await this.#run(findLog(this.#survey));
    return place.ok ? await this.#run(clearLog(place.value)) : place;
  }

  async sensors(options: ReadOptions = {}): Promise<Result<readonly SensorReading[], BmcError>> {
    return await this.#run(readSensors(this.#survey, progressOf(options)));
  }

  async fru(options: ReadOptions = {}): Promise<Result<readonly FruDevice[], BmcError>> {
    return await this.#run(readInventory(this.#survey, progressOf(options)));
  }

  async power(): Promise<Result<PowerStatus, BmcError>> {
    return await this.#run(readPower(this.#survey));
  }

  async control(action: PowerAction): Promise<Result<null, BmcError>> {
    return await this.#run(control(this.#survey, action));
  }

  async watchdog(): Promise<Result<WatchdogStatus, BmcError>> {
    return await this.#run(readWatchdog(this.#survey));
  }

  async setWatchdog(): Promise<Result<null, BmcError>> {
    return await Promise.resolve(err(watchdogUnsupported("set")));
  }

  async resetWatchdog(): Promise<Result<null, BmcError>> {
    return await Promise.resolve(err(watchdogUnsupported("feed")));
  }

  async stopWatchdog(): Promise<Result<null, BmcError>> {
    return await this.#run(stopWatchdog(this.#survey));
  }

  async identify(how: number | "on" | "off"): Promise<Result<null, BmcError>> {
    return await this.#run(identify(this.#survey, how));
  }

  async raw(): Promise<Result<Uint8Array, BmcError>> {
    const detail = `${this.url}: Redfish carries no IPMI messages`;
    return await Promise.resolve(err(bmcError("unsupported", detail)));
  }

  watch(options: WatchOptions, handlers: WatchHandlers): Watch {
    const watch = new RedfishWatch(this.#client, options, handlers);
    const listed: Watch = {
      stop: async () => {
        this.#watches.delete(listed);
        await watch.stop();
      },
    };
    this.#watches.add(listed);
    watch.start();
    return listed;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#watches].map((watch) => watch.stop()));
    await this.#client.close();
  }
}

function progressOf(options: ReadOptions): (done: number, total: number | null) => void {
  return (done, total) => options.onProgress?.({ done, total });
}
