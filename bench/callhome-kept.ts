/**
 * What call home keeps: acknowledged events over SIGKILLs with torn writes, and a storm of one component. No times: how much was
 * tried without a loss, and how many tickets came of it.
 *
 * A loss ends the run with the line that replays it. `test/e2e/callhome-crash/trials.ts` makes as many kills as it is told.
 */
import { runTrials } from "../test/e2e/callhome-crash/trials.ts";
import { CallhomeScene } from "../test/e2e/test-callhome.ts";
import { until } from "../test/e2e/test-cluster.ts";
import type { Measurement } from "./bench.ts";

const KILLS = 500;
const KILLS_MUST = 10_000;
const KILLS_AIM = 100_000;
const STORM = 1_000;
const STORM_WITHIN_MS = 60_000;

async function kills(): Promise<Measurement> {
  const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
  const { trials, torn, acknowledged } = await runTrials(KILLS, seed);
  return {
    ...{ bench: "callhome-kills", ours: trials, peer: null, peerName: null, unit: "kills" },
    what: "SIGKILLs of a process that fills an outbox, unflushed writes torn, none of what was acknowledged lost",
    ...{ spread: null, runs: 1 },
    goal: { of: "ours", better: "higher", must: KILLS_MUST, aim: KILLS_AIM },
    note: `seed ${seed}: ${acknowledged} events acknowledged, ${torn} tails torn, 0 lost; the mark is a number of trials`,
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

export async function run(): Promise<readonly Measurement[]> {
  return [await storm(), await kills()];
}
