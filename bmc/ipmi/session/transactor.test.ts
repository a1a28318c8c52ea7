/**
 * The transactor on a simulated wire: virtual time, a BMC that answers with what it was asked, and a network that loses, repeats,
 * delays and reorders. Each request must end once, with its own answer or an error; properties are checked by fast-check.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { IpmiReply, IpmiRequest } from "../ipmi.ts";
import {
  Transactor,
  type TransactorEffect,
  type TransactorOptions,
  type WireReply,
} from "./transactor.ts";

const OPTIONS: TransactorOptions = {
  windowMax: 32,
  firstTimeoutMs: 1_000,
  timeoutMsMin: 250,
  timeoutMsMax: 2_000,
  triesMax: 5,
  busyMsMax: 10_000,
  unrepeatableMsMin: 2_000,
  hasSamePacket: true,
  holdsWhenSilent: false,
};

/** Get SEL Entry, with a number in it that comes back. */
function read(n: number): IpmiRequest {
  return { netFn: 0x0a, lun: 0, command: 0x43, data: Uint8Array.of(n & 0xff, n >> 8) };
}

const POWER_CYCLE: IpmiRequest = { netFn: 0, lun: 0, command: 2, data: Uint8Array.of(2) };

function replyOf(sequence: number, request: IpmiRequest, completionCode = 0): WireReply {
  const { lun, command, data } = request;
  return { netFn: request.netFn | 1, lun, command, sequence, completionCode, data };
}

interface Arrival {
  readonly atMs: number;
  readonly reply: WireReply;
}

/** What becomes of one send: the delays of the replies that it causes; none: it was lost. */
type Fate = (send: {
  index: number;
  outstanding: number;
  request: IpmiRequest;
  isResend: boolean;
}) => readonly (number | { readonly delayMs: number; readonly code: number })[];

interface Outcome {
  readonly results: ReadonlyMap<number, Result<IpmiReply, BmcError>>;
  readonly doneCount: number;
  readonly sends: number;
  readonly endMs: number;
  readonly windowMax: number;
  readonly windowEnd: number;
}

/** Runs until nothing is to come any more. */
function simulate(requests: readonly IpmiRequest[], fate: Fate, options = OPTIONS): Outcome {
  const transactor = new Transactor(options);
  const results = new Map<number, Result<IpmiReply, BmcError>>();
  let [nowMs, sends, doneCount, windowMax] = [0, 0, 0, 1];
  let arrivals: Arrival[] = [];
  let inFlight = new Set<number>();
  const send = (effect: TransactorEffect & { kind: "send" }): void => {
    inFlight.add(effect.sequence);
    const { request, isResend, sequence } = effect;
    for (const one of fate({ index: sends++, outstanding: inFlight.size, request, isResend })) {
      const { delayMs, code } = typeof one === "number" ? { delayMs: one, code: 0 } : one;
      arrivals.push({ atMs: nowMs + delayMs, reply: replyOf(sequence, request, code) });
    }
  };
  const take = (effects: readonly TransactorEffect[]): void => {
    for (const effect of effects) {
      if (effect.kind === "send") send(effect);
      if (effect.kind !== "done") continue;
      doneCount++;
      results.set(effect.id, effect.result);
    }
    windowMax = Math.max(windowMax, transactor.windowSize);
  };
  requests.forEach((request, id) => {
    take(transactor.step({ kind: "ask", id, request }, nowMs));
  });
  for (let turn = 0; turn < 200_000; turn++) {
    const { wakeMs } = transactor;
    const first = arrivals.reduce((a, b) => (b.atMs < a.atMs ? b : a), {
      atMs: Number.POSITIVE_INFINITY,
    } as Arrival);
    if (wakeMs === null && first.atMs === Number.POSITIVE_INFINITY) {
      return {
        results,
        doneCount,
        sends,
        endMs: nowMs,
        windowMax,
        windowEnd: transactor.windowSize,
      };
    }
    if (first.atMs <= (wakeMs ?? Number.POSITIVE_INFINITY)) {
      nowMs = Math.max(nowMs, first.atMs);
      arrivals = arrivals.filter((one) => one !== first);
      inFlight.delete(first.reply.sequence);
      take(transactor.step({ kind: "reply", reply: first.reply }, nowMs));
      // Each comes twice. What a network repeats later than that, a session drops by its number.
      take(transactor.step({ kind: "reply", reply: first.reply }, nowMs));
    } else {
      nowMs = Math.max(nowMs, wakeMs ?? 0);
      inFlight = new Set(arrivals.map(({ reply }) => reply.sequence));
      take(transactor.step({ kind: "tick" }, nowMs));
    }
  }
  throw new Error("it does not end");
}

