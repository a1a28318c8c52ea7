/**
 * Goal: a host that is cut off without a trace is out of everybody's view soon, sooner than with serf; an agent that was itself
 * stopped accuses no one. Method: five real agents on five network namespaces, one fault; the benchmarks do it many times.
 */
import { describe, expect } from "bun:test";
import { join } from "node:path";
import type { Cluster } from "../../bench/detection/cluster.ts";
import { HoldfastCluster } from "../../bench/detection/holdfast-cluster.ts";
import { Hosts, whyNoHosts } from "../../bench/detection/hosts.ts";
import { hasSerf, SerfCluster } from "../../bench/detection/serf-cluster.ts";
import { cutTrial, stallTrial, untilWhole } from "../../bench/detection/trials.ts";
import { realPart } from "../real-part.ts";
import { ROOT } from "../steps.ts";

const LIMIT_MS = 150_000;
const HOSTS = 5;
/** Three times what it takes on a machine with nothing else to do. */
const KNOWN_WITHIN_MS = 2_500;
const COMMAND = [process.execPath, join(ROOT, "agent/main.ts")];

const remedy = whyNoHosts();
const hosts = realPart(
  "network namespaces and nftables",
  () => remedy === null,
  remedy ?? "apt-get install iproute2 nftables util-linux",
);
const serf = realPart(
  "serf on network namespaces",
  () => remedy === null && hasSerf(),
  remedy ?? "apt-get install serf",
);

async function onHosts(
  clustersOf: (hosts: Hosts) => readonly Cluster[],
  body: (hosts: Hosts, clusters: readonly Cluster[]) => Promise<void>,
): Promise<void> {
  const opened = await Hosts.open(HOSTS);
  try {
    const clusters = clustersOf(opened);
    for (const cluster of clusters) cluster.start();
    await untilWhole(clusters);
    await body(opened, clusters);
  } finally {
    await opened.close();
  }
}

const ours = (on: Hosts): Cluster => new HoldfastCluster(on, COMMAND);

describe("five agents on five hosts", () => {
  hosts(
    "agree soon to go on without a host that is cut off, wrong nobody, and let it in again",
    () =>
      onHosts(
        (on) => [ours(on)],
        async (on, clusters) => {
          // The lead, so that another one has to take over.
          const [result] = await cutTrial(on, clusters, 0);
          expect(result?.agreedMs).toBeLessThan(KNOWN_WITHIN_MS);
          expect(result?.falseVerdicts).toBe(0);
        },
      ),
    LIMIT_MS,
  );

  hosts(
    "accuse nobody after being stopped for 5 s, and are waited for",
    () =>
      onHosts(
        (on) => [ours(on)],
        async (_, clusters) => {
          const [result] = await stallTrial(clusters, { index: 2, stopMs: 5_000, watchMs: 3_000 });
          expect(result).toMatchObject({
            accusations: 0,
            countedOutBy: 0,
            isExpelled: false,
            falseVerdicts: 0,
          });
          // They did notice: the stop was one.
          expect(result?.suspectedBy).toBeGreaterThan(0);
        },
      ),
    LIMIT_MS,
  );

  serf(
    "know of a host that is cut off in less than 0.6 of the time of serf's agents",
    () =>
      onHosts(
        (on) => [ours(on), new SerfCluster(on)],
        async (on, clusters) => {
          const [mine, theirs] = await cutTrial(on, clusters, 3);
          expect(mine?.agreedMs).toBeLessThan(0.6 * (theirs?.knownMs ?? 0));
          expect(mine?.falseVerdicts).toBeLessThanOrEqual(theirs?.falseVerdicts ?? 0);
          // Whoever accuses is heard: the host that hears nobody for seconds.
          expect(mine?.victimAccuses).toBeGreaterThan(0);
        },
      ),
    LIMIT_MS,
  );
});
