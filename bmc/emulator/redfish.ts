/**
 * A Redfish service on the emulated BMC: requests in, answers out; what happens in the model is told to subscribers and streams.
 *
 * Decides routes, who may do what, paging, and the faults that web servers of BMCs show. Sockets, TLS and sending are in
 * `io/redfish-server.ts`. Everything that a restart of a BMC forgets is forgotten here: sessions, subscriptions, the count of
 * events. No clock and no randomness: time and tokens are given.
 */

import { formatDateTime } from "../redfish/date-time.ts";
import { asObject, type JsonObject, textAt } from "../redfish/json.ts";
import type { ModelEffect } from "./bmc-state.ts";
import type { ChassisAction } from "./chassis.ts";
import type { BmcConfig } from "./config.ts";
import type { BmcModel } from "./model.ts";
import { answerAccounts } from "./redfish-accounts.ts";
import { answerEvents } from "./redfish-event-service.ts";
import { type Frame, RedfishEvents } from "./redfish-events.ts";
import { fail, type HttpAnswer, type HttpAsk, reply } from "./redfish-http.ts";
import {
  entryOf,
  entryPath,
  LOG_PATH,
  type LogKind,
  logServicePath,
  messageOf,
  SENSORS_PATH,
} from "./redfish-log.ts";
import {
  assemblyOf,
  CHASSIS,
  chassisOf,
  collectionOf,
  link,
  MANAGER,
  managerOf,
  powerOf,
  RESET_TYPES,
  ROOT,
  rootOf,
  type SensorModel,
  SYSTEM,
  sensorResource,
  systemOf,
  thermalOf,
  thresholdSensors,
} from "./redfish-resources.ts";

export interface RedfishSetting {
  readonly sensors: SensorModel;
  readonly log: LogKind;
  /** Whether a pushed event names its log entry (Event 1.7 and newer). */
  readonly linksEntries: boolean;
  readonly hasStream: boolean;
  readonly hasSubscriptions: boolean;
  readonly hasSessions: boolean;
}

/** Changed while it runs, by whoever tests. */
export interface RedfishFaults {
  /** 503 to the next so many requests. */
  busyRequests: number;
  /** Every answer comes this much later. */
  delayMs: number;
  /** Entries in one page of the log. */
  pageEntries: number;
  /** `@odata.nextLink` of the last page leads to the first. */
  isPagingCyclic: boolean;
  /** Every event is delivered twice. */
  duplicates: boolean;
  /** Nothing is delivered, and nobody is told. */
  isMute: boolean;
  /** The log's time of an entry is so much later than the event's. */
  logSkewMs: number;
  /** A subscription with this field is refused. */
  refusedField: string | null;
  /** Of a subscription that does not say what it wants. */
  defaultPolicy: string;
  /** The log is said to hold so many more entries than it does. */
  overstatedCount: number;
}

export type RedfishEffect =
  | { readonly kind: "frame"; readonly frame: Frame }
  /** Streams end and kept connections are of no use. */
  | { readonly kind: "restart" };

const ACTIONS: Readonly<Record<string, ChassisAction>> = {
  On: "on",
  ForceOff: "off",
  GracefulShutdown: "soft-off",
  ForceRestart: "reset",
  Nmi: "nmi",
  PowerCycle: "cycle",
};

/** What may be read without a session (DSP0266 §9.2.2). */
const OPEN_PATHS: readonly string[] = ["/redfish", ROOT, `${ROOT}/odata`, `${ROOT}/$metadata`];

type User = BmcConfig["users"][number];
const OPERATOR = 3;

export class RedfishService {
  readonly model: BmcModel;
  readonly setting: RedfishSetting;
  readonly events: RedfishEvents = new RedfishEvents();
  readonly sessions: Map<string, { readonly id: string; readonly user: User }> = new Map();
  readonly faults: RedfishFaults = {
    ...{ busyRequests: 0, delayMs: 0, pageEntries: 50, isPagingCyclic: false, duplicates: false },
    ...{ isMute: false, logSkewMs: 0, refusedField: null, overstatedCount: 0 },
    defaultPolicy: "TerminateAfterRetries",
  };
  readonly newToken: () => string;
  #effects: RedfishEffect[] = [];

  constructor(model: BmcModel, setting: Partial<RedfishSetting>, newToken: () => string) {
    this.model = model;
    this.newToken = newToken;
    this.setting = {
      ...{ sensors: "sensors", log: "sel", linksEntries: true, hasStream: true },
      ...{ hasSubscriptions: true, hasSessions: true },
      ...setting,
    };
  }

