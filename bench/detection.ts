/**
 * How soon everybody knows that a host is gone which was cut off without a trace, and whom they wrong by being quick.
 *
 * Five hosts (network namespaces on a bridge), on each an agent of ours and one of Debian's `serf`, both with default timing.
 * A trial drops everything that goes in and out of one host by nftables and takes the time until the last of the other four
 * knows, for both from the same cut. For serf that is its event `member-failed`, the agent's own opinion; for ours the harder
 * thing, the agreed view without the host. Then the host is healed, and the next trial waits until all is well on both, and
 * a drawn time longer, so that cuts fall anywhere between two probes.
 */
import { loadavg } from "node:os";
import { join } from "node:path";
import { type Prng, prng as prngOf } from "../agent/runtime/prng.ts";
import { type Measurement, median, medianDeviation, Unavailable } from "./bench.ts";
import { HoldfastCluster } from "./detection/holdfast-cluster.ts";
import { Hosts } from "./detection/hosts.ts";
import { hasSerf, SerfCluster } from "./detection/serf-cluster.ts";
import { type CutResult, cutTrial, quietTrial, untilWhole } from "./detection/trials.ts";

const HOSTS = 5;
const TRIALS = 10;
const SEED = 1;
const BINARY = join(import.meta.dir, "../dist/holdfast");
const PEER = "serf, default timing";

interface Outcome {
  readonly ours: CutResult[];
  readonly theirs: CutResult[];
  /** Verdicts while nobody was cut off. */
  readonly oursQuiet: number[];
  readonly theirsQuiet: number[];
}

async function trials(hosts: Hosts, prng: Prng): Promise<Outcome> {
  const clusters = [new HoldfastCluster(hosts, [BINARY]), new SerfCluster(hosts)];
  for (const cluster of clusters) cluster.start();
  await untilWhole(clusters);
  const outcome: Outcome = { ours: [], theirs: [], oursQuiet: [], theirsQuiet: [] };
  for (let trial = 0; trial < TRIALS; trial++) {
    const [oursQuiet = 0, theirsQuiet = 0] = await quietTrial(clusters, 2_000 + prng.below(2_000));
    outcome.oursQuiet.push(oursQuiet);
    outcome.theirsQuiet.push(theirsQuiet);
    // Each host in its turn, the lead among them.
    const [ours, theirs] = await cutTrial(hosts, clusters, trial % HOSTS);
    if (ours !== undefined) outcome.ours.push(ours);
    if (theirs !== undefined) outcome.theirs.push(theirs);
  }
  return outcome;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function wrongs(results: readonly CutResult[], quiet: readonly number[]): number {
  return sum(results.map(({ falseVerdicts }) => falseVerdicts)) + sum(quiet);
}

function suspicions(results: readonly CutResult[]): number {
  return sum(results.map(({ falseSuspicions }) => falseSuspicions));
}

function timeOf(outcome: Outcome, load: string): Measurement {
  const { ours, theirs } = outcome;
  const agreed = ours.map(({ agreedMs }) => agreedMs ?? Number.POSITIVE_INFINITY);
  const opinions = Math.round(median(ours.map(({ knownMs }) => knownMs)));
  const first = Math.round(median(theirs.map(({ firstMs }) => firstMs)));
  return {
    bench: "detection-cut-off-host",
    what: "a host cut off without a trace → every other agent has the agreed view without it",
    ours: median(agreed),
    peer: median(theirs.map(({ knownMs }) => knownMs)),
    peerName: PEER,
    unit: "ms",
    spread: medianDeviation(agreed),
    runs: ours.length,
    goal: { of: "ratio", better: "lower", must: 0.6, aim: 0.3 },
    note:
      `slowest ${Math.round(Math.max(...agreed))}; every agent's own verdict ${opinions}; ` +
      `the first of serf's agents ${first}; ${load}`,
  };
}

function wrongsOf(outcome: Outcome, load: string): Measurement {
  const { ours, theirs, oursQuiet, theirsQuiet } = outcome;
  const peer = wrongs(theirs, theirsQuiet);
  return {
    bench: "detection-false-accusations",
    what: "who was counted out though it was there, in the same trials and between them",
    ours: wrongs(ours, oursQuiet),
    peer,
    peerName: PEER,
    unit: "verdicts",
    spread: null,
    runs: ours.length,
    goal: { of: "ours", better: "lower", must: peer, aim: 0 },
    note:
      `suspicions of healthy hosts: ours ${suspicions(ours)}, serf ${suspicions(theirs)}; ` +
      `${load}`,
  };
}

export async function run(): Promise<readonly Measurement[]> {
  if (!hasSerf()) throw new Unavailable("serf is missing: apt-get install serf");
  const hosts = await Hosts.open(HOSTS);
  try {
    const outcome = await trials(hosts, prngOf(SEED));
    const load = `load average ${loadavg()[0]?.toFixed(1)}`;
    return [timeOf(outcome, load), wrongsOf(outcome, load)];
  } finally {
    await hosts.close();
  }
}
