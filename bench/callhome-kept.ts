/**
 * What call home keeps: acknowledged events over SIGKILLs with torn writes, over a long outage in the simulator, and a storm of one
 * component. No times: how much was tried without a loss, and how many tickets came of it.
 *
 * A loss ends the run with the line that replays it. HOLDFAST_BENCH_KILLS=10000 makes as many kills as the mark asks for.
 */

import { assert } from "../core/assert.ts";
import { runTrials } from "../test/e2e/callhome-crash/trials.ts";
import { CallhomeScene } from "../test/e2e/test-callhome.ts";
import { until } from "../test/e2e/test-cluster.ts";
import { World } from "../test/sim/callhome/world.ts";
import type { Measurement } from "./bench.ts";

/** Three minutes; so many as are asked for make an hour. */
const KILLS = 500;
const KILLS_ENV = "HOLDFAST_BENCH_KILLS";
const KILLS_MUST = 10_000;
const KILLS_AIM = 100_000;
const DAY_MS = 86_400_000;
const OUTAGE_DAYS = 30;
const OUTAGE_EVENTS = 100_000;
const OUTAGE_SETTLE_MS = 360_000;
/** Streams are open, beats have come. */
const READY_MS = 2_500;
const STORM = 1_000;
const STORM_WITHIN_MS = 60_000;

/** In two folders at once: a kill waits for a process to start more than it computes. */
async function kills(): Promise<Measurement> {
  const count = Number(process.env[KILLS_ENV] ?? KILLS);
  const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
  const half = Math.ceil(count / 2);
  const [one, two] = await Promise.all([runTrials(half, seed), runTrials(count - half, seed + 1)]);
  const acknowledged = one.acknowledged + two.acknowledged;
  return {
    ...{ bench: "callhome-kills", ours: one.trials + two.trials, peer: null, peerName: null },
    what: "SIGKILLs of a process that fills an outbox, unflushed writes torn, none of what was acknowledged lost",
    ...{ unit: "kills", spread: null, runs: 1 },
    goal: { of: "ours", better: "higher", must: KILLS_MUST, aim: KILLS_AIM },
    note: `seeds ${seed} and the next: ${acknowledged} events acknowledged, ${one.torn + two.torn} tails torn, 0 lost`,
  };
}

async function storm(): Promise<Measurement> {
  const scene = await CallhomeScene.start();
  try {
    const destination = await scene.startDestination();
    await scene.startManager();
    const agent = await scene.startAgent(["--heartbeat-hours", "0"]);
    await scene.ready(agent, ["manager"]);
    await scene.storm(agent, STORM);
    await until("all are counted", STORM_WITHIN_MS, async () =>
      (await scene.eventCount(destination)) >= STORM ? true : null,
    );
    const counted = await scene.eventCount(destination);
    const tickets = await scene.tickets(destination);
    return {
      ...{ bench: "callhome-storm", ours: tickets.length, peer: null, peerName: null },
      ...{ unit: "tickets", spread: null, runs: 1 },
      what: `a storm of ${STORM} events of one DIMM`,
      goal: { of: "ours", better: "lower", must: 2, aim: null },
      note: `${counted} events counted on them`,
    };
  } finally {
    await scene.close();
  }
}

/** No manager, no destination, no peer; events come all the while. Then everything is back. */
function outage(): Measurement {
  const outageMs = OUTAGE_DAYS * DAY_MS;
  const world = new World({
    ...{ seed: 7, nodes: [true], managerCount: 1, streamAgainMs: 60_000 },
    timing: { silenceMs: Number.POSITIVE_INFINITY },
  });
  world.runMs(READY_MS);
  world.manager.kill();
  world.wire.cutBoth("n1", "d");
  for (let index = 0; index < OUTAGE_EVENTS; index++) {
    world.time.after((index / OUTAGE_EVENTS) * outageMs, () => world.node.raise(2));
  }
  world.runMs(outageMs + 1_000);
  const keptCount = world.node.openCount;
  world.wire.healAll();
  const settledMs = world.settleMs(OUTAGE_SETTLE_MS);
  assert(keptCount === OUTAGE_EVENTS, `${keptCount} events are kept`);
  assert(settledMs !== null && world.node.openCount === 0, "some events are not delivered");
  return {
    ...{ bench: "callhome-outage", ours: OUTAGE_DAYS, peer: null, peerName: null, unit: "days" },
    what: `an outage of every way in the simulator, ${OUTAGE_EVENTS} events, none lost`,
    ...{ spread: null, runs: 1 },
    goal: { of: "ours", better: "higher", must: 7, aim: 30 },
    note: `all delivered ${Math.round(settledMs / 1_000)} s after its end, ${world.referee.duplicates} of them twice`,
  };
}

export async function run(): Promise<readonly Measurement[]> {
  return [outage(), await storm(), await kills()];
}
