/**
 * Whom an observer accuses that was itself not running: stopped for 5 s (SIGSTOP), it finds answers unread and timers run out.
 *
 * Five hosts (network namespaces on a bridge), on each an agent of ours and one of Debian's `serf`, both with default timing.
 * A trial stops both agents of one host at the same moment and lets them go on. Every suspicion of its own and every verdict
 * that the stopped one says until 10 s later is an accusation: all others were well.
 */
import { loadavg } from "node:os";
import { join } from "node:path";
import { prng as prngOf } from "../agent/runtime/prng.ts";
import { type Measurement, Unavailable } from "./bench.ts";
import { HoldfastCluster } from "./detection/holdfast-cluster.ts";
import { Hosts } from "./detection/hosts.ts";
import { hasSerf, SerfCluster } from "./detection/serf-cluster.ts";
import { quietTrial, type StallResult, stallTrial, untilWhole } from "./detection/trials.ts";

const HOSTS = 5;
const TRIALS = 5;
const STOP_MS = 5_000;
const WATCH_MS = 10_000;
const SEED = 1;
const BINARY = join(import.meta.dir, "../dist/holdfast");

function total(results: readonly StallResult[], of: (result: StallResult) => number): number {
  return results.reduce((sum, result) => sum + of(result), 0);
}

/** What the others did: `suspected it themselves 4 times of 20, counted it out 0, each other 0`. */
function others(results: readonly StallResult[]): string {
  const most = results.length * (HOSTS - 1);
  const suspected = total(results, ({ suspectedBy }) => suspectedBy);
  const out = total(results, ({ countedOutBy }) => countedOutBy);
  const wronged = total(results, ({ falseVerdicts }) => falseVerdicts);
  return `suspected it themselves ${suspected} times of ${most}, counted it out ${out}, each other ${wronged}`;
}

async function trials(hosts: Hosts): Promise<readonly (readonly StallResult[])[]> {
  const prng = prngOf(SEED);
  const clusters = [new HoldfastCluster(hosts, [BINARY]), new SerfCluster(hosts)];
  for (const cluster of clusters) cluster.start();
  await untilWhole(clusters);
  const results: (readonly StallResult[])[] = [];
  for (let trial = 0; trial < TRIALS; trial++) {
    await quietTrial(clusters, 1_000 + prng.below(1_000));
    const stall = { index: trial % HOSTS, stopMs: STOP_MS, watchMs: WATCH_MS };
    results.push(await stallTrial(clusters, stall));
  }
  return results;
}

export async function run(): Promise<readonly Measurement[]> {
  if (!hasSerf()) throw new Unavailable("serf is missing: apt-get install serf");
  const hosts = await Hosts.open(HOSTS);
  try {
    const results = await trials(hosts);
    const ours = results.flatMap(([first]) => first ?? []);
    const theirs = results.flatMap(([, second]) => second ?? []);
    return [
      {
        bench: "stall-observer-accusations",
        what: `an observer stopped for ${STOP_MS / 1000} s in a 5-node cluster: whom it accuses`,
        ours: total(ours, ({ accusations }) => accusations),
        peer: total(theirs, ({ accusations }) => accusations),
        peerName: "serf, default timing",
        unit: "accusations",
        spread: null,
        runs: ours.length,
        goal: { of: "ours", better: "lower", must: 0, aim: null },
        note:
          `the others: ours ${others(ours)}; serf's ${others(theirs)}; ` +
          `load average ${loadavg()[0]?.toFixed(1)}`,
      },
    ];
  } finally {
    await hosts.close();
  }
}
