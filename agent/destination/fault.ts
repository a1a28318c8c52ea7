/**
 * What an event says about which fault: whose component it is, which condition of it began or ended, and what makes it the same.
 *
 * Decides nothing about tickets. One fault is one component of one system of one cluster. A component has conditions, such as the
 * thresholds of a temperature: each begins and ends by itself, and the fault is over when none holds any more. Names of
 * conditions are ours and kept, so they do not change:
 *
 *   `1:9+`     IPMI: event type, offset, asserted; `1:9-` is a good state that went away, such as a power supply's presence
 *   `r:…`      Redfish: the key of the message without the words that say that it began or ended
 *   `h:…`      seen by holdfast itself: what it is about, such as `job-lost`
 *   `:`        everything else (hooks): the component as a whole
 *
 * What ends a condition is told as patterns: a name, or `1:*`, `r:*`, `*` for all of them.
 */
import type { BmcEvent, Severity } from "../../bmc/bmc.ts";
import type { EventStatement } from "../callhome/protocol.ts";
import type { Component } from "./adapter.ts";

const RANKS: Readonly<Record<Severity, number>> = {
  ok: 0,
  information: 0,
  warning: 1,
  critical: 2,
  "non-recoverable": 3,
};

export function rankOf(severity: Severity): number {
  return RANKS[severity];
}

/** Something that somebody has to mend; below it events are only filed. */
export function isFault(severity: Severity): boolean {
  return rankOf(severity) > 0;
}

export interface Effect {
  /** The condition that it says has begun; null: none. */
  readonly begins: string | null;
  /** Patterns of those that it says are over. */
  readonly ends: readonly string[];
}

const EVENT_TYPE_THRESHOLD = 1;
/** Generic discrete types: their offsets are states of which one holds at a time. */
const EVENT_TYPE_GENERIC_MAX = 0x0c;

function numberOf(event: BmcEvent, name: string): number | null {
  const value = event.extra[name];
  return typeof value === "number" && Number.isInteger(value) ? value : null;
}

function textOf(event: BmcEvent, name: string): string | null {
  const value = event.extra[name];
  return typeof value === "string" && value !== "" ? value : null;
}

/** A good state that began ends its own absence, of a threshold what it crossed before, of states the others. */
function endedByGoodState(eventType: number, offset: number): readonly string[] {
  if (eventType === EVENT_TYPE_THRESHOLD) return [`1:${offset ^ 1}+`];
  if (eventType <= EVENT_TYPE_GENERIC_MAX) return [`${eventType}:*`];
  return [`${eventType}:${offset}-`];
}

function ipmiEffect(event: BmcEvent, eventType: number, offset: number): Effect {
  const name = `${eventType}:${offset}`;
  const isBad = isFault(event.severity);
  if (event.isAssertion) {
    if (isBad) return { begins: `${name}+`, ends: [] };
    return {
      begins: null,
      ends: event.severity === "ok" ? endedByGoodState(eventType, offset) : [],
    };
  }
  // A deassertion that is bad by itself says that something good is gone.
  return { begins: isBad ? `${name}-` : null, ends: [`${name}+`] };
}

const OVER =
  /NoLonger|(?:Has)?Deassert(?:ed)?|Assert(?:ed)?|Cleared|Restored|Recovered|Resolved|NowNormal|BackToNormal|Going(?:High|Low)/g;
const THRESHOLD = /Threshold|Above|Below/;

function redfishEffect(event: BmcEvent, messageId: string): Effect {
  const key = messageId.split(".").at(-1) ?? messageId;
  const name = `r:${key.replace(OVER, "")}`;
  if (event.isAssertion && isFault(event.severity)) return { begins: name, ends: [] };
  if (event.isAssertion && event.severity !== "ok") return { begins: null, ends: [] };
  // A threshold is ended by its own message; of others a service may end a fault by quite another word than it began it.
  return { begins: null, ends: THRESHOLD.test(key) ? [name] : ["r:*"] };
}

