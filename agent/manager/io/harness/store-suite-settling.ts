/**
 * What every store must do with receipts, refusals and tickets.
 */
import { expect } from "bun:test";
import { testEvent } from "./signed-events.ts";
import { delivered, good, incoming, keeperOf, type On } from "./store-cases.ts";

export function settling(on: On): void {
  on("a receipt makes it delivered, tells its node, and counts on the ticket", async (store) => {
    const event = testEvent();
    await good(store.keep([incoming(event)], keeperOf()));
    const [settled] = await good(store.settle([delivered(event.id, "T-1")]));
    expect(settled).toMatchObject({ id: event.id, kind: "delivered" });
    const row = (await good(store.event(event.id)))?.row;
    expect(row).toMatchObject({ state: "delivered", path: "manager", ticket: "T-1" });
    expect(row?.steps.map(({ kind }) => kind)).toEqual(["queued", "R1", "R2"]);
    const notices = await good(store.noticesOfNode("n1", 0, 10));
    expect(notices).toHaveLength(1);
    expect(JSON.parse(notices[0]?.line ?? "")).toMatchObject({
      kind: "receipt",
      receipt: { id: event.id, ticket: "T-1" },
    });
    expect(await good(store.ticket("T-1"))).toMatchObject({ events: 1, isOpen: true, node: "n1" });
    expect((await good(store.sums())).openTickets).toBe(1);
    const again = await good(store.keep([incoming(event)], keeperOf()));
    expect(again[0]).toMatchObject({
      kind: "known",
      state: "delivered",
      receipt: { ticket: "T-1" },
    });
  });

  on("what is delivered stays so, whatever is said later", async (store) => {
    const event = testEvent();
    await good(store.keep([incoming(event)], keeperOf()));
    await good(store.settle([delivered(event.id, "T-1")]));
    const refusal = { kind: "not-relayed" as const, reason: "no", destination: null };
    expect(await good(store.settle([{ id: event.id, atMs: 1, outcome: refusal }]))).toEqual([]);
    expect(await good(store.settle([delivered(event.id, "T-2")]))).toEqual([]);
    expect((await good(store.event(event.id)))?.row).toMatchObject({ ticket: "T-1" });
    expect(await good(store.ticket("T-2"))).toBeNull();
    expect(await good(store.noticesOfNode("n1", 0, 10))).toHaveLength(1);
  });

  refusing(on);
}

function refusing(on: On): void {
  on("what was not relayed can still be delivered another way", async (store) => {
    const event = testEvent();
    await good(store.keep([incoming(event)], keeperOf()));
    const refusal = { kind: "not-relayed" as const, reason: "too odd", destination: "d" };
    await good(store.settle([{ id: event.id, atMs: 1, outcome: refusal }]));
    const known = (await good(store.states([event.id]))).get(event.id);
    expect(known).toMatchObject({ state: "not-relayed", reason: "too odd" });
    await good(store.settle([delivered(event.id, "T-1", "direct")]));
    const row = (await good(store.event(event.id)))?.row;
    expect(row).toMatchObject({ state: "delivered", path: "direct" });
    const { tallies } = await good(store.sums());
    expect(tallies.filter(({ count }) => count !== 0)).toEqual([
      { state: "delivered", severity: "critical", count: 1 },
    ]);
  });

  on("a failed try is a step, and the event stays kept", async (store) => {
    const event = testEvent();
    await good(store.keep([incoming(event)], keeperOf()));
    const failed = { kind: "failed" as const, reason: "500", destination: null };
    await good(store.settle([{ id: event.id, atMs: Date.now() + 1, outcome: failed }]));
    const row = (await good(store.event(event.id)))?.row;
    expect(row?.state).toBe("kept");
    expect(row?.steps.at(-1)).toMatchObject({ kind: "failed", note: "500" });
    expect(await good(store.noticesOfNode("n1", 0, 10))).toEqual([]);
  });

  on(
    "a ticket gathers its events, is closed by a deassertion and opened by what is newer",
    async (store) => {
      const base = Date.now();
      const events = [
        testEvent({ seenMs: base, severity: "warning", text: "first" }),
        testEvent({ seenMs: base + 10, severity: "critical", text: "second" }),
        testEvent({ seenMs: base + 20, severity: "ok", isAssertion: false, text: "over" }),
      ];
      await good(
        store.keep(
          events.map((event) => incoming(event)),
          keeperOf(),
        ),
      );
      await good(store.settle(events.map(({ id }) => delivered(id, "T-1"))));
      expect(await good(store.ticket("T-1"))).toMatchObject({
        events: 3,
        severity: "critical",
        text: "over",
        isOpen: false,
        openedMs: base,
        changedMs: base + 20,
      });
      const late = testEvent({ seenMs: base + 5, text: "came late" });
      await good(store.keep([incoming(late)], keeperOf()));
      await good(store.settle([delivered(late.id, "T-1")]));
      expect(await good(store.ticket("T-1"))).toMatchObject({
        events: 4,
        isOpen: false,
        text: "over",
      });
    },
  );

  telling(on);
}

function telling(on: On): void {
  on(
    "what a node tells of what went around is kept and settled at once, and told to nobody",
    async (store) => {
      const event = testEvent();
      const settlement = delivered(event.id, "T-9", "direct");
      await good(store.keepSettled([incoming(event)], keeperOf(), [settlement]));
      const row = (await good(store.event(event.id)))?.row;
      expect(row).toMatchObject({ state: "delivered", path: "direct", ticket: "T-9" });
      expect(await good(store.noticesOfNode("n1", 0, 10))).toEqual([]);
      expect(await good(store.claim({ owner: "m", leaseMs: 1_000 }, 10))).toEqual([]);
    },
  );

  on("who brought an event of another node is told too", async (store) => {
    const event = testEvent();
    await good(store.keep([{ ...incoming(event), broughtBy: "n2" }], keeperOf()));
    await good(store.settle([delivered(event.id, "T-1")]));
    expect(await good(store.noticesOfNode("n1", 0, 10))).toHaveLength(1);
    expect(await good(store.noticesOfNode("n2", 0, 10))).toHaveLength(1);
    const all = await good(store.noticesAfter(0, 10));
    expect(new Set(all.map(({ seq }) => seq)).size).toBe(2);
  });

  on(
    "what the destination says of its open tickets stands, but for what changed since",
    async (store) => {
      const events = [1, 2, 3].map(() => testEvent());
      await good(
        store.keep(
          events.map((event) => incoming(event)),
          keeperOf(),
        ),
      );
      await good(store.settle(events.slice(0, 2).map(({ id }, n) => delivered(id, `T-${n}`))));
      const upTo = await good(store.clock());
      await good(store.settle([delivered(events[2]?.id ?? "", "T-2")]));
      expect(await good(store.syncTickets("destination", ["T-0"], upTo))).toBe(1);
      const isOpen = async (id: string) => (await good(store.ticket(id)))?.isOpen;
      expect(await Promise.all(["T-0", "T-1", "T-2"].map(isOpen))).toEqual([true, false, true]);
      expect(await good(store.syncTickets("other", [], upTo + 100))).toBe(0);
      expect(await good(store.syncTickets("destination", ["T-1"], upTo + 100))).toBe(3);
      expect(await Promise.all(["T-0", "T-1", "T-2"].map(isOpen))).toEqual([false, true, false]);
    },
  );
}
