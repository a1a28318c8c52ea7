/**
 * The life of a watch on a Redfish service: which way events come by, and that none is lost or told twice on the way.
 *
 * Decides what to do next and nothing of how: `step` is given what happened and gives effects. Ways, best first: pushed to an
 * HTTP address of ours, a stream of server-sent events, the log read again and again. A way that fails for good leads to the
 * next; after a while the better one is tried again. The log is read at every step that may have left a gap (at the start,
 * after a subscription was made, when a stream ends, when the service is back) and at least each `pollMs`, whatever the way:
 * subscriptions vanish in restarts, are suspended without a word, and replay of a stream cannot be trusted.
 * Invariants: one job of the main lane at a time; what a failed job was for is still wanted; every want ends in a job or in a
 * notice; what is told went through `Seen` first.
 */
import { assert } from "../../../core/assert.ts";
import type { Result } from "../../../core/result.ts";
import type { EventWay, WatchNotice } from "../../bmc.ts";
import type { BmcError } from "../../bmc-error.ts";
import type { Draft } from "../redfish-event.ts";
import type { PushedBody } from "./event-body.ts";
import { Retry } from "./retry.ts";
import type { Fresh, Seen } from "./seen.ts";
import type { EventPlace, SubscriptionState } from "./subscription.ts";

export type Job =
  /** What the service is made of, anew. */
  | { readonly kind: "look-up" }
  | { readonly kind: "read-log" }
  | { readonly kind: "subscribe"; readonly place: EventPlace }
  | { readonly kind: "check"; readonly path: string }
  /** The log entries that pushed records name; in place of one that cannot be had, the record itself. */
  | { readonly kind: "fetch"; readonly drafts: readonly Draft[] };

export type JobResult =
  | {
      readonly kind: "look-up";
      readonly hasLog: boolean;
      readonly place: Result<EventPlace, BmcError>;
    }
  | {
      readonly kind: "read-log";
      readonly drafts: readonly Draft[];
      readonly isWhole: boolean;
      readonly isOverflowed: boolean;
    }
  | { readonly kind: "subscribe"; readonly path: string }
  | { readonly kind: "check"; readonly state: SubscriptionState }
  | { readonly kind: "fetch"; readonly drafts: readonly Draft[] };

export type WatchInput =
  | { readonly kind: "start" }
  | { readonly kind: "tick" }
  | { readonly kind: "done"; readonly job: Job; readonly result: Result<JobResult, BmcError> }
  | { readonly kind: "pushed"; readonly way: EventWay; readonly body: PushedBody }
  | { readonly kind: "stream-open" }
  | { readonly kind: "stream-end"; readonly error: BmcError };

export type WatchEffect =
  | { readonly kind: "run"; readonly job: Job }
  | { readonly kind: "open-stream"; readonly path: string }
  | { readonly kind: "close-stream" }
  | { readonly kind: "tell"; readonly way: EventWay; readonly fresh: readonly Fresh[] }
  /** After the events before it were told. */
  | { readonly kind: "remember" }
  | { readonly kind: "notice"; readonly notice: WatchNotice }
  /** The last one counts. */
  | { readonly kind: "wake"; readonly atMs: number };

export interface WatchSetting {
  readonly pollMs: number;
  readonly tellsOld: boolean;
  readonly canBePushedTo: boolean;
}

/** A better way is tried again after this long: subscriptions of others may have made room. */
const PROMOTE_MS = 600_000;
/** A push that has not come by then is missed; deliveries take seconds. */
const PUSH_GRACE_MS = 15_000;
const MISSED_MAX = 2;
/** A stream that lasted this long did work: opening it again begins with the shortest wait. */
const STREAM_GOOD_MS = 60_000;
const STREAM_WAIT_MS_MAX = 30_000;

type Way = "push" | "sse" | "poll";

export class WatchMachine {
  readonly #setting: WatchSetting;
  readonly #seen: Seen;
  readonly #retry: Retry = new Retry();
  #effects: WatchEffect[] = [];

