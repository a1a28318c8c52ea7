/**
 * Goal: an error raised in a BMC becomes one ticket by whichever way works, and nothing that was acknowledged is lost.
 * Method: the built executable as BMC, agent, manager and destination, each a process; managers and agents killed, stopped, cut
 * from their destination, out of disk. Limits are those of the protocol (T1, T2) with room for a busy machine.
 */
import { afterEach, describe, expect, test } from "bun:test";
import {
  CallhomeScene,
  type SceneOptions,
  type Service,
  type ServiceRole,
} from "./test-callhome.ts";
import { until } from "./test-cluster.ts";

const TEST_MS = 90_000;
/** A ticket that no timer of the protocol has to wait for. */
const AT_ONCE_MS = 15_000;
const T2_AND_ROOM_MS = 30_000;

const scenes: CallhomeScene[] = [];

afterEach(async () => {
  await Promise.all(scenes.splice(0).map((scene) => scene.close()));
});

async function sceneOf(
  options: SceneOptions = {},
  names: readonly (readonly [ServiceRole, string])[] = [],
): Promise<CallhomeScene> {
  const scene = await CallhomeScene.start(options, names);
  scenes.push(scene);
  return scene;
}

const WATCHES = (scene: CallhomeScene): readonly string[] => [
  ...["--bmc", scene.bmc.redfish, "--bmc-poll-seconds", "0.5"],
];

interface Whole {
  readonly scene: CallhomeScene;
  readonly destination: Service;
  readonly manager: Service;
  readonly agent: Service;
}

/** One of each, ready for an error. */
async function whole(options: SceneOptions = {}): Promise<Whole> {
  const scene = await sceneOf(options, [
    ["destination", "d1"],
    ["manager", "m1"],
  ]);
  const [destination, manager] = await Promise.all([
    scene.startDestination(),
    scene.startManager(),
  ]);
  const agent = await scene.startAgent(WATCHES(scene));
  await scene.ready(agent, ["bmc", "manager"]);
  return { scene, destination, manager, agent };
}

/** Kinds of the steps of the only event, in their order. */
async function wayOf(scene: CallhomeScene, agent: Service, id: string): Promise<readonly string[]> {
  const shown = await scene.steps(agent, id);
  return (shown?.steps ?? []).map(({ step }) => step);
}

describe.each([
  ["in the clear", false],
  ["by mutual TLS", true],
] as const)("an error in a BMC, %s,", (_, isSecure) => {
  test(
    "reaches the ticket by the manager, and around it once it is killed",
    async () => {
      const { scene, destination, manager, agent } = await whole({ isSecure });
      await scene.bmc.control("event memory 1");
      const [first] = await scene.delivered(agent, 1, AT_ONCE_MS);
      expect(first?.ticket).toMatch(/^T-\d{4}-\d{6}$/);
      expect(await wayOf(scene, agent, first?.id ?? "")).toContain("kept");
      await manager.kill();
      await scene.bmc.control('event "PSU1 Status" 1');
      const events = await scene.delivered(agent, 2, AT_ONCE_MS);
      const second = events.find(({ id }) => id !== first?.id);
      const way = await wayOf(scene, agent, second?.id ?? "");
      expect(way).not.toContain("kept");
      expect(new Set(events.map(({ ticket }) => ticket)).size).toBe(2);
      const back = await scene.startManager();
      await until("the manager learns what went around it", AT_ONCE_MS, async () => {
        const shown = await scene.ask<{
          readonly row: { readonly state: string; readonly ticket: string | null };
        }>(back, `/v1/events/${second?.id}`);
        const row = shown?.row;
        return row?.state === "delivered" && row.ticket === second?.ticket ? row : null;
      });
      expect(await scene.tickets(destination)).toHaveLength(2);
    },
    TEST_MS,
  );
});

