/**
 * The watch in virtual time: a model log, a link that breaks and comes back, pushes that come early, late, or never. Each event
 * must be told once, in time, under the id that the log gives it.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { WatchNotice } from "../../bmc.ts";
import { bmcError } from "../../bmc-error.ts";
import { pollSel } from "./sel-poll.ts";
import { contentOf } from "./sel-tracker.ts";
import { ModelLog, readChain, runOn } from "./test-model-log.ts";
import {
  type MachineEffect,
  type MachineEvent,
  type MachineOptions,
  type ToldRecord,
  WatchMachine,
} from "./watch-machine.ts";

const GUID = "00112233445566778899aabbccddeeff";
const POLL_MS = 1000;
const BROKEN = bmcError("timeout", "no answer");

interface Told extends ToldRecord {
  readonly atMs: number;
}

/** Everything around the machine. Time goes on only by `run`. */
class World {
  readonly log: ModelLog;
  machine: WatchMachine;
  nowMs = 0;
  isUp = true;
  pushes = false;
  /** A look takes this long. */
  lookMs = 5;
  system = GUID;
  memory: unknown;
  opens = 0;
  looks = 0;
  readonly told: Told[] = [];
  readonly notices: WatchNotice[] = [];
  #later: { readonly atMs: number; readonly event: () => MachineEvent | null }[] = [];

  constructor(log: ModelLog = new ModelLog(), options: Partial<MachineOptions> = {}) {
    this.log = log;
    this.memory = options.memory ?? null;
    this.machine = this.#newMachine(options);
  }

  #newMachine(options: Partial<MachineOptions>): WatchMachine {
    return new WatchMachine({ pollMs: POLL_MS, tellsOld: false, memory: this.memory, ...options });
  }

  start(): this {
    this.happen({ kind: "start" });
    this.run(50);
    return this;
  }

  /** The process ends and begins anew with what was remembered. */
  restart(): void {
    this.#later = [];
    this.memory = JSON.parse(JSON.stringify(this.memory));
    this.machine = this.#newMachine({});
    this.happen({ kind: "start" });
  }

  happen(event: MachineEvent): void {
    for (const effect of this.machine.step(event, this.nowMs)) this.#carryOut(effect);
  }

  push(bytes: Uint8Array, afterMs = 0): void {
    const record = bytes.slice();
    this.#later.push({ atMs: this.nowMs + afterMs, event: () => ({ kind: "pushed", record }) });
  }

  run(ms: number): void {
    const endMs = this.nowMs + ms;
    for (let steps = 0; ; steps++) {
      if (steps > 10_000) throw new Error("the machine wants to be woken without end");
      const next = this.#next();
      if (next > endMs) break;
      this.nowMs = Math.max(this.nowMs, next);
      const index = this.#later.findIndex(({ atMs }) => atMs <= this.nowMs);
      const due = index < 0 ? undefined : this.#later.splice(index, 1)[0];
      const event = due === undefined ? ({ kind: "tick" } as const) : due.event();
      if (event !== null) this.happen(event);
    }
    this.nowMs = endMs;
  }

  #next(): number {
    const due = this.machine.dueMs();
    return Math.min(due ?? Number.POSITIVE_INFINITY, ...this.#later.map(({ atMs }) => atMs));
  }

  #soon(ms: number, event: () => MachineEvent): void {
    this.#later.push({ atMs: this.nowMs + ms, event });
    this.#later.sort((a, b) => a.atMs - b.atMs);
  }

  #carryOut(effect: MachineEffect): void {
    switch (effect.kind) {
      case "open":
        this.opens++;
        this.#soon(10, () =>
          this.isUp
            ? { kind: "opened", system: this.system, pushes: this.pushes }
            : { kind: "lost", error: BROKEN },
        );
        break;
      case "close":
        break;
      case "look":
        this.looks++;
        this.#soon(this.lookMs, () => {
          if (!this.isUp) return { kind: "look-failed", error: BROKEN };
          const look = runOn(this.log, pollSel(effect.tracker, readChain));
          return look.ok
            ? { kind: "looked", look: look.value }
            : { kind: "look-failed", error: look.error };
        });
        break;
      case "tell":
        this.told.push({ ...effect.record, atMs: this.nowMs });
        break;
      case "remember":
        this.memory = this.machine.memory();
        break;
      case "notice":
        this.notices.push(effect.notice);
        break;
    }
  }

  add(sensor: number): Uint8Array {
    this.log.clock++;
    const entry = this.log.add(sensor);
    if (entry === null) throw new Error("the log is full");
    return entry.bytes;
  }

  sensors(): readonly number[] {
    return this.told.map(({ bytes }) => bytes[11] ?? 0);
  }

  kinds(): readonly string[] {
    return this.notices.map(({ kind }) => kind);
  }
}

