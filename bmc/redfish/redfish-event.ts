/**
 * One event of Redfish, as a log entry or as a record that was pushed, in the contract's words and with its stable id.
 *
 * What makes two sightings one event: the IPMI record, where the entry carries one; otherwise MessageId, MessageArgs, the
 * origin and the time to the second. Never EventId, which services count anew after a restart and give twice (bmcweb), and
 * never the entry's own id, which may be reused. Byte-identical ones are told apart by their number in the log (`nth`).
 */
import type { BmcEvent, EventWay, Severity } from "../bmc.ts";
import { eventOf, keyedEventId, type Sha256 } from "../ipmi/event/event-identity.ts";
import { decodeSelRecord } from "../ipmi/sel/sel-record.ts";
import { type JsonObject, kebab, linkAt, numberAt, textAt, textsAt } from "./json.ts";
import { loggedMs } from "./log-service.ts";
import { recordOf } from "./sel-entry.ts";

/** Everything that one source told, but for who saw it when and which of several alike it is. */
export interface Draft {
  /** The same at each sighting of it; see the head comment. */
  readonly key: string;
  /** The key without time: what a log entry and its pushed twin have in common where their times differ a little. */
  readonly topic: string;
  readonly record: Uint8Array | null;
  readonly severity: Severity;
  readonly whenMs: number | null;
  readonly isAssertion: boolean;
  readonly category: string;
  readonly subject: string;
  readonly text: string;
  /** The service's own sentence: it names parts that a bare record only numbers. */
  readonly message: string | null;
  readonly extra: Readonly<Record<string, string | number>>;
  /** Path of the log entry: of an entry itself, and of a pushed record that names it. */
  readonly entryPath: string | null;
}

const SEVERITIES: Readonly<Record<string, Severity>> = {
  OK: "information",
  Warning: "warning",
  Critical: "critical",
};

/** Keys of messages that say that something is over, in the registries of DMTF and OpenBMC. */
const OVER =
  /Deassert|Cleared|Restored|Recovered|Resolved|NoLonger|NowNormal|BackToNormal|HighGoingLow|LowGoingHigh/;

/** `OpenBMC.0.1.SensorThresholdCriticalHighGoingLow` → its last part. */
function messageKeyOf(messageId: string): string {
  return messageId.split(".").at(-1) ?? messageId;
}

/** Such as `memory` of `/redfish/v1/Systems/1/Memory/DIMM1`; of no path the registry's name. */
function categoryOf(origin: string | null, messageId: string | null): string {
  const segments = (origin ?? "")
    .replace(/#/g, "/")
    .split("/")
    .filter((one) => one !== "");
  const collection = segments.at(-2);
  if (segments.length > 3 && collection !== undefined) return kebab(collection) || "other";
  const registry = /^[A-Za-z]/.test(messageId ?? "") ? (messageId ?? "").split(".")[0] : null;
  return kebab(registry ?? "") || "redfish";
}

function filled(message: string, args: readonly string[]): string {
  return message.replace(/%(\d)/g, (whole, digit: string) => args[Number(digit) - 1] ?? whole);
}

interface Source {
  readonly body: JsonObject;
  readonly origin: string | null;
  readonly whenMs: number | null;
  readonly entryPath: string | null;
}

/** What is told besides, where it is told. */
function extraOf(body: JsonObject, origin: string | null): Draft["extra"] {
  const told: readonly (readonly [name: string, value: string | null])[] = [
    ["messageId", textAt(body, "MessageId")],
    ["messageArgs", textsAt(body, "MessageArgs").join(", ")],
    ["origin", origin],
    ["resolution", textAt(body, "Resolution")],
  ];
  return Object.fromEntries(told.flatMap(([name, value]) => (value ? [[name, value]] : [])));
}

function subjectOf(body: JsonObject, origin: string | null): string {
  const sensor = numberAt(body, "SensorNumber");
  if (sensor !== null) return `sensor 0x${sensor.toString(16).padStart(2, "0")}`;
  return origin?.split(/[/#]/).at(-1) ?? textsAt(body, "MessageArgs")[0] ?? "BMC";
}

function textOf(body: JsonObject): string {
  const args = textsAt(body, "MessageArgs");
  const message = textAt(body, "Message");
  if (message !== null) return filled(message, args);
  const messageId = textAt(body, "MessageId") ?? "an event without a message";
  return `${messageId} ${args.join(", ")}`.trim();
}

function draftOf({ body, origin, whenMs, entryPath }: Source): Draft {
  const messageId = textAt(body, "MessageId");
  const what = messageId ?? textAt(body, "Message");
  const topic = JSON.stringify([what, textsAt(body, "MessageArgs"), origin]);
  const record = recordOf(body, whenMs);
  const code = textAt(body, "EntryCode") ?? "";
  const isAssertion = !(/deassert/i.test(code) || OVER.test(messageKeyOf(messageId ?? "")));
  const told = textAt(body, "MessageSeverity") ?? textAt(body, "Severity") ?? "OK";
  const severity = SEVERITIES[told] ?? "information";
  const type = textAt(body, "SensorType");
  const second = whenMs === null ? null : Math.floor(whenMs / 1000);
  return {
    key: record === null ? JSON.stringify([topic, second]) : record.toHex(),
    topic,
    record,
    severity: !isAssertion && severity === "information" ? "ok" : severity,
    whenMs,
    isAssertion,
    category: type === null ? categoryOf(origin, messageId) : kebab(type),
    subject: subjectOf(body, origin),
    text: textOf(body),
    message: textAt(body, "Message") === null ? null : textOf(body),
    extra: extraOf(body, origin),
    entryPath,
  };
}

/** Of a LogEntry (LogEntry 1.x). */
export function draftOfEntry(path: string, body: JsonObject): Draft {
  const origin = linkAt(body, "Links", "OriginOfCondition") ?? linkAt(body, "OriginOfCondition");
  return draftOf({ body, origin, whenMs: loggedMs(body), entryPath: path });
}

/** Of one of the `Events` that a service pushes (Event 1.x). */
export function draftOfPushed(body: JsonObject): Draft {
  const origin = linkAt(body, "OriginOfCondition");
  const whenMs = loggedMs({ Created: body["EventTimestamp"] ?? null });
  return draftOf({ body, origin, whenMs, entryPath: linkAt(body, "LogEntry") });
}

export interface SeenBy {
  readonly system: string;
  readonly nth: number;
  readonly way: EventWay;
  readonly seenMs: number;
}

/** Redfish logs have no erase time to tell generations by, so the epoch is 0. */
const EPOCH = 0;

export function eventOfDraft(draft: Draft, seen: SeenBy, sha256: Sha256): BmcEvent {
  const { system, nth, way, seenMs } = seen;
  const decoded = draft.record === null ? null : decodeSelRecord(draft.record);
  if (draft.record !== null && decoded?.ok === true) {
    const sighting = { system, epoch: EPOCH, nth, way, seenMs, bytes: draft.record };
    const event = eventOf({ ...sighting, record: decoded.value }, sha256);
    const text = draft.message ?? event.text;
    const extra = { ...event.extra, ...draft.extra, ipmi: event.text };
    return { ...event, text, extra };
  }
  const { severity, whenMs, isAssertion, category, subject, text, extra } = draft;
  const key = nth === 0 ? draft.key : `${draft.key}#${nth}`;
  return {
    id: keyedEventId(system, EPOCH, key, sha256),
    system,
    epoch: EPOCH,
    nth,
    way,
    severity,
    whenMs,
    seenMs,
    isAssertion,
    category,
    subject,
    text,
    record: null,
    extra,
  };
}