function many(count: number): readonly IpmiRequest[] {
  return Array.from({ length: count }, (_, n) => read(n));
}

function expectAll(outcome: Outcome, requests: readonly IpmiRequest[]): void {
  expect(outcome.doneCount).toBe(requests.length);
  for (const [id, result] of outcome.results) {
    if (result.ok) expect(result.value.data).toEqual(requests[id]?.data ?? new Uint8Array(0));
  }
}

describe("a wire without faults", () => {
  test("each request is sent once and has its own answer", () => {
    const requests = many(1000);
    const outcome = simulate(requests, () => [5]);
    expectAll(outcome, requests);
    expect(outcome.sends).toBe(1000);
    expect([...outcome.results.values()].every((result) => result.ok)).toBe(true);
  });

  test("the window opens to its maximum, so that 1000 requests take 40 round trips, not 1000", () => {
    const outcome = simulate(many(1000), () => [5]);
    expect(outcome.windowMax).toBe(32);
    expect(outcome.endMs).toBeLessThan(5 * 40);
  });

  test("the window does not open for a BMC that only queues what it is sent", () => {
    let freeAtMs = 0;
    let clockMs = 0;
    // Each answer takes 5 ms of the BMC's own time, one after the other.
    const outcome = simulate(many(400), ({ outstanding }) => {
      clockMs = Math.max(clockMs, freeAtMs - 5 * outstanding);
      freeAtMs = Math.max(freeAtMs, clockMs) + 5;
      return [5 * outstanding];
    });
    expect(outcome.windowMax).toBeLessThan(28);
  });
});

describe("a BMC that drops all but one outstanding request", () => {
  test("is asked one by one for good after two trials", () => {
    const requests = many(2000);
    const outcome = simulate(requests, ({ outstanding }) => (outstanding > 1 ? [] : [1]));
    expectAll(outcome, requests);
    expect([...outcome.results.values()].every((result) => result.ok)).toBe(true);
    expect(outcome.windowMax).toBeLessThanOrEqual(3);
    expect(outcome.windowEnd).toBe(1);
    // Two trials, each with a few losses.
    expect(outcome.sends).toBeLessThan(2010);
  });

  test("that says so with node busy is found out in the same way", () => {
    const requests = many(1000);
    const outcome = simulate(requests, ({ outstanding }) =>
      outstanding > 1 ? [{ delayMs: 1, code: 0xc0 }] : [1],
    );
    expectAll(outcome, requests);
    expect([...outcome.results.values()].every((result) => result.ok)).toBe(true);
    expect(outcome.windowEnd).toBe(1);
  });
});

describe("a network that loses one packet in many", () => {
  test("does not shut the window for good", () => {
    const requests = many(3000);
    const outcome = simulate(requests, ({ index }) => (index % 400 === 399 ? [] : [5]));
    expectAll(outcome, requests);
    expect([...outcome.results.values()].every((result) => result.ok)).toBe(true);
    // One by one it would be 15 s; seven losses cost a timeout each.
    expect(outcome.endMs).toBeLessThan(3_000);
  });
});

