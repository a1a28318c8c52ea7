/**
 * Goal: the page decides rightly what to say. Method: its pure parts, from rows to words; the stream in every chunking.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { EventRow } from "../api.ts";
import { matching, NO_FILTER, spanOf, within } from "./filters.ts";
import { counted, duration, grouped, listed, runs } from "./format.ts";
import { eventRow, nodeRow, step, summaryOf, workingCluster } from "./harness/fixture-data.ts";
import { histogram, stepFor, ticks } from "./histogram.ts";
import { MESSAGE_CHARS_MAX, SseParser } from "./sse.ts";
import { troublesOf } from "./troubles.ts";
import { wayOf } from "./way.ts";
import { miniText } from "./way-view.ts";
import { EVENTS_MAX, Table, World } from "./world.ts";

const NOW = Date.UTC(2026, 10, 25, 9, 30);
const LIVE = { isLive: true, sinceMs: NOW, why: "" };

function worldOf(rows: ReturnType<typeof workingCluster>): World {
  const world = new World();
  world.summary = summaryOf(rows, NOW);
  for (const row of rows.nodes) world.nodes.set(row.id, row);
  world.addEvents(rows.events);
  for (const row of rows.tickets) world.apply({ kind: "ticket", row });
  for (const row of rows.jobs) world.jobs.set(row.id, row);
  return world;
}

function quiet(): World {
  const nodes = [nodeRow("n1", NOW), nodeRow("n2", NOW)];
  return worldOf({ nodes, events: [eventRow(1, NOW - 60_000)], tickets: [], jobs: [], epochs: [] });
}

describe("the stream", () => {
  const text =
    ': beat\r\n\r\nevent: node\nid: 7\ndata: {"a":1}\n\nid:8\ndata:x\ndata: y\r\n\r\nretry: 5\n\n';

  test("gives the same messages however it is cut", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (lengths) => {
        const parser = new SseParser();
        const found: unknown[] = [];
        for (let at = 0, index = 0; at < text.length; index++) {
          const length = lengths[index % lengths.length] ?? 1;
          found.push(...parser.push(text.slice(at, at + length)));
          at += length;
        }
        expect(found).toEqual([
          { kind: "node", data: '{"a":1}' },
          { kind: "message", data: "x\ny" },
        ]);
        expect(parser.lastId).toBe("8");
      }),
    );
  });

  test("drops an unfinished message of a connection that ended, and keeps the last id", () => {
    const parser = new SseParser();
    parser.push("id: 3\ndata: a\n\ndata: half");
    parser.restart();
    expect(parser.push("data: b\n\n")).toEqual([{ kind: "message", data: "b" }]);
    expect(parser.lastId).toBe("3");
  });

  test("is bounded: a message without an end is an error", () => {
    const parser = new SseParser();
    const line = `data: ${"x".repeat(99_999)}\n`;
    const push = (): void => {
      for (let count = 0; count <= MESSAGE_CHARS_MAX / 100_000; count++) parser.push(line);
    };
    expect(push).toThrow(RangeError);
    expect(() => new SseParser().push("x".repeat(MESSAGE_CHARS_MAX + 1))).toThrow(RangeError);
  });
});

describe("an event's way", () => {
  const at = NOW - 10_000;
  const row = (change: Partial<EventRow>): EventRow => eventRow(1, at, change);

  test("through the manager: R1, then R2", () => {
    const way = wayOf(row({}));
    expect([way.toManager.state, way.relayed.state, way.direct.state]).toEqual([
      "done",
      "done",
      "unused",
    ]);
    expect(way.sentence).toBe("Support has it through the manager, 43 ms after it was seen.");
    expect(miniText(way)).toBe("R2 43 ms");
  });

  test("kept by the manager, not yet at support", () => {
    const way = wayOf(
      row({
        state: "kept",
        path: null,
        ticket: null,
        steps: [step("queued", at, "n1"), step("R1", at + 9, "m1")],
      }),
    );
    expect([way.toManager.state, way.relayed.state]).toEqual(["done", "waiting"]);
    expect(miniText(way)).toBe("R1");
  });

  test("only queued at its node", () => {
    const way = wayOf(
      row({ state: "kept", path: null, ticket: null, steps: [step("queued", at, "n1")] }),
    );
    expect([way.toManager.state, way.relayed.state]).toEqual(["waiting", "waiting"]);
    expect(miniText(way)).toBe("queued");
  });

  test("directly, the manager crossed out with the reason", () => {
    const direct = workingCluster(NOW).events.find(({ path }) => path === "direct") as EventRow;
    const way = wayOf(direct);
    expect([way.toManager.state, way.toManager.note]).toEqual(["failed", "no R1 within 3 s"]);
    expect([way.relayed.state, way.direct.state, way.throughPeer.state]).toEqual([
      "unused",
      "done",
      "unused",
    ]);
    expect(way.sentence).toContain("around the manager, directly");
    expect(miniText(way)).toBe("direct 3.1 s");
  });

  test("directly, and the manager told afterwards, which is no R1", () => {
    const way = wayOf(
      row({
        path: "direct",
        steps: [
          step("queued", at, "n1"),
          step("direct", at + 11, null),
          step("R2", at + 11, "support"),
          step("R1", at + 7_000, "m1"),
        ],
      }),
    );
    expect([way.toManager.state, way.relayed.state, way.direct.state]).toEqual([
      "failed",
      "unused",
      "done",
    ]);
    expect(way.toldMs).toBe(at + 7_000);
  });

  test("through a peer, which is named", () => {
    const peer = workingCluster(NOW).events.find(({ path }) => path === "peer") as EventRow;
    const way = wayOf(peer);
    expect([way.throughPeer.state, way.peer, way.direct.state]).toEqual(["done", "n2", "unused"]);
  });

  test("kept by a manager that could not hand it on, then directly", () => {
    const way = wayOf(
      row({
        path: "direct",
        steps: [
          step("queued", at, "n1"),
          step("R1", at + 9, "m1"),
          step("not-relayed", at + 5_000, "m1", "support answers 500"),
          step("direct", at + 5_010, "n1"),
          step("R2", at + 5_060, "support"),
        ],
      }),
    );
    expect([way.toManager.state, way.relayed.state, way.direct.state]).toEqual([
      "done",
      "failed",
      "done",
    ]);
    expect(way.relayed.note).toBe("support answers 500");
  });
});

describe("what is wrong now", () => {
  test("nothing, where nothing is", () => {
    expect(troublesOf(quiet(), LIVE, NOW)).toEqual([]);
  });

  test("many dead nodes are one trouble, and a dead connection stands first", () => {
    const world = quiet();
    for (let id = 3; id < 60; id++)
      world.nodes.set(`n${id}`, nodeRow(`n${id}`, NOW, { state: "dead" }));
    const troubles = troublesOf(
      world,
      { isLive: false, sinceMs: NOW - 9_000, why: "It cannot be reached" },
      NOW,
    );
    expect(troubles.map(({ title }) => title)).toEqual([
      "The manager does not answer",
      "57 nodes are dead",
    ]);
    expect(troubles[1]?.detail).toBe("n3, n4, n5, n6, n7 and 52 more");
  });

  test("a manager that does not reach support, one without a store, one without a destination", () => {
    const world = quiet();
    const { destination } = summaryOf(workingCluster(NOW), NOW);
    const titles = (change: object): readonly string[] => {
      world.summary = {
        ...summaryOf({ nodes: [], events: [], tickets: [], jobs: [], epochs: [] }, NOW),
        ...change,
      };
      return troublesOf(world, LIVE, NOW).map(({ title }) => title);
    };
    expect(titles({ store: { kind: "sqlite", isUp: false } })).toEqual([
      "The manager's store is down",
    ]);
    expect(titles({ destination: { ...destination, canRelay: false } })).toEqual([
      "Support is not reached from here",
    ]);
    expect(titles({ destination: { ...destination, url: null } })).toEqual([
      "No destination is set",
    ]);
  });

  test("events that wait for long, BMCs that do not answer, nodes in an older epoch", () => {
    const world = quiet();
    world.addEvents([eventRow(2, NOW - 30_000, { state: "kept", path: null, steps: [] })]);
    const sound = nodeRow("n2", NOW);
    const bmcs = sound.bmcs.map((bmc) => ({ ...bmc, state: "lost" as const, detail: "no answer" }));
    world.nodes.set("n2", { ...sound, bmcs, epoch: 5 });
    world.summary = { ...summaryOf(workingCluster(NOW), NOW), clusterEpoch: 6 };
    expect(troublesOf(world, LIVE, NOW).map(({ key }) => key)).toEqual(["kept", "bmcs", "epochs"]);
  });

  test("what breaks delivery stands above a ticket, and what is grave above all", () => {
    const keys = troublesOf(worldOf(workingCluster(NOW)), LIVE, NOW).map(({ key, gravity }) => [
      key,
      gravity,
    ]);
    expect(keys[0]).toEqual(["nodes-dead", "grave"]);
    expect(keys.at(-1)).toEqual(["tickets", "grave"]);
  });
});

describe("what the page knows", () => {
  test("a row of a list does not undo what a message said", () => {
    const world = new World();
    const late = eventRow(1, NOW);
    world.apply({ kind: "event", row: late });
    world.addEvents([{ ...late, state: "kept", steps: late.steps.slice(0, 1) }]);
    expect(world.events.get(late.id)?.state).toBe("delivered");
  });

  test("is bounded: the newest events stay", () => {
    const world = new World();
    for (let seq = 1; seq <= EVENTS_MAX * 1.2; seq++) world.addEvents([eventRow(seq, NOW + seq)]);
    const rows = world.events.rows();
    expect(rows.length).toBe(EVENTS_MAX);
    expect([rows[0]?.seq, rows.at(-1)?.seq]).toEqual([12_000, 2_001]);
    expect(world.events.isCut).toBe(true);
  });

  test("rows that a new reading does not tell go, those that it tells stay", () => {
    const table = new Table<{ readonly id: string }>(9, (a, b) => a.id.localeCompare(b.id));
    table.set("a", { id: "a" });
    table.set("b", { id: "b" });
    table.markStale();
    table.set("b", { id: "b" });
    table.set("c", { id: "c" });
    table.dropStale();
    expect(table.rows().map(({ id }) => id)).toEqual(["b", "c"]);
  });

  test("passes over what a later manager says", () => {
    const later = { kind: "weather", row: {} } as unknown as Parameters<World["apply"]>[0];
    expect(new World().apply(later)).toBe(true);
  });
});

describe("the time line", () => {
  test("every event of the span is in one bin, and bins do not move with time", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 60_000, max: 30 * 86_400_000 }),
        fc.array(fc.integer({ min: 0, max: 2_000_000_000 }), { maxLength: 60 }),
        fc.integer({ min: -12, max: 14 }),
        (rangeMs, ages, hours) => {
          const rows = ages.map((age, index) => eventRow(index + 1, NOW - age));
          const span = { fromMs: NOW - rangeMs, untilMs: NOW };
          const options = { binsMost: 90, offsetMs: hours * 3_600_000 };
          const bins = histogram(rows, span, options);
          const first = bins[0]?.fromMs ?? 0;
          const until = bins.at(-1)?.untilMs ?? 0;
          const inside = rows.filter(({ seenMs }) => seenMs >= first && seenMs < until).length;
          expect(bins.reduce((sum, { total }) => sum + total, 0)).toBe(inside);
          expect(first <= span.fromMs && until >= NOW).toBe(true);
          expect(bins.length).toBeLessThanOrEqual(92);
        },
      ),
    );
  });

  test("its steps are round, its ticks inside", () => {
    expect(stepFor(3_600_000, 90)).toBe(60_000);
    expect(stepFor(86_400_000, 100)).toBe(900_000);
    expect(
      ticks({ fromMs: NOW - 3_600_000, untilMs: NOW }, 6, 0).every((at) => at % 600_000 === 0),
    ).toBe(true);
  });
});

describe("filters", () => {
  const { events } = workingCluster(NOW);

  test("take gravity, state, words and time together", () => {
    const critical = matching(events, { ...NO_FILTER, gravities: new Set(["critical"]) });
    expect(critical.length).toBeGreaterThan(5);
    expect(critical.every(({ severity }) => severity === "critical")).toBe(true);
    expect(matching(events, { ...NO_FILTER, state: "around" }).map(({ path }) => path)).toEqual([
      "direct",
      "peer",
    ]);
    expect(matching(events, { ...NO_FILTER, words: "dimm UNCORRECTABLE n4" })).toHaveLength(14);
    expect(within(events, spanOf({ ...NO_FILTER, rangeMs: 120_000 }, NOW))).toHaveLength(1);
    expect(within(events, spanOf({ ...NO_FILTER, rangeMs: null }, NOW))).toHaveLength(
      events.length,
    );
  });
});

describe("words", () => {
  test("durations, counts, lists and runs", () => {
    expect([0.4, 43, 3_053, 59_600, 185_000, 7_800_000, 90_000_000].map(duration)).toEqual([
      "0 ms",
      "43 ms",
      "3.1 s",
      "1 min",
      "3 min 5 s",
      "2 h 10 min",
      "1 d 1 h",
    ]);
    expect([counted(1, "event"), counted(1_000, "event")]).toEqual([
      "1 event",
      "1\u202f000 events",
    ]);
    expect(grouped(1_234_567)).toBe("1\u202f234\u202f567");
    expect(listed(["a", "b", "c"], 2)).toBe("a, b and 1 more");
    expect(runs([3, 1, 2, 7])).toBe("1–3 7");
  });
});