  takeEffects(): readonly RedfishEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** What the model tells; another front may have caused it. */
  onModel(effect: ModelEffect): void {
    if (effect.kind === "reset") {
      this.sessions.clear();
      this.events.forget();
      this.#effects.push({ kind: "restart" });
    }
    if (effect.kind !== "event") return;
    const { severity, text, messageId, args, origin, whenMs } = messageOf(
      this.model,
      effect.record,
    );
    const { linksEntries, log } = this.setting;
    this.raise({
      EventType: "Alert",
      ...(whenMs === null ? {} : { EventTimestamp: formatDateTime(whenMs) }),
      Severity: severity,
      MessageSeverity: severity,
      Message: text,
      MessageId: messageId,
      MessageArgs: args,
      ...(origin === null ? {} : { OriginOfCondition: link(origin) }),
      ...(linksEntries && effect.isLogged ? { LogEntry: link(entryPath(log, effect.record)) } : {}),
    });
  }

  raise(record: JsonObject): void {
    if (this.faults.isMute) return;
    for (let count = 0; count < (this.faults.duplicates ? 2 : 1); count++) {
      this.#effects.push({ kind: "frame", frame: this.events.raise(record) });
    }
  }

  handle(ask: HttpAsk, nowMs: number): HttpAnswer {
    if (this.model.state.isAsleep(nowMs)) return fail(503, "ServiceTemporarilyUnavailable");
    if (this.faults.busyRequests > 0) {
      this.faults.busyRequests--;
      return fail(503, "ServiceTemporarilyUnavailable");
    }
    const isOpen = ask.method === "GET" && OPEN_PATHS.includes(ask.path);
    const isLogin = ask.method === "POST" && ask.path === `${ROOT}/SessionService/Sessions`;
    const user = this.userOf(ask);
    if (user === null && !isOpen && !isLogin) return fail(401, "NoValidSession");
    if (ask.method !== "GET" && user !== null && user.privilege < OPERATOR) {
      const isOwnSession = ask.path.startsWith(`${ROOT}/SessionService/Sessions/`);
      if (!isOwnSession) return fail(403, "InsufficientPrivilege");
    }
    const answer =
      answerAccounts(this, ask) ??
      answerEvents(this, ask) ??
      (ask.method === "GET" ? this.#get(ask) : this.#change(ask, nowMs));
    return answer ?? fail(404, "ResourceMissingAtURI");
  }

  /** By token, else by user and password. */
  userOf({ token, basic }: HttpAsk): User | null {
    if (token !== null) return this.sessions.get(token)?.user ?? null;
    return basic === null ? null : this.userNamed(basic.user, basic.password);
  }

  userNamed(name: string, password: string): User | null {
    const found = this.model.state.config.users.find((user) => user.name === name);
    return found !== undefined && name !== "" && found.password === password ? found : null;
  }

  #get(ask: HttpAsk): HttpAnswer | null {
    const resource = this.#fixed(ask) ?? this.#sensor(ask) ?? this.#log(ask);
    return resource === null ? null : reply(200, resource);
  }

