/**
 * Reads a collection whole: over its pages, with members that stand in it or are only linked.
 *
 * Decides when a collection has ended. A page that was there before, or that brings no member that is new, ends it (services
 * exist that answer every page with the first); so do the bounds. What was got is then compared with the number that the
 * collection states: a difference is told as `isWhole: false`, and whoever needs all of it makes that an error.
 * Invariant: every member once, by its `@odata.id`. O(members).
 */
import { err, ok, type Result } from "../../core/result.ts";
import { type BmcError, bmcError } from "../bmc-error.ts";
import { asPath, at, isObject, type JsonObject, linkAt, listAt, numberAt, textAt } from "./json.ts";
import { get, getEach, present, type RedfishSteps } from "./redfish.ts";

export interface Member {
  readonly path: string;
  readonly body: JsonObject;
}

export interface Collection {
  readonly members: readonly Member[];
  /** What the collection itself says that it holds; null where it does not. */
  readonly statedCount: number | null;
  readonly isWhole: boolean;
}

/** A log of 10,000 entries in pages of one; more is a service that never ends. */
const PAGES_MAX = 12_000;
const MEMBERS_MAX = 120_000;
/** Linked members are asked for in batches of this many; the client bounds how many are under way. */
const BATCH = 64;

interface Page {
  readonly members: readonly unknown[];
  readonly next: string | null;
  readonly statedCount: number | null;
}

function pageOf(body: JsonObject): Page {
  return {
    members: listAt(body, "Members"),
    // The second form is of the specification, the first is what most services write (DSP0266 §7.4).
    next: asPath(at(body, "Members@odata.nextLink")) ?? asPath(at(body, "@odata.nextLink")),
    statedCount: numberAt(body, "Members@odata.count"),
  };
}

/** Only links: an object with nothing but its id. */
function isLinkOnly(member: JsonObject): boolean {
  return Object.keys(member).every((name) => name.startsWith("@"));
}

interface Gathered {
  readonly byPath: Map<string, JsonObject | null>;
  statedCount: number | null;
}

/** How many of the page were not there before. */
function gather(page: Page, base: string, into: Gathered): number {
  const before = into.byPath.size;
  for (const member of page.members) {
    if (!isObject(member)) continue;
    const id = textAt(member, "Id") ?? textAt(member, "MemberId");
    const path = linkAt(member) ?? (id === null ? null : `${base}/${id}`);
    if (path === null || into.byPath.has(path) || into.byPath.size >= MEMBERS_MAX) continue;
    into.byPath.set(path, isLinkOnly(member) ? null : member);
  }
  into.statedCount = page.statedCount ?? into.statedCount;
  return into.byPath.size - before;
}

function withoutQuery(path: string): string {
  return path.replace(/[?#].*$/, "").replace(/\/$/, "");
}

/** `onPage` is told how many members are there so far. */
export function* readCollection(
  path: string,
  onPage?: (done: number, total: number | null) => void,
): RedfishSteps<Collection> {
  const gathered: Gathered = { byPath: new Map<string, JsonObject | null>(), statedCount: null };
  const visited = new Set<string>();
  let next: string | null = path;
  while (next !== null && !visited.has(next) && visited.size < PAGES_MAX) {
    visited.add(next);
    const answer: Result<{ readonly body: JsonObject }, BmcError> = yield* get(next);
    if (!answer.ok) return answer;
    const page = pageOf(answer.value.body);
    const gained = gather(page, withoutQuery(path), gathered);
    onPage?.(gathered.byPath.size, gathered.statedCount);
    if (gained === 0) break;
    next = page.next;
  }
  const filled = yield* fill(gathered.byPath);
  if (!filled.ok) return filled;
  const { statedCount } = gathered;
  // More than stated is no loss: the number may be of the page, or of a moment before. A link that leads nowhere was listed.
  const isWhole = statedCount === null || gathered.byPath.size >= statedCount;
  return ok({ members: filled.value, statedCount, isWhole });
}

/** Fetches the members that were only linked. One that has gone meanwhile is left out. */
function* fill(byPath: ReadonlyMap<string, JsonObject | null>): RedfishSteps<readonly Member[]> {
  const linked = [...byPath].filter(([, body]) => body === null).map(([path]) => path);
  const fetched = new Map<string, JsonObject>();
  for (let from = 0; from < linked.length; from += BATCH) {
    const found = present(yield* getEach(linked.slice(from, from + BATCH)));
    if (!found.ok) return found;
    for (const { path, body } of found.value) fetched.set(path, body);
  }
  const members: Member[] = [];
  for (const [path, body] of byPath) {
    const whole = body ?? fetched.get(path);
    if (whole !== undefined) members.push({ path, body: whole });
  }
  return ok(members);
}

/** How often a collection is read that changes meanwhile. */
const TRIES_MAX = 3;

/** All members, or an error: a list that is shorter than it says is never given out. */
export function* readWhole(
  path: string,
  what: string,
  onPage?: (done: number, total: number | null) => void,
): RedfishSteps<readonly Member[]> {
  let last: Collection | null = null;
  for (let count = 0; count < TRIES_MAX; count++) {
    const read: Result<Collection, BmcError> = yield* readCollection(path, onPage);
    if (!read.ok) return read;
    if (read.value.isWhole) return ok(read.value.members);
    last = read.value;
  }
  const got = last?.members.length ?? 0;
  const detail = `${what}: ${last?.statedCount ?? 0} entries are stated, ${got} came, ${TRIES_MAX} times`;
  return err(bmcError("changed-while-read", detail));
}
