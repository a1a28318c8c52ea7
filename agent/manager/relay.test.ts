/**
 * The relay alone, with a destination and a store that are a few lines: what is sent when, and that nothing is lost or sent
 * for nothing; then any order of failures, drawn at random.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { prng } from "../runtime/prng.ts";
import { Relay } from "./relay.ts";
import {
  CHECK_HOLDS_MS,
  HELD_MAX,
  IDLE_PROBE_MS,
  type RelayEffect,
  type RelayEvent,
  type RelayItem,
  SEND_MAX,
  SENDS_UNDER_WAY_MAX,
} from "./relay-events.ts";

function item(n: number, rank = 3): RelayItem {
  return { id: `e${n}`, seq: n, rank };
}

function receipt(id: string) {
  return { id, destination: "d", ticket: `T-${id}`, receivedMs: 1, proof: null };
}

type Of<K extends RelayEffect["kind"]> = Extract<RelayEffect, { kind: K }>;

function only<K extends RelayEffect["kind"]>(
  effects: readonly RelayEffect[],
  kind: K,
): readonly Of<K>[] {
  return effects.filter((effect): effect is Of<K> => effect.kind === kind);
}

/** A relay whose link is up at time 0 and whose store is empty. */
function risen(): Relay {
  const relay = new Relay(prng(1));
  const [asked] = only(relay.step({ kind: "start" }, 0), "ask-digest");
  const effects = relay.step({ kind: "digest", request: asked?.request ?? 0, states: [] }, 0);
  expect(only(effects, "can-relay")).toEqual([
    { kind: "can-relay", canRelay: true, why: "the destination answers" },
  ]);
  expect(only(effects, "claim")).toHaveLength(1);
  relay.step({ kind: "claimed", items: [], isAll: true }, 0);
  return relay;
}