describe("a polled log", () => {
  test("tells only what comes, within a poll", () => {
    const world = new World();
    world.add(1);
    world.start();
    expect(world.told).toEqual([]);
    expect(world.kinds()).toEqual(["polling"]);
    world.add(2);
    world.run(POLL_MS + 20);
    expect(world.sensors()).toEqual([2]);
    expect(world.told[0]?.way).toBe("sel");
  });

  test("tells what stands in it where that is asked for", () => {
    const log = new ModelLog();
    log.add(1);
    log.add(2);
    const world = new World(log, { tellsOld: true }).start();
    expect(world.sensors()).toEqual([1, 2]);
    world.restart();
    world.run(5000);
    expect(world.sensors()).toEqual([1, 2]);
  });

  test("says that it was cleared, overflowed, and is nearly full", () => {
    const world = new World(new ModelLog({ capacity: 10 })).start();
    for (let sensor = 1; sensor <= 8; sensor++) world.add(sensor);
    world.run(1100);
    expect(world.kinds()).toEqual(["polling", "nearly-full"]);
    world.add(9);
    world.add(10);
    world.log.add(11);
    world.run(1100);
    expect(world.kinds()).toEqual(["polling", "nearly-full", "overflowed"]);
    world.log.clock++;
    world.log.clear();
    world.add(12);
    world.run(1100);
    expect(world.kinds().slice(3)).toEqual(["cleared"]);
    expect(world.sensors()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]);
  });
});

describe("a lost BMC", () => {
  test("is opened again, slower and slower, and what it logged meanwhile is told", () => {
    const world = new World().start();
    world.isUp = false;
    world.run(120_000);
    expect(world.kinds()).toEqual(["polling", "lost"]);
    // 250 ms, 500 ms, … 30 s: about ten in two minutes, not hundreds.
    expect(world.opens).toBeLessThan(14);
    world.add(7);
    world.isUp = true;
    world.run(31_000);
    expect(world.kinds()).toEqual(["polling", "lost", "back"]);
    expect(world.sensors()).toEqual([7]);
  });

  test("that comes back at once is open again within a second", () => {
    const world = new World().start();
    world.isUp = false;
    world.run(POLL_MS);
    world.isUp = true;
    world.add(7);
    world.run(1000);
    expect(world.sensors()).toEqual([7]);
  });

  test("of which another stands in its place is looked at anew", () => {
    const world = new World();
    world.add(1);
    world.start();
    world.isUp = false;
    world.run(POLL_MS + 100);
    world.log.clear();
    world.add(2);
    world.system = "ff".repeat(16);
    world.isUp = true;
    world.run(5000);
    expect(world.told).toEqual([]);
    world.add(3);
    world.run(POLL_MS + 100);
    expect(world.sensors()).toEqual([3]);
  });

  test("looks that fail for another reason are repeated, and only many of them lose it", () => {
    const world = new World().start();
    const busy = bmcError("busy", "erasing");
    for (let count = 0; count < 4; count++) world.happen({ kind: "look-failed", error: busy });
    expect(world.kinds()).toEqual(["polling"]);
    world.happen({ kind: "look-failed", error: busy });
    expect(world.kinds()).toEqual(["polling", "lost"]);
  });
});

