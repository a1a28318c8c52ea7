/**
 * What every store must do, whichever database is behind it: run over SQLite and over PostgreSQL.
 */
import { expect } from "bun:test";
import type { Store } from "../store.ts";
import { freshId, testEvent } from "./signed-events.ts";
import { delivered, FIRST, good, idsOf, incoming, keeperOf, type On } from "./store-cases.ts";
import { listing } from "./store-suite-listing.ts";
import { settling } from "./store-suite-settling.ts";

export type Register = (name: string, body: () => Promise<void>) => void;

/** `open` gives an empty store; the suite closes it. */
export function storeSuite(open: () => Promise<Store>, register: Register): void {
  const on = (name: string, body: (store: Store) => Promise<void>): void =>
    register(name, async () => {
      const store = await open();
      try {
        await body(store);
      } finally {
        await store.close();
      }
    });
  keeping(on);
  settling(on);
  relaying(on);
  listing(on);
  others(on);
}

function keeping(on: On): void {
  on("an event that is kept is found again, with its way", async (store) => {
    const event = testEvent({ subject: "CPU_1", severity: "warning", whenMs: null });
    const [kept] = await good(store.keep([incoming(event)], keeperOf()));
    expect(kept).toMatchObject({ id: event.id, kind: "new", isTaken: false });
    const detail = await good(store.event(event.id));
    expect(detail?.row).toMatchObject({
      id: event.id,
      node: "n1",
      severity: "warning",
      subject: "CPU_1",
      whenMs: null,
      state: "kept",
      ticket: null,
      isSigned: true,
    });
    expect(detail?.row.steps.map(({ kind }) => kind)).toEqual(["queued", "R1"]);
    expect(detail?.envelope).toBe('{"e":1}');
    expect(await good(store.event(freshId()))).toBeNull();
  });

  on("the same event is kept once, however often and with whom it comes", async (store) => {
    const [a, b] = [incoming(), incoming()];
    const first = await good(store.keep([a, b, a], keeperOf()));
    expect(first.map(({ kind }) => kind)).toEqual(["new", "new", "known"]);
    const second = await good(store.keep([b], keeperOf()));
    expect(second[0]).toMatchObject({ kind: "known", state: "kept" });
    const { tallies } = await good(store.sums());
    expect(tallies).toEqual([{ state: "kept", severity: "critical", count: 2 }]);
  });

  on("a thousand events in one transaction have numbers in their order", async (store) => {
    const given = Array.from({ length: 1_000 }, () => incoming());
    const kept = await good(store.keep(given, keeperOf()));
    const seqs = kept.map((one) => (one.kind === "new" ? one.seq : -1));
    expect(seqs.every((seq, index) => index === 0 || seq === (seqs[index - 1] ?? 0) + 1)).toBe(
      true,
    );
    expect((await good(store.sums())).tallies[0]?.count).toBe(1_000);
  });

  on("texts of any characters come back, but for NUL and halves of surrogates", async (store) => {
    const text = "a\0b \ud800 é 漢 \u{1f525} ' \" \\ ? $1 %_!";
    const event = testEvent({ text, subject: "?" });
    await good(store.keep([incoming(event)], keeperOf()));
    const row = (await good(store.event(event.id)))?.row;
    expect(row?.text).toBe("a\uFFFDb \uFFFD é 漢 \u{1f525} ' \" \\ ? $1 %_!");
  });

  on("times with fractions are kept as whole milliseconds", async (store) => {
    const event = testEvent({ seenMs: 1_234_567.891, whenMs: 0.4 });
    await good(store.keep([incoming(event)], keeperOf()));
    expect((await good(store.event(event.id)))?.row).toMatchObject({
      seenMs: 1_234_568,
      whenMs: 0,
    });
  });
}