describe("a relay", () => {
  test("asks the destination before it relays anything, and takes nothing until it answers", () => {
    const relay = new Relay(prng(1));
    const effects = relay.step({ kind: "start" }, 0);
    expect(effects.map(({ kind }) => kind)).toEqual(["ask-digest"]);
    expect(relay.room()).toBe(0);
    expect(relay.report(0).canRelay).toBe(false);
  });

  test("sends what is new at once, the gravest first, in batches that are bounded", () => {
    const relay = risen();
    expect(relay.room()).toBe(HELD_MAX);
    const items = Array.from({ length: 500 }, (_, n) => item(n, n % 5));
    const sends = only(relay.step({ kind: "queued", items }, 1), "send");
    expect(sends).toHaveLength(SENDS_UNDER_WAY_MAX);
    const order = sends.flatMap(({ ids }) => ids);
    expect(sends.every(({ ids }) => ids.length === SEND_MAX)).toBe(true);
    const grave = items.filter(({ rank }) => rank === 4).map(({ id }) => id);
    expect(order.slice(0, grave.length)).toEqual(grave);
  });

  test("asks first about what it finds in the store, and does not send what the destination has", () => {
    const relay = risen();
    relay.step({ kind: "more" }, 1);
    const claimed = relay.step({ kind: "claimed", items: [item(1), item(2)], isAll: true }, 2);
    expect(only(claimed, "send")).toEqual([]);
    const [asked] = only(claimed, "ask-digest");
    expect(asked?.ids).toEqual(["e1", "e2"]);
    const states = [
      { id: "e1", receipt: receipt("e1") },
      { id: "e2", receipt: null },
    ];
    const effects = relay.step({ kind: "digest", request: asked?.request ?? 0, states }, 3);
    expect(only(effects, "settle")).toEqual([
      {
        kind: "settle",
        id: "e1",
        outcome: { kind: "delivered", receipt: receipt("e1"), path: null },
      },
    ]);
    expect(only(effects, "send").map(({ ids }) => ids)).toEqual([["e2"]]);
  });

  test("asks again about what waited so long that its node may have gone around", () => {
    const relay = risen();
    const items = Array.from({ length: SEND_MAX * SENDS_UNDER_WAY_MAX + 1 }, (_, n) => item(n));
    const sends = only(relay.step({ kind: "queued", items }, 0), "send");
    const [first] = sends;
    const results = (first?.ids ?? []).map((id) => ({
      id,
      kind: "delivered" as const,
      receipt: receipt(id),
    }));
    const late = relay.step(
      { kind: "answered", request: first?.request ?? 0, results },
      CHECK_HOLDS_MS + 1,
    );
    expect(only(late, "send")).toEqual([]);
    expect(only(late, "ask-digest")[0]?.ids).toEqual([`e${SEND_MAX * SENDS_UNDER_WAY_MAX}`]);
  });

  test("settles each event by what is said of it", () => {
    const relay = risen();
    const [send] = only(
      relay.step({ kind: "queued", items: [item(1), item(2), item(3), item(4)] }, 0),
      "send",
    );
    const effects = relay.step(
      {
        kind: "answered",
        request: send?.request ?? 0,
        results: [
          { id: "e1", kind: "delivered", receipt: receipt("e1") },
          { id: "e2", kind: "refused", reason: "forged" },
          { id: "e3", kind: "turned-away", reason: "not now" },
          { id: "e9", kind: "delivered", receipt: receipt("e9") },
        ],
      },
      1,
    );
    const settled = only(effects, "settle").map(({ id, outcome }) => [id, outcome.kind]);
    expect(settled).toEqual([
      ["e1", "delivered"],
      ["e2", "not-relayed"],
      ["e3", "failed"],
      ["e4", "failed"],
    ]);
    expect(relay.report(1)).toMatchObject({ canRelay: true, held: 2 });
    const dueMs = relay.dueMs();
    expect(dueMs).toBeGreaterThan(1);
    const again = [...relay.step({ kind: "tick" }, 20_000)];
    expect(only(again, "ask-digest")[0]?.ids).toEqual(["e3", "e4"]);
  });

  test("lets go of everything when the link falls, says so once, and comes back by itself", () => {
    const relay = risen();
    const items = Array.from({ length: 300 }, (_, n) => item(n));
    const sends = only(relay.step({ kind: "queued", items }, 0), "send");
    const failed = (request: number): RelayEvent => ({
      ...{ kind: "failed", request, failure: "unreachable", status: null },
      ...{ detail: "nobody listens", retryAfterMs: null },
    });
    const first = relay.step(failed(sends[0]?.request ?? 0), 1);
    expect(only(first, "can-relay")).toEqual([
      { kind: "can-relay", canRelay: false, why: "nobody listens" },
    ]);
    expect(only(first, "release")[0]?.ids).toHaveLength(300 - 3 * SEND_MAX);
    expect(relay.room()).toBe(0);
    const others = sends.slice(1).map(({ request }) => relay.step(failed(request), 2));
    expect(others.flatMap((effects) => only(effects, "can-relay"))).toEqual([]);
    expect(relay.report(2).held).toBe(0);
    const asked = relay.step({ kind: "tick" }, relay.dueMs());
    const [probe] = only(asked, "ask-digest");
    expect(probe?.ids).toEqual([]);
    const up = relay.step({ kind: "digest", request: probe?.request ?? 0, states: [] }, 50);
    expect(only(up, "can-relay")[0]?.canRelay).toBe(true);
    expect(only(up, "claim")[0]?.countMax).toBe(HELD_MAX);
  });

  test("looks again for what it let go, or was told of, while the store was looking", () => {
    const relay = risen();
    const [claim] = only(relay.step({ kind: "more" }, 1), "claim");
    expect(claim?.countMax).toBe(HELD_MAX);
    // The store has answered already, and its answer is on its way.
    expect(only(relay.step({ kind: "more" }, 2), "claim")).toEqual([]);
    const again = relay.step({ kind: "claimed", items: [], isAll: true }, 3);
    expect(only(again, "claim")).toHaveLength(1);
    // Told of nothing since: it rests.
    expect(only(relay.step({ kind: "claimed", items: [], isAll: true }, 4), "claim")).toEqual([]);
    expect(only(relay.step({ kind: "tick" }, IDLE_PROBE_MS), "claim")).toEqual([]);
  });

  test("waits as long as the destination asks it to", () => {
    const relay = risen();
    const [send] = only(relay.step({ kind: "queued", items: [item(1)] }, 0), "send");
    relay.step(
      {
        ...{ kind: "failed", request: send?.request ?? 0, failure: "busy", status: 429 },
        ...{ detail: "later", retryAfterMs: 60_000 },
      },
      0,
    );
    expect(relay.dueMs()).toBeGreaterThanOrEqual(60_000);
    expect(relay.step({ kind: "tick" }, 59_999)).toEqual([]);
  });

  test("asks now and then whether the destination is there, when there is nothing to send", () => {
    const relay = risen();
    expect(relay.dueMs()).toBe(IDLE_PROBE_MS);
    const [probe] = only(relay.step({ kind: "tick" }, IDLE_PROBE_MS), "ask-digest");
    expect(probe?.ids).toEqual([]);
    expect(relay.dueMs()).toBe(Number.POSITIVE_INFINITY);
    const failed = relay.step(
      {
        ...{ kind: "failed", request: probe?.request ?? 0, failure: "no-answer", status: null },
        ...{ detail: "silent", retryAfterMs: null },
      },
      IDLE_PROBE_MS + 1,
    );
    expect(only(failed, "can-relay")[0]?.canRelay).toBe(false);
  });

  test("one event that the destination cannot take is refused alone, and the others arrive", () => {
    const { settled } = play({ poison: new Set(["e7"]), poisonStatus: 413, count: 100 });
    expect(settled.get("e7")).toBe("not-relayed");
    expect([...settled.values()].filter((kind) => kind === "delivered")).toHaveLength(99);
  });

  test("one event on which the destination breaks does not hold up the others", () => {
    const { settled } = play({ poison: new Set(["e7"]), poisonStatus: 500, count: 100 });
    expect(settled.has("e7")).toBe(false);
    expect([...settled.values()].filter((kind) => kind === "delivered")).toHaveLength(99);
  });

  test("whatever fails, everything arrives in the end, and is not sent again once it is known there", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 ** 31 }),
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 0, max: 90 }),
        (seed, count, failPercent) => {
          const { settled, sentAfterKnown } = play({ seed, count, failPercent });
          expect(settled.size).toBe(count);
          expect([...settled.values()].every((kind) => kind === "delivered")).toBe(true);
          expect(sentAfterKnown).toBe(0);
        },
      ),
      // Told of more while a claim was under way.
      { numRuns: 150, examples: [[666189960, 251, 1]] },
    );
  });
});

