/**
 * Finds out what a service is made of: which systems, chassis, managers and logs, where its events are, what it can.
 *
 * Paths only, so that it stays true for as long as the machine is built the same; states are read when they are asked for.
 * Nothing is assumed of names: `/redfish/v1` is the only path that the specification fixes (DSP0266 §6.3). Where a service
 * has several systems, the first physical one is the node; the others are left alone.
 */
import { err, ok, type Result } from "../../core/result.ts";
import { type BmcError, bmcError } from "../bmc-error.ts";
import { asPath, at, type JsonObject, linkAt, linksAt, listAt, textAt, truthAt } from "./json.ts";
import { get, getEach, isAbsent, present, type RedfishSteps, type Resource } from "./redfish.ts";

export const ROOT_PATH = "/redfish/v1/";

export interface Survey {
  readonly redfishVersion: string;
  readonly vendor: string | null;
  readonly product: string | null;
  readonly serviceUuid: string | null;
  /** null: this service has no computer system, as that of a rack or a power supply. */
  readonly systemPath: string | null;
  readonly managerPath: string | null;
  /** The system's own first. */
  readonly chassisPaths: readonly string[];
  /** Collections of logs: the system's, then the managers', then the chassis'. */
  readonly logServicePaths: readonly string[];
  readonly eventServicePath: string | null;
  readonly sessionsPath: string | null;
  /** `$expand=.` is understood, which makes one request of many. */
  readonly canExpand: boolean;
}

/** Members of a collection that is small by nature; a rack of more nodes is not one BMC. */
const MEMBERS_MAX = 64;

function membersOf(
  found: Result<Resource, BmcError> | undefined,
): Result<readonly string[], BmcError> {
  if (found === undefined) return ok([]);
  if (!found.ok) return isAbsent(found.error) ? ok([]) : found;
  return ok(linksAt(found.value.body, "Members").slice(0, MEMBERS_MAX));
}

function pickSystem(systems: readonly Resource[]): Resource | null {
  const physical = systems.find(
    ({ body }) => (textAt(body, "SystemType") ?? "Physical") === "Physical",
  );
  return physical ?? systems[0] ?? null;
}

function unique(paths: readonly (string | null)[]): readonly string[] {
  return [...new Set(paths.filter((path): path is string => path !== null))];
}

function* groups(root: JsonObject): RedfishSteps<readonly (readonly string[])[]> {
  const wanted = ["Systems", "Managers", "Chassis"].map((name) => linkAt(root, name));
  const asked = wanted.filter((path): path is string => path !== null);
  const answers = yield* getEach(asked);
  const lists: (readonly string[])[] = [];
  for (const path of wanted) {
    const members = membersOf(path === null ? undefined : answers[asked.indexOf(path)]);
    if (!members.ok) return members;
    lists.push(members.value);
  }
  return ok(lists);
}

export function* survey(): RedfishSteps<Survey> {
  const root = yield* get(ROOT_PATH);
  if (!root.ok) return root;
  const { body } = root.value;
  const version = textAt(body, "RedfishVersion");
  if (version === null) {
    return err(bmcError("malformed", `GET ${ROOT_PATH}: this is not a Redfish service`));
  }
  const lists = yield* groups(body);
  if (!lists.ok) return lists;
  const [systemPaths = [], managerPaths = [], allChassis = []] = lists.value;
  const fetched = present(yield* getEach([...systemPaths, ...managerPaths, ...allChassis]));
  if (!fetched.ok) return fetched;
  const of = (paths: readonly string[]) => fetched.value.filter(({ path }) => paths.includes(path));
  const system = pickSystem(of(systemPaths));
  const own = linksAt(system?.body, "Links", "Chassis");
  const managed = linksAt(system?.body, "Links", "ManagedBy");
  const managers = of(managerPaths);
  const manager = managers.find(({ path }) => managed.includes(path)) ?? managers[0] ?? null;
  const holders = [system, manager, ...managers, ...of(allChassis)];
  return ok({
    redfishVersion: version,
    vendor: textAt(body, "Vendor"),
    product: textAt(body, "Product"),
    serviceUuid: textAt(body, "UUID"),
    systemPath: system?.path ?? null,
    managerPath: manager?.path ?? null,
    chassisPaths: unique([...own.filter((path) => allChassis.includes(path)), ...allChassis]),
    logServicePaths: unique(holders.map((one) => linkAt(one?.body, "LogServices"))),
    eventServicePath: linkAt(body, "EventService"),
    sessionsPath: linkAt(body, "Links", "Sessions"),
    canExpand: canExpand(body),
  });
}

function canExpand(root: JsonObject): boolean {
  const query = at(root, "ProtocolFeaturesSupported", "ExpandQuery");
  return truthAt(query, "NoLinks") === true || truthAt(query, "ExpandAll") === true;
}

export function noSystem(): BmcError {
  return bmcError("unsupported", "this Redfish service has no computer system");
}

/** Targets of actions are where the resource says, with what it says is allowed (DSP0266 §7.11). */
export interface Action {
  readonly target: string;
  /** Values of the one parameter asked about; null: the service does not say. */
  readonly allowed: readonly string[] | null;
}

export function* findAction(
  body: JsonObject,
  name: string,
  parameter: string,
): RedfishSteps<Action | null> {
  const action = at(body, "Actions", name);
  const target = asPath(at(action, "target"));
  if (target === null) return ok(null);
  const inline = listAt(action, `${parameter}@Redfish.AllowableValues`);
  if (inline.length > 0) return ok({ target, allowed: texts(inline) });
  const info = linkAt(action, "@Redfish.ActionInfo");
  if (info === null) return ok({ target, allowed: null });
  const found = yield* get(info);
  if (!found.ok) return isAbsent(found.error) ? ok({ target, allowed: null }) : found;
  const row = listAt(found.value.body, "Parameters").find(
    (one) => textAt(one, "Name") === parameter,
  );
  const listed = listAt(row, "AllowableValues");
  return ok({ target, allowed: listed.length > 0 ? texts(listed) : null });
}

function texts(values: readonly unknown[]): readonly string[] {
  return values.filter((one): one is string => typeof one === "string");
}