function relaying(on: On): void {
  on("the gravest is claimed first, of equals the oldest, and nothing twice", async (store) => {
    const warning = testEvent({ severity: "warning" });
    const fatal = testEvent({ severity: "non-recoverable" });
    const [early, late] = [testEvent(), testEvent()];
    const given = [warning, early, fatal, late].map((event) => incoming(event));
    await good(store.keep(given, keeperOf()));
    const lease = { owner: "m1/a", leaseMs: 60_000 };
    const first = await good(store.claim(lease, 3));
    const sorted = [...first].sort((a, b) => b.rank - a.rank || a.seq - b.seq);
    expect(sorted.map(({ id }) => id)).toEqual([fatal.id, early.id, late.id]);
    expect((await good(store.claim(lease, 3))).map(({ id }) => id)).toEqual([warning.id]);
    expect(await good(store.claim(lease, 3))).toEqual([]);
  });

  on("those that are taken when they come are claimed with it", async (store) => {
    const kept = await good(store.keep([incoming(), incoming()], keeperOf({ takes: 1 })));
    expect(kept.map((one) => one.kind === "new" && one.isTaken)).toEqual([true, false]);
    const claimed = await good(store.claim({ owner: "other", leaseMs: 1_000 }, 10));
    expect(claimed.map(({ id }) => id)).toEqual([kept[1]?.id ?? ""]);
  });

  on("a lease that ran out is another's to claim; one that is renewed is not", async (store) => {
    await good(store.keep([incoming(), incoming()], keeperOf()));
    const mine = await good(store.claim({ owner: "a", leaseMs: -1 }, 10));
    const [first] = mine;
    const renewed = await good(store.renew({ owner: "a", leaseMs: 60_000 }, [first?.seq ?? 0]));
    expect(renewed).toEqual([first?.seq ?? 0]);
    const theirs = await good(store.claim({ owner: "b", leaseMs: 60_000 }, 10));
    expect(theirs.map(({ id }) => id)).toEqual([mine[1]?.id ?? ""]);
    const lost = await good(store.renew({ owner: "a", leaseMs: 60_000 }, [mine[1]?.seq ?? 0]));
    expect(lost).toEqual([]);
  });

  on(
    "what is released, and what a dead start of a manager held, is to be had again",
    async (store) => {
      await good(store.keep([incoming(), incoming()], keeperOf()));
      const [one] = await good(store.claim({ owner: "m%1/a", leaseMs: 60_000 }, 1));
      await good(store.releaseSome("m%1/a", [one?.seq ?? 0]));
      expect(await good(store.claim({ owner: "m%1/b", leaseMs: 60_000 }, 10))).toHaveLength(2);
      await good(store.releaseOwner("mX1/"));
      expect(await good(store.claim({ owner: "c", leaseMs: 60_000 }, 10))).toEqual([]);
      await good(store.releaseOwner("m%1/"));
      expect(await good(store.claim({ owner: "c", leaseMs: 60_000 }, 10))).toHaveLength(2);
    },
  );

  on("what is settled is not claimed", async (store) => {
    const event = testEvent();
    await good(store.keep([incoming(event)], keeperOf()));
    await good(store.settle([delivered(event.id, "T-1")]));
    expect(await good(store.claim({ owner: "a", leaseMs: 1_000 }, 10))).toEqual([]);
  });
}

function others(on: On): void {
  on(
    "what nodes reported is there again; an older report does not replace a newer one",
    async (store) => {
      const node = (reportedMs: number, report: string) => ({
        ...{ id: "n1", report, inventory: null, inventoryDigest: null, seenMs: reportedMs },
        reportedMs,
      });
      const epochs = [{ epoch: 3, members: ["n1", "n2"], atMs: 5 }];
      await good(store.saveFleet({ nodes: [node(20, '{"a":2}')], jobs: [], epochs }));
      await good(store.saveFleet({ nodes: [node(10, '{"a":1}')], jobs: [], epochs: [] }));
      const saved = await good(store.fleet(0, 10));
      expect(saved.nodes).toMatchObject([{ id: "n1", report: '{"a":2}', reportedMs: 20 }]);
      expect(saved.epochs).toEqual(epochs);
      await good(
        store.saveFleet({ nodes: [], jobs: [], epochs: [{ epoch: 4, members: ["n2"], atMs: 6 }] }),
      );
      const listed = await good(store.epochs(FIRST));
      expect(listed.rows[0]).toMatchObject({ epoch: 4, joined: [], left: ["n1"] });
      expect(listed.rows[1]).toMatchObject({ epoch: 3, joined: ["n1", "n2"], left: [] });
    },
  );

  on("retention lets go of settled events only, the oldest first", async (store) => {
    const given = Array.from({ length: 6 }, () => incoming());
    await good(store.keep(given, keeperOf({ nowMs: 1_000 })));
    const settled = given.slice(1);
    await good(store.settle(settled.map(({ id }) => delivered(id, "T-1"))));
    const keepAll = { beforeMs: 1_000, settledMax: 100, historyMax: 10 };
    expect(await good(store.prune(keepAll))).toBe(0);
    expect(await good(store.prune({ ...keepAll, settledMax: 3 }))).toBe(2);
    const left = await idsOf(store, {});
    expect(left).toEqual([...given.slice(3).reverse(), given[0]].map((one) => one?.id ?? ""));
    expect(await good(store.prune({ ...keepAll, beforeMs: 2_000 }))).toBe(3);
    expect(await idsOf(store, {})).toEqual([given[0]?.id ?? ""]);
    expect(await good(store.noticesOfNode("n1", 0, 10))).toEqual([]);
    const { tallies } = await good(store.sums());
    expect(tallies.filter(({ count }) => count !== 0)).toEqual([
      { state: "kept", severity: "critical", count: 1 },
    ]);
  });

  on("requests side by side neither lose nor double anything", async (store) => {
    const shared = Array.from({ length: 40 }, () => incoming());
    const turns = Array.from({ length: 8 }, (_, turn) =>
      good(store.keep([...shared, incoming()], keeperOf({ owner: `m${turn}` }))),
    );
    const kept = await Promise.all(turns);
    const news = kept.flat().filter(({ kind }) => kind === "new");
    expect(news).toHaveLength(48);
    const settles = await Promise.all(
      Array.from({ length: 4 }, () =>
        good(store.settle(shared.map(({ id }) => delivered(id, "T-1")))),
      ),
    );
    expect(settles.flat()).toHaveLength(40);
    expect((await good(store.ticket("T-1")))?.events).toBe(40);
  });
}
