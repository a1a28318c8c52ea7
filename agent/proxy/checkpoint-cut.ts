/**
 * The coordinated checkpoint: which call of checkpoint() takes one, and when are a rank's channels drained?
 *
 * Every rank calls checkpoint() equally often. When one is due, rank 0's proxy asks all (`prepare`); each answers how many
 * calls its rank has begun and lets no further call return; the cut is the call after the highest answer (`decide`). So a
 * call costs nothing while none is due. In the cut's call every rank sends a marker behind all it sent before; when the
 * markers of all others have come, what lies unreceived is exactly what was under way across the cut, and the rank is `drained`.
 *
 * Decides; does not send, copy or save. Invariant: cuts of a rank are numbered 1, 2, … without a gap under one epoch.
 */
import type { CutNote } from "./communication-library.ts";

export type CutEffect =
  | { readonly kind: "note"; readonly note: CutNote }
  /** checkpoint() returns at once: nothing was due. */
  | { readonly kind: "pass"; readonly rank: number; readonly failure: string | null }
  /** Save the messages before `cut`, then have the regions copied. */
  | {
      readonly kind: "drained";
      readonly rank: number;
      readonly cut: number;
      readonly version: number;
    };

export interface CutPlan {
  readonly size: number;
  readonly localRanks: readonly number[];
  /** null: every call takes one. */
  readonly everyMs: number | null;
  readonly nextVersion: number;
}

interface Decision {
  readonly cut: number;
  /** The how-manieth call. */
  readonly call: number;
  readonly version: number;
}

interface RankState {
  readonly rank: number;
  calls: number;
  /** In a call that waits to hear whether it is the cut. */
  isUndecided: boolean;
  isFrozen: boolean;
  /** The cut to come. May be decided while this rank is still in the one before. */
  next: Decision | null;
  /** The cut this rank is in: waiting for markers, or for the copy. */
  current: Decision | null;
  /** Ranks whose marker of the current cut is missing; null once drained. */
  missing: Set<number> | null;
  /** Markers that came before this rank reached the call, by cut. */
  readonly early: Map<number, Set<number>>;
}

const COORDINATOR = 0;
/** `value` of a marker: this rank has ended and makes no further call. */
const ENDED = 1;

export class CheckpointCuts {
  readonly #plan: CutPlan;
  readonly #ranks = new Map<number, RankState>();
  readonly #ended = new Set<number>();
  #nextVersion: number;
  #cutCount = 0;
  #round = 0;
  /** Answers of the open round; null while none is open. */
  #counts: Map<number, number> | null = null;
  #lastMs: number;
  /** A cut was decided and rank 0 has not finished it. */
  #isBusy = false;

