/**
 * Which of a service's logs is the event log, and reading and clearing it.
 *
 * A service has many logs: hardware events, audit trail, boot codes, dumps. The one that says it holds IPMI records is taken,
 * else the one that is named after events, else the first that is neither of the others; the choice is the same each time.
 * `readLog` gives all entries or an error, oldest first.
 */
import { err, ok } from "../../core/result.ts";
import { bmcError } from "../bmc-error.ts";
import { type Member, readCollection, readWhole } from "./collection.ts";
import { parseDateTime } from "./date-time.ts";
import { asPath, at, linkAt, numberAt, textAt, truthAt } from "./json.ts";
import {
  get,
  getEach,
  isAbsent,
  post,
  present,
  type RedfishSteps,
  type Resource,
} from "./redfish.ts";
import { recordOf } from "./sel-entry.ts";
import { findAction, type Survey } from "./survey.ts";

export interface LogPlace {
  readonly servicePath: string;
  readonly entriesPath: string;
}

/** Logs of something else than events of the hardware. */
const OTHER_LOGS =
  /audit|dump|crash|post|journal|console|bios|telemetry|security|fault.?log|diagnostic|^dpo|host.?logger|cper/i;

/** The higher, the more it is the event log. 0: it is none. */
function rank(service: Resource): number {
  const name = textAt(service.body, "Id") ?? service.path;
  const type = textAt(service.body, "LogEntryType");
  if (truthAt(service.body, "ServiceEnabled") === false) return 0;
  if (linkAt(service.body, "Entries") === null) return 0;
  if (type === "SEL" || /^sel$/i.test(name)) return 5;
  if (OTHER_LOGS.test(name)) return 0;
  if (/event/i.test(name)) return 4;
  if (/^(?:iml|standardlog|platformlog|log1?|lclog)$/i.test(name)) return 3;
  return 2;
}

/** Every log that there is, as each tells of itself: a member that stands in its collection may be cut short there. */
function* logServices(survey: Survey): RedfishSteps<readonly Resource[]> {
  const paths: string[] = [];
  for (const path of survey.logServicePaths) {
    const collection = yield* readCollection(path);
    if (collection.ok) paths.push(...collection.value.members.map((member) => member.path));
    else if (!isAbsent(collection.error)) return collection;
  }
  return present(yield* getEach(paths));
}

export function* findLog(survey: Survey): RedfishSteps<LogPlace> {
  const services = yield* logServices(survey);
  if (!services.ok) return services;
  let best: Resource | null = null;
  for (const service of services.value) {
    if (rank(service) > (best === null ? 0 : rank(best))) best = service;
  }
  const entriesPath = linkAt(best?.body, "Entries");
  if (best === null || entriesPath === null) {
    return err(bmcError("unsupported", "this Redfish service has no event log"));
  }
  return ok({ servicePath: best.path, entriesPath });
}

/** When an entry was logged; EventTimestamp is when it happened, for services that leave the other out. */
export function loggedMs(entry: unknown): number | null {
  return parseDateTime(textAt(entry, "Created")) ?? parseDateTime(textAt(entry, "EventTimestamp"));
}

/** Services give the newest first or last; told by times, else by ids. */
function isNewestFirst(members: readonly Member[]): boolean {
  const first = members[0];
  const last = members.at(-1);
  const firstMs = loggedMs(first?.body);
  const lastMs = loggedMs(last?.body);
  if (firstMs !== null && lastMs !== null && firstMs !== lastMs) return firstMs > lastMs;
  const firstId = numberAt(first?.body, "Id");
  const lastId = numberAt(last?.body, "Id");
  return firstId !== null && lastId !== null && firstId > lastId;
}

export function oldestFirst(members: readonly Member[]): readonly Member[] {
  return isNewestFirst(members) ? members.toReversed() : members;
}

export interface RawLog {
  readonly entries: readonly Member[];
  readonly isOverflowed: boolean;
}

export function* readLog(
  place: LogPlace,
  onPage?: (done: number, total: number | null) => void,
): RedfishSteps<RawLog> {
  const service = yield* get(place.servicePath);
  if (!service.ok) return service;
  const entries = yield* readWhole(place.entriesPath, "event log", onPage);
  if (!entries.ok) return entries;
  return ok({
    entries: oldestFirst(entries.value),
    isOverflowed: truthAt(service.value.body, "Overflow") === true,
  });
}

/** One reading, whole or not: for a watch, which knows what to make of a part. */
export function* glanceAtLog(
  place: LogPlace,
): RedfishSteps<RawLog & { readonly isWhole: boolean }> {
  const service = yield* get(place.servicePath);
  if (!service.ok) return service;
  const read = yield* readCollection(place.entriesPath);
  if (!read.ok) return read;
  return ok({
    entries: oldestFirst(read.value.members),
    isOverflowed: truthAt(service.value.body, "Overflow") === true,
    isWhole: read.value.isWhole,
  });
}

/** How often a log is cleared that fills meanwhile. */
const CLEARS_MAX = 3;

export function* clearLog(place: LogPlace): RedfishSteps<null> {
  const service = yield* get(place.servicePath);
  if (!service.ok) return service;
  const action = yield* findAction(service.value.body, "#LogService.ClearLog", "LogEntriesETag");
  if (!action.ok) return action;
  const target = action.value?.target ?? asPath(at(service.value.body, "Actions", "ClearLog"));
  if (target === null) {
    return err(bmcError("unsupported", `${place.servicePath} has no action LogService.ClearLog`));
  }
  let before: readonly Member[] = [];
  for (let count = 0; count < CLEARS_MAX; count++) {
    const answer = yield* post(target, {});
    if (!answer.ok) return answer;
    const left = yield* readCollection(place.entriesPath);
    if (!left.ok) return left;
    const { members } = left.value;
    if (isCleared(members)) return ok(null);
    if (count > 0 && members.every(({ path }) => before.some((one) => one.path === path))) {
      return err(bmcError("refused", `POST ${target} was accepted, and the log is as it was`));
    }
    before = members;
  }
  return err(bmcError("changed-while-read", "entries come faster than the log is cleared"));
}

/** Empty, or holding only what clearing it has put there, as a BMC that logs this does. */
function isCleared(members: readonly Member[]): boolean {
  if (members.length > 1) return false;
  return members.every(({ body }) => {
    const words = `${textAt(body, "Message") ?? ""} ${textAt(body, "MessageId") ?? ""}`;
    return /clear/i.test(words) || isClearRecord(body);
  });
}

/** An IPMI record of Event Logging Disabled, offset 2: log area reset or cleared (§42.2). */
function isClearRecord(entry: Member["body"]): boolean {
  const record = recordOf(entry, loggedMs(entry));
  return record !== null && record[10] === 0x10 && ((record[13] ?? 0) & 0x0f) === 2;
}
