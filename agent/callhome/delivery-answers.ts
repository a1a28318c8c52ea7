/**
 * What an answer, a failure, a receipt or a silence means for the events that it is about.
 *
 * Rules: R2 closes an event wherever it is. R1 makes it wait for R2, ten seconds from sending. A refusal for good by the
 * destination closes it; by anybody else it sends it another way. One event that is turned away does not hold up those that
 * travelled with it. A request without an answer may have been taken, so the one it went to is asked when it comes back.
 */
import type { DeliveryEvent, DigestState, Path, RequestFailure } from "./delivery-events.ts";
import { R2_MS } from "./delivery-events.ts";
import type { PathState } from "./delivery-paths.ts";
import type { OpenEvent } from "./delivery-queue.ts";
import { ask, askNext, nameOf } from "./delivery-sending.ts";
import type { DeliveryState, Request } from "./delivery-state.ts";
import type { ParcelResult } from "./protocol.ts";

/** A manager that so often could not relay one event without saying that it never will. */
const NOT_RELAYED_MAX = 3;

type Of<K extends DeliveryEvent["kind"]> = Extract<DeliveryEvent, { readonly kind: K }>;

/** One request less is about it: where that was the last one, it waits for R2 or for a path. */
function settle(state: DeliveryState, event: OpenEvent, why: string): void {
  event.pendingCount = Math.max(0, event.pendingCount - 1);
  if (event.pendingCount > 0 || (event.place !== "sent" && event.place !== "asking")) return;
  if (event.keptBy !== null) {
    state.keep(event, why);
    return;
  }
  if (isRefusedByAll(state, event)) state.refuse(event, null, `every path refuses it; ${why}`);
  else state.wait(event, why);
}

function isRefusedByAll(state: DeliveryState, event: OpenEvent): boolean {
  if (event.avoid === null) return false;
  const all = state.paths.all();
  // Without a direct way a peer that was not heard of yet might take it.
  if (state.paths.direct === null && !state.arePeersKnown) return false;
  return all.length > 0 && all.every((path) => event.avoid?.get(path.key) === "refused");
}

export function failOver(
  state: DeliveryState,
  event: OpenEvent,
  path: PathState,
  why: string,
): void {
  state.record(event.id, "retried", path.path, why);
  // A manager says one day what became of it; a peer has no such duty.
  state.avoid(event, path, path.path.kind === "manager" ? "held" : "turned-away");
  event.keptBy = null;
  event.hasFailedOver = true;
  state.wait(event, why);
}

function onKept(state: DeliveryState, event: OpenEvent, request: Request, isLate: boolean): void {
  const { path } = request;
  const why = isLate ? "R1, late: it has it durably" : "R1: it has it durably";
  state.record(event.id, "kept", path.path, why);
  const text = `kept by ${nameOf(path.path)}, R2 is awaited`;
  if (isLate && event.place !== "waiting") {
    state.avoid(event, path, "held");
    return;
  }
  event.keptBy = path.key;
  event.keptUntilMs = request.sentMs + R2_MS;
  if (isLate) state.keep(event, text);
  else settle(state, event, text);
  if (event.place !== "kept" || !path.isStuck(state.nowMs)) return;
  failOver(state, event, path, `it keeps it, but ${path.whyStuck(state.nowMs)}`);
}

type Refusal = Extract<ParcelResult, { readonly kind: "refused" }>;

function onRefused(
  state: DeliveryState,
  event: OpenEvent,
  { path }: Request,
  result: Refusal & { readonly isLate: boolean },
): void {
  const why = `${nameOf(path.path)} refuses it: ${result.reason}`;
  if (result.isPermanent && path.path.kind === "direct") {
    state.refuse(event, path.path, result.reason);
    return;
  }
  state.record(event.id, "turned-away", path.path, result.reason);
  state.avoid(event, path, result.isPermanent ? "refused" : "turned-away");
  event.hasFailedOver = true;
  if (!result.isLate) settle(state, event, why);
}

function onResult(
  state: DeliveryState,
  request: Request,
  result: ParcelResult,
  isLate: boolean,
): void {
  const { path } = request;
  const event = state.events.get(result.id);
  if (event === undefined) {
    if (result.kind === "delivered") state.late(path.path, path.key, result.receipt);
    return;
  }
  switch (result.kind) {
    case "delivered":
      path.relayed();
      state.deliver(event, path.path, path.key, result.receipt);
      return;
    case "kept":
      onKept(state, event, request, isLate);
      return;
    case "refused":
      onRefused(state, event, request, { ...result, isLate });
  }
}

function isTurnedAway(result: ParcelResult): boolean {
  return result.kind === "refused" && !result.isPermanent;
}