  constructor(plan: CutPlan, nowMs: number) {
    this.#plan = plan;
    this.#nextVersion = plan.nextVersion;
    this.#lastMs = nowMs;
    for (const rank of plan.localRanks) {
      const isEveryCall = plan.everyMs === null;
      this.#ranks.set(rank, {
        rank,
        calls: 0,
        isUndecided: false,
        isFrozen: false,
        next: isEveryCall ? { cut: 1, call: 1, version: plan.nextVersion } : null,
        current: null,
        missing: null,
        early: new Map(),
      });
    }
  }

  /** When `tick` has something to do; null: not before something else happens. */
  get dueAtMs(): number | null {
    const { everyMs } = this.#plan;
    const isCoordinator = this.#ranks.has(COORDINATOR);
    if (everyMs === null || !isCoordinator || this.#isBusy || this.#counts !== null) return null;
    return this.#lastMs + everyMs;
  }

  tick(nowMs: number): readonly CutEffect[] {
    const due = this.dueAtMs;
    if (due === null || nowMs < due) return [];
    this.#lastMs = nowMs;
    this.#round++;
    this.#counts = new Map();
    return this.#toAll("prepare", this.#round, 0, 0);
  }

  onCall(rank: number): readonly CutEffect[] {
    const state = this.#ranks.get(rank);
    if (state === undefined) return [];
    state.calls++;
    if (state.next?.call === state.calls) return this.#begin(state, state.next);
    if (!state.isFrozen) return [{ kind: "pass", rank, failure: null }];
    state.isUndecided = true;
    return [];
  }

  onNote(note: CutNote): readonly CutEffect[] {
    const state = this.#ranks.get(note.destination);
    if (state === undefined) return [];
    switch (note.kind) {
      case "prepare":
        state.isFrozen = true;
        return [
          this.#note(state.rank, COORDINATOR, { kind: "count", id: note.id, value: state.calls }),
        ];
      case "count":
        return this.#onCount(note);
      case "decide":
        return this.#onDecision(state, { cut: note.id, call: note.value, version: note.version });
      case "marker":
        return this.#onMarker(state, note);
    }
  }

  /** The copy is safe (or failed): the call returns, and that is the caller's to do. */
  onCaptured(rank: number): void {
    const state = this.#ranks.get(rank);
    if (state === undefined || state.current === null) return;
    const { cut, version } = state.current;
    state.current = null;
    state.missing = null;
    state.early.delete(cut);
    if (this.#plan.everyMs === null) {
      state.next = { cut: cut + 1, call: state.calls + 1, version: version + 1 };
    }
    if (rank === COORDINATOR) this.#isBusy = false;
  }

  /** The rank's body has returned: it will call no more. */
  onEnd(rank: number): readonly CutEffect[] {
    return this.#others(rank).map((to) =>
      this.#note(rank, to, { kind: "marker", id: 0, value: ENDED }),
    );
  }

  #onCount(note: CutNote): readonly CutEffect[] {
    if (this.#counts === null || note.id !== this.#round) return [];
    this.#counts.set(note.source, note.value);
    if (this.#counts.size < this.#plan.size) return [];
    const call = Math.max(...this.#counts.values()) + 1;
    this.#counts = null;
    this.#isBusy = true;
    this.#cutCount++;
    return this.#toAll("decide", this.#cutCount, call, this.#nextVersion++);
  }

  #onDecision(state: RankState, decision: Decision): readonly CutEffect[] {
    state.isFrozen = false;
    state.next = decision;
    if (!state.isUndecided) return [];
    state.isUndecided = false;
    if (state.calls === decision.call) return this.#begin(state, decision);
    return [{ kind: "pass", rank: state.rank, failure: null }];
  }

  #begin(state: RankState, decision: Decision): readonly CutEffect[] {
    state.next = null;
    state.current = decision;
    const others = this.#others(state.rank);
    const early = state.early.get(decision.cut);
    state.missing = new Set(others.filter((rank) => !early?.has(rank)));
    const markers = others.map((to) =>
      this.#note(state.rank, to, { kind: "marker", id: decision.cut, value: 0 }),
    );
    return [...markers, ...this.#drained(state)];
  }

  #onMarker(state: RankState, note: CutNote): readonly CutEffect[] {
    if (note.value === ENDED) {
      this.#ended.add(note.source);
      return this.#drained(state);
    }
    if (state.missing !== null && state.current?.cut === note.id) {
      state.missing.delete(note.source);
      return this.#drained(state);
    }
    const early = state.early.get(note.id) ?? new Set();
    state.early.set(note.id, early.add(note.source));
    return [];
  }

  /** What follows once the last marker is there, or can never come. */
  #drained(state: RankState): readonly CutEffect[] {
    const { missing, current, rank } = state;
    if (missing === null || current === null) return [];
    if (missing.size === 0) {
      state.missing = null;
      return [{ kind: "drained", rank, cut: current.cut, version: current.version }];
    }
    const gone = [...missing].find((other) => this.#ended.has(other));
    if (gone === undefined) return [];
    this.onCaptured(rank);
    return [{ kind: "pass", rank, failure: `rank ${gone} has ended and takes no checkpoint` }];
  }

  #others(rank: number): readonly number[] {
    return Array.from({ length: this.#plan.size }, (_, other) => other).filter((r) => r !== rank);
  }

  #toAll(kind: CutNote["kind"], id: number, value: number, version: number): readonly CutEffect[] {
    return Array.from({ length: this.#plan.size }, (_, to) =>
      this.#note(COORDINATOR, to, { kind, id, value, version }),
    );
  }

  #note(
    source: number,
    destination: number,
    what: Pick<CutNote, "kind" | "id" | "value"> & Partial<Pick<CutNote, "version">>,
  ): CutEffect {
    return { kind: "note", note: { source, destination, version: 0, ...what } };
  }
}
