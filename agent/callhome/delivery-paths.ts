/**
 * What is known of each path: whether it works, since when not, when it is tried again, and in which order paths are taken.
 *
 * Health and back-off belong to a path, not to an event, and the first answer opens a path for all that wait. So 100,000
 * waiting events need no timer each, and an outage of a week costs one request every few minutes. No event is spent on finding out
 * while anything else works, as a try may cost seconds: the direct way is tried by an empty question, a manager comes back
 * by its beats; only a peer, and a manager without beats, is tried by one event, when nothing else is left.
 *
 * Order of a new event: managers that live and relay, as configured; direct; peers, as ranked; managers that live and cannot
 * relay (what one of them keeps survives this node). An event that has failed over takes direct first.
 */
import type { Prng } from "../runtime/prng.ts";
import {
  BACKOFF_MS_MAX,
  BACKOFF_MS_MIN,
  BEATS_MISSED_MS,
  CANNOT_RELAY_MS,
  type Path,
  type PathKind,
  type PathReport,
  REQUESTS_MAX,
  type Urgency,
} from "./delivery-events.ts";
import { PARCELS_MAX } from "./protocol.ts";

/** So that full jitter never becomes a loop without pause. */
const BACKOFF_MS_LEAST = 100;
/** The last request of a path is left to events of this urgency and above, however many others wait. */
const URGENT: Urgency = 1;
/** Single events that a path rejects in a row before it is the path that is wrong. */
const REJECTED_MAX = 3;

export const DIRECT_NAME = "destination";

export function keyOf({ kind, name }: Path): string {
  return kind === "direct" ? "direct" : `${kind} ${name}`;
}

/** Full jitter: anything up to a bound that doubles. */
export function backoffMs(attempts: number, random: Prng): number {
  const bound = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** Math.min(attempts, 20));
  return Math.max(BACKOFF_MS_LEAST, random.unit() * bound);
}

export class PathState {
  readonly path: Path;
  readonly key: string;
  state: "unknown" | "up" | "down" = "unknown";
  why = "nothing was sent by it yet";
  backoffUntilMs = 0;
  requestCount = 0;
  /** Halved when a whole request is rejected, so that one event that it cannot read does not hold up the others. */
  batchMax: number = PARCELS_MAX;
  epoch: string | null = null;
  /** Of the last beat; before the first, when it was configured. */
  beatMs: number;
  /** Since when its beats say that it cannot relay. */
  cannotRelayMs: number | null = null;
  /** R2 was missing: until then what is new goes around it. */
  relayBackoffUntilMs = 0;
  /** When what it holds without R2 is asked about; null: nothing is. */
  recheckMs: number | null = null;
  /** What it held when it turned out not to relay was given to others. */
  isSkirted = false;
  /** It is said to be lost, and that is not believed yet. */
  lostWhy: string | null = null;
  /** Ids that it is still to be asked about, and whether it is being asked. */
  readonly toAsk: string[] = [];
  isAsking = false;
  /** It is asked since it came back: what it keeps is given time anew. Else whether it still keeps what it had time for. */
  isBack = false;
  #attempts = 0;
  #relayAttempts = 0;
  #rejectedCount = 0;

  constructor(path: Path, nowMs: number) {
    this.path = path;
    this.key = keyOf(path);
    this.beatMs = nowMs;
  }

  isStuck(nowMs: number): boolean {
    if (nowMs < this.relayBackoffUntilMs) return true;
    return this.cannotRelayMs !== null && nowMs - this.cannotRelayMs >= CANNOT_RELAY_MS;
  }

  /** One that is down is tried by one request, once its back-off has ended. */
  isUsable(nowMs: number): boolean {
    return this.state !== "down" || (nowMs >= this.backoffUntilMs && this.requestCount === 0);
  }

  isBusy(urgency: Urgency): boolean {
    return this.requestCount >= (urgency <= URGENT ? REQUESTS_MAX : REQUESTS_MAX - 1);
  }

