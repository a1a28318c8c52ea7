/**
 * Goal: one thing that holdfast sees is one event, whoever tells it and however often; what ends is told by whoever told that it began.
 * Method: views, freezes and jobs as the cluster would tell them, given to several nodes side by side.
 */
import { describe, expect, test } from "bun:test";
import type { BmcEvent } from "../../bmc/bmc.ts";
import { realCrypto } from "../../bmc/ipmi/io/crypto.ts";
import type { Epoch, Member, NodeId, View } from "../membership/membership.ts";
import type { ClusterJob } from "./cluster.ts";
import { HostEvents, isOfEveryPath, QUORUM_GRACE_MS } from "./host-events.ts";

function memberOf(id: string, incarnation = 1): Member {
  return {
    id: id as NodeId,
    instance: `i-${id}`,
    incarnation,
    address: "127.0.0.1",
    port: 1,
    role: "worker",
  };
}

function viewOf(epoch: number, ids: readonly string[], reason = "so"): View {
  return { epoch: epoch as Epoch, members: ids.map((id) => memberOf(id)), reason };
}

function nodeOf(node: string): HostEvents {
  return new HostEvents({ cluster: "c", node, sha256: realCrypto.sha256 });
}

const nobodyLeft = (): boolean => false;

/** Every node is told of the change; what each of them says. */
function tellAll(
  nodes: readonly HostEvents[],
  view: View,
  previous: View | null,
  nowMs = 1_000,
): readonly (readonly BmcEvent[])[] {
  return nodes.map((node) => node.onChange({ kind: "view", view, previous }, nobodyLeft, nowMs));
}

function jobOf(more: Partial<ClusterJob> = {}): ClusterJob {
  return {
    spec: { id: "j-1", argv: ["x"], ranks: 2 },
    epoch: 3 as Epoch,
    revision: 1,
    state: "running",
    placement: ["n1" as NodeId, "n2" as NodeId],
    partners: ["n2" as NodeId, "n1" as NodeId],
    sealed: 0,
    exitCode: null,
    verdict: null,
    ...more,
  };
}

const THREE = viewOf(1, ["n1", "n2", "n3"]);
const TWO = viewOf(2, ["n1", "n2"], "n3 unreachable (its port refuses connections)");

describe("a node that is declared dead", () => {
  test("is one event, told by the first two, with why", () => {
    const nodes = ["n1", "n2", "n4"].map(nodeOf);
    const four = viewOf(1, ["n1", "n2", "n3", "n4"]);
    const three = viewOf(2, ["n1", "n2", "n4"], "n3 unreachable (its port refuses connections)");
    const said = tellAll(nodes, three, four);
    expect(said.map((events) => events.length)).toEqual([1, 1, 0]);
    const [first, second] = [said[0]?.[0], said[1]?.[0]];
    expect(first?.id).toBe(second?.id ?? "");
    expect(first).toMatchObject({ way: "host", severity: "critical", subject: "n3" });
    expect(first?.text).toContain("unreachable (its port refuses connections)");
  });

  test("is told by the next one when the first dies of the same cause", () => {
    const third = nodeOf("n4");
    const four = viewOf(1, ["n1", "n2", "n3", "n4"]);
    const three = viewOf(2, ["n1", "n2", "n4"], "n3 unreachable (silent)");
    expect(tellAll([third], three, four)).toEqual([[]]);
    const two = viewOf(3, ["n2", "n4"], "n1 unreachable (silent)");
    const said = tellAll([third], two, three, 2_000)[0] ?? [];
    expect(said.map(({ subject }) => subject).sort()).toEqual(["n1", "n3"]);
  });

  test("is no event when it left in good order, by its word or by the view's", () => {
    const [node] = ["n1"].map(nodeOf) as [HostEvents];
    const left = viewOf(2, ["n1", "n2"], "n3 left");
    expect(tellAll([node], left, THREE)).toEqual([[]]);
    const other = nodeOf("n1");
    const change = { kind: "view", view: TWO, previous: THREE } as const;
    expect(other.onChange(change, ({ id }) => id === "n3", 1)).toEqual([]);
  });

  test("and is back is told once more, which ends the first, though the teller was started anew", () => {
    const before = nodeOf("n1");
    const died = tellAll([before], TWO, THREE)[0] ?? [];
    const after = nodeOf("n1");
    after.remember(died);
    const back = tellAll([after], viewOf(3, ["n1", "n2", "n3"]), TWO, 5_000)[0] ?? [];
    expect(back).toMatchObject([{ isAssertion: false, subject: "n3", severity: "ok" }]);
    expect(back[0]?.system).toBe(died[0]?.system ?? "");
    expect(tellAll([after], viewOf(4, ["n1", "n2", "n3"]), THREE, 6_000)).toEqual([[]]);
  });

  test("a second time, under another incarnation, is another event", () => {
    const node = nodeOf("n1");
    const first = tellAll([node], TWO, THREE)[0] ?? [];
    tellAll([node], THREE, TWO);
    const again: View = { ...THREE, members: [memberOf("n1"), memberOf("n2"), memberOf("n3", 2)] };
    const second = tellAll([node], TWO, again)[0] ?? [];
    expect(first[0]?.id).not.toBe(second[0]?.id ?? "");
  });
});

