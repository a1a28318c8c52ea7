/**
 * Which events were told already: of the log and of what was pushed, so that each is told once, whatever repeats it.
 *
 * The log is the truth: an entry is new when the log holds more of its kind than it did at the last reading. A pushed event is
 * told at once and then waits for its entry, which is not told again; one that the log told first waits for its push. The two
 * are matched by their key, else by the entry that the push names, else by topic and a time close by, each one once. A
 * pushed event that comes twice (a retry, a service that was restarted) has the same key and is told once.
 * Invariant: `memory` holds all of this, so a watch that is started anew neither repeats nor forgets.
 */
import type { Sha256 } from "../../ipmi/event/event-identity.ts";
import { asObject, at, listAt, numberAt } from "../json.ts";
import type { Draft } from "../redfish-event.ts";

/** By this much the times of an entry and of its pushed twin may differ: they are stamped by two parts of the service. */
const TWIN_MS_MAX = 5_000;
/** For how long a twin may still come: beyond the longest series of retries (15 minutes, `callhome.md` §3.7). */
const TWIN_WAIT_MS = 3_600_000;
/** Of each list; a storm that is longer than this is told from the log in time. */
const LIST_MAX = 1_000;
/** 72 bits: among 100,000 entries two equal by chance are less likely than 1 in 10^11. */
const HASH_BYTES = 9;

interface Waiting {
  readonly hash: string;
  readonly topic: string;
  readonly whenMs: number | null;
  readonly entryPath: string | null;
  readonly sinceMs: number;
}

export interface Fresh {
  readonly draft: Draft;
  readonly nth: number;
}

export interface LogNews {
  /** To be told, oldest first. */
  readonly fresh: readonly Fresh[];
  /** Nothing of what stood in the log is left in it. */
  readonly isCleared: boolean;
}

interface Memory {
  readonly version: 1;
  /** Hash, and `*n` after it where there are n of it. */
  readonly known: readonly string[];
  /** Of pushed events: hash and when it came. */
  readonly pushed: readonly (readonly [hash: string, atMs: number])[];
  readonly waiting: readonly Waiting[];
  readonly unclaimed: readonly Waiting[];
}

function isTwin(a: Waiting, b: Waiting): boolean {
  if (a.entryPath !== null && a.entryPath === b.entryPath) return true;
  if (a.topic !== b.topic) return false;
  return a.whenMs === null || b.whenMs === null || Math.abs(a.whenMs - b.whenMs) <= TWIN_MS_MAX;
}

function distance(a: Waiting, b: Waiting): number {
  if (a.hash === b.hash) return 0;
  if (a.entryPath !== null && a.entryPath === b.entryPath) return 1;
  return 2 + Math.abs((a.whenMs ?? 0) - (b.whenMs ?? 0));
}

/** Takes the nearest twin out of the list; O(list). */
function claim(list: Waiting[], wanted: Waiting, isExact: boolean): boolean {
  let best = -1;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const [index, one] of list.entries()) {
    const isFit = one.hash === wanted.hash || (!isExact && isTwin(one, wanted));
    const far = isFit ? distance(one, wanted) : Number.POSITIVE_INFINITY;
    if (far < bestDistance) [best, bestDistance] = [index, far];
  }
  if (best >= 0) list.splice(best, 1);
  return best >= 0;
}

function keep(list: Waiting[], nowMs: number): void {
  while (list.length > LIST_MAX || (list[0]?.sinceMs ?? nowMs) < nowMs - TWIN_WAIT_MS) list.shift();
}

export class Seen {
  readonly #sha256: Sha256;
  #known: Map<string, number> = new Map<string, number>();
  readonly #pushed: Map<string, number> = new Map<string, number>();
  readonly #waiting: Waiting[] = [];
  readonly #unclaimed: Waiting[] = [];
  /** Whether there is a reading, or a memory, that new entries can be told from. */
  #isPrimed = false;

  /** What cannot be read of `memory` is as if it had never been: its events are then old, see `WatchOptions`. */
  constructor(sha256: Sha256, memory: unknown) {
    this.#sha256 = sha256;
    if (numberAt(memory, "version") !== 1 || !Array.isArray(at(memory, "known"))) return;
    this.#isPrimed = true;
    for (const one of listAt(memory, "known")) {
      const [hash, count] = typeof one === "string" ? one.split("*") : [];
      if (hash !== undefined) this.#known.set(hash, Math.max(1, Number(count ?? 1) || 1));
    }
    for (const one of listAt(memory, "pushed")) {
      const [hash, atMs] = Array.isArray(one) ? one : [];
      if (typeof hash === "string" && typeof atMs === "number") this.#pushed.set(hash, atMs);
    }
    this.#waiting.push(...listAt(memory, "waiting").flatMap(readWaiting));
    this.#unclaimed.push(...listAt(memory, "unclaimed").flatMap(readWaiting));
  }

