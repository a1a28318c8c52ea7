/**
 * Whose a message of the driver is, and what becomes of requests that it does not take: one step at a time, with a clock of the
 * test's own; then any order of replies, refusals and time against what must always hold.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { bmcError } from "../bmc-error.ts";
import type { IpmiRequest } from "../ipmi/ipmi.ts";
import { type KcsEffect, KcsQueue, WINDOW_MAX } from "./kcs-queue.ts";

const LIMIT_MS = 10_000;

function requestOf(command: number): IpmiRequest {
  return { netFn: 0x06, lun: 0, command, data: new Uint8Array() };
}

function queueOf(): KcsQueue {
  return new KcsQueue(LIMIT_MS);
}

function ask(queue: KcsQueue, askId: number, nowMs = 0): readonly KcsEffect[] {
  return queue.step({ kind: "ask", askId, request: requestOf(askId) }, nowMs);
}

function reply(
  queue: KcsQueue,
  messageId: number,
  nowMs = 0,
  completionCode = 0,
): readonly KcsEffect[] {
  const message = {
    kind: "reply",
    messageId,
    reply: { completionCode, data: Uint8Array.of(messageId) },
  } as const;
  return queue.step({ kind: "message", message }, nowMs);
}

function kinds(effects: readonly KcsEffect[]): readonly string[] {
  return effects.map((effect) => {
    if (effect.kind === "send") return `send ${effect.request.command}`;
    if (effect.kind === "event") return "event";
    const { result } = effect;
    return `settle ${effect.askId} ${result.ok ? result.value.completionCode : result.error.kind}`;
  });
}

/** Id of the message that is sent; there is one. */
function sentId(effects: readonly KcsEffect[]): number {
  const sent = effects.filter((effect) => effect.kind === "send");
  expect(sent).toHaveLength(1);
  return sent[0]?.messageId ?? Number.NaN;
}

/** The window starts at 1 and grows with each reply while it is filled. */
function warmQueue(): KcsQueue {
  const queue = queueOf();
  const ids: number[] = [];
  const look = (effects: readonly KcsEffect[]): void => {
    for (const effect of effects) if (effect.kind === "send") ids.push(effect.messageId);
  };
  for (let askId = 100; askId < 140; askId++) look(ask(queue, askId));
  for (;;) {
    const id = ids.shift();
    if (id === undefined) break;
    look(reply(queue, id, 1));
  }
  return queue;
}

describe("requests to the driver", () => {
  test("a reply goes to whoever asked, in whatever order replies come", () => {
    const queue = warmQueue();
    const first = sentId(ask(queue, 1));
    const second = sentId(ask(queue, 2));
    const effects = reply(queue, second);
    expect(kinds(effects)).toEqual(["settle 2 0"]);
    expect(kinds(reply(queue, first))).toEqual(["settle 1 0"]);
    expect(queue.wakeMs).toBeNull();
  });

  test("no more than the window are with the driver, first come first served", () => {
    const queue = warmQueue();
    const ids = Array.from({ length: WINDOW_MAX }, (_, index) => sentId(ask(queue, index + 1)));
    expect(ask(queue, 50)).toEqual([]);
    expect(ask(queue, 51)).toEqual([]);
    expect(kinds(reply(queue, ids[0] ?? 0, 5))).toEqual(["settle 1 0", "send 50"]);
  });

  test("a busy BMC is asked again, later each time and with a new id, and at last it is an error", () => {
    const queue = queueOf();
    let id = sentId(ask(queue, 1));
    let nowMs = 0;
    const waits: number[] = [];
    for (;;) {
      const effects = reply(queue, id, nowMs, 0xc0);
      if (effects.length > 0) {
        expect(kinds(effects)).toEqual(["settle 1 busy"]);
        break;
      }
      const dueMs = queue.wakeMs ?? 0;
      waits.push(dueMs - nowMs);
      expect(queue.step({ kind: "tick" }, dueMs - 1)).toEqual([]);
      nowMs = dueMs;
      const next = sentId(queue.step({ kind: "tick" }, nowMs));
      expect(next).not.toBe(id);
      id = next;
    }
    expect(waits.slice(0, 5)).toEqual([20, 40, 80, 160, 320]);
    expect(nowMs).toBeGreaterThan(3_000);
    expect(nowMs).toBeLessThanOrEqual(5_000);
  });

  test("a BMC that never answers the driver is one that does not answer", () => {
    const queue = queueOf();
    let id = sentId(ask(queue, 1));
    let nowMs = 0;
    for (;;) {
      nowMs += 4_000;
      const effects = reply(queue, id, nowMs, 0xc3);
      if (effects.length > 0) {
        expect(kinds(effects)).toEqual(["settle 1 timeout"]);
        return;
      }
      nowMs = queue.wakeMs ?? 0;
      expect(nowMs).toBeLessThan(20_000);
      id = sentId(queue.step({ kind: "tick" }, nowMs));
    }
  });

  test("any other completion code is an answer", () => {
    const queue = queueOf();
    expect(kinds(reply(queue, sentId(ask(queue, 1)), 0, 0xd5))).toEqual(["settle 1 213"]);
  });

  test("a driver that takes no message now is tried again, and at last that is the error", () => {
    const queue = queueOf();
    const error = bmcError("busy", "the driver is full");
    let id = sentId(ask(queue, 1));
    for (;;) {
      const effects = queue.step({ kind: "refused", messageId: id, error }, queue.wakeMs ?? 0);
      if (effects.length > 0) {
        expect(effects).toEqual([{ kind: "settle", askId: 1, result: { ok: false, error } }]);
        return;
      }
      id = sentId(queue.step({ kind: "tick" }, queue.wakeMs ?? 0));
    }
  });

  test("a request that the driver refuses fails alone, and what waits goes on", () => {
    const queue = queueOf();
    const id = sentId(ask(queue, 1));
    expect(ask(queue, 2)).toEqual([]);
    const error = bmcError("bad-request", "no");
    const effects = queue.step({ kind: "refused", messageId: id, error }, 0);
    expect(kinds(effects)).toEqual(["settle 1 bad-request", "send 2"]);
  });

  test("what is not answered is given up at its limit, once, and its late reply belongs to nobody", () => {
    const queue = queueOf();
    const id = sentId(ask(queue, 1, 100));
    expect(queue.wakeMs).toBe(100 + LIMIT_MS);
    expect(queue.step({ kind: "tick" }, 99 + LIMIT_MS)).toEqual([]);
    expect(kinds(queue.step({ kind: "tick" }, 100 + LIMIT_MS))).toEqual(["settle 1 timeout"]);
    expect(reply(queue, id, 200 + LIMIT_MS)).toEqual([]);
  });

  test("a late reply does not answer the request that has its number by now", () => {
    const queue = queueOf();
    const late = sentId(ask(queue, 1));
    queue.step({ kind: "tick" }, LIMIT_MS);
    for (let round = 1; round < 200; round++) {
      const nowMs = LIMIT_MS * (2 * round + 1);
      const id = sentId(ask(queue, 100 + round, nowMs));
      expect(reply(queue, late, nowMs)).toEqual([]);
      expect(kinds(reply(queue, id, nowMs))).toEqual([`settle ${100 + round} 0`]);
    }
  });

  test("a lost device ends what waits and what is asked after", () => {
    const queue = queueOf();
    for (let askId = 1; askId <= 6; askId++) ask(queue, askId);
    const error = bmcError("disconnected", "gone");
    expect(kinds(queue.step({ kind: "lost", error }, 0))).toHaveLength(6);
    expect(kinds(ask(queue, 99))).toEqual(["settle 99 disconnected"]);
    expect(queue.wakeMs).toBeNull();
  });

  test("an event comes through beside the replies", () => {
    const record = new Uint8Array(16).fill(7);
    const effects = queueOf().step({ kind: "message", message: { kind: "event", record } }, 0);
    expect(effects).toEqual([{ kind: "event", record }]);
  });
});

