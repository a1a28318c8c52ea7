/**
 * The decisions of a watch over a BMC's event log: when to connect, when to look, what to tell.
 *
 * `step(event, nowMs)` takes what happened and gives what is to be done; it knows no clock and no wire. The log is looked at
 * every `pollMs`, and at once when an event was pushed: the record in the log then says under which id it is told. Where the
 * log does not show it within PUSH_GRACE_MS it is told as it was pushed, and recognised when the log has it later. A lost
 * connection is opened again with growing pauses, without end; looks that fail while the connection lives are repeated.
 *
 * Invariants: one connection, one look, one opening at a time; every event of the log is told once, in its order; `memory`
 * comes after the events that it covers. Bounds: PENDING_MAX pushed events wait or are remembered, each for PAIR_MS.
 */
import type { WatchNotice } from "../../bmc.ts";
import type { BmcError } from "../../bmc-error.ts";
import type { SelInfo } from "../sel/get-sel-info.ts";
import { isSameRecord } from "./event-fusion.ts";
import type { SelLook } from "./sel-poll.ts";
import { contentOf, type FreshRecord, SelTracker } from "./sel-tracker.ts";

/** How long a pushed event may wait for the log. With it an event is told within 100 ms. */
export const PUSH_GRACE_MS = 60;
/** A pushed event and its record in the log are met within this, by a poll at the latest. */
const PAIR_MS = 15 * 60_000;
const PENDING_MAX = 256;
const REOPEN_MS_MIN = 250;
const REOPEN_MS_MAX = 30_000;
const RETRY_MS = 1_000;
/** So many looks in a row may fail before the connection counts as lost. */
const FAILURES_MAX = 5;
/** A log this full is said once, in parts of a hundred. */
const NEARLY_FULL_PERCENT = 80;
const RECORD_BYTES = 16;

export interface MachineOptions {
  readonly pollMs: number;
  readonly memory: unknown;
  readonly tellsOld: boolean;
}

export type MachineEvent =
  | { readonly kind: "start" }
  | { readonly kind: "opened"; readonly system: string; readonly pushes: boolean }
  /** Opening failed, or the connection broke. */
  | { readonly kind: "lost"; readonly error: BmcError }
  | { readonly kind: "looked"; readonly look: SelLook }
  | { readonly kind: "look-failed"; readonly error: BmcError }
  /** 16 bytes. */
  | { readonly kind: "pushed"; readonly record: Uint8Array }
  | { readonly kind: "tick" };

export interface ToldRecord extends FreshRecord {
  readonly way: "sel" | "kcs";
}

export type MachineEffect =
  | { readonly kind: "open" }
  | { readonly kind: "close" }
  /** `pollSel` with this tracker. */
  | { readonly kind: "look"; readonly tracker: SelTracker }
  | { readonly kind: "tell"; readonly record: ToldRecord; readonly system: string }
  | { readonly kind: "remember" }
  | { readonly kind: "notice"; readonly notice: WatchNotice };

interface Push {
  readonly bytes: Uint8Array;
  readonly atMs: number;
}

interface Behind extends Push {
  /** A push was met already: another one has to be the same byte for byte. */
  readonly isPaired: boolean;
}

type Phase = "stopped" | "opening" | "waiting" | "open";

export class WatchMachine {
  readonly #options: MachineOptions;
  #phase: Phase = "stopped";
  #tracker: SelTracker | null = null;
  #system = "";
  #isLooking = false;
  /** The look under way is the first one at this log: what it finds is old. */
  #isBaseline = false;
  /** Look again as soon as the present look ends. */
  #isLookWanted = false;
  #nextMs: number | null = null;
  #reopenMs = REOPEN_MS_MIN;
  #failures = 0;
  #isLostSaid = false;
  #isNearlyFull = false;
  #pushState: "unknown" | "pushed" | "polling" = "unknown";
  /** Pushed and not told. */
  #pending: Push[] = [];
  /** Told as pushed, and not seen in the log yet. */
  #ahead: Push[] = [];
  /** Told from the log: pushes of these that come later are known. */
  #behind: Behind[] = [];

  constructor(options: MachineOptions) {
    this.#options = options;
  }

  /** What to keep; null before the first look. */
  memory(): unknown {
    return this.#tracker === null || this.#tracker.isNew
      ? this.#options.memory
      : this.#tracker.memory();
  }

