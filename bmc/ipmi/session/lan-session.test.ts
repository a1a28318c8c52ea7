/**
 * The client's session against the emulated BMC, in virtual time: every fault of session set-up that was seen in the field, sessions
 * that are lost, BMCs that fall silent, and a network that loses, repeats, delays and reorders.
 *
 * Both sides are the real machines; only the network and the clock between them are the test's.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Result } from "../../../core/result.ts";
import type { BmcError } from "../../bmc-error.ts";
import type { BmcConfig } from "../../emulator/config.ts";
import { bmcConfig } from "../../emulator/default-bmc.ts";
import type { FaultName } from "../../emulator/faults.ts";
import { EmulatorMachine } from "../../emulator/machine.ts";
import type { IpmiReply, IpmiRequest } from "../ipmi.ts";
import { CIPHER_SUITE_3, CIPHER_SUITE_17, CIPHER_SUITES } from "../rmcp/cipher-suite.ts";
import { countingCrypto } from "../test-vectors.ts";
import type { HandshakeOptions } from "./handshake.ts";
import { type LanEffect, type LanEvent, LanSession } from "./lan-session.ts";

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const OPTIONS: HandshakeOptions = {
  name: "lan://bmc",
  user: text("admin"),
  password: text("emulated"),
  kg: null,
  suites: CIPHER_SUITES,
  privilege: 4,
};
const PEER = { address: "10.0.0.1", port: 40_000 };
const DEVICE_ID: IpmiRequest = { netFn: 6, lun: 0, command: 1, data: new Uint8Array(0) };
const POWER_RESET: IpmiRequest = { netFn: 0, lun: 0, command: 2, data: Uint8Array.of(3) };

/** Get SEL Entry: what comes back holds the id that was asked for. */
function read(id: number): IpmiRequest {
  return {
    netFn: 0x0a,
    lun: 0,
    command: 0x43,
    data: Uint8Array.of(0, 0, id & 0xff, id >> 8, 0, 0xff),
  };
}

/** Delays of the copies that arrive; none: it is lost. */
type Fate = (index: number, way: "to-bmc" | "to-us") => readonly number[];

interface WorldOptions {
  readonly session?: Partial<HandshakeOptions>;
  readonly bmc?: Partial<BmcConfig>;
  readonly selFill?: number;
  readonly fate?: Fate;
}

class World {
  nowMs = 1_700_000_000_000;
  readonly startMs: number = this.nowMs;
  readonly bmc: EmulatorMachine;
  readonly session: LanSession;
  readonly results = new Map<number, Result<IpmiReply, BmcError>>();
  doneCount = 0;
  sent = 0;
  isClosed = false;
  readonly #fate: Fate;
  #index = 0;
  #arrivals: { atMs: number; way: "to-bmc" | "to-us"; bytes: Uint8Array }[] = [];

  constructor(options: WorldOptions = {}) {
    const config = {
      bmc: bmcConfig(options.bmc ?? {}),
      serial: null,
      seed: 1,
      selFill: options.selFill ?? 0,
      faults: [],
    };
    this.bmc = new EmulatorMachine(config, countingCrypto(), this.nowMs);
    this.session = new LanSession(countingCrypto(), { ...OPTIONS, ...options.session });
    this.#fate = options.fate ?? (() => [1]);
  }

  fault(name: FaultName, value: number | null = null): void {
    this.bmc.model.setFault(name, value);
  }

  step(event: LanEvent): void {
    for (const effect of this.session.step(event, this.nowMs)) this.#carryOut(effect);
  }

  ask(id: number, request: IpmiRequest): void {
    this.step({ kind: "ask", id, request });
  }