  get batchCount(): number {
    return this.state === "down" ? 1 : this.batchMax;
  }

  /** An answer of ours came. True: it had been down. */
  answered(nowMs: number): boolean {
    const wasDown = this.state === "down";
    this.beatMs = Math.max(this.beatMs, nowMs);
    this.#attempts = 0;
    this.#rejectedCount = 0;
    this.backoffUntilMs = 0;
    this.batchMax = Math.min(PARCELS_MAX, this.batchMax * 2);
    this.state = "up";
    this.why = "it answers";
    return wasDown;
  }

  failed(why: string, nowMs: number, random: Prng, retryAfterMs: number | null = null): void {
    this.why = why;
    // What was sent before it was known to be down says nothing new.
    if (this.state === "down" && nowMs < this.backoffUntilMs) return;
    const waitMs = Math.max(retryAfterMs ?? 0, backoffMs(this.#attempts++, random));
    this.state = "down";
    this.backoffUntilMs = nowMs + Math.min(waitMs, BACKOFF_MS_MAX);
  }

  /** A request of `count` events was rejected as a whole. True: the path is wrong, not an event. */
  rejected(count: number, why: string, nowMs: number, random: Prng): boolean {
    if (count > 1) {
      this.batchMax = count >> 1;
      return false;
    }
    if (++this.#rejectedCount < REJECTED_MAX) return false;
    this.failed(why, nowMs, random);
    return true;
  }

  /** A manager lives. True: it was dead, is another process or relays again, so what it holds is to be compared. */
  beat(epoch: string, canRelay: boolean, nowMs: number): boolean {
    const isOther = this.epoch !== null && this.epoch !== epoch;
    const wasSilent = nowMs - this.beatMs > BEATS_MISSED_MS;
    const isFirst = this.epoch === null;
    this.epoch = epoch;
    this.beatMs = nowMs;
    this.lostWhy = null;
    const relaysAgain = canRelay && this.isSkirted;
    if (canRelay) {
      this.cannotRelayMs = null;
      this.isSkirted = false;
    } else {
      this.cannotRelayMs ??= nowMs;
    }
    // One that beats but did not answer stays down until its back-off has ended, or each event would wait for it again.
    // Another process, or the same one after a silence, is not to answer for what the one before did not deliver.
    if (isOther || wasSilent) this.relayBackoffUntilMs = 0;
    const isBack = this.state === "down" && (isOther || wasSilent || nowMs >= this.backoffUntilMs);
    if (isBack || this.state === "unknown") {
      this.state = "up";
      this.why = "its beats come";
      this.backoffUntilMs = 0;
    }
    return isBack || isOther || relaysAgain || (isFirst && wasSilent);
  }

  /** R2 of something it was given is missing. */
  relayFailed(nowMs: number, random: Prng): void {
    if (nowMs < this.relayBackoffUntilMs) return;
    const waitMs = Math.max(BEATS_MISSED_MS, backoffMs(this.#relayAttempts++ + 3, random));
    this.relayBackoffUntilMs = nowMs + waitMs;
    this.recheckMs ??= nowMs + waitMs;
  }

  /** It still has what it did not deliver. */
  rearm(nowMs: number, random: Prng): void {
    if (this.recheckMs !== null) return;
    this.recheckMs =
      nowMs + Math.max(BEATS_MISSED_MS, backoffMs(this.#relayAttempts++ + 3, random));
  }

  relayed(): void {
    this.#relayAttempts = 0;
    this.relayBackoffUntilMs = 0;
  }

  report(nowMs: number): PathReport {
    const isStuck = this.state !== "down" && this.isStuck(nowMs);
    return {
      path: this.path,
      state: isStuck ? "cannot-relay" : this.state,
      why: isStuck ? this.whyStuck(nowMs) : this.why,
      requestCount: this.requestCount,
      backoffMs: this.state === "down" ? Math.max(0, this.backoffUntilMs - nowMs) : 0,
    };
  }

  whyStuck(nowMs: number): string {
    const cannotMs = this.cannotRelayMs === null ? 0 : nowMs - this.cannotRelayMs;
    if (cannotMs < CANNOT_RELAY_MS) return "what it was given was not delivered in time";
    const seconds = (cannotMs / 1_000).toFixed(1);
    return `it says for ${seconds} s that it cannot reach the destination`;
  }
}

/** What events of one class need of a path. */
export interface Needs {
  /** Keys of those that had it before. */
  readonly avoid: ReadonlySet<string>;
  readonly hasFailedOver: boolean;
  readonly isHeld: boolean;
}

export class PathBook {
  #managers: readonly PathState[] = [];
  #direct: PathState | null = null;
  #peers: readonly PathState[] = [];
  readonly #byKey = new Map<string, PathState>();

  configure(managers: readonly string[], hasDirect: boolean, nowMs: number): void {
    this.#managers = this.#named("manager", managers, nowMs);
    this.#direct = hasDirect ? this.#stateOf({ kind: "direct", name: DIRECT_NAME }, nowMs) : null;
    this.#forgetOthers();
  }

  setPeers(names: readonly string[], nowMs: number): void {
    this.#peers = this.#named("peer", names, nowMs);
    this.#forgetOthers();
  }

  get managers(): readonly PathState[] {
    return this.#managers;
  }

  get direct(): PathState | null {
    return this.#direct;
  }

  all(): readonly PathState[] {
    const direct = this.#direct === null ? [] : [this.#direct];
    return [...this.#managers, ...direct, ...this.#peers];
  }

  get(key: string): PathState | undefined {
    return this.#byKey.get(key);
  }

  manager(name: string): PathState | undefined {
    return this.#byKey.get(keyOf({ kind: "manager", name }));
  }

  /** The first that an event may take now, whether it is busy or not; null: none. */
  choose({ avoid, hasFailedOver, isHeld }: Needs, nowMs: number): PathState | null {
    const isUp = (path: PathState): boolean => path.state !== "down" && !avoid.has(path.key);
    const isTried = (path: PathState): boolean => path.isUsable(nowMs) && !avoid.has(path.key);
    const direct = this.#direct !== null && isUp(this.#direct) ? this.#direct : null;
    if (hasFailedOver && direct !== null) return direct;
    return (
      this.#managers.find((path) => isUp(path) && !path.isStuck(nowMs)) ??
      direct ??
      this.#peers.find(isUp) ??
      (isHeld ? undefined : this.#managers.find(isUp)) ??
      this.#peers.find(isTried) ??
      this.#managers.find(isTried) ??
      null
    );
  }

  /** The next time after now that a path that is down may be tried, or a stuck one counts as sound again. */
  dueMs(nowMs: number, doesAnythingWait: boolean): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { state, backoffUntilMs, relayBackoffUntilMs, path } of this.all()) {
      if (!doesAnythingWait && path.kind !== "direct") continue;
      // What has passed was looked at when it passed.
      if (state === "down" && backoffUntilMs > nowMs) due = Math.min(due, backoffUntilMs);
      if (relayBackoffUntilMs > nowMs) due = Math.min(due, relayBackoffUntilMs);
    }
    return due;
  }

  #named(kind: PathKind, names: readonly string[], nowMs: number): readonly PathState[] {
    return [...new Set(names)].map((name) => this.#stateOf({ kind, name }, nowMs));
  }

  #stateOf(path: Path, nowMs: number): PathState {
    const known = this.#byKey.get(keyOf(path));
    if (known !== undefined) return known;
    const state = new PathState(path, nowMs);
    this.#byKey.set(state.key, state);
    return state;
  }

  /** A peer that leaves the list and comes again keeps what is known of it only while it has a request under way. */
  #forgetOthers(): void {
    const listed = new Set(this.all());
    for (const [key, state] of this.#byKey) {
      if (!listed.has(state) && state.requestCount === 0) this.#byKey.delete(key);
    }
  }
}
