/**
 * What every store must do for those who read lists.
 */
import { expect } from "bun:test";
import { testEvent } from "./signed-events.ts";
import { delivered, FIRST, good, idsOf, incoming, keeperOf, type On } from "./store-cases.ts";

export function listing(on: On): void {
  on("pages follow each other without a gap, also when events come between", async (store) => {
    const given = Array.from({ length: 25 }, () => incoming());
    await good(store.keep(given, keeperOf()));
    const seen: string[] = [];
    let cursor: number | null = null;
    do {
      const page: { rows: readonly { id: string }[]; next: string | null } = await good(
        store.events({}, { cursor, limit: 10 }),
      );
      seen.push(...page.rows.map(({ id }) => id));
      cursor = page.next === null ? null : Number(page.next);
      await good(store.keep([incoming()], keeperOf()));
    } while (cursor !== null);
    expect(seen).toEqual(given.map(({ id }) => id).reverse());
  });

  on("filters find what they say", async (store) => {
    const a = testEvent({ text: "Fan 100%_broken!", subject: "FAN1", severity: "warning" });
    const b = testEvent({ system: "s2", severity: "critical" });
    await good(store.keep([incoming(a), incoming(b, "n2")], keeperOf()));
    await good(store.settle([delivered(b.id, "T-7")]));
    expect(await idsOf(store, { node: "n2" })).toEqual([b.id]);
    expect(await idsOf(store, { system: "s2" })).toEqual([b.id]);
    expect(await idsOf(store, { least: "critical" })).toEqual([b.id]);
    expect(await idsOf(store, { state: "kept" })).toEqual([a.id]);
    expect(await idsOf(store, { path: "manager" })).toEqual([b.id]);
    expect(await idsOf(store, { ticket: "T-7" })).toEqual([b.id]);
    expect(await idsOf(store, { search: "fAN 100%_" })).toEqual([a.id]);
    expect(await idsOf(store, { search: "1000_" })).toEqual([]);
    expect(await idsOf(store, { search: "' or 1=1 --" })).toEqual([]);
    expect(await idsOf(store, { fromMs: Date.now() + 60_000 })).toEqual([]);
    expect(await idsOf(store, { toMs: Date.now() + 60_000, fromMs: 0 })).toHaveLength(2);
  });

  history(on);
}

function history(on: On): void {
  on("steps are listed with whose they are, the last changed first", async (store) => {
    const [a, b] = [testEvent(), testEvent()];
    await good(store.keep([incoming(a), incoming(b, "n2")], keeperOf()));
    await good(store.settle([delivered(a.id, "T-1")]));
    const page = await good(store.deliveries(undefined, { cursor: null, limit: 1 }));
    expect(page.rows.map(({ event, kind }) => [event, kind])).toEqual([
      [a.id, "R2"],
      [a.id, "R1"],
      [a.id, "queued"],
    ]);
    const next = await good(store.deliveries(undefined, { cursor: Number(page.next), limit: 1 }));
    expect(next.rows[0]?.event).toBe(b.id);
    expect((await good(store.deliveries("n2", FIRST))).rows).toHaveLength(2);
  });

  on("tickets are listed by their last change, and by what is open where", async (store) => {
    const base = Date.now();
    const events = [1, 2, 3].map((n) => testEvent({ seenMs: base + n, isAssertion: n !== 2 }));
    await good(
      store.keep(
        events.map((event, n) => incoming(event, `n${n}`)),
        keeperOf(),
      ),
    );
    await good(store.settle(events.map(({ id }, n) => delivered(id, `T-${n}`))));
    const all = await good(store.tickets({}, { cursor: null, limit: 2 }));
    expect(all.rows.map(({ id }) => id)).toEqual(["T-2", "T-1"]);
    const rest = await good(store.tickets({}, { cursor: Number(all.next), limit: 2 }));
    expect(rest.rows.map(({ id }) => id)).toEqual(["T-0"]);
    expect((await good(store.tickets({ isOpen: false }, FIRST))).rows).toHaveLength(1);
    expect((await good(store.tickets({ node: "n2" }, FIRST))).rows).toHaveLength(1);
    expect([...(await good(store.openByNode())).keys()].sort()).toEqual(["n0", "n2"]);
  });

  on("what changed since a number is told once, and what is too much is said", async (store) => {
    const event = testEvent();
    await good(store.keep([incoming(event), incoming()], keeperOf()));
    const first = await good(store.changes(0, 10));
    expect(first.changes?.events).toHaveLength(2);
    expect(await good(store.changes(first.upTo, 10))).toMatchObject({ changes: { events: [] } });
    await good(store.settle([delivered(event.id, "T-1")]));
    const second = await good(store.changes(first.upTo, 10));
    expect(second.changes?.events.map(({ id }) => id)).toEqual([event.id]);
    expect(second.changes?.tickets.map(({ id }) => id)).toEqual(["T-1"]);
    expect((await good(store.changes(0, 1))).changes).toBeNull();
  });
}