describe("a pushed event", () => {
  function pushing(): World {
    const world = new World();
    world.pushes = true;
    return world.start();
  }

  test("is told at once, as the log has it", () => {
    const world = pushing();
    expect(world.kinds()).toEqual(["pushed"]);
    const atMs = world.nowMs;
    world.push(world.add(2));
    world.run(100);
    expect(world.told).toMatchObject([{ way: "kcs", epoch: 0, nth: 0 }]);
    expect((world.told[0]?.atMs ?? 0) - atMs).toBeLessThanOrEqual(20);
    world.run(5000);
    expect(world.told).toHaveLength(1);
  });

  test("that the log shows late is told in time, and only once", () => {
    const world = pushing();
    world.log.clock++;
    const early = new ModelLog();
    early.clock = world.log.clock;
    const bytes = early.add(3)?.bytes ?? new Uint8Array(16);
    const atMs = world.nowMs;
    world.push(bytes);
    world.run(90);
    expect(world.told).toHaveLength(1);
    expect((world.told[0]?.atMs ?? 0) - atMs).toBeLessThanOrEqual(100);
    world.log.add(3);
    world.run(5000);
    expect(world.told).toHaveLength(1);
  });

  test("that comes after its poll, or without a time, is not told again", () => {
    const world = pushing();
    const bytes = world.add(2);
    world.run(POLL_MS + 20);
    expect(world.sensors()).toEqual([2]);
    const untimed = bytes.slice();
    untimed.set([0xff, 0xff, 0xff, 0xff], 3);
    world.push(untimed);
    world.run(5000);
    expect(world.sensors()).toEqual([2]);
  });

  test("is told while the BMC does not answer", () => {
    const world = pushing();
    const bytes = world.add(2);
    world.isUp = false;
    world.push(bytes);
    world.run(100);
    expect(world.sensors()).toEqual([2]);
    world.isUp = true;
    world.run(20_000);
    expect(world.sensors()).toEqual([2]);
  });

  test("during the first look is no old event", () => {
    const world = new World();
    world.pushes = true;
    world.add(1);
    world.lookMs = 30;
    world.happen({ kind: "start" });
    world.run(15);
    world.push(world.add(2));
    world.run(200);
    expect(world.sensors()).toEqual([2]);
  });
});

type Happening =
  | { readonly kind: "add"; readonly sensor: number; readonly push: number }
  | { readonly kind: "run"; readonly ms: number }
  | { readonly kind: "clear" | "restart" | "down" | "up" };

test("whatever happens, each event that stays in the log is told once under one id", () => {
  const happening: fc.Arbitrary<Happening> = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant("add" as const),
        sensor: fc.integer({ min: 1, max: 4 }),
        // Negative: it is not pushed.
        push: fc.integer({ min: -50, max: 150 }),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("run" as const),
        ms: fc.integer({ min: 1, max: 2500 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constantFrom("clear" as const, "restart" as const, "down" as const, "up" as const),
      }),
    },
  );
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 40 }), fc.boolean(), (happenings, pushes) => {
      const world = new World();
      world.pushes = pushes;
      world.start();
      let kept: string[] = [];
      const added = new Set<string>();
      for (const one of happenings) {
        switch (one.kind) {
          case "add": {
            const bytes = world.add(one.sensor);
            kept.push(contentOf(bytes));
            added.add(contentOf(bytes));
            if (pushes && one.push >= 0) world.push(bytes, one.push);
            break;
          }
          case "run":
            world.run(one.ms);
            break;
          case "clear":
            world.log.clock++;
            world.log.clear();
            kept = [];
            break;
          case "restart":
            // Only at rest: what was told and not yet remembered is told again, under the same id.
            world.isUp = true;
            world.run(40_000);
            world.restart();
            break;
          case "down":
          case "up":
            world.isUp = one.kind === "up";
            break;
        }
      }
      world.isUp = true;
      world.run(40_000);
      const told = world.told.map(({ bytes }) => contentOf(bytes));
      expect(new Set(told).size).toBe(told.length);
      for (const content of told) expect(added.has(content)).toBe(true);
      for (const content of kept) expect(told).toContain(content);
    }),
    { numRuns: 300 },
  );
});