  /** When `tick` is due; null: never by itself. */
  dueMs(): number | null {
    // Before the first connection it is not known of which system an event is.
    const pending = this.#tracker === null ? undefined : this.#pending[0];
    const due = [this.#nextMs, pending === undefined ? null : pending.atMs + PUSH_GRACE_MS];
    const known = due.filter((ms) => ms !== null);
    return known.length === 0 ? null : Math.min(...known);
  }

  step(event: MachineEvent, nowMs: number): readonly MachineEffect[] {
    switch (event.kind) {
      case "start":
        this.#phase = "opening";
        return [{ kind: "open" }];
      case "opened":
        return this.#opened(event.system, event.pushes);
      case "lost":
        return this.#lost(event.error, nowMs);
      case "looked":
        return this.#looked(event.look, nowMs);
      case "look-failed":
        return this.#lookFailed(event.error, nowMs);
      case "pushed":
        return this.#pushed(event.record, nowMs);
      case "tick":
        return this.#tick(nowMs);
    }
  }

  #opened(system: string, pushes: boolean): readonly MachineEffect[] {
    this.#phase = "open";
    this.#failures = 0;
    if (this.#tracker === null || this.#system !== system) {
      // Another system behind the same address: what was known of the first says nothing of it.
      this.#tracker = new SelTracker(system, this.#options.memory);
      this.#system = system;
    }
    const effects: MachineEffect[] = [];
    if (this.#isLostSaid) effects.push({ kind: "notice", notice: { kind: "back" } });
    this.#isLostSaid = false;
    const state = pushes ? "pushed" : "polling";
    if (state !== this.#pushState) {
      const why = "the link does not push events";
      const notice = pushes
        ? ({ kind: "pushed", way: "kcs" } as const)
        : ({ kind: "polling", why } as const);
      effects.push({ kind: "notice", notice });
    }
    this.#pushState = state;
    return [...effects, ...this.#look()];
  }

  #look(): readonly MachineEffect[] {
    if (this.#phase !== "open" || this.#tracker === null) return [];
    if (this.#isLooking) {
      this.#isLookWanted = true;
      return [];
    }
    this.#isLooking = true;
    this.#isLookWanted = false;
    this.#nextMs = null;
    this.#isBaseline = this.#tracker.isNew;
    return [{ kind: "look", tracker: this.#tracker }];
  }

  #lost(error: BmcError, nowMs: number): readonly MachineEffect[] {
    if (this.#phase === "waiting" || this.#phase === "stopped") return [];
    const wasOpen = this.#phase === "open";
    this.#phase = "waiting";
    this.#isLooking = false;
    this.#isLookWanted = false;
    this.#nextMs = nowMs + this.#reopenMs;
    this.#reopenMs = Math.min(this.#reopenMs * 2, REOPEN_MS_MAX);
    const effects: MachineEffect[] = wasOpen ? [{ kind: "close" }] : [];
    if (!this.#isLostSaid) effects.push({ kind: "notice", notice: { kind: "lost", error } });
    this.#isLostSaid = true;
    return effects;
  }

  #lookFailed(error: BmcError, nowMs: number): readonly MachineEffect[] {
    if (this.#phase !== "open") return [];
    this.#isLooking = false;
    this.#failures++;
    const isBroken = BROKEN.has(error.kind) || this.#failures >= FAILURES_MAX;
    if (isBroken) return this.#lost(error, nowMs);
    this.#nextMs = nowMs + Math.min(RETRY_MS, this.#options.pollMs);
    return [];
  }

  #looked(look: SelLook, nowMs: number): readonly MachineEffect[] {
    // The tracker has counted these records as known, so they are told whatever happened to the connection meanwhile.
    if (this.#phase === "stopped") return [];
    this.#isLooking = false;
    this.#failures = 0;
    this.#reopenMs = REOPEN_MS_MIN;
    if (this.#phase === "open") this.#nextMs = nowMs + this.#options.pollMs;
    this.#forget(nowMs);
    const effects: MachineEffect[] = [];
    if (look.isCleared) effects.push({ kind: "notice", notice: { kind: "cleared" } });
    if (look.hasOverflowed) effects.push({ kind: "notice", notice: { kind: "overflowed" } });
    effects.push(...this.#fullness(look.info));
    const tellsOld = this.#options.tellsOld && this.#options.memory === null;
    // A push that is in the log byte for byte stands for that record, not for another that is like it.
    const exact = new Set(look.fresh.map(({ bytes }) => contentOf(bytes)));
    for (const record of look.fresh) {
      // What was pushed since this watch began is no old event, even if the first look is what finds it.
      const isOld = this.#isBaseline && !tellsOld && !this.#isPushed(record.bytes);
      if (!isOld) effects.push(...this.#tellFromLog(record, exact, nowMs));
    }
    const hasNews = look.fresh.length > 0 || look.isCleared || this.#isBaseline;
    this.#isBaseline = false;
    if (hasNews) effects.push({ kind: "remember" });
    effects.push(...this.#tellOverdue(nowMs));
    if (this.#isLookWanted) effects.push(...this.#look());
    return effects;
  }

  #isPushed(bytes: Uint8Array): boolean {
    return [...this.#pending, ...this.#ahead].some((push) => isSame(push.bytes, bytes));
  }

  #tellFromLog(
    record: FreshRecord,
    exact: ReadonlySet<string>,
    nowMs: number,
  ): readonly MachineEffect[] {
    if (takeMatch(this.#ahead, record.bytes, exact) !== null) return [];
    const isPushed = takeMatch(this.#pending, record.bytes, exact) !== null;
    const behind = { bytes: record.bytes, atMs: nowMs, isPaired: isPushed };
    this.#behind = [...this.#behind, behind].slice(-PENDING_MAX);
    const told: ToldRecord = { ...record, way: isPushed ? "kcs" : "sel" };
    return [{ kind: "tell", record: told, system: this.#system }];
  }

  #pushed(bytes: Uint8Array, nowMs: number): readonly MachineEffect[] {
    if (this.#phase === "stopped" || bytes.length < RECORD_BYTES) return [];
    this.#forget(nowMs);
    // Where the poll was faster nothing has to wait; a look shows whether it was that event or another like it.
    if (!this.#isBehind(bytes)) {
      const copy = bytes.slice(0, RECORD_BYTES);
      this.#pending = [...this.#pending, { bytes: copy, atMs: nowMs }].slice(-PENDING_MAX);
    }
    return this.#look();
  }

  /** Whether the log was faster than this push; a record is met by one push that is only like it. */
  #isBehind(bytes: Uint8Array): boolean {
    const content = contentOf(bytes);
    if (this.#behind.some((one) => contentOf(one.bytes) === content)) return true;
    const index = this.#behind.findIndex((one) => !one.isPaired && isSame(one.bytes, bytes));
    const found = this.#behind[index];
    if (found === undefined) return false;
    this.#behind[index] = { ...found, isPaired: true };
    return true;
  }

  /** Pushed events that the log has not shown in time are told as they are. */
  #tellOverdue(nowMs: number): readonly MachineEffect[] {
    const effects: MachineEffect[] = [];
    const tracker = this.#tracker;
    while (tracker !== null) {
      const push = this.#pending[0];
      if (push === undefined || push.atMs + PUSH_GRACE_MS > nowMs) break;
      this.#pending.shift();
      const before = this.#ahead.filter((one) => contentOf(one.bytes) === contentOf(push.bytes));
      const nth = tracker.nextNth(push.bytes) + before.length;
      this.#ahead = [...this.#ahead, push].slice(-PENDING_MAX);
      const record: ToldRecord = { bytes: push.bytes, epoch: tracker.epoch, nth, way: "kcs" };
      effects.push({ kind: "tell", record, system: this.#system });
    }
    return effects;
  }

  #tick(nowMs: number): readonly MachineEffect[] {
    const effects: MachineEffect[] = [...this.#tellOverdue(nowMs)];
    if (this.#nextMs === null || nowMs < this.#nextMs) return effects;
    this.#nextMs = null;
    if (this.#phase === "waiting") {
      this.#phase = "opening";
      return [...effects, { kind: "open" }];
    }
    return [...effects, ...this.#look()];
  }

  #fullness(info: SelInfo): readonly MachineEffect[] {
    const { freeBytes, entryCount } = info;
    if (freeBytes === null) return [];
    const usedBytes = entryCount * RECORD_BYTES;
    const isNearlyFull = usedBytes * 100 >= (usedBytes + freeBytes) * NEARLY_FULL_PERCENT;
    const isNews = isNearlyFull && !this.#isNearlyFull && usedBytes > 0;
    this.#isNearlyFull = isNearlyFull;
    return isNews ? [{ kind: "notice", notice: { kind: "nearly-full", freeBytes } }] : [];
  }

  #forget(nowMs: number): void {
    const isYoung = (push: Push): boolean => push.atMs + PAIR_MS >= nowMs;
    this.#ahead = this.#ahead.filter(isYoung);
    this.#behind = this.#behind.filter(isYoung);
  }
}

/** After these the connection is of no use. */
const BROKEN: ReadonlySet<BmcError["kind"]> = new Set<BmcError["kind"]>([
  "timeout",
  "disconnected",
  "unreachable",
  "no-session",
  "no-device",
]);

/** A pushed event is a copy of the log's, at most without its time or LUN: of another second it is another event. */
function isSame(source: Uint8Array, target: Uint8Array): boolean {
  return isSameRecord(source, target, 0);
}

/** Takes the first that is byte for byte the same, else the first that is like it and stands for none in `exact`. */
function takeMatch(pushes: Push[], bytes: Uint8Array, exact: ReadonlySet<string>): Push | null {
  const content = contentOf(bytes);
  let index = pushes.findIndex((push) => contentOf(push.bytes) === content);
  if (index < 0) {
    index = pushes.findIndex(
      (push) => !exact.has(contentOf(push.bytes)) && isSame(push.bytes, bytes),
    );
  }
  return index < 0 ? null : (pushes.splice(index, 1)[0] ?? null);
}
