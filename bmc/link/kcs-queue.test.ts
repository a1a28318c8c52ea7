/**
 * Which request goes when, and whose a reply is: one step at a time, with a clock of the test's own; then any order of
 * replies, refusals, losses and time against what must always hold.
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
  return new KcsQueue(LIMIT_MS, (request) => bmcError("timeout", `command ${request.command}`));
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
  return effects.map((effect) =>
    effect.kind === "send"
      ? `send ${effect.messageId}`
      : effect.kind === "settle"
        ? `settle ${effect.askId} ${effect.result.ok ? effect.result.value.completionCode : effect.result.error.kind}`
        : effect.kind,
  );
}

describe("requests to the driver", () => {
  test("a reply goes to whoever asked, in whatever order replies come", () => {
    const queue = queueOf();
    expect(kinds(ask(queue, 1))).toEqual(["send 1"]);
    expect(kinds(ask(queue, 2))).toEqual(["send 2"]);
    const second = reply(queue, 2);
    expect(kinds(second)).toEqual(["settle 2 0"]);
    expect(second[0]).toMatchObject({ result: { value: { data: Uint8Array.of(2) } } });
    expect(kinds(reply(queue, 1))).toEqual(["settle 1 0"]);
    expect(queue.nextDueMs()).toBeNull();
  });

  test("those beyond the window wait until there is room, first come first served", () => {
    const queue = queueOf();
    for (let askId = 1; askId <= WINDOW_MAX; askId++) ask(queue, askId);
    expect(ask(queue, 50)).toEqual([]);
    expect(ask(queue, 51)).toEqual([]);
    const effects = reply(queue, 1, 5);
    expect(kinds(effects)).toEqual(["settle 1 0", `send ${WINDOW_MAX + 1}`]);
    expect(effects[1]).toMatchObject({ request: { command: 50 } });
  });

  test("a busy BMC is asked again, later each time and with a new id, and at last its answer stands", () => {
    const queue = queueOf();
    ask(queue, 1);
    let nowMs = 0;
    let tries = 1;
    const waits: number[] = [];
    for (;;) {
      const effects = reply(queue, tries, nowMs, 0xc0);
      if (effects.length > 0) {
        expect(kinds(effects)).toEqual(["settle 1 192"]);
        break;
      }
      const dueMs = queue.nextDueMs() ?? 0;
      waits.push(dueMs - nowMs);
      expect(queue.step({ kind: "tick" }, dueMs - 1)).toEqual([]);
      nowMs = dueMs;
      expect(kinds(queue.step({ kind: "tick" }, nowMs))).toEqual([`send ${++tries}`]);
    }
    expect(waits.slice(0, 6)).toEqual([20, 40, 80, 160, 320, 500]);
    expect(nowMs).toBeGreaterThan(4_000);
    expect(nowMs).toBeLessThanOrEqual(5_000);
  });

  test("any other completion code is an answer", () => {
    const queue = queueOf();
    ask(queue, 1);
    expect(kinds(reply(queue, 1, 0, 0xc3))).toEqual(["settle 1 195"]);
  });

  test("a driver that takes no message now is tried again; one that refuses the request is not", () => {
    const queue = queueOf();
    ask(queue, 1);
    const busy = bmcError("busy", "full");
    expect(queue.step({ kind: "refused", messageId: 1, error: busy }, 0)).toEqual([]);
    expect(kinds(queue.step({ kind: "tick" }, 20))).toEqual(["send 2"]);
    const bad = bmcError("bad-request", "no");
    expect(kinds(queue.step({ kind: "refused", messageId: 2, error: bad }, 20))).toEqual([
      "settle 1 bad-request",
    ]);
  });

  test("what is not answered is given up at its limit, and its late reply belongs to nobody", () => {
    const queue = queueOf();
    ask(queue, 1, 100);
    expect(queue.nextDueMs()).toBe(100 + LIMIT_MS);
    expect(queue.step({ kind: "tick" }, 99 + LIMIT_MS)).toEqual([]);
    expect(kinds(queue.step({ kind: "tick" }, 100 + LIMIT_MS))).toEqual(["settle 1 timeout"]);
    expect(reply(queue, 1, 200 + LIMIT_MS)).toEqual([]);
  });

  test("a lost device ends what waits and what is asked after", () => {
    const queue = queueOf();
    for (let askId = 1; askId <= WINDOW_MAX + 2; askId++) ask(queue, askId);
    const error = bmcError("disconnected", "gone");
    const effects = queue.step({ kind: "lost", error }, 0);
    expect(effects).toHaveLength(WINDOW_MAX + 2);
    expect(kinds(ask(queue, 99))).toEqual(["settle 99 disconnected"]);
    expect(queue.nextDueMs()).toBeNull();
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
      pick: fc.nat(60),
      code: fc.constantFrom(0, 0xc0, 0xd5),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("refused" as const),
      pick: fc.nat(60),
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
  readonly #ids = new Set<number>();
  readonly #working = new Set<number>();

  perform(action: Action): void {
    if (action.kind === "ask") this.#look(ask(this.queue, ++this.asked, this.nowMs));
    else if (action.kind === "pass") this.passUntil(this.nowMs + action.ms);
    else if (action.kind === "reply") {
      this.#look(reply(this.queue, action.pick, this.nowMs, action.code));
    } else {
      const error = bmcError(action.code, "");
      this.#look(this.queue.step({ kind: "refused", messageId: action.pick, error }, this.nowMs));
    }
  }

  passUntil(nowMs: number): void {
    this.nowMs = Math.max(this.nowMs, nowMs);
    this.#look(this.queue.step({ kind: "tick" }, this.nowMs));
  }

  #look(effects: readonly KcsEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "send") {
        expect(this.#ids.has(effect.messageId)).toBe(false);
        this.#ids.add(effect.messageId);
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
          const dueMs = ledger.queue.nextDueMs();
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