describe("faults of all kinds", () => {
  test("each request ends once, with its own answer or an error", () => {
    const fate = fc.array(
      fc.oneof(
        { weight: 12, arbitrary: fc.constant([5]) },
        { weight: 2, arbitrary: fc.constant<number[]>([]) },
        { weight: 1, arbitrary: fc.integer({ min: 1, max: 1_900 }).map((ms) => [ms]) },
        {
          weight: 1,
          arbitrary: fc
            .constantFrom(0xc0, 0xc3, 0xce, 0xcf, 0xd1)
            .map((code) => [{ delayMs: 3, code }]),
        },
      ),
      { minLength: 1, maxLength: 60 },
    );
    fc.assert(
      fc.property(fate, fc.integer({ min: 1, max: 300 }), (fates, count) => {
        const requests = many(count);
        const outcome = simulate(requests, ({ index }) => fates[index % fates.length] ?? []);
        expectAll(outcome, requests);
      }),
      { numRuns: 150 },
    );
  });

  test("replies that fit no request change nothing", () => {
    const transactor = new Transactor(OPTIONS);
    const sent = transactor.step({ kind: "ask", id: 1, request: read(7) }, 0)[0];
    if (sent?.kind !== "send") throw new Error("nothing is sent");
    const right = replyOf(sent.sequence, read(7));
    const strange: readonly WireReply[] = [
      { ...right, sequence: (right.sequence + 1) % 64 },
      { ...right, netFn: 0x07 },
      { ...right, netFn: 0x0a },
      { ...right, command: 0x44 },
      { ...right, lun: 1 },
    ];
    for (const reply of strange) expect(transactor.step({ kind: "reply", reply }, 1)).toEqual([]);
    expect(transactor.step({ kind: "reply", reply: right }, 1)).toHaveLength(1);
    expect(transactor.step({ kind: "reply", reply: right }, 1)).toEqual([]);
  });

  test("the answer to the first send, come after the resend's, is not taken for another request", () => {
    const transactor = new Transactor({ ...OPTIONS, windowMax: 1 });
    transactor.step({ kind: "ask", id: 0, request: read(0) }, 0);
    const again = transactor.step({ kind: "tick" }, 1_000)[0];
    if (again?.kind !== "send") throw new Error("it is not sent again");
    transactor.step({ kind: "reply", reply: replyOf(again.sequence, read(0)) }, 1_001);
    // The other 63 numbers, and then the first again, were it not at rest.
    for (let id = 1; id <= 70; id++) {
      const sent = transactor.step({ kind: "ask", id, request: read(id) }, 1_001)[0];
      if (sent?.kind !== "send") throw new Error("nothing is sent");
      expect(sent.sequence).not.toBe(again.sequence);
      const late = replyOf(again.sequence, read(0));
      expect(transactor.step({ kind: "reply", reply: late }, 1_001)).toEqual([]);
      transactor.step({ kind: "reply", reply: replyOf(sent.sequence, read(id)) }, 1_001);
    }
    expect(transactor.isIdle).toBe(true);
  });
});

describe("a BMC that is silent", () => {
  test("fails everything that waits, within the tries of one request", () => {
    const requests = many(500);
    const outcome = simulate(requests, () => []);
    expectAll(outcome, requests);
    for (const result of outcome.results.values()) {
      expect(!result.ok && result.error.kind).toBe("timeout");
    }
    expect(outcome.endMs).toBeLessThanOrEqual(1_000 + 2_000 * 4);
    expect(outcome.sends).toBe(5);
  });

  test("from the middle of a pipelined read on fails as fast", () => {
    const requests = many(2000);
    const outcome = simulate(requests, ({ index }) => (index < 500 ? [5] : []));
    expectAll(outcome, requests);
    expect(outcome.endMs).toBeLessThan(500 * 5 + 10_000);
    expect([...outcome.results.values()].filter((result) => result.ok)).toHaveLength(500);
  });

  test("to one request only fails that one", () => {
    const requests = many(50);
    const outcome = simulate(requests, ({ request }) => (request.data[0] === 20 ? [] : [5]));
    expectAll(outcome, requests);
    const failed = [...outcome.results].filter(([, result]) => !result.ok);
    expect(failed.map(([id]) => id)).toEqual([20]);
  });

  test("stands still where the owner wants to look what became of the session", () => {
    const transactor = new Transactor({ ...OPTIONS, holdsWhenSilent: true });
    transactor.step({ kind: "ask", id: 4, request: POWER_CYCLE }, 0);
    transactor.step({ kind: "ask", id: 5, request: read(5) }, 0);
    let isSilent = false;
    for (let turn = 0; turn < 20 && !isSilent; turn++) {
      const { wakeMs } = transactor;
      if (wakeMs === null) break;
      isSilent = transactor.step({ kind: "tick" }, wakeMs).some(({ kind }) => kind === "silent");
    }
    expect(isSilent).toBe(true);
    expect(transactor.wakeMs).toBeNull();
    expect(transactor.takeAll().map(({ id, mayHaveRun }) => [id, mayHaveRun])).toEqual([
      [4, true],
      [5, false],
    ]);
    expect(transactor.isIdle).toBe(true);
  });
});