export function onAnswered(state: DeliveryState, { request, results }: Of<"answered">): void {
  const inTime = state.end(request, true);
  const known = inTime ?? state.expired.get(request) ?? null;
  if (known === null) return;
  state.expired.delete(request);
  const { path } = known;
  const first = results[0];
  if (inTime === null) {
    state.say("detail", `${nameOf(path.path)} answers late`);
  } else if (first?.kind === "refused" && results.every(isTurnedAway)) {
    path.failed(`it takes nothing: ${first.reason}`, state.nowMs, state.random);
  } else if (path.answered(state.nowMs)) {
    state.say("event", `${nameOf(path.path)} answers again`);
  }
  const silent = new Set(known.ids);
  for (const result of results) {
    if (silent.delete(result.id)) onResult(state, known, result, inTime === null);
  }
  if (inTime === null) return;
  for (const id of silent) {
    const event = state.events.get(id);
    if (event === undefined) continue;
    const reason = "its answer says nothing of this event";
    onRefused(state, event, known, {
      id,
      kind: "refused",
      reason,
      isPermanent: false,
      isLate: false,
    });
  }
}

const FAILURES: Readonly<Record<RequestFailure, string>> = {
  unreachable: "it is not reached",
  "no-answer": "no answer in time",
  busy: "it has no room now",
  rejected: "it rejects the request",
};

function whyFailed({ path: { path } }: Request, failure: RequestFailure, detail: string): string {
  const what =
    failure === "no-answer" && path.kind === "manager" ? "R1 is missing" : FAILURES[failure];
  return detail === "" ? what : `${what}: ${detail}`;
}

export function onFailed(state: DeliveryState, failed: Of<"failed">): void {
  const request = state.end(failed.request, false);
  if (request === null) return;
  const why = whyFailed(request, failed.failure, failed.detail);
  if (request.kind === "digest") {
    digestDone(state, request, why);
    return;
  }
  const { path, ids } = request;
  const { nowMs, random } = state;
  if (failed.failure !== "rejected") {
    markDown(state, path, why, failed.retryAfterMs);
  } else if (path.rejected(ids.length, why, nowMs, random)) {
    state.say("fault", `${nameOf(path.path)}: ${why}`);
  }
  const isAlone = failed.failure === "rejected" && ids.length === 1;
  for (const id of ids) {
    const event = state.events.get(id);
    if (event === undefined) continue;
    loseAnswer(state, event, request, { failure: failed.failure, why, isAlone });
  }
}

function loseAnswer(
  state: DeliveryState,
  event: OpenEvent,
  { path }: Request,
  how: { readonly failure: RequestFailure; readonly why: string; readonly isAlone: boolean },
): void {
  state.record(event.id, "retried", path.path, how.why);
  if (how.isAlone) state.avoid(event, path, "turned-away");
  if (how.failure === "no-answer" && path.path.kind === "manager") {
    event.touched ??= new Set();
    event.touched.add(path.key);
  }
  // A request that was only too large for one event in it goes the same way again, in smaller pieces.
  if (how.failure !== "rejected" || how.isAlone) event.hasFailedOver = true;
  settle(state, event, `${nameOf(path.path)}: ${how.why}`);
}

/** Said once, when it begins. */
export function markDown(
  state: DeliveryState,
  path: PathState,
  why: string,
  retryAfterMs: number | null = null,
): void {
  if (path.state !== "down") state.say("event", `${nameOf(path.path)} is not used: ${why}`);
  path.failed(why, state.nowMs, state.random, retryAfterMs);
}

/** A manager is known dead: nothing is awaited from it any more. */
export function onManagerDead(state: DeliveryState, path: PathState, why: string): void {
  if (path.state === "down") {
    path.why = why;
  } else {
    markDown(state, path, why);
  }
  for (const request of [...state.requests.values()]) {
    if (request.path !== path) continue;
    const { number } = request;
    onFailed(state, {
      kind: "failed",
      request: number,
      failure: "no-answer",
      detail: why,
      retryAfterMs: null,
    });
  }
  giveToOthers(state, path, `it is dead: ${why}`);
}

/** What it keeps without R2 goes another way. O(open events), once a change of the manager's health. */
export function giveToOthers(state: DeliveryState, path: PathState, why: string): void {
  if (state.keptCount === 0) return;
  for (const event of state.events.values()) {
    if (event.place === "kept" && event.keptBy === path.key) failOver(state, event, path, why);
  }
}

/** It lives again, or is another process: what it may have is compared before anything is sent again. */
export function onManagerBack(state: DeliveryState, path: PathState): void {
  const asked: OpenEvent[] = [];
  for (const event of state.events.values()) {
    const mayHave = event.touched?.has(path.key) === true || event.avoid?.get(path.key) === "held";
    const isKept = event.place === "kept" && event.keptBy === path.key;
    if (isKept || (event.place === "waiting" && mayHave)) asked.push(event);
  }
  path.isBack = true;
  if (asked.length > 0) ask(state, path, asked);
}