  /** Until nothing is under way and nothing waits for an answer. */
  settle(limitMs = 600_000): void {
    const endMs = this.nowMs + limitMs;
    for (let turn = 0; turn < 400_000; turn++) {
      const isBusy = this.session.phase !== "active" && this.session.phase !== "idle";
      const isWaiting = this.results.size < this.#askedCount || (isBusy && !this.isClosed);
      if (!isWaiting && this.#arrivals.length === 0) return;
      if (!this.#turn(endMs)) return;
    }
    throw new Error("it does not end");
  }

  /** Lets time pass, whatever happens in it. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.#turn(endMs));
    this.nowMs = endMs;
  }

  only(): Result<IpmiReply, BmcError> {
    const [result] = this.results.values();
    if (result === undefined) throw new Error("nothing is done");
    return result;
  }

  get askedOfBmc(): readonly string[] {
    return this.bmc.requests().map(({ netFn, command }) => `${netFn}/${command}`);
  }

  #askedCount = 0;

  #turn(endMs: number): boolean {
    this.#arrivals.sort((a, b) => a.atMs - b.atMs);
    const [first] = this.#arrivals;
    const arrivalMs = first?.atMs ?? Number.POSITIVE_INFINITY;
    const wakeMs = this.session.wakeMs ?? Number.POSITIVE_INFINITY;
    const nextMs = Math.min(arrivalMs, wakeMs);
    if (nextMs > endMs) return false;
    this.nowMs = Math.max(this.nowMs, nextMs);
    if (first === undefined || wakeMs < arrivalMs) {
      this.step({ kind: "tick" });
      return true;
    }
    this.#arrivals.shift();
    if (first.way === "to-us") {
      this.step({ kind: "datagram", bytes: first.bytes });
      return true;
    }
    const effects = this.bmc.step({ kind: "datagram", bytes: first.bytes, peer: PEER }, this.nowMs);
    for (const effect of effects) {
      if (effect.kind === "datagram") this.#post("to-us", effect.bytes, effect.delayMs);
    }
    return true;
  }

  #carryOut(effect: LanEffect): void {
    if (effect.kind === "closed") this.isClosed = true;
    else if (effect.kind === "datagram") {
      this.sent++;
      this.#post("to-bmc", effect.bytes, 0);
    } else {
      this.doneCount++;
      this.results.set(effect.id, effect.result);
    }
  }

  #post(way: "to-bmc" | "to-us", bytes: Uint8Array, delayMs: number): void {
    for (const ms of this.#fate(this.#index++, way)) {
      this.#arrivals.push({ atMs: this.nowMs + delayMs + ms, way, bytes: bytes.slice() });
    }
  }

  askAll(requests: readonly IpmiRequest[]): void {
    this.#askedCount += requests.length;
    requests.forEach((request, id) => {
      this.ask(id, request);
    });
    this.settle();
  }
}

function errorOf(world: World, request = DEVICE_ID): BmcError {
  world.askAll([request]);
  const result = world.only();
  if (result.ok) throw new Error("it succeeded");
  return result.error;
}

function expectAnswered(world: World, count: number): void {
  expect(world.doneCount).toBe(count);
  for (const [id, result] of world.results) {
    if (!result.ok) throw new Error(`${id}: ${result.error.kind}: ${result.error.detail}`);
    expect(result.value.completionCode).toBe(0);
    const { data } = result.value;
    expect((data[2] as number) | ((data[3] as number) << 8)).toBe(id + 1);
  }
}

const reads = (count: number): readonly IpmiRequest[] =>
  Array.from({ length: count }, (_, n) => read(n + 1));

describe("opening a session", () => {
  test("suite 17 is taken where the BMC has both", () => {
    const world = new World();
    world.askAll([DEVICE_ID]);
    expect(world.only()).toMatchObject({ ok: true, value: { completionCode: 0 } });
    expect(world.session.suite).toBe(17);
  });

  test("suite 3 is taken where the BMC has only that", () => {
    const world = new World();
    world.fault("suite-3-only");
    world.askAll([DEVICE_ID]);
    expect(world.only().ok).toBe(true);
    expect(world.session.suite).toBe(3);
  });

  test("packets that are lost do not weaken it: a suite that the BMC lists is not given up for silence", () => {
    for (let first = 0; first < 14; first++) {
      for (const count of [1, 2, 3, 4]) {
        const isLost = (index: number): boolean => index >= first && index < first + count;
        const world = new World({ fate: (index) => (isLost(index) ? [] : [1]) });
        world.askAll([DEVICE_ID]);
        expect([first, count, world.only().ok]).toEqual([first, count, true]);
        expect([first, count, world.session.suite]).toEqual([first, count, 17]);
      }
    }
  });

  test("a BMC without the suite that is asked for is told as that", () => {
    const world = new World({ session: { suites: [CIPHER_SUITE_3] } });
    world.fault("suite-17-only");
    expect(errorOf(world).kind).toBe("wrong-cipher");
  });

  const bearable: readonly (readonly [FaultName, number | null])[] = [
    ["rakp2-tag-zero", null],
    ["rakp2-late", 700],
    ["rakp2-late", 1_700],
    ["rakp2-repeated", null],
    ["duplicate", 100],
    ["reorder", 50],
    ["garbage", 100],
    ["no-ping", null],
    ["late", 400],
  ];
  for (const suite of [CIPHER_SUITE_3, CIPHER_SUITE_17]) {
    for (const [name, value] of bearable) {
      test(`suite ${suite.id} opens in spite of ${name}${value === null ? "" : ` ${value}`}`, () => {
        const world = new World({ session: { suites: [suite] }, selFill: 100 });
        world.fault(name, value);
        world.askAll(reads(100));
        expectAnswered(world, 100);
      });
    }
  }

  test("a wrong password is told as that, and not tried again at once", () => {
    const world = new World({ session: { password: text("guessed") } });
    const error = errorOf(world);
    expect(error.kind).toBe("wrong-password");
    expect(error.detail).not.toContain("guessed");
    const { sent } = world;
    world.ask(1, DEVICE_ID);
    expect(world.results.get(1)).toEqual({ ok: false, error });
    expect(world.sent).toBe(sent);
    world.pass(301_000);
    world.ask(2, DEVICE_ID);
    expect(world.sent).toBeGreaterThan(sent);
  });

  test("an unknown user is told as that", () => {
    const error = errorOf(new World({ session: { user: text("nobody") } }));
    expect(error.kind).toBe("wrong-password");
    expect(error.detail).toContain("no such user");
  });

  test("a user who may not be administrator is told so, and gets in as operator", () => {
    const user = text("operator");
    expect(errorOf(new World({ session: { user } })).kind).toBe("privilege-too-low");
    const world = new World({ session: { user, privilege: 3 } });
    world.askAll([DEVICE_ID]);
    expect(world.only().ok).toBe(true);
  });

  test("a BMC that proves another password than ours is not told anything", () => {
    const world = new World();
    world.fault("rakp2-wrong-check");
    expect(errorOf(world).kind).toBe("wrong-password");
  });

  test("a wrong check value in RAKP 4 opens nothing", () => {
    const world = new World();
    world.fault("rakp4-wrong-check");
    expect(errorOf(world).kind).toBe("wrong-password");
    expect(world.session.phase).toBe("idle");
  });

  test("a BMC's own key is needed where it has one", () => {
    const bmc = { kg: "the bmc's own" };
    const without = errorOf(new World({ bmc }));
    expect(without.kind).toBe("wrong-password");
    expect(without.detail).toContain("HOLDFAST_BMC_KG");
    const world = new World({ bmc, session: { kg: text("the bmc's own") } });
    world.askAll([DEVICE_ID]);
    expect(world.only().ok).toBe(true);
  });

  test("a BMC that is not there is given up within ten seconds", () => {
    const world = new World({ fate: () => [] });
    expect(errorOf(world).kind).toBe("timeout");
    expect(world.nowMs - world.startMs).toBeLessThan(10_000);
  });

  test("whoever asks while it opens waits for the same session", () => {
    const world = new World({ selFill: 5 });
    world.askAll(reads(5));
    expectAnswered(world, 5);
    expect(world.bmc.sessionCount).toBe(1);
  });
});

describe("a session that is lost", () => {
  test("is opened anew, and every read is answered", () => {
    const world = new World({ selFill: 300 });
    world.fault("session-expiry", 40);
    world.askAll(reads(120));
    expectAnswered(world, 120);
  });

  test("fails what may not run twice, without running it again", () => {
    const world = new World();
    world.askAll([DEVICE_ID]);
    world.fault("session-expiry", 0);
    world.ask(1, POWER_RESET);
    world.pass(30_000);
    const result = world.results.get(1);
    expect(result?.ok === false && result.error.kind).toBe("disconnected");
    expect(result?.ok === false && result.error.detail).toContain("look before repeating");
    expect(world.askedOfBmc.filter((one) => one === "0/2").length).toBeLessThanOrEqual(1);
  });

  test("by a BMC that opens sessions and answers nothing in them ends", () => {
    const world = new World();
    // Whatever is sealed never arrives.
    const dead = new World({ fate: () => [1] });
    dead.fault("session-expiry", 0);
    const error = errorOf(dead);
    expect(["disconnected", "timeout"]).toContain(error.kind);
    expect(dead.nowMs - dead.startMs).toBeLessThan(60_000);
    expect(world.session.phase).toBe("idle");
  });

  test("by a BMC that resets in the middle of a read is opened anew once it is back", () => {
    const world = new World({ selFill: 400 });
    world.fault("reset-after", 150);
    world.askAll(reads(400));
    const failed = [...world.results.values()].filter((result) => !result.ok);
    // Either it was back in time, or each of the rest says that it was not; nothing is made up.
    for (const result of failed) expect(!result.ok && result.error.kind).toBe("timeout");
    expect(world.doneCount).toBe(400);
    world.results.clear();
    world.pass(120_000);
    world.ask(7, DEVICE_ID);
    world.pass(20_000);
    expect(world.results.get(7)?.ok).toBe(true);
  });
});

describe("a BMC that falls silent in the middle", () => {
  test("fails everything that waits, within the tries of one request and a look whether it is there", () => {
    const world = new World({ selFill: 1000 });
    world.fault("stops-after", 200);
    world.askAll(reads(1000));
    expect(world.doneCount).toBe(1000);
    const kinds = new Set(
      [...world.results.values()].map((one) => (one.ok ? "ok" : one.error.kind)),
    );
    expect(kinds).toEqual(new Set(["ok", "timeout"]));
    expect(world.nowMs - world.startMs).toBeLessThan(20_000);
  });
});

describe("a network that says that nobody listens", () => {
  const error = { kind: "unreachable", detail: "nobody listens" } as const;

  test("is believed at once in a session, and when it says so again while one is opened", () => {
    const world = new World();
    world.askAll([DEVICE_ID]);
    world.ask(1, DEVICE_ID);
    world.step({ kind: "unreachable", error });
    expect(world.results.get(1)).toEqual({ ok: false, error });
    world.ask(2, DEVICE_ID);
    // The same error, told again.
    world.step({ kind: "unreachable", error });
    expect(world.results.has(2)).toBe(false);
    world.pass(100);
    expect(world.results.get(2)?.ok).toBe(true);
    const nobody = new World({ fate: () => [] });
    nobody.ask(1, DEVICE_ID);
    nobody.step({ kind: "unreachable", error });
    nobody.step({ kind: "unreachable", error });
    expect(nobody.results.get(1)).toEqual({ ok: false, error });
  });
});

describe("a session at rest", () => {
  test("is kept alive", () => {
    const world = new World();
    world.askAll([DEVICE_ID]);
    const { sent } = world;
    world.pass(600_000);
    // Once in 25 s or so, no more.
    expect(world.sent - sent).toBeGreaterThan(20);
    expect(world.sent - sent).toBeLessThan(30);
    expect(world.bmc.sessionCount).toBe(1);
    world.ask(1, DEVICE_ID);
    world.pass(10);
    expect(world.results.get(1)?.ok).toBe(true);
  });

  test("is given back when it is closed", () => {
    const world = new World();
    world.askAll([DEVICE_ID]);
    expect(world.bmc.sessionCount).toBe(1);
    world.step({ kind: "close" });
    world.pass(100);
    expect(world.isClosed).toBe(true);
    expect(world.bmc.sessionCount).toBe(0);
    world.ask(9, DEVICE_ID);
    const late = world.results.get(9);
    expect(late?.ok === false && late.error.kind).toBe("disconnected");
  });

  test("is closed within a second though nobody answers, and what waits fails", () => {
    let isDead = false;
    const world = new World({ selFill: 9, fate: () => (isDead ? [] : [1]) });
    world.askAll([DEVICE_ID]);
    isDead = true;
    world.ask(5, read(5));
    world.step({ kind: "close" });
    expect(world.results.get(5)?.ok).toBe(false);
    world.pass(1_000);
    expect(world.isClosed).toBe(true);
    expect(world.session.wakeMs).toBeNull();
  });

  test("closes at once where none was opened", () => {
    const world = new World();
    world.step({ kind: "close" });
    expect(world.isClosed).toBe(true);
    expect(world.sent).toBe(0);
  });
});

describe("a BMC that works on one request at a time", () => {
  test("is read whole, one by one once that is known", () => {
    const world = new World({ selFill: 300 });
    world.fault("one-outstanding", 2);
    world.askAll(reads(300));
    expectAnswered(world, 300);
    expect(world.session.windowSize).toBe(1);
  });
});

describe("what was recorded", () => {
  test("is of no use: packets that are played again change nothing", () => {
    const recorded: Uint8Array[] = [];
    const world = new World({ selFill: 50 });
    const { session } = world;
    const step = session.step.bind(session);
    session.step = (event, nowMs) => {
      if (event.kind === "datagram") recorded.push(event.bytes);
      return step(event, nowMs);
    };
    world.askAll(reads(50));
    const { doneCount, sent } = world;
    for (const bytes of recorded.slice()) world.step({ kind: "datagram", bytes });
    expect(world.doneCount).toBe(doneCount);
    expect(world.sent).toBe(sent);
  });

  test("and changed in one bit is dropped", () => {
    const world = new World({ selFill: 50 });
    const { session } = world;
    const step = session.step.bind(session);
    session.step = (event, nowMs) => {
      if (event.kind === "datagram" && session.phase === "active") {
        const changed = event.bytes.slice();
        changed[20] = (changed[20] as number) ^ 1;
        expect(step({ kind: "datagram", bytes: changed }, nowMs)).toEqual([]);
      }
      return step(event, nowMs);
    };
    world.askAll(reads(50));
    expectAnswered(world, 50);
  });
});

describe("a bad network", () => {
  const delays = fc.oneof(
    { weight: 14, arbitrary: fc.constant([1]) },
    { weight: 2, arbitrary: fc.constant<number[]>([]) },
    { weight: 2, arbitrary: fc.tuple(fc.nat({ max: 30 })) },
    { weight: 1, arbitrary: fc.tuple(fc.nat({ max: 1_200 })) },
    { weight: 1, arbitrary: fc.tuple(fc.nat({ max: 5 }), fc.nat({ max: 900 })) },
  );

  test("each request ends once, with its own answer or an error that says why", () => {
    fc.assert(
      fc.property(fc.array(delays, { minLength: 7, maxLength: 60 }), fc.boolean(), (fates, is3) => {
        const world = new World({
          selFill: 60,
          session: { suites: [is3 ? CIPHER_SUITE_3 : CIPHER_SUITE_17] },
          fate: (index) => fates[index % fates.length] ?? [],
        });
        world.askAll(reads(60));
        expect(world.doneCount).toBe(60);
        for (const [id, result] of world.results) {
          if (result.ok) expect(result.value.data[2]).toBe(id + 1);
          else expect(["timeout", "disconnected", "no-session"]).toContain(result.error.kind);
        }
        // One after the other, each given up after tries of 1, 2, 2, 2 and 2 s; and the session's opening.
        expect(world.nowMs - world.startMs).toBeLessThan(60 * 9_000 + 30_000);
      }),
      { numRuns: 60, examples: [[[[], [1], [1], [], [1], [], [1]], false]] },
    );
  }, 30_000);

  test("a request that may not run twice never does, and is told honestly", () => {
    fc.assert(
      fc.property(fc.array(delays, { minLength: 3, maxLength: 30 }), (fates) => {
        let isBad = false;
        let index = 0;
        const world = new World({
          fate: () => (isBad ? (fates[index++ % fates.length] ?? []) : [1]),
        });
        world.askAll([DEVICE_ID]);
        isBad = true;
        world.ask(1, POWER_RESET);
        world.pass(120_000);
        const times = world.askedOfBmc.filter((one) => one === "0/2").length;
        const result = world.results.get(1);
        expect(result).toBeDefined();
        expect(times).toBeLessThanOrEqual(1);
        if (result?.ok === true) expect(times).toBe(1);
      }),
      { numRuns: 100 },
    );
  }, 30_000);
});