describe("a quorum that is lost", () => {
  test("is told after a while, the same by all, and its return ends it", () => {
    const nodes = ["n1", "n2"].map(nodeOf);
    tellAll(nodes, THREE, null);
    const said = nodes.map((node) => {
      node.onChange({ kind: "thawed" }, nobodyLeft, 0);
      node.onChange({ kind: "frozen", reason: "n2 and n3 are not heard" }, nobodyLeft, 1_000);
      expect(node.dueMs()).toBe(1_000 + QUORUM_GRACE_MS);
      return node.tick(1_000 + QUORUM_GRACE_MS);
    });
    expect(said.map((events) => events.length)).toEqual([1, 1]);
    expect(said[0]?.[0]?.id).toBe(said[1]?.[0]?.id ?? "");
    const over = nodes[0]?.onChange({ kind: "thawed" }, nobodyLeft, 9_000) ?? [];
    expect(over).toMatchObject([{ isAssertion: false, category: "quorum" }]);
  });

  test("for a moment, or before this run ever acted, is none", () => {
    const node = nodeOf("n1");
    node.onChange({ kind: "frozen", reason: "joining" }, nobodyLeft, 0);
    expect(node.dueMs()).toBe(Number.POSITIVE_INFINITY);
    node.onChange({ kind: "thawed" }, nobodyLeft, 1);
    node.onChange({ kind: "frozen", reason: "a view change" }, nobodyLeft, 2);
    expect(node.onChange({ kind: "thawed" }, nobodyLeft, 3)).toEqual([]);
    expect(node.tick(60_000)).toEqual([]);
  });
});

describe("a job", () => {
  test("that is lost is told once an epoch, with the verdict, and ends when it runs again", () => {
    const node = nodeOf("n1");
    tellAll([node], THREE, null);
    const lost = jobOf({ state: "lost", verdict: "no spare is left" });
    const said = node.onChange({ kind: "job", record: lost }, nobodyLeft, 1);
    expect(said).toMatchObject([{ category: "job", severity: "critical" }]);
    expect(said[0]?.text).toContain("no spare is left");
    const again = { kind: "job", record: { ...lost, revision: 2 } } as const;
    expect(node.onChange(again, nobodyLeft, 2)).toEqual([]);
    const runs = { kind: "job", record: jobOf({ epoch: 5 as Epoch }) } as const;
    expect(node.onChange(runs, nobodyLeft, 3)).toMatchObject([{ isAssertion: false }]);
  });

  test("whose states nobody else keeps is degraded until somebody does", () => {
    const node = nodeOf("n1");
    tellAll([node], THREE, null);
    const alone = jobOf({ partners: [null, null] });
    const said = node.onChange({ kind: "job", record: alone }, nobodyLeft, 1);
    expect(said).toMatchObject([{ category: "job", severity: "warning" }]);
    const kept = { kind: "job", record: jobOf({ epoch: 4 as Epoch }) } as const;
    expect(node.onChange(kept, nobodyLeft, 2)).toMatchObject([{ isAssertion: false }]);
  });

  test("is not told by the third of three", () => {
    const node = nodeOf("n3");
    tellAll([node], THREE, null);
    const lost = { kind: "job", record: jobOf({ state: "lost" }) } as const;
    expect(node.onChange(lost, nobodyLeft, 1)).toEqual([]);
  });
});

describe("a condition of this node", () => {
  test("is told once while it lasts, and once when it is over", () => {
    const node = nodeOf("n1");
    const full = node.condition("disk-full", "9 MiB are left", 1);
    expect(full).toMatchObject([{ severity: "critical", text: "9 MiB are left" }]);
    expect(node.condition("disk-full", "8 MiB are left", 2)).toEqual([]);
    expect(node.condition("disk-full", null, 3)).toMatchObject([{ isAssertion: false }]);
    expect(node.condition("disk-full", null, 4)).toEqual([]);
    expect(node.condition("disk-full", "again", 5)[0]?.id).not.toBe(full[0]?.id ?? "");
  });

  test("that it cannot call home goes by every path, its end by one", () => {
    const node = nodeOf("n1");
    const [begins] = node.condition("cannot-call-home", "every path is broken", 1);
    const [over] = node.condition("cannot-call-home", null, 2);
    expect([begins, over].map((event) => event !== undefined && isOfEveryPath(event))).toEqual([
      ...[true, false],
    ]);
  });
});