/** What it holds and did not deliver: a receipt may have been lost, or the event. */
export function recheck(state: DeliveryState, path: PathState): void {
  path.recheckMs = null;
  if (path.isAsking) {
    path.rearm(state.nowMs, state.random);
    return;
  }
  path.isBack = false;
  const held: OpenEvent[] = [];
  for (const event of state.events.values()) {
    if (event.avoid?.get(path.key) !== "held") continue;
    // One that is just under way elsewhere may come back.
    if (event.place === "waiting") held.push(event);
    else path.rearm(state.nowMs, state.random);
  }
  if (held.length > 0) ask(state, path, held);
}

export function onDigest(state: DeliveryState, { request, states }: Of<"digest">): void {
  const known = state.end(request, true);
  if (known === null) return;
  if (known.path.answered(state.nowMs))
    state.say("event", `${nameOf(known.path.path)} answers again`);
  const byId = new Map(states.map((each) => [each.id, each]));
  for (const id of known.ids) {
    const event = state.events.get(id);
    const said = byId.get(id);
    if (event !== undefined && said !== undefined) onDigestState(state, event, known.path, said);
  }
  digestDone(state, known, null);
}

function onDigestState(
  state: DeliveryState,
  event: OpenEvent,
  path: PathState,
  said: DigestState,
): void {
  const isDirect = path.path.kind === "direct";
  if (said.state === "delivered" && said.receipt !== null) {
    state.deliver(event, path.path, path.key, said.receipt);
  } else if (said.state === "refused") {
    if (isDirect) state.refuse(event, path.path, "it was refused before");
    else state.avoid(event, path, "refused");
  } else if (said.state === "kept" && !isDirect) {
    event.touched?.delete(path.key);
    if (event.avoid?.get(path.key) === "held" && !path.isBack) {
      path.rearm(state.nowMs, state.random);
      return;
    }
    state.forgive(event, "held", path.key);
    event.keptBy = path.key;
    event.keptUntilMs = state.nowMs + R2_MS;
  } else if (!isDirect) {
    event.touched?.delete(path.key);
    if (event.keptBy === path.key) event.keptBy = null;
    state.forgive(event, "held", path.key);
  }
}

function digestDone(state: DeliveryState, request: Request, failure: string | null): void {
  const { path } = request;
  if (failure !== null && path.path.kind === "direct") markDown(state, path, failure);
  if (failure !== null && path.path.kind === "manager") path.rearm(state.nowMs, state.random);
  const why = failure === null ? "was asked about" : `not asked about: ${failure}`;
  // Without an answer the rest is not asked either: it is sent, and the other side tells duplicates apart.
  const ids = failure === null ? request.ids : [...request.ids, ...path.toAsk.splice(0)];
  for (const id of ids) {
    const event = state.events.get(id);
    if (event?.place === "asking") settle(state, event, `${why} at ${nameOf(path.path)}`);
  }
  path.isAsking = false;
  askNext(state, path);
}

export function onReceipt(state: DeliveryState, { manager, receipt }: Of<"receipt">): void {
  const path = state.paths.manager(manager);
  const by: Path = { kind: "manager", name: manager };
  const key = `manager ${manager}`;
  path?.relayed();
  const event = state.events.get(receipt.id);
  if (event === undefined) state.late(by, key, receipt);
  else state.deliver(event, by, key, receipt);
}

/** Peers are known now: what everybody else refuses may be done with. O(open events), once. */
export function refuseWhatAllRefuse(state: DeliveryState): void {
  state.arePeersKnown = true;
  for (const event of [...state.events.values()]) {
    if (event.place !== "waiting" || !isRefusedByAll(state, event)) continue;
    state.refuse(event, null, "every path refuses it");
  }
}

export function onNotRelayed(state: DeliveryState, said: Of<"not-relayed">): void {
  const path = state.paths.manager(said.manager);
  const event = state.events.get(said.id);
  if (path === undefined || event === undefined) return;
  state.record(event.id, "turned-away", path.path, `it could not relay it: ${said.reason}`);
  event.touched?.delete(path.key);
  event.notRelayedCount++;
  const isPermanent = said.isPermanent || event.notRelayedCount >= NOT_RELAYED_MAX;
  state.avoid(event, path, isPermanent ? "refused" : "turned-away");
  event.hasFailedOver = true;
  const why = `manager ${said.manager} could not relay it: ${said.reason}`;
  if (event.keptBy === path.key) event.keptBy = null;
  if (event.place !== "kept" && event.place !== "waiting") return;
  if (isRefusedByAll(state, event)) state.refuse(event, null, `every path refuses it; ${why}`);
  else if (event.place === "kept") state.wait(event, why);
}
