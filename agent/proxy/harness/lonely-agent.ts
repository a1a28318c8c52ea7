/** A fake agent in a process of its own, so that a test can kill it: starts a job of two ranks, says who runs, and waits. */

import { waitFor } from "./fake-agent.ts";
import { FakeCluster } from "./fake-cluster.ts";

const cluster = new FakeCluster({ ranksOfNodes: [1, 1] });
await cluster.start(process.argv.slice(2));
await waitFor("the programs to compute", () =>
  [...cluster.programs.values()].every(({ lines }) => lines.includes("round 1")),
);
const programs = [...cluster.programs.values()].map(({ process: child }) => child.pid);
const pids = [...cluster.proxies.map(({ pid }) => pid), ...programs];
process.stdout.write(`${JSON.stringify({ pids, folder: cluster.folder })}\n`);
