/**
 * Events that a manager takes a second from 1,000 nodes over HTTP, each signature checked, each event durable in its SQLite file
 * before it is answered. The nodes are played by this process, on the same two cores.
 */
import { measureIntake } from "../agent/manager/io/harness/measure-intake.ts";
import { type Measurement, median, medianDeviation } from "./bench.ts";

const NODES = 1_000;
const RUNS = 3;
const GOAL = { of: "ours", better: "higher", must: 3_000, aim: 10_000 } as const;

async function measured(bench: string, batch: number, events: number): Promise<Measurement> {
  const runs = [];
  for (let i = 0; i < RUNS; i++) runs.push(await measureIntake({ nodes: NODES, events, batch }));
  const rates = runs.map(({ eventsPerSecond }) => eventsPerSecond);
  const cpuUs = median(runs.map(({ managerCpuUsPerEvent }) => managerCpuUsPerEvent));
  const p99Ms = median(runs.map(({ p99Ms: ms }) => ms));
  return {
    ...{ bench, ours: median(rates), peer: null, peerName: null, unit: "events/s" },
    what: `events from ${NODES} nodes accepted by a manager, SQLite, ${batch} a request`,
    spread: medianDeviation(rates),
    runs: RUNS,
    goal: GOAL,
    note: `${cpuUs.toFixed(0)} µs of the manager's processor an event; 99 % of requests within ${p99Ms.toFixed(0)} ms`,
  };
}

export async function run(): Promise<readonly Measurement[]> {
  return [
    await measured("callhome-manager-single", 1, 10_000),
    await measured("callhome-manager-batch", 16, 40_000),
  ];
}