describe("a manager", () => {
  test(
    "that is stopped without a word is gone around within T1, and makes no second ticket when it goes on",
    async () => {
      const { scene, destination, manager, agent } = await whole();
      manager.child.kill("SIGSTOP");
      await scene.bmc.control("event memory 1");
      await scene.delivered(agent, 1, AT_ONCE_MS);
      manager.child.kill("SIGCONT");
      await scene.bmc.control('event "PSU1 Status" 1');
      await scene.delivered(agent, 2, AT_ONCE_MS);
      expect(await scene.tickets(destination)).toHaveLength(2);
    },
    TEST_MS,
  );

  test(
    "that keeps events but cannot relay them is gone around within T2",
    async () => {
      const scene = await sceneOf();
      const destination = await scene.startDestination();
      await scene.startManager(["--destination", scene.destinationUrl(9)]);
      const agent = await scene.startAgent(WATCHES(scene));
      await scene.ready(agent, ["bmc"]);
      await scene.bmc.control("event memory 1");
      await scene.delivered(agent, 1, T2_AND_ROOM_MS);
      expect(await scene.tickets(destination)).toHaveLength(1);
    },
    TEST_MS,
  );

  test(
    "is not needed where there is another",
    async () => {
      const scene = await sceneOf();
      const destination = await scene.startDestination();
      const [first] = await Promise.all([scene.startManager(), scene.startManager([], 2)]);
      const both = ["--manager", scene.managerUrl(1), "--manager", scene.managerUrl(2)];
      const agent = await scene.startAgent(WATCHES(scene), 1, both);
      await scene.ready(agent, ["bmc", "manager"]);
      await first?.kill();
      await scene.bmc.control("event memory 1");
      await scene.delivered(agent, 1, AT_ONCE_MS);
      expect(await scene.tickets(destination)).toHaveLength(1);
    },
    TEST_MS,
  );
});

describe("a node", () => {
  test(
    "without a way of its own calls home through a peer that has one",
    async () => {
      const scene = await sceneOf();
      const destination = await scene.startDestination();
      // That manager is not there.
      const agent = await scene.startAgent(WATCHES(scene), 1, ["--manager", scene.managerUrl(9)]);
      await scene.startAgent([], 2, ["--destination", scene.destinationUrl()]);
      await scene.ready(agent, ["bmc"]);
      await scene.bmc.control("event memory 1");
      await scene.delivered(agent, 1, T2_AND_ROOM_MS);
      expect(await scene.tickets(destination)).toHaveLength(1);
    },
    TEST_MS,
  );

  test(
    "keeps what it cannot tell, over kills of its agent, and tells it once there is a way",
    async () => {
      const scene = await sceneOf();
      let agent = await scene.startAgent(WATCHES(scene));
      await scene.ready(agent, ["bmc"]);
      const errors = ["memory 1", '"PSU1 Status" 1', '"CPU0 Temp" 9'];
      for (const [index, error] of errors.entries()) {
        await scene.bmc.control(`event ${error}`);
        await until("the agent has it", AT_ONCE_MS, async () =>
          (await scene.events(agent)).length > index ? true : null,
        );
        await agent.kill();
        agent = await scene.startAgent(WATCHES(scene));
        await scene.ready(agent, ["bmc"]);
      }
      const destination = await scene.startDestination();
      const events = await scene.delivered(agent, 3, 60_000);
      expect(events).toHaveLength(3);
      const tickets = await scene.tickets(destination);
      expect(tickets.map(({ eventCount }) => eventCount)).toEqual([1, 1, 1]);
    },
    TEST_MS,
  );
});

describe("a storm", () => {
  test(
    "of 1,000 errors of one DIMM is one ticket or two, with everything counted",
    async () => {
      const { scene, destination, agent } = await whole();
      await scene.storm(agent, 1_000);
      await until("all are counted", 60_000, async () =>
        (await scene.eventCount(destination)) >= 1_000 ? true : null,
      );
      expect(await scene.eventCount(destination)).toBe(1_000);
      expect((await scene.tickets(destination)).length).toBeLessThanOrEqual(2);
    },
    TEST_MS,
  );
});
