/**
 * Goal: whatever happens to nodes, disks and network, no epoch has two views, epochs never go back, and once the faults stop
 * all nodes are in one view again. Method: random histories of faults over real machines; each failure names its seed,
 * `STORM_SEED=n` replays it alone, `STORM_COUNT=n` runs the first n. That the checks can fail is shown by machines and disks
 * with seeded defects.
 */
import { describe, expect, test } from "bun:test";
import { type Prng, prng } from "../runtime/prng.ts";
import type { MembershipEffect, MembershipEvent, SavedMembership } from "./membership-events.ts";
import { Membership } from "./membership-machine.ts";
import { TestCluster } from "./test-cluster.ts";

const SEEDS = Number(process.env["STORM_COUNT"] ?? 60);

type Fault = (
  c: TestCluster,
  random: Prng,
  state: { wiped: boolean; stopped: Set<string> },
) => void;

function anyOf(c: TestCluster, random: Prng): string {
  const ids = c.ids();
  return ids[random.below(ids.length)] as string;
}

const kill: Fault = (c, random, { stopped }) => {
  const id = anyOf(c, random);
  if (c.isUp(id)) c.kill(id);
  stopped.delete(id);
};
const start: Fault = (c, random) => {
  const id = anyOf(c, random);
  if (!c.isUp(id)) c.start(id);
};
/** A wiped voter is dead for ever: never one that a small view cannot lose, and one a history. */
const wipe: Fault = (c, random, state) => {
  const id = anyOf(c, random);
  if (c.isUp(id) || state.wiped || c.newestView().members.length <= 4) return;
  c.wipe(id);
  state.wiped = true;
};
const stop: Fault = (c, random, { stopped }) => {
  const id = anyOf(c, random);
  if (!c.isUp(id)) return;
  c.stop(id);
  stopped.add(id);
};
const resume: Fault = (c, _random, { stopped }) => {
  for (const id of stopped) c.resume(id);
  stopped.clear();
};
const cutOneWay: Fault = (c, random) => c.cutOneWay(anyOf(c, random), anyOf(c, random));
const partition: Fault = (c, random) => {
  const ids = c.ids();
  if (random.below(2) === 0) c.isolate(anyOf(c, random));
  else c.split(ids.slice(0, 1 + random.below(ids.length - 1)), ids.slice(-1 - random.below(2)));
};
const changeWeather: Fault = (c, random) => {
  c.heal();
  c.loss = random.below(2) === 0 ? 0 : random.unit() * 0.3;
};
const wish: Fault = (c, random) => {
  const id = anyOf(c, random);
  if (c.isUp(id)) c.give(id, { kind: "want-epoch", reason: "storm" });
};

const FAULTS: readonly Fault[] = [
  ...[kill, kill, start, start, start, wipe, stop],
  ...[resume, cutOneWay, partition, changeWeather, wish],
];

/** One history: 20 s of faults, then peace. */
function storm(seed: number): TestCluster {
  const random = prng(seed).fork("storm");
  const nodes = 3 + random.below(4);
  const witness = random.below(3) === 0;
  const diskMs = random.below(4) === 0 ? 40 : 1;
  const delayMs = random.below(4) === 0 ? 15 : 0.3;
  const c = new TestCluster({ seed, nodes, witness, diskMs, delayMs }).boot();
  const state = { wiped: false, stopped: new Set<string>() };
  const endMs = c.nowMs + 20_000;
  while (c.nowMs < endMs) {
    c.run(random.below(4) === 0 ? random.below(2000) : random.below(60));
    (FAULTS[random.below(FAULTS.length)] as Fault)(c, random, state);
  }
  c.heal();
  c.loss = 0;
  resume(c, random, state);
  for (const id of c.ids()) if (!c.isUp(id)) c.start(id);
  c.until(() => c.agreed(c.ids()), 20_000, `one view after storm ${seed}`);
  return c;
}

describe("storms", () => {
  const given = process.env["STORM_SEED"];
  const seeds =
    given === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(given)];

  test("no epoch ever has two views, and peace brings one view of all", () => {
    const failures: string[] = [];
    for (const seed of seeds) {
      try {
        const [violation] = storm(seed).violations;
        if (violation !== undefined) failures.push(`STORM_SEED=${seed}: ${violation}`);
      } catch (cause) {
        failures.push(`STORM_SEED=${seed}: ${cause}`);
      }
    }
    expect(failures).toEqual([]);
  }, 600_000);

  test("a storm nobody has seen before", () => {
    const seed = given === undefined ? Date.now() % 1_000_000_000 : Number(given);
    const c = storm(seed);
    expect({ seed, violations: c.violations }).toEqual({ seed, violations: [] });
  });

  test("the same seed gives the same history", () => {
    const story = (c: TestCluster): string =>
      JSON.stringify([c.stepCount, c.packetCount, c.nowMs, c.views, c.accusations]);
    expect(story(storm(7))).toBe(story(storm(7)));
  });
});

/** n1 decides a view with n2's vote alone and nobody hears of it; then n1 is gone and n2 has restarted. */
function decideInSecret(spoilDisk: (saved: SavedMembership) => SavedMembership): TestCluster {
  let isSecret = false;
  const c = new TestCluster({
    seed: 77,
    nodes: 3,
    filter: (_from, to, message) =>
      !isSecret || (message.kind !== "decided" && !(message.kind === "accept" && to === "n3")),
  }).boot();
  c.run(500);
  const epoch = c.viewOf("n1")?.epoch ?? 0;
  isSecret = true;
  c.give("n1", { kind: "want-epoch", reason: "a secret" });
  c.until(() => c.viewOf("n1")?.epoch === epoch + 1, 1000, "n1 has the next view");
  expect(c.viewOf("n2")?.epoch).toBe(epoch as never);
  c.kill("n1");
  c.kill("n2");
  isSecret = false;
  c.spoil("n2", spoilDisk);
  c.start("n2");
  c.until(() => c.agreed(["n2", "n3"]), 10_000, "n2 and n3 go on");
  return c;
}

describe("the checks can fail", () => {
  test("a view chosen by a majority that died is chosen again", () => {
    const c = decideInSecret((saved) => saved);
    expect(c.violations).toEqual([]);
    expect(c.views.some((one) => one.by === "n3" && one.view.reason.includes("a secret"))).toBe(
      true,
    );
  });

  test("an acceptor that forgets what it accepted is caught", () => {
    const c = decideInSecret((saved) => ({ ...saved, promised: -1, accepted: null }));
    expect(c.violations.join()).toContain("two views of epoch");
  });

  test("a node that tells of a view before it is on disk is caught", () => {
    class Hasty extends Membership {
      override step(event: MembershipEvent, nowMs: number): readonly MembershipEffect[] {
        const effects = super.step(event, nowMs);
        const hasty: MembershipEffect[] = [...effects];
        for (const effect of effects) {
          const view = effect.kind === "persist" ? effect.state.view : null;
          if (view !== null) hasty.push({ kind: "view", view, previous: null });
        }
        return hasty;
      }
    }
    const c = new TestCluster({ seed: 1, nodes: 3, make: (...args) => new Hasty(...args) });
    for (const id of c.ids()) c.start(id);
    c.run(1000);
    expect(c.violations.join()).toContain("before it was on disk");
    expect(c.violations.join()).toContain("went from epoch");
  });
});