type Action =
  | { readonly kind: "ask" }
  | { readonly kind: "reply"; readonly pick: number; readonly code: number }
  | { readonly kind: "refused"; readonly pick: number; readonly code: "busy" | "bad-request" }
  | { readonly kind: "pass"; readonly ms: number };

const ACTION: fc.Arbitrary<Action> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("ask" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("reply" as const),
      pick: fc.nat(8),
      code: fc.constantFrom(0, 0xc0, 0xd5),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("refused" as const),
      pick: fc.nat(8),
      code: fc.constantFrom("busy" as const, "bad-request" as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.nat(3_000) }) },
);

/** Carries actions out, and checks after each. */
class Ledger {
  readonly queue: KcsQueue = queueOf();
  readonly settled: number[] = [];
  asked = 0;
  nowMs = 0;
  /** In the order they were sent. */
  readonly #ids: number[] = [];
  readonly #working = new Set<number>();

  perform(action: Action): void {
    if (action.kind === "ask") this.#look(ask(this.queue, ++this.asked, this.nowMs));
    else if (action.kind === "pass") this.passUntil(this.nowMs + action.ms);
    else if (action.kind === "reply") {
      this.#look(reply(this.queue, this.#idOf(action.pick), this.nowMs, action.code));
    } else {
      const error = bmcError(action.code, "");
      const messageId = this.#idOf(action.pick);
      this.#look(this.queue.step({ kind: "refused", messageId, error }, this.nowMs));
    }
  }

  /** One of the newest, whether it was answered before or not; or one that never was. */
  #idOf(pick: number): number {
    return this.#ids.at(-1 - pick) ?? 7;
  }

  passUntil(nowMs: number): void {
    this.nowMs = Math.max(this.nowMs, nowMs);
    this.#look(this.queue.step({ kind: "tick" }, this.nowMs));
  }

  #look(effects: readonly KcsEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "send") {
        expect(this.#ids).not.toContain(effect.messageId);
        this.#ids.push(effect.messageId);
        this.#working.add(effect.request.command);
        expect(this.#working.size).toBeLessThanOrEqual(WINDOW_MAX);
      } else if (effect.kind === "settle") {
        this.#working.delete(effect.askId);
        this.settled.push(effect.askId);
      }
    }
  }
}

describe("always", () => {
  test("each ask is settled once, no id is used twice, the window is kept", () => {
    fc.assert(
      fc.property(fc.array(ACTION, { maxLength: 80 }), (actions) => {
        const ledger = new Ledger();
        for (const action of actions) ledger.perform(action);
        for (let round = 0; ; round++) {
          const dueMs = ledger.queue.wakeMs;
          if (dueMs === null) break;
          expect(round).toBeLessThan(500);
          ledger.passUntil(dueMs);
        }
        expect(ledger.settled.toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: ledger.asked }, (_, index) => index + 1),
        );
      }),
    );
  });
});
