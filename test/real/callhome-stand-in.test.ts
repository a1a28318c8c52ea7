/**
 * Goal: the errors of a machine whose host is down reach support all the same, by another node that reads its BMC, and each of
 * them has one ticket, whoever of them saw it.
 * Method: three agents, a destination, and OpenIPMI's simulator as the BMC of the third machine, each a process of its own. The
 * third agent is killed; errors are raised in its BMC before, while it is dead, and after it is back.
 */
import { afterEach, beforeEach, expect } from "bun:test";
import type { BmcsAnswer } from "../../agent/callhome/peers.ts";
import type { TicketSummary, TicketsAnswer } from "../../agent/destination/api.ts";
import { ask, MAIN, type TestAgent, TestCluster, until } from "../e2e/test-cluster.ts";
import { realPart } from "../real-part.ts";
import {
  freePort,
  hasIpmiSim,
  type IpmiSim,
  SIM_GUID,
  SIM_PASSWORD,
  SIM_REMEDY,
  startIpmiSim,
} from "./bmc/ipmi-sim.ts";

const ipmiSim = realPart("ipmi_sim", hasIpmiSim, SIM_REMEDY);

let cluster: TestCluster;
let sim: IpmiSim;
let destination: Bun.Subprocess | null = null;
let destinationPort = 0;

beforeEach(async () => {
  if (!hasIpmiSim()) return;
  cluster = new TestCluster({ HOLDFAST_BMC_PASSWORD: SIM_PASSWORD });
  sim = await startIpmiSim();
  destinationPort = await freePort();
  const listen = `127.0.0.1:${destinationPort}`;
  destination = Bun.spawn({
    cmd: [
      ...[process.execPath, MAIN, "destination", "--listen", listen],
      ...["--data", `${cluster.folder}/destination`],
    ],
    stdio: ["ignore", "ignore", "ignore"],
  });
  await until("the destination answers", 15_000, () => ask<TicketsAnswer>(listen, "/v1/tickets"));
});

afterEach(async () => {
  if (!hasIpmiSim()) return;
  destination?.kill("SIGKILL");
  await destination?.exited;
  await cluster.close();
  await sim.stop();
});

async function tickets(): Promise<readonly TicketSummary[]> {
  const at = `127.0.0.1:${destinationPort}`;
  const answer = await ask<TicketsAnswer>(at, "/v1/tickets?limit=100");
  return answer?.tickets ?? [];
}

async function ticketOf(what: RegExp): Promise<TicketSummary | null> {
  const found = (await tickets()).filter(({ title }) => what.test(title));
  if (found.length > 1) throw new Error(`${found.length} tickets: ${JSON.stringify(found)}`);
  return found[0] ?? null;
}

function start(index: number): TestAgent {
  const own = index === 3 ? ["--bmc", sim.lanUrl, "--bmc-lan", sim.lanUrl] : [];
  const to = ["--destination", `http://127.0.0.1:${destinationPort}`];
  return cluster.start(index, [...to, ...own, "--bmc-poll-seconds", "0.5"]);
}

/** Another node can only stand in once it has heard how. */
async function isKnown(node: TestAgent): Promise<true | null> {
  const answer = await ask<BmcsAnswer>(node.at, "/v1/callhome/bmc");
  return answer?.bmcs?.[0]?.system === SIM_GUID ? true : null;
}

ipmiSim(
  "another node calls home for a dead one, and each error has one ticket",
  async () => {
    const nodes = [start(1), start(2), start(3)];
    const [first, second, third] = nodes as [TestAgent, TestAgent, TestAgent];
    await cluster.settle(nodes, 40_000);
    await until("its BMC is watched", 20_000, () =>
      third.log().includes(": watched") ? true : null,
    );
    await until("its BMC is told", 20_000, () => isKnown(third));
    // Told by the node itself, while it lives.
    await sim.setMemoryError(true);
    const before = await until("a ticket by the node itself", 20_000, () => ticketOf(/memory/i));
    await until("the first has heard of its BMC", 60_000, async () =>
      (await Bun.file(`${first.data}/state/stand-in%2Fn3.json`).exists()) ? true : null,
    );

    await third.kill();
    await cluster.settle([first, second], 20_000);
    await until("its death has a ticket", 20_000, () => ticketOf(/node n3 is dead/));
    await until("the first watches its BMC", 30_000, () =>
      first.log().includes("its BMC lan://127.0.0.1") ? true : null,
    );
    sim.setTemperature(150);
    const during = await until("a ticket for the heat", 60_000, () => ticketOf(/temp/i));
    expect([before.node, during.node]).toEqual(["n3", "n3"]);
    expect(second.log()).not.toContain("its BMC lan://127.0.0.1");

    const again = start(3);
    await cluster.settle([first, second, again], 30_000);
    await until("the first lets it go", 20_000, () =>
      first.log().includes("is not watched from here any more: it is back") ? true : null,
    );
    await until("its BMC is watched again", 30_000, () =>
      again.log().split(": watched").length > 2 ? true : null,
    );
    // What ends is told by the node itself again, and closes what the other one told.
    sim.setTemperature(48);
    await until("the ticket is closed", 60_000, async () => {
      const ticket = await ticketOf(/temp/i);
      return ticket?.state === "closed" ? true : null;
    });
    await until("its return closes the ticket of its death", 20_000, async () => {
      const ticket = await ticketOf(/node n3/);
      return ticket?.state === "closed" ? true : null;
    });
    const all = await tickets();
    expect(all.filter(({ title }) => /memory/i.test(title)).length).toBe(1);
    expect(all.filter(({ title }) => /temp/i.test(title)).length).toBe(1);
  },
  180_000,
);