/** First of the parts of `extra.about`, a JSON array: what both the beginning and the end name. */
function hostSubject(event: BmcEvent): string | null {
  const about = event.way === "host" ? textOf(event, "about") : null;
  return about === null ? null : (/^\["([a-z-]{1,64})"/.exec(about)?.[1] ?? null);
}

function wholeEffect(event: BmcEvent, name: string, pattern: string): Effect {
  const isBegin = event.isAssertion && isFault(event.severity);
  if (isBegin) return { begins: name, ends: [] };
  return { begins: null, ends: event.isAssertion && event.severity !== "ok" ? [] : [pattern] };
}

export function effectOf(event: BmcEvent): Effect {
  const eventType = numberOf(event, "eventType");
  const offset = numberOf(event, "offset");
  if (eventType !== null && offset !== null) return ipmiEffect(event, eventType, offset);
  const messageId = textOf(event, "messageId");
  if (messageId !== null) return redfishEffect(event, messageId);
  const host = hostSubject(event);
  return host === null
    ? wholeEffect(event, ":", "*")
    : wholeEffect(event, `h:${host}`, `h:${host}`);
}

/** Whether `pattern` speaks of the condition `name`. */
export function covers(pattern: string, name: string): boolean {
  if (pattern === "*" || pattern === name) return true;
  return pattern.endsWith(":*") && name.startsWith(pattern.slice(0, -1));
}

/** Event data 3 of a memory event names the module, where data 1 says that it does (IPMI 2.0 table 42-3, 0Ch). */
function moduleOf(event: BmcEvent): string {
  const data1 = numberOf(event, "data1") ?? 0;
  const data3 = numberOf(event, "data3") ?? 0xff;
  const isTold = event.category === "memory" && ((data1 >>> 4) & 3) === 3 && data3 !== 0xff;
  return isTold ? ` module ${data3}` : "";
}

function plain(text: string): string {
  return text.trim().replace(/\s+/g, " ").toLowerCase();
}

/**
 * Sensors by their number: a name may be known to one observer and not to another. FFh is what a BMC tells that has lost
 * count, so there the name has to do.
 */
function subjectKey(event: BmcEvent): string {
  const number = numberOf(event, "sensorNumber");
  if (number === null || number === 0xff) return plain(event.subject);
  return `#${numberOf(event, "generator") ?? 0}.${numberOf(event, "lun") ?? 0}.${number}`;
}

export function componentOf(event: BmcEvent): Component {
  return { category: event.category, subject: `${event.subject}${moduleOf(event)}` };
}

/** Where the bytes of a GUID stand when its fields of 4, 2 and 2 bytes are each reversed, and the rest is not. */
const FIELDS = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15] as const;
/** The same counted from the end: what the one above does to a GUID that is told wholly reversed. */
const FIELDS_AT_END = [0, 1, 2, 3, 4, 5, 6, 7, 9, 8, 11, 10, 15, 14, 13, 12] as const;

/** What comes of doing these and reversing in any succession: whichever of them is told, they are the same eight. */
const ORDERS: readonly (readonly number[])[] = [
  FIELDS,
  FIELDS_AT_END,
  FIELDS.map((index) => FIELDS_AT_END[index] ?? index),
].flatMap((order) => [order, [...order].reverse()]);
const REVERSED: readonly number[] = FIELDS.map((_, index) => 15 - index);

function reordered(hex: string, order: readonly number[]): string {
  let text = "";
  for (const index of order) text += hex.slice(index * 2, index * 2 + 2);
  return text;
}

/**
 * One name for however a BMC tells its GUID (`isSameSystem` of the BMC room compares them pairwise): the least of the orders.
 * Other names are taken as they are.
 */
export function systemKey(system: string): string {
  const hex = system.replaceAll("-", "").toLowerCase();
  if (!/^[0-9a-f]{32}$/.test(hex)) return system.trim();
  let least = hex;
  for (const order of [REVERSED, ...ORDERS]) {
    const other = reordered(hex, order);
    if (other < least) least = other;
  }
  return least;
}

/** The same for every event of one fault, and for no other. */
export function faultKey(cluster: string, event: BmcEvent): string {
  const parts = [cluster, systemKey(event.system), plain(event.category), subjectKey(event)];
  return JSON.stringify([...parts, moduleOf(event)]);
}

/**
 * What two observers of one log record have in common when they did not share the log's generation; null: nothing to go by. A
 * record without a time is not enough: a fault 30 seconds after the start of a BMC may be logged alike at each start.
 */
export function recordKey(cluster: string, event: BmcEvent): string | null {
  if (event.record === null || event.whenMs === null) return null;
  return `${cluster} ${systemKey(event.system)} ${event.record} ${event.nth}`;
}

/** Whom it is about: the machine itself where it can be told, else whoever saw it. */
export function nodeOf({ node, event }: EventStatement): string {
  return textOf(event, "node") ?? /^node:(.+)$/.exec(event.system)?.[1] ?? node;
}

/** Made by `holdfast callhome test`: shows that the whole way works. */
export function isTest(event: BmcEvent): boolean {
  return event.category === "test";
}

/** How many events it stands for besides itself: those that its node had no room for (`callhome/raised.ts`). */
export function foldedBy(event: BmcEvent): number {
  const count =
    event.way === "host" && event.category === "events-folded" ? numberOf(event, "count") : 0;
  return Math.max(0, count ?? 0);
}

const TITLE_CHARACTERS_MAX = 160;

export function titleOf(event: BmcEvent, node: string): string {
  const { text, subject } = event;
  const what = subject === "" || text.includes(subject) ? text : `${subject}: ${text}`;
  const line = `${node}: ${what}`.replace(/\p{Cc}+/gu, " ");
  return line.length > TITLE_CHARACTERS_MAX ? `${line.slice(0, TITLE_CHARACTERS_MAX - 1)}…` : line;
}