describe("a request that may not be carried out twice", () => {
  test("is resent as the same packet where the link can, and waited for longer", () => {
    const transactor = new Transactor(OPTIONS);
    transactor.step({ kind: "ask", id: 0, request: read(0) }, 0);
    transactor.step({ kind: "reply", reply: replyOf(0, read(0)) }, 1);
    const first = transactor.step({ kind: "ask", id: 1, request: POWER_CYCLE }, 10)[0];
    expect(first).toMatchObject({ kind: "send", isOnce: true, isResend: false });
    expect(transactor.wakeMs).toBe(2_010);
    expect(transactor.step({ kind: "tick" }, 2_010)[0]).toMatchObject({
      kind: "send",
      isOnce: true,
      isResend: true,
    });
  });

  test("is sent once on a link that cannot, and its error says what is unknown", () => {
    const outcome = simulate([POWER_CYCLE], () => [], { ...OPTIONS, hasSamePacket: false });
    expect(outcome.sends).toBe(1);
    const result = outcome.results.get(0);
    expect(result?.ok === false && result.error.kind).toBe("timeout");
    expect(result?.ok === false && result.error.detail).toContain("unknown");
  });

  test("is asked again when the node was busy, but not when the answer got lost", () => {
    const codes = [0xc0, 0xd2, 0xc3];
    const outcome = simulate([POWER_CYCLE], ({ index }) => [
      { delayMs: 1, code: codes[index] ?? 0 },
    ]);
    expect(outcome.sends).toBe(3);
    const result = outcome.results.get(0);
    expect(result?.ok === true && result.value.completionCode).toBe(0xc3);
  });
});

describe("a BMC that stays busy", () => {
  test("is asked with pauses that grow, and given up with its own error", () => {
    const outcome = simulate([read(1)], () => [{ delayMs: 1, code: 0xc0 }]);
    const result = outcome.results.get(0);
    expect(result?.ok === false && result.error).toMatchObject({
      kind: "busy",
      completionCode: 0xc0,
    });
    expect(outcome.endMs).toBeLessThanOrEqual(10_000);
    expect(outcome.sends).toBeLessThan(20);
  });

  test("does not stop other requests", () => {
    const requests = many(100);
    const outcome = simulate(requests, ({ request }) =>
      request.data[0] === 3 ? [{ delayMs: 1, code: 0xd0 }] : [5],
    );
    expect([...outcome.results].filter(([, result]) => !result.ok).map(([id]) => id)).toEqual([3]);
  });

  test("is asked once more after a lost or repeated response, then its code is the answer", () => {
    const outcome = simulate([read(1)], () => [{ delayMs: 1, code: 0xcf }]);
    expect(outcome.sends).toBe(2);
    const result = outcome.results.get(0);
    expect(result?.ok === true && result.value.completionCode).toBe(0xcf);
  });
});

test("a link that is gone fails what waits with its own error", () => {
  const transactor = new Transactor(OPTIONS);
  for (let id = 0; id < 3; id++) transactor.step({ kind: "ask", id, request: read(id) }, 0);
  const error = bmcError("disconnected", "the port was pulled");
  const effects = transactor.step({ kind: "fail", error }, 1);
  expect(effects.map((effect) => effect.kind === "done" && effect.id)).toEqual([0, 1, 2]);
  expect(transactor.isIdle).toBe(true);
  expect(transactor.wakeMs).toBeNull();
});