interface Play {
  readonly seed?: number;
  readonly count: number;
  /** Of requests, until `CALM_MS`. */
  readonly failPercent?: number;
  readonly poison?: ReadonlySet<string>;
  readonly poisonStatus?: number;
}

const CALM_MS = 60_000;
const END_MS = 400_000;

interface Due {
  readonly atMs: number;
  readonly event: RelayEvent;
}

/** A store that holds `count` events at first and a destination that takes them, under a clock of its own. */
class World {
  readonly settled = new Map<string, string>();
  sentAfterKnown = 0;
  readonly #play: Play;
  readonly #random = prng(99);
  readonly #relay: Relay;
  readonly #kept: Map<string, RelayItem>;
  readonly #claimed = new Set<string>();
  readonly #there = new Set<string>();
  /** The relay was told that the destination has it. */
  readonly #known = new Set<string>();
  #due: Due[] = [];
  nowMs = 0;

  constructor(play: Play) {
    this.#play = play;
    this.#random = prng(play.seed ?? 7);
    this.#relay = new Relay(this.#random.fork("relay"));
    this.#kept = new Map(
      Array.from({ length: play.count }, (_, n) => [`e${n}`, item(n, n % 5)] as const),
    );
  }

  run(): void {
    this.#do(this.#relay.step({ kind: "start" }, 0));
    while (this.nowMs < END_MS) {
      this.#due.sort((a, b) => a.atMs - b.atMs);
      const [next] = this.#due;
      const tickMs = this.#relay.dueMs();
      if (next === undefined && tickMs === Number.POSITIVE_INFINITY) return;
      if (next !== undefined && next.atMs <= tickMs) {
        this.#due.shift();
        this.nowMs = Math.max(this.nowMs, next.atMs);
        this.#do(this.#relay.step(next.event, this.nowMs));
      } else {
        this.nowMs = Math.max(this.nowMs, tickMs);
        this.#do(this.#relay.step({ kind: "tick" }, this.nowMs));
      }
      if (this.settled.size === this.#play.count) return;
    }
  }

  #after(event: RelayEvent): void {
    this.#due.push({ atMs: this.nowMs + 1 + this.#random.below(200), event });
  }

  #do(effects: readonly RelayEffect[]): void {
    for (const effect of effects) this.#one(effect);
  }

  #one(effect: RelayEffect): void {
    switch (effect.kind) {
      case "claim":
        this.#claim(effect.countMax);
        return;
      case "send":
        this.#send(effect);
        return;
      case "ask-digest":
        this.#ask(effect);
        return;
      case "settle":
        if (effect.outcome.kind === "failed") return;
        expect(this.settled.has(effect.id)).toBe(false);
        this.settled.set(effect.id, effect.outcome.kind);
        this.#kept.delete(effect.id);
        return;
      case "release":
        for (const id of effect.ids) this.#claimed.delete(id);
        this.#after({ kind: "more" });
        return;
      default:
    }
  }

  #claim(countMax: number): void {
    const items = [...this.#kept.values()].filter(({ id }) => !this.#claimed.has(id));
    const taken = items.slice(0, Math.min(countMax, 50));
    for (const { id } of taken) this.#claimed.add(id);
    this.#after({ kind: "claimed", items: taken, isAll: taken.length === items.length });
  }

  /** What happens to a request: taken and answered, taken and the answer lost, or not taken. */
  #fate(): "fine" | "lost" | "broken" {
    const percent = this.nowMs < CALM_MS ? (this.#play.failPercent ?? 0) : 0;
    if (this.#random.below(100) >= percent) return "fine";
    return this.#random.below(2) === 0 ? "lost" : "broken";
  }

  #fail(request: number, status: number | null): void {
    const failure = status === null ? "no-answer" : "rejected";
    const detail = status === null ? "no answer" : `answers ${status}`;
    this.#after({ kind: "failed", request, failure, status, detail, retryAfterMs: null });
  }

  #send({ request, ids }: Of<"send">): void {
    this.sentAfterKnown += ids.filter((id) => this.#known.has(id)).length;
    if (ids.some((id) => this.#play.poison?.has(id) === true)) {
      this.#fail(request, this.#play.poisonStatus ?? 500);
      return;
    }
    const fate = this.#fate();
    if (fate !== "broken") for (const id of ids) this.#there.add(id);
    if (fate !== "fine") {
      this.#fail(request, null);
      return;
    }
    for (const id of ids) this.#known.add(id);
    const results = ids.map((id) => ({
      id,
      kind: "delivered" as const,
      receipt: receipt(id),
    }));
    this.#after({ kind: "answered", request, results });
  }

  #ask({ request, ids }: Of<"ask-digest">): void {
    if (this.#fate() !== "fine") {
      this.#fail(request, null);
      return;
    }
    const states = ids.map((id) => ({ id, receipt: this.#there.has(id) ? receipt(id) : null }));
    for (const { id, receipt: has } of states) if (has !== null) this.#known.add(id);
    this.#after({ kind: "digest", request, states });
  }
}

function play(how: Play): World {
  const world = new World(how);
  world.run();
  return world;
}