  #way: Way = "poll";
  #hasLog = false;
  #place: EventPlace | null = null;
  /** Ways that were found not to work, until they are tried again. */
  readonly #barred: Set<Way> = new Set<Way>();
  #promoteAtMs: number | null = null;

  #subscription: { readonly path: string; readonly sinceMs: number } | null = null;
  #pushCount = 0;
  #renewals = 0;

  #stream: "closed" | "opening" | "open" = "closed";
  #streamSinceMs = 0;
  #streamFailures = 0;
  #streamAtMs = 0;

  #isRunning = false;
  #isFetching = false;
  #toFetch: Draft[] = [];
  #fetchWay: EventWay = "redfish-push";
  #wantsLookUp = true;
  #wantsRead = true;
  #wantsSubscribe = false;
  #wantsCheck = false;
  #pollAtMs = 0;

  #isOverflowed = false;
  #knownCount = -1;

  constructor(setting: WatchSetting, seen: Seen) {
    assert(setting.pollMs > 0, "a watch polls now and then");
    this.#setting = setting;
    this.#seen = seen;
  }

  /** What subscriptions of ours are to be removed from when the watch ends; null where there are none. */
  get place(): EventPlace | null {
    return this.#setting.canBePushedTo ? this.#place : null;
  }

  step(input: WatchInput, nowMs: number): readonly WatchEffect[] {
    this.#effects = [];
    switch (input.kind) {
      case "start":
      case "tick":
        this.#tick(nowMs);
        break;
      case "done":
        this.#done(input.job, input.result, nowMs);
        break;
      case "pushed":
        this.#pushed(input.way, input.body, nowMs);
        break;
      case "stream-open":
        this.#streamOpened(nowMs);
        break;
      case "stream-end":
        this.#streamEnded(input.error, nowMs);
        break;
    }
    this.#next(nowMs);
    this.#wake();
    return this.#effects;
  }

