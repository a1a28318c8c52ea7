/**
 * Goal: the BMC of a dead node is watched by one living node that reaches it, soon, and by none once the node is back.
 * Method: the machine of each living node, events by hand, time as a number.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeId } from "../membership/membership.ts";
import {
  ASK_EVERY_MS,
  BEGIN_AFTER_MS,
  STAGGER_MS,
  StandIn,
  type StandInEffect,
  type StandInEvent,
} from "./stand-in.ts";

const ids = (names: string): readonly NodeId[] => names.split(" ").map((name) => name as NodeId);
const [N1, N2, N3, N4] = ids("n1 n2 n3 n4") as [NodeId, NodeId, NodeId, NodeId];

function standIn(self: NodeId, isKnown = true): StandIn {
  const machine = new StandIn(self);
  machine.step({ kind: "members", living: [N1, N2, N3], dead: [N4] }, 0);
  machine.step({ kind: "known", node: N4, isKnown }, 0);
  return machine;
}

/** Effects and `watched()` agree, no node is begun twice, and none that lives is watched. */
function checkWatched(events: readonly StandInEvent[]): void {
  const machine = new StandIn(N1);
  const watched = new Set<NodeId>();
  let living: readonly NodeId[] = [];
  events.forEach((each, index) => {
    if (each.kind === "members") living = each.living;
    for (const effect of machine.step(each, index * 7_000)) follow(watched, effect);
    expect([...watched].filter((node) => living.includes(node))).toEqual([]);
    expect([...machine.watched()].sort()).toEqual([...watched].sort());
  });
}

function follow(watched: Set<NodeId>, effect: StandInEffect): void {
  if (effect.kind === "ask") return;
  const isWatched = watched.has(effect.node);
  expect(isWatched).toBe(effect.kind === "unwatch");
  if (isWatched) watched.delete(effect.node);
  else watched.add(effect.node);
}

describe("standing in for a dead node", () => {
  test("is begun by the lowest after a moment, without a question", () => {
    const machine = standIn(N1);
    expect(machine.dueMs()).toBe(BEGIN_AFTER_MS);
    expect(machine.step({ kind: "tick" }, BEGIN_AFTER_MS - 1)).toEqual([]);
    expect(machine.step({ kind: "tick" }, BEGIN_AFTER_MS)).toEqual([{ kind: "watch", node: N4 }]);
    expect(machine.step({ kind: "tick" }, BEGIN_AFTER_MS * 2)).toEqual([]);
  });

  test("waits until it is known how the BMC is reached", () => {
    const machine = standIn(N1, false);
    expect(machine.step({ kind: "tick" }, BEGIN_AFTER_MS)).toEqual([]);
    const known = { kind: "known", node: N4, isKnown: true } as const;
    expect(machine.step(known, BEGIN_AFTER_MS + 5)).toEqual([{ kind: "watch", node: N4 }]);
  });

  test("is left to a lower one that has the BMC, and taken from one that has not", () => {
    const machine = standIn(N3);
    const dueMs = BEGIN_AFTER_MS + 2 * STAGGER_MS;
    expect(machine.step({ kind: "tick" }, dueMs)).toEqual([
      { kind: "ask", node: N4, peers: [N1, N2] },
    ]);
    expect(machine.step({ kind: "watchers", node: N4, by: [N2] }, dueMs)).toEqual([]);
    const nextMs = dueMs + ASK_EVERY_MS;
    expect(machine.step({ kind: "tick" }, nextMs)).toMatchObject([{ kind: "ask" }]);
    const nobody = { kind: "watchers", node: N4, by: [] } as const;
    expect(machine.step(nobody, nextMs)).toEqual([{ kind: "watch", node: N4 }]);
    const laterMs = nextMs + ASK_EVERY_MS;
    expect(machine.step({ kind: "tick" }, laterMs)).toMatchObject([{ kind: "ask" }]);
    expect(machine.step({ kind: "watchers", node: N4, by: [N1] }, laterMs)).toMatchObject([
      { kind: "unwatch", node: N4 },
    ]);
  });

  test("ends when the node is back, and begins anew when it dies again", () => {
    const machine = standIn(N1);
    machine.step({ kind: "tick" }, BEGIN_AFTER_MS);
    const all = { kind: "members", living: [N1, N2, N3, N4], dead: [] } as const;
    expect(machine.step(all, 5_000)).toMatchObject([{ kind: "unwatch", node: N4 }]);
    expect(machine.watched()).toEqual([]);
    machine.step({ kind: "members", living: [N1, N2, N3], dead: [N4] }, 6_000);
    machine.step({ kind: "known", node: N4, isKnown: true }, 6_000);
    const nextMs = 6_000 + BEGIN_AFTER_MS;
    expect(machine.step({ kind: "tick" }, nextMs)).toEqual([{ kind: "watch", node: N4 }]);
  });

  test("is given up by the first when a lower one comes and has it", () => {
    const machine = standIn(N1);
    machine.step({ kind: "tick" }, BEGIN_AFTER_MS);
    const n0 = "n0" as NodeId;
    machine.step({ kind: "members", living: [n0, N1, N2, N3], dead: [N4] }, 10_000);
    const askMs = machine.dueMs();
    expect(machine.step({ kind: "tick" }, askMs)).toMatchObject([{ kind: "ask", peers: [n0] }]);
    expect(machine.step({ kind: "watchers", node: N4, by: [n0] }, askMs)).toMatchObject([
      { kind: "unwatch" },
    ]);
  });

  test("never watches a node that lives, and watches each one once", () => {
    const pick = fc.subarray([N1, N2, N3, N4]);
    const event = fc.oneof(
      fc.record({ kind: fc.constant("members" as const), living: pick, dead: pick }),
      fc.record({
        kind: fc.constant("known" as const),
        node: fc.constantFrom(N2, N3, N4),
        isKnown: fc.boolean(),
      }),
      fc.record({
        kind: fc.constant("watchers" as const),
        node: fc.constantFrom(N2, N3, N4),
        by: pick,
      }),
      fc.record({ kind: fc.constant("tick" as const) }),
    );
    fc.assert(fc.property(fc.array(event, { maxLength: 40 }), checkWatched));
  });
});
