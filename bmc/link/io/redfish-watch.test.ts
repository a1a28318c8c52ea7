/**
 * Goal: no event is lost and none told twice, whichever way it comes and whatever happens on the way. Method: a watch over real
 * HTTP on the emulated BMC, with the faults of real ones; every record of the log is then accounted for.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { hasNotice, isPushedBy, Rig, until, type Watching } from "./harness/redfish-rig.ts";

let rigs: Rig[] = [];

async function start(...args: Parameters<typeof Rig.start>): Promise<Rig> {
  const rig = await Rig.start(...args);
  rigs.push(rig);
  return rig;
}

afterEach(async () => {
  for (const rig of rigs) await rig.stop();
  rigs = [];
});

function expectAllOnce(rig: Rig, watching: Watching): void {
  expect(rig.unaccounted(watching)).toEqual({ missing: 0, repeated: 0 });
}

describe("pushed", () => {
  test("an event comes by push at once, and is not told again from the log", async () => {
    const rig = await start({ isTls: true });
    const bmc = await rig.open();
    const door = rig.door();
    const watching = rig.watch(bmc, { push: door, pollMs: 3_000 });
    await until("the subscription", () => isPushedBy(watching, "redfish-push"));
    // The log is read once more when there is a subscription, and may tell the first.
    rig.raise("memory", 0);
    await until("the first event", () => watching.events.length === 1);
    rig.raise("memory", 1);
    await until("the event", () => watching.events.length === 2);
    expect(watching.events[1]?.way).toBe("redfish-push");
    expect(watching.events[1]?.category).toBe("memory");
    expect(watching.events[1]?.record).not.toBeNull();
    const known = watching.memory;
    rig.raise("memory", 5);
    await until("a later reading of the log", () => watching.memory !== known);
    await until("the last event", () => watching.events.length >= 3);
    expectAllOnce(rig, watching);
  });

  test("the id of a pushed event is that of its entry in the log", async () => {
    const rig = await start();
    const bmc = await rig.open();
    const watching = rig.watch(bmc, { push: rig.door() });
    await until("the subscription", () => isPushedBy(watching, "redfish-push"));
    rig.raise("memory", 0);
    await until("the event", () => watching.events.length === 1);
    const log = await bmc.log();
    expect(log.ok && log.value.entries.map(({ event }) => event.id)).toEqual(
      watching.events.map(({ id }) => id),
    );
  });

  test("deliveries that come twice are told once", async () => {
    const rig = await start();
    rig.server.service.faults.duplicates = true;
    const door = rig.door();
    const watching = rig.watch(await rig.open(), { push: door });
    await until("the subscription", () => isPushedBy(watching, "redfish-push"));
    for (let offset = 0; offset < 3; offset++) rig.raise("memory", offset);
    await until("all deliveries", () => door.statuses.length === 6);
    await until("the events", () => watching.events.length >= 3);
    expectAllOnce(rig, watching);
  });

  test("a BMC that restarts forgets the subscription: it is made anew, and what was between is told once", async () => {
    const rig = await start();
    const door = rig.door();
    const watching = rig.watch(await rig.open(), { push: door, pollMs: 100 });
    await until("the subscription", () => isPushedBy(watching, "redfish-push"));
    rig.raise("memory", 0);
    await until("the first", () => watching.events.length === 1);
    rig.emulator.control("reset");
    rig.raise("memory", 1);
    await until("a new subscription", () => rig.server.service.events.list().length === 1);
    await until("the second", () => watching.events.length === 2);
    rig.raise("memory", 5);
    await until("the third", () => watching.events.length === 3);
    await until("its push", () => door.statuses.at(-1) === 204);
    expectAllOnce(rig, watching);
  });

  test("an event during an outage of the service is told exactly once after it", async () => {
    const rig = await start();
    const door = rig.door();
    const watching = rig.watch(await rig.open(), { push: door, pollMs: 100 });
    await until("the subscription", () => isPushedBy(watching, "redfish-push"));
    await rig.server.pause();
    rig.raise("memory", 0);
    await until("the loss", () => hasNotice(watching, "lost"));
    rig.raise("memory", 1);
    rig.server.resume();
    await until("the return", () => hasNotice(watching, "back"));
    await until("both events", () => watching.events.length >= 2);
    rig.raise("memory", 5);
    await until("one more", () => watching.events.length >= 3);
    expectAllOnce(rig, watching);
  });

  test.each(["TerminateAfterRetries", "SuspendRetries"])(
    "deliveries that fail end a subscription (%s): it is had again, and nothing is lost",
    async (policy) => {
      const rig = await start();
      rig.server.service.faults.refusedField = "DeliveryRetryPolicy";
      rig.server.service.faults.defaultPolicy = policy;
      const { limits } = rig.server.service.events;
      limits.retryAttempts = 1;
      limits.retryIntervalMs = 10;
      const door = rig.door();
      const watching = rig.watch(await rig.open(), { push: door, pollMs: 100 });
      await until("the subscription", () => isPushedBy(watching, "redfish-push"));
      expect(rig.server.service.events.list()[0]?.policy).toBe(policy);
      door.isShut = true;
      rig.raise("memory", 0);
      await until("two failures", () => door.statuses.filter((one) => one === 503).length === 2);
      door.isShut = false;
      await until("the event, from the log", () => watching.events.length === 1);
      const isActive = (): boolean =>
        rig.server.service.events.list().some((one) => !one.isSuspended);
      await until("a subscription again", isActive);
      const takenCount = (): number => door.statuses.filter((one) => one === 204).length;
      const before = takenCount();
      // The subscription that was seen may be the old one just before its end: its event comes from the log alone.
      for (let raised = 1; takenCount() === before; raised++) {
        expect(raised).toBeLessThan(20);
        rig.raise("memory", raised % 2);
        await until("the next", () => watching.events.length === raised + 1);
      }
      expectAllOnce(rig, watching);
    },
  );

  test("an event log like OpenBMC's, whose times differ from the events', tells each once", async () => {
    const rig = await start({ setting: { log: "event", linksEntries: false } });
    rig.server.service.faults.logSkewMs = 2_000;
    const watching = rig.watch(await rig.open(), { push: rig.door(), pollMs: 100 });
    await until("the subscription", () => isPushedBy(watching, "redfish-push"));
    for (const offset of [0, 1]) rig.raise("memory", offset);
    await until("the events", () => watching.events.length >= 2);
    const { memory } = watching;
    rig.raise("memory", 5);
    await until("a later reading of the log", () => watching.memory !== memory);
    await until("the last event", () => watching.events.length >= 3);
    expect(watching.events).toHaveLength(3);
  });

  test("leftovers of ours are removed, those of others are not, and the end leaves none", async () => {
    const rig = await start();
    const door = rig.door();
    const { events } = rig.server.service;
    events.add(door.url, "holdfast of an earlier run", "RetryForever");
    events.add("http://127.0.0.1:9/other", "holdfast of another host", "RetryForever");
    events.add(door.url, "somebody else", "RetryForever");
    const watching = rig.watch(await rig.open(), { push: door });
    await until("the subscription", () => isPushedBy(watching, "redfish-push"));
    expect(events.list().map(({ id }) => id)).toEqual(["2", "3", "4"]);
    await watching.stop();
    expect(events.list().map(({ id }) => id)).toEqual(["2", "3"]);
    expect(door.isOpen).toBe(false);
  });

  test("an event that a healthy subscription does not bring is told from the log", async () => {
    const rig = await start();
    const watching = rig.watch(await rig.open(), { push: rig.door(), pollMs: 50 });
    await until("the subscription", () => isPushedBy(watching, "redfish-push"));
    rig.server.service.faults.isMute = true;
    rig.raise("memory", 0);
    await until("the event, from the log", () => watching.events.length === 1);
    expect(watching.events[0]?.way).toBe("redfish-log");
    expectAllOnce(rig, watching);
  });
});

describe("streamed", () => {
  test("without a door events come as a stream, and a stream that is cut is opened again", async () => {
    const rig = await start({ isTls: true });
    const watching = rig.watch(await rig.open());
    await until("the stream", () => isPushedBy(watching, "redfish-sse"));
    // The log is read once more when the stream is open, and may tell the first.
    rig.raise("memory", 0);
    await until("the first event", () => watching.events.length === 1);
    rig.raise("memory", 1);
    await until("the event", () => watching.events.length === 2);
    expect(watching.events[1]?.way).toBe("redfish-sse");
    rig.server.cutStreams();
    rig.raise("memory", 0);
    await until("a second stream", () => rig.server.resumedFrom.length === 2);
    await until("the event of the gap", () => watching.events.length === 3);
    expect(rig.server.resumedFrom).toEqual([null, "2"]);
    await until("the stream is open", () => rig.server.streamCount === 1);
    rig.raise("memory", 5);
    await until("one more", () => watching.events.length === 4);
    expectAllOnce(rig, watching);
  });

  test("where nobody can subscribe the stream is taken", async () => {
    const rig = await start({ setting: { hasSubscriptions: false } });
    const watching = rig.watch(await rig.open(), { push: rig.door() });
    await until("the stream", () => isPushedBy(watching, "redfish-sse"));
    rig.raise("memory", 0);
    await until("the event", () => watching.events.length === 1);
    expectAllOnce(rig, watching);
  });

  test("comments alone keep it open and are no events", async () => {
    const rig = await start({ keepAliveMs: 5 });
    const watching = rig.watch(await rig.open());
    await until("the stream", () => isPushedBy(watching, "redfish-sse"));
    await Bun.sleep(50);
    expect(watching.events).toEqual([]);
    expect(rig.server.resumedFrom).toHaveLength(1);
    await watching.stop();
    await until("no stream is left", () => rig.server.streamCount === 0);
  });
});

describe("polled", () => {
  const setting = { hasStream: false, hasSubscriptions: false } as const;

  test("without push and stream the log is read again, and why is said", async () => {
    const rig = await start({ setting });
    const watching = rig.watch(await rig.open(), { pollMs: 30 });
    await until("polling", () => hasNotice(watching, "polling"));
    await until("the first reading", () => watching.memory !== null);
    for (const offset of [0, 0, 1]) rig.raise("memory", offset);
    await until("all", () => watching.events.length === 3);
    expect(watching.events.map(({ way }) => way)).toEqual(Array(3).fill("redfish-log"));
    // Two of one kind in one second are two: told apart by their number.
    expect(watching.events.map(({ nth }) => nth).sort()).toEqual([0, 0, 1]);
    expectAllOnce(rig, watching);
  });

  test("what was logged while no watch ran is told by the next one, once", async () => {
    const rig = await start({ setting });
    const bmc = await rig.open();
    rig.raise("memory", 0);
    const first = rig.watch(bmc, { pollMs: 30 });
    await until("the first reading", () => first.memory !== null);
    expect(first.events).toEqual([]);
    rig.raise("memory", 1);
    await until("one event", () => first.events.length === 1);
    await first.stop();
    rig.raise("memory", 5);
    const second = rig.watch(bmc, { pollMs: 30, memory: first.memory });
    await until("the one between", () => second.events.length === 1);
    await second.stop();
    const third = rig.watch(bmc, { pollMs: 30, memory: second.memory, tellsOld: true });
    rig.raise("memory", 0);
    await until("only what is new", () => third.events.length === 1);
    expect(third.events[0]?.id).not.toBe(second.events[0]?.id);
  });

  test("what stands in the log is told where that is asked for", async () => {
    const rig = await start({ setting });
    for (const offset of [0, 1, 5]) rig.raise("memory", offset);
    const watching = rig.watch(await rig.open(), { tellsOld: true });
    await until("all", () => watching.events.length === 3);
    expectAllOnce(rig, watching);
  });

  test("a log that is cleared says so, and goes on", async () => {
    const rig = await start({ setting });
    rig.raise("memory", 0);
    const watching = rig.watch(await rig.open(), { pollMs: 30 });
    await until("the first reading", () => watching.memory !== null);
    rig.emulator.control("sel clear");
    await until("the notice", () => hasNotice(watching, "cleared"));
    rig.raise("memory", 1);
    await until("the next event", () => watching.events.length === 1);
  });

  test("pages of one, a cycle of pages, and busy answers do not matter", async () => {
    const rig = await start({ setting });
    const { faults } = rig.server.service;
    faults.pageEntries = 1;
    faults.isPagingCyclic = true;
    const watching = rig.watch(await rig.open(), { pollMs: 30 });
    await until("the first reading", () => watching.memory !== null);
    faults.busyRequests = 2;
    for (const offset of [0, 1, 5]) rig.raise("memory", offset);
    await until("all", () => watching.events.length === 3);
    expectAllOnce(rig, watching);
    expect(hasNotice(watching, "lost")).toBe(false);
  });
});