  #notice(notice: WatchNotice): void {
    this.#effects.push({ kind: "notice", notice });
  }

  #tick(nowMs: number): void {
    if (this.#promoteAtMs !== null && nowMs >= this.#promoteAtMs) {
      this.#promoteAtMs = null;
      this.#barred.clear();
      this.#wantsLookUp = true;
    }
    if (nowMs < this.#pollAtMs) return;
    this.#wantsRead = true;
    this.#wantsCheck = this.#subscription !== null;
    this.#judgePush(nowMs);
  }

  /** Whether the log tells of events that a subscription which looks healthy should have brought. */
  #judgePush(nowMs: number): void {
    if (this.#subscription === null || this.#pushCount > 0) return;
    const missed = this.#seen.missed(this.#subscription.sinceMs, nowMs - PUSH_GRACE_MS);
    if (missed < MISSED_MAX) return;
    this.#subscription = null;
    if (this.#renewals++ === 0) this.#wantsSubscribe = true;
    else this.#bar("push", "nothing of what was logged has been pushed", nowMs);
  }

  #bar(way: Way, why: string, nowMs: number): void {
    this.#barred.add(way);
    this.#promoteAtMs ??= nowMs + PROMOTE_MS;
    this.#choose(why);
  }

  #choose(why: string): void {
    const place = this.#place;
    const can: Readonly<Record<Way, boolean>> = {
      push: this.#setting.canBePushedTo && (place?.subscriptionsPath ?? null) !== null,
      sse: (place?.ssePath ?? null) !== null,
      poll: true,
    };
    const ways: readonly Way[] = ["push", "sse", "poll"];
    const way = ways.find((one) => can[one] && !this.#barred.has(one)) ?? "poll";
    if (way !== "sse" && this.#stream !== "closed") {
      this.#effects.push({ kind: "close-stream" });
      this.#stream = "closed";
    }
    if (way !== "push") this.#subscription = null;
    this.#wantsSubscribe = way === "push" && this.#subscription === null;
    this.#way = way;
    if (way === "poll") this.#notice({ kind: "polling", why });
  }

  /** What is most needed of what is wanted; nothing while a job runs or a failed service is given time. */
  #next(nowMs: number): void {
    this.#nextFetch();
    if (this.#isRunning || nowMs < this.#retry.atMs) return;
    const job = this.#nextJob();
    if (job !== null) {
      this.#isRunning = true;
      this.#effects.push({ kind: "run", job });
    }
    const path = this.#place?.ssePath ?? null;
    const isPrimed = this.#seen.isPrimed || !this.#hasLog;
    const isDue = this.#stream === "closed" && nowMs >= this.#streamAtMs && isPrimed;
    if (this.#way === "sse" && isDue && path !== null && !this.#wantsLookUp) {
      this.#stream = "opening";
      this.#effects.push({ kind: "open-stream", path });
    }
  }

  #nextJob(): Job | null {
    if (this.#wantsLookUp) return { kind: "look-up" };
    // First what stands in the log: what a subscription brings is told from it.
    if (this.#wantsRead && this.#hasLog && !this.#seen.isPrimed) return { kind: "read-log" };
    if (this.#way === "push" && this.#place !== null) {
      if (this.#wantsSubscribe) return { kind: "subscribe", place: this.#place };
      if (this.#wantsCheck && this.#subscription !== null) {
        return { kind: "check", path: this.#subscription.path };
      }
    }
    return this.#wantsRead && this.#hasLog ? { kind: "read-log" } : null;
  }

  #nextFetch(): void {
    if (this.#isFetching || this.#toFetch.length === 0) return;
    this.#isFetching = true;
    this.#effects.push({ kind: "run", job: { kind: "fetch", drafts: this.#toFetch } });
    this.#toFetch = [];
  }

  #wake(): void {
    const times = [this.#pollAtMs, this.#promoteAtMs ?? Number.POSITIVE_INFINITY];
    if (this.#way === "sse" && this.#stream === "closed") times.push(this.#streamAtMs);
    // While the service fails, nothing else is due before it is tried again.
    const atMs = this.#retry.atMs > 0 ? this.#retry.atMs : Math.min(...times);
    this.#effects.push({ kind: "wake", atMs });
  }

  #done(job: Job, result: Result<JobResult, BmcError>, nowMs: number): void {
    if (job.kind === "fetch") {
      this.#isFetching = false;
      const drafts = result.ok && result.value.kind === "fetch" ? result.value.drafts : job.drafts;
      this.#tellPushed(this.#fetchWay, drafts, nowMs);
      return;
    }
    this.#isRunning = false;
    if (!result.ok) {
      this.#failed(job, result.error, nowMs);
      return;
    }
    if (this.#retry.succeed()) {
      this.#notice({ kind: "back" });
      // It may have been another firmware that came back, and its subscriptions are gone.
      this.#wantsLookUp = job.kind !== "look-up";
      this.#wantsRead = true;
      this.#wantsCheck = this.#subscription !== null;
    }
    this.#succeeded(result.value, nowMs);
  }

  #failed(job: Job, error: BmcError, nowMs: number): void {
    const isRefusal = error.kind === "refused" || error.kind === "unsupported";
    if (job.kind === "subscribe" && (isRefusal || error.kind === "privilege-too-low")) {
      this.#wantsSubscribe = false;
      this.#bar("push", error.detail, nowMs);
      return;
    }
    if (job.kind === "check" && isRefusal) {
      this.#wantsCheck = false;
      return;
    }
    // Paths that were there and are no more: the service has changed.
    if (isRefusal) this.#wantsLookUp = true;
    if (this.#retry.fail(error, nowMs)) this.#notice({ kind: "lost", error });
  }

  #succeeded(result: JobResult, nowMs: number): void {
    switch (result.kind) {
      case "look-up":
        this.#lookedUp(result.hasLog, result.place, nowMs);
        break;
      case "read-log":
        this.#logRead(result.drafts, result.isWhole, result.isOverflowed, nowMs);
        break;
      case "subscribe":
        this.#wantsSubscribe = false;
        this.#wantsRead = true;
        this.#subscription = { path: result.path, sinceMs: nowMs };
        this.#pushCount = 0;
        this.#notice({ kind: "pushed", way: "redfish-push" });
        break;
      case "check":
        this.#wantsCheck = false;
        if (result.state === "healthy") break;
        this.#subscription = null;
        this.#wantsSubscribe = true;
        this.#wantsRead = true;
        break;
      case "fetch":
        break;
    }
  }

  #lookedUp(hasLog: boolean, place: Result<EventPlace, BmcError>, nowMs: number): void {
    this.#wantsLookUp = false;
    this.#hasLog = hasLog;
    this.#place = place.ok ? place.value : null;
    // Without a log there is nothing to poll; the next poll's time is when the service is looked at again.
    if (!hasLog) this.#pollAtMs = nowMs + this.#setting.pollMs;
    const why = place.ok ? "the service can neither push nor stream events" : place.error.detail;
    this.#choose(why);
  }

  #logRead(drafts: readonly Draft[], isWhole: boolean, isOverflowed: boolean, nowMs: number): void {
    this.#wantsRead = false;
    this.#pollAtMs = nowMs + this.#setting.pollMs;
    const isFirst = !this.#seen.isPrimed;
    const news = this.#seen.onLog(drafts, isWhole, this.#setting.tellsOld, nowMs);
    if (news.isCleared) this.#notice({ kind: "cleared" });
    if (isOverflowed && !this.#isOverflowed) this.#notice({ kind: "overflowed" });
    this.#isOverflowed = isOverflowed;
    this.#tell("redfish-log", news.fresh);
    const hasChanged = this.#knownCount !== drafts.length || news.isCleared;
    this.#knownCount = drafts.length;
    if (isFirst || hasChanged || news.fresh.length > 0) this.#effects.push({ kind: "remember" });
  }

  #tell(way: EventWay, fresh: readonly Fresh[]): void {
    if (fresh.length > 0) this.#effects.push({ kind: "tell", way, fresh });
  }

  #pushed(way: EventWay, body: PushedBody, nowMs: number): void {
    if (way === "redfish-push") this.#pushCount += body.drafts.length;
    if (body.hasGap) this.#wantsRead = true;
    if (body.isEnding) {
      this.#wantsRead = true;
      this.#wantsCheck = this.#subscription !== null;
    }
    const hasEntry = (draft: Draft): boolean => draft.entryPath !== null && draft.record === null;
    this.#fetchWay = way;
    this.#toFetch.push(...body.drafts.filter(hasEntry));
    this.#tellPushed(
      way,
      body.drafts.filter((draft) => !hasEntry(draft)),
      nowMs,
    );
  }

  #tellPushed(way: EventWay, drafts: readonly Draft[], nowMs: number): void {
    const fresh = drafts.flatMap((draft) => this.#seen.onPushed(draft, nowMs) ?? []);
    this.#tell(way, fresh);
    if (fresh.length > 0) this.#effects.push({ kind: "remember" });
  }

  #streamOpened(nowMs: number): void {
    if (this.#stream !== "opening") return;
    this.#stream = "open";
    this.#streamSinceMs = nowMs;
    this.#wantsRead = true;
    this.#notice({ kind: "pushed", way: "redfish-sse" });
  }

  #streamEnded(error: BmcError, nowMs: number): void {
    const wasOpen = this.#stream === "open";
    this.#stream = "closed";
    this.#wantsRead = true;
    const isRefused = ["refused", "unsupported", "privilege-too-low"].includes(error.kind);
    if (!wasOpen && isRefused) {
      this.#bar("sse", error.detail, nowMs);
      return;
    }
    if (wasOpen && nowMs - this.#streamSinceMs >= STREAM_GOOD_MS) this.#streamFailures = 0;
    const waitMs = Math.min(STREAM_WAIT_MS_MAX, 250 * 2 ** Math.min(10, this.#streamFailures));
    this.#streamFailures++;
    this.#streamAtMs = nowMs + waitMs;
  }
}
