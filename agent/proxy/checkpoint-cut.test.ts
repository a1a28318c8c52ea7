/**
 * Goal: every rank takes the same checkpoints at the same calls, however notes and calls interleave, and is drained only after all
 * markers. Method: ranks spread over proxies, notes delivered in an order drawn by a seed (in order within a pair).
 */
import { describe, expect, test } from "bun:test";
import { prng } from "../runtime/prng.ts";
import { CheckpointCuts, type CutEffect } from "./checkpoint-cut.ts";
import type { CutNote } from "./communication-library.ts";

interface Taken {
  readonly call: number;
  readonly cut: number;
  readonly version: number;
}

class World {
  readonly taken: Taken[][];
  readonly failures: string[] = [];
  readonly #cuts: CheckpointCuts[];
  readonly #owner: number[];
  readonly #queues = new Map<string, CutNote[]>();
  readonly #random;
  readonly #calls: number[];
  readonly #isWaiting: boolean[];
  /** Ranks told to be drained whose copy is not done. */
  readonly #copying = new Set<number>();
  #nowMs = 0;

  constructor(ranksOfProxies: readonly number[], everyMs: number | null, seed: number) {
    this.#random = prng(seed);
    this.#owner = ranksOfProxies.flatMap((count, i) => new Array<number>(count).fill(i));
    const size = this.#owner.length;
    this.taken = Array.from({ length: size }, () => []);
    this.#calls = new Array<number>(size).fill(0);
    this.#isWaiting = new Array<boolean>(size).fill(false);
    this.#cuts = ranksOfProxies.map((_, proxy) => {
      const localRanks = this.#owner.flatMap((of, rank) => (of === proxy ? [rank] : []));
      return new CheckpointCuts({ size, localRanks, everyMs, nextVersion: 10 }, 0);
    });
  }

  /** Random steps until every rank has made `calls` calls and nothing is under way. */
  run(calls: number): void {
    for (let step = 0; step < 100_000; step++) {
      this.#nowMs++;
      for (const cuts of this.#cuts) this.#apply(cuts.tick(this.#nowMs));
      const moves = this.#moves(calls);
      const move = moves[this.#random.below(Math.max(1, moves.length))];
      if (move === undefined) break;
      move();
    }
    expect(this.#calls).toEqual(this.#calls.map(() => calls));
    expect(this.#isWaiting).not.toContain(true);
  }

  #moves(calls: number): (() => void)[] {
    const moves: (() => void)[] = [];
    for (const queue of this.#queues.values()) {
      if (queue.length === 0) continue;
      moves.push(() => {
        const note = queue.shift() as CutNote;
        this.#apply(this.#of(note.destination).onNote(note));
      });
    }
    for (const rank of this.#calls.keys()) {
      if (this.#isWaiting[rank] || (this.#calls[rank] as number) >= calls) continue;
      moves.push(() => {
        this.#calls[rank] = (this.#calls[rank] as number) + 1;
        this.#isWaiting[rank] = true;
        this.#apply(this.#of(rank).onCall(rank));
      });
    }
    for (const rank of this.#copying) {
      moves.push(() => {
        this.#copying.delete(rank);
        this.#of(rank).onCaptured(rank);
        this.#isWaiting[rank] = false;
      });
    }
    return moves;
  }

  #of(rank: number): CheckpointCuts {
    return this.#cuts[this.#owner[rank] as number] as CheckpointCuts;
  }

  #apply(effects: readonly CutEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "note") {
        const key = `${effect.note.source}>${effect.note.destination}`;
        const queue = this.#queues.get(key) ?? [];
        queue.push(effect.note);
        this.#queues.set(key, queue);
      } else if (effect.kind === "pass") {
        this.#isWaiting[effect.rank] = false;
      } else {
        const { rank, cut, version } = effect;
        this.taken[rank]?.push({ call: this.#calls[rank] as number, cut, version });
        this.#copying.add(rank);
      }
    }
  }
}

describe("coordinated checkpoints", () => {
  test("come at the same calls on every rank, under any order", () => {
    for (let seed = 1; seed <= 60; seed++) {
      const world = new World(seed % 2 === 0 ? [1, 1, 1] : [2, 1, 2], 30, seed);
      world.run(60);
      const [first] = world.taken;
      expect(first?.length).toBeGreaterThan(0);
      for (const taken of world.taken) expect(taken).toEqual(first as Taken[]);
      const cuts = first?.map(({ cut }) => cut);
      expect(cuts).toEqual(cuts?.map((_, i) => i + 1));
    }
  });

  test("come at every call when no interval is given", () => {
    const world = new World([1, 2], null, 3);
    world.run(5);
    const wanted = [1, 2, 3, 4, 5].map((n) => ({ call: n, cut: n, version: 9 + n }));
    for (const taken of world.taken) expect(taken).toEqual(wanted);
  });

  test("of one rank need nobody", () => {
    const world = new World([1], 10, 4);
    world.run(50);
    expect(world.taken[0]?.length).toBeGreaterThan(0);
  });

  test("a rank is not drained while a marker is missing", () => {
    const plan = { size: 3, localRanks: [0], everyMs: null, nextVersion: 1 };
    const cuts = new CheckpointCuts(plan, 0);
    expect(cuts.onCall(0).map(({ kind }) => kind)).toEqual(["note", "note"]);
    const marker = { kind: "marker", destination: 0, id: 1, value: 0, version: 0 } as const;
    expect(cuts.onNote({ ...marker, source: 1 })).toEqual([]);
    expect(cuts.onNote({ ...marker, source: 2 }).map(({ kind }) => kind)).toEqual(["drained"]);
  });

  test("a rank that has ended does not keep the others waiting", () => {
    const plan = { size: 2, localRanks: [0], everyMs: null, nextVersion: 1 };
    const cuts = new CheckpointCuts(plan, 0);
    cuts.onCall(0);
    const end = { kind: "marker", source: 1, destination: 0, id: 0, value: 1, version: 0 } as const;
    expect(cuts.onNote(end)).toEqual([
      { kind: "pass", rank: 0, failure: "rank 1 has ended and takes no checkpoint" },
    ]);
  });
});
