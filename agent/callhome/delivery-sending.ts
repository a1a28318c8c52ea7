/**
 * Gives waiting events to paths: which, how many in one request, in which order, and why.
 *
 * The urgent first, whatever they avoid; a request is filled up with what is less urgent. A path that is busy is waited for,
 * not gone around: it works. An event that tells that no event comes through goes by every path at once, back-off or not.
 */
import {
  ANSWER_MS,
  DIGEST_IDS_MAX,
  DIGEST_MS,
  type Path,
  R1_MS,
  type Urgency,
} from "./delivery-events.ts";
import type { PathState } from "./delivery-paths.ts";
import { type EventClass, type OpenEvent, URGENCIES } from "./delivery-queue.ts";
import type { DeliveryState } from "./delivery-state.ts";
import { PARCELS_BYTES_MAX } from "./protocol.ts";

/** Id, names and punctuation of a parcel, and a full trail. */
const PARCEL_BYTES_BESIDES = 6_000;
/** Peers are asked for again after so long. */
const FIND_PEERS_MS = 15_000;

export function nameOf({ kind, name }: Path): string {
  return kind === "direct" ? "the direct way" : `${kind} ${name}`;
}

function limitMsOf({ kind }: Path): number {
  return kind === "manager" ? R1_MS : ANSWER_MS;
}

/** Why not the paths that come before the chosen one. */
export function whyChosen(state: DeliveryState, one: EventClass, chosen: PathState): string {
  const { nowMs, paths } = state;
  const others: string[] = [];
  for (const path of paths.all()) {
    if (path === chosen) continue;
    const name = nameOf(path.path);
    if (one.avoid.has(path.key)) others.push(`not ${name}: it had it before`);
    else if (path.state === "down") others.push(`not ${name}: ${path.why}`);
    else if (path.isStuck(nowMs)) others.push(`not ${name}: ${path.whyStuck(nowMs)}`);
  }
  if (others.length > 0) return others.join("; ");
  return one.hasFailedOver ? "direct is quickest after a fail-over" : "first choice";
}

function batchOf(one: EventClass, urgency: Urgency, countMax: number): readonly OpenEvent[] {
  const batch: OpenEvent[] = [];
  let bytes = 0;
  for (const list of one.lists.slice(urgency)) {
    for (let event = list.first; event !== null; event = event.after) {
      bytes += event.bytes + PARCEL_BYTES_BESIDES;
      if (batch.length >= countMax || (bytes > PARCELS_BYTES_MAX && batch.length > 0)) return batch;
      batch.push(event);
    }
  }
  return batch;
}

function sendBatch(
  state: DeliveryState,
  path: PathState,
  batch: readonly OpenEvent[],
  why: string,
): void {
  for (const event of batch) {
    state.hold(event, "sent", `sent by ${nameOf(path.path)}: ${why}`);
    event.pendingCount = 1;
    state.record(event.id, "sent", path.path, why);
  }
  const ids = batch.map(({ id }) => id);
  state.request("send", path, ids, limitMsOf(path.path));
}

/** Sends whatever can be sent now. O(classes) a request made. */
export function pump(state: DeliveryState): void {
  if (state.waiting.count === 0) return;
  const classes = state.waiting.classes();
  for (const urgency of URGENCIES) {
    for (const one of classes) {
      const list = one.lists[urgency];
      while (list !== undefined && list.count > 0) {
        const path = state.paths.choose(one, state.nowMs);
        if (path === null || path.isBusy(urgency)) break;
        const why = whyChosen(state, one, path);
        sendBatch(state, path, batchOf(one, urgency, path.batchCount), why);
      }
    }
  }
  state.waiting.sweep();
  findPeers(state);
}

function findPeers(state: DeliveryState): void {
  const { direct } = state.paths;
  const isDirectSound = direct !== null && direct.state !== "down";
  if (isDirectSound || state.waiting.count === 0) return;
  if (state.nowMs - state.peersAskedMs < FIND_PEERS_MS) return;
  state.peersAskedMs = state.nowMs;
  state.emit({ kind: "find-peers" });
}

/** By every path at once. */
export function spread(state: DeliveryState, event: OpenEvent): void {
  const why = "it tells that nothing comes through, so it goes by every path at once";
  const paths = state.paths.all();
  if (paths.length === 0) {
    state.wait(event, "no path is configured");
    return;
  }
  state.hold(event, "sent", why);
  event.pendingCount = paths.length;
  for (const path of paths) {
    state.record(event.id, "sent", path.path, why);
    state.request("send", path, [event.id], limitMsOf(path.path));
  }
}

/** Asks whether they are delivered, some thousands at a time; until then they are not sent. */
export function ask(state: DeliveryState, path: PathState, events: readonly OpenEvent[]): void {
  for (const event of events) {
    if (event.place !== "asking") event.pendingCount = 0;
    state.hold(event, "asking", `${nameOf(path.path)} is asked whether it is delivered`);
    event.pendingCount++;
    path.toAsk.push(event.id);
  }
  askNext(state, path);
}

/** A direct way that is down is tried without an event, when its back-off has ended. */
export function probe(state: DeliveryState): void {
  const { direct } = state.paths;
  if (direct === null || direct.state !== "down" || direct.isAsking) return;
  if (state.nowMs < direct.backoffUntilMs || direct.requestCount > 0) return;
  direct.isAsking = true;
  state.request("digest", direct, [], DIGEST_MS);
}

export function askNext(state: DeliveryState, path: PathState): void {
  if (path.isAsking || path.toAsk.length === 0) return;
  path.isAsking = true;
  state.request("digest", path, path.toAsk.splice(0, DIGEST_IDS_MAX), DIGEST_MS);
}