  get isPrimed(): boolean {
    return this.#isPrimed;
  }

  /** Told from the log before `beforeMs` and never pushed since: what a subscription that works would have brought. */
  missed(sinceMs: number, beforeMs: number): number {
    return this.#unclaimed.filter((one) => one.sinceMs >= sinceMs && one.sinceMs < beforeMs).length;
  }

  /** null: it was told already. */
  onPushed(draft: Draft, nowMs: number): Fresh | null {
    const wanted = this.#waitingOf(draft, nowMs);
    const isRepeated = this.#pushed.has(wanted.hash);
    this.#notePushed(wanted.hash, nowMs);
    if (isRepeated) {
      claim(this.#unclaimed, wanted, true);
      return null;
    }
    if (claim(this.#unclaimed, wanted, false) || this.#known.has(wanted.hash)) return null;
    this.#waiting.push(wanted);
    keep(this.#waiting, nowMs);
    return { draft, nth: 0 };
  }

  /** `isWhole` false: what is not among the drafts may still be in the log. `tellsAll`: at the first reading, too. */
  onLog(drafts: readonly Draft[], isWhole: boolean, tellsAll: boolean, nowMs: number): LogNews {
    const counts = new Map<string, number>();
    const candidates: (Fresh & { readonly wanted: Waiting })[] = [];
    let isAnyKnown = false;
    for (const draft of drafts) {
      const wanted = this.#waitingOf(draft, nowMs);
      const nth = counts.get(wanted.hash) ?? 0;
      counts.set(wanted.hash, nth + 1);
      if (nth < (this.#known.get(wanted.hash) ?? 0)) isAnyKnown = true;
      else candidates.push({ draft, nth, wanted });
    }
    const isCleared = isWhole && this.#known.size > 0 && !isAnyKnown;
    const tells = this.#isPrimed || tellsAll;
    this.#isPrimed = true;
    if (!isWhole) {
      for (const [hash, count] of this.#known) {
        counts.set(hash, Math.max(count, counts.get(hash) ?? 0));
      }
    }
    this.#known = counts;
    return { fresh: tells ? this.#unpushed(candidates, nowMs) : [], isCleared };
  }

  /** Exact matches first: else one of two alike could be taken for the other, and that one be told twice. */
  #unpushed(
    candidates: readonly (Fresh & { readonly wanted: Waiting })[],
    nowMs: number,
  ): readonly Fresh[] {
    const left = candidates.filter(({ wanted }) => !claim(this.#waiting, wanted, true));
    const fresh = left.filter(({ wanted }) => !claim(this.#waiting, wanted, false));
    this.#unclaimed.push(...fresh.map(({ wanted }) => wanted));
    keep(this.#unclaimed, nowMs);
    keep(this.#waiting, nowMs);
    return fresh.map(({ draft, nth }) => ({ draft, nth }));
  }

  /** Plain JSON. O(known). */
  memory(): Memory {
    return {
      version: 1,
      known: [...this.#known].map(([hash, count]) => (count === 1 ? hash : `${hash}*${count}`)),
      pushed: [...this.#pushed],
      waiting: [...this.#waiting],
      unclaimed: [...this.#unclaimed],
    };
  }

  #notePushed(hash: string, nowMs: number): void {
    this.#pushed.delete(hash);
    this.#pushed.set(hash, nowMs);
    const oldest = this.#pushed.keys().next();
    if (this.#pushed.size > LIST_MAX && oldest.done !== true) this.#pushed.delete(oldest.value);
  }

  #waitingOf(draft: Draft, nowMs: number): Waiting {
    const { topic, whenMs, entryPath } = draft;
    return {
      hash: this.#hash(draft.key),
      topic: this.#hash(topic),
      whenMs,
      entryPath,
      sinceMs: nowMs,
    };
  }

  #hash(text: string): string {
    return this.#sha256(new TextEncoder().encode(text)).slice(0, HASH_BYTES).toBase64();
  }
}

function readWaiting(value: unknown): readonly Waiting[] {
  const { hash, topic, whenMs, entryPath, sinceMs } = asObject(value);
  if (typeof hash !== "string" || typeof topic !== "string" || typeof sinceMs !== "number")
    return [];
  return [
    {
      hash,
      topic,
      whenMs: typeof whenMs === "number" ? whenMs : null,
      entryPath: typeof entryPath === "string" ? entryPath : null,
      sinceMs,
    },
  ];
}