  #fixed({ path }: HttpAsk): JsonObject | null {
    const { model } = this;
    switch (path) {
      case "/redfish":
        return { v1: `${ROOT}/` };
      case ROOT:
        return rootOf(model);
      case `${ROOT}/odata`:
        return { "@odata.context": `${ROOT}/$metadata`, value: [] };
      case `${ROOT}/Systems`:
        return collectionOf(path, "ComputerSystem", "Systems", [link(SYSTEM)]);
      case `${ROOT}/Chassis`:
        return collectionOf(path, "Chassis", "Chassis", [link(CHASSIS)]);
      case `${ROOT}/Managers`:
        return collectionOf(path, "Manager", "Managers", [link(MANAGER)]);
      case SYSTEM:
        return systemOf(model);
      case CHASSIS:
        return chassisOf(model, this.setting.sensors);
      case MANAGER:
        return managerOf(model);
      case `${CHASSIS}/Assembly`:
        return assemblyOf(model);
      default:
        return null;
    }
  }

  #sensor({ path, query }: HttpAsk): JsonObject | null {
    const { model } = this;
    if (this.setting.sensors === "legacy") {
      if (path === `${CHASSIS}/Thermal`) return thermalOf(model);
      return path === `${CHASSIS}/Power` ? powerOf(model) : null;
    }
    const sensors = thresholdSensors(model);
    if (path === SENSORS_PATH) {
      const isExpanded = query.has("$expand");
      const members = sensors.map((one) =>
        isExpanded ? sensorResource(model, one) : link(`${SENSORS_PATH}/${one.number}`),
      );
      return collectionOf(path, "Sensor", "Sensors", members);
    }
    const found = sensors.find(({ number }) => path === `${SENSORS_PATH}/${number}`);
    return found === undefined ? null : sensorResource(model, found);
  }

  #log({ path, query }: HttpAsk): JsonObject | null {
    const { log } = this.setting;
    const own = logServicePath(log);
    const entries = `${own}/Entries`;
    if (path === LOG_PATH) return collectionOf(path, "LogService", "Logs", [link(own)]);
    if (path === own) return this.#logService(own);
    if (path === entries) return this.#page(entries, query);
    const record = this.model.records().find((one) => path === entryPath(log, one));
    if (record === undefined) return null;
    return entryOf(this.model, log, record, this.faults.logSkewMs);
  }

  #logService(own: string): JsonObject {
    const { config, faults, sel } = this.model.state;
    return {
      "@odata.id": own,
      "@odata.type": "#LogService.v1_7_0.LogService",
      Id: own.split("/").at(-1) ?? "",
      Name: "Event log",
      LogEntryType: this.setting.log === "sel" ? "SEL" : "Event",
      MaxNumberOfRecords: config.selEntriesMax,
      OverWritePolicy: "NeverOverWrites",
      ServiceEnabled: true,
      ...(faults.isOn("sel-full") || sel.count >= config.selEntriesMax ? { Overflow: true } : {}),
      Entries: link(`${own}/Entries`),
      Actions: { "#LogService.ClearLog": { target: `${own}/Actions/LogService.ClearLog` } },
    };
  }

  #page(entries: string, query: URLSearchParams): JsonObject {
    const records = this.model.records();
    const { pageEntries, isPagingCyclic, logSkewMs, overstatedCount } = this.faults;
    const skip = Math.max(0, Number(query.get("$skip") ?? 0) || 0);
    const shown = records.slice(skip, skip + pageEntries);
    const next = skip + shown.length;
    const hasNext = next < records.length;
    const nextSkip = hasNext ? next : 0;
    return {
      ...collectionOf(
        entries,
        "LogEntry",
        "Log entries",
        shown.map((record) => entryOf(this.model, this.setting.log, record, logSkewMs)),
      ),
      "Members@odata.count": records.length + overstatedCount,
      ...(hasNext || isPagingCyclic
        ? { "Members@odata.nextLink": `${entries}?$skip=${nextSkip}` }
        : {}),
    };
  }

  #change(ask: HttpAsk, nowMs: number): HttpAnswer | null {
    const { method, path, body } = ask;
    if (method === "PATCH" && (path === SYSTEM || path === CHASSIS)) {
      return this.#patch(path, asObject(body), nowMs);
    }
    if (method !== "POST")
      return this.#get({ ...ask, method: "GET" }) === null
        ? null
        : fail(405, "OperationNotAllowed");
    if (path === `${SYSTEM}/Actions/ComputerSystem.Reset`) {
      return this.#reset(textAt(body, "ResetType") ?? "On", nowMs);
    }
    if (path === `${MANAGER}/Actions/Manager.Reset`) {
      this.model.reset(nowMs);
      return reply(204, null);
    }
    if (path === `${logServicePath(this.setting.log)}/Actions/LogService.ClearLog`) {
      this.model.clearSel(nowMs);
      return reply(204, null);
    }
    return null;
  }

  #patch(path: string, body: JsonObject, nowMs: number): HttpAnswer {
    const lamp = body["LocationIndicatorActive"];
    const timer = asObject(body["HostWatchdogTimer"]);
    if (typeof lamp === "boolean") this.model.state.chassis.identify(lamp ? null : 0, nowMs);
    else if (path === SYSTEM && timer["FunctionEnabled"] === false)
      this.model.state.watchdog.forget();
    else return fail(400, "PropertyUnknown");
    return reply(204, null);
  }

  #reset(type: string, nowMs: number): HttpAnswer {
    const action = ACTIONS[type];
    if (!RESET_TYPES.includes(type) || action === undefined) {
      return fail(400, "ActionParameterValueNotInList");
    }
    return this.model.control(action, nowMs) ? reply(204, null) : fail(409, "ResourceInUse");
  }
}
