/**
 * Goal: people see where an event is, how long each step took and why, and nothing of a stranger's text reaches their terminal raw.
 * Method: the pure functions, on answers as an agent gives them.
 */
import { describe, expect, test } from "bun:test";
import type { BmcEvent } from "../../../bmc/bmc.ts";
import type { ListedEvent, ShownEvent } from "../../callhome/io/delivery-routes.ts";
import { formatEnd, formatHop, formatList, formatMs, formatShown } from "./show.ts";

const ID = "0123456789ab".padEnd(64, "f");
const AT_MS = Date.UTC(2026, 10, 25, 10, 12, 17, 310);

function eventOf(more: Partial<BmcEvent> = {}): BmcEvent {
  return {
    ...{ id: ID, system: "s1", epoch: 0, nth: 0, way: "sel", severity: "critical" },
    ...{ whenMs: AT_MS, seenMs: AT_MS, isAssertion: true, category: "memory", subject: "" },
    ...{ text: "DIMM A1 failed", record: null, extra: {} },
    ...more,
  };
}

function listed(more: Partial<ListedEvent> = {}): ListedEvent {
  const common = { id: ID, state: "delivered", atMs: AT_MS, ticket: "T-1", last: "" } as const;
  return { ...common, event: eventOf(), ...more };
}

describe("deliveries", () => {
  test("are a line each, with ticket and what waits for what", () => {
    const text = formatList([
      listed(),
      listed({ state: "waiting", ticket: null, last: "retried by direct destination" }),
      listed({ event: null }),
    ]);
    const [head, first, second, third] = text.split("\n");
    expect(head).toStartWith("EVENT");
    expect(first).toBe(
      "0123456789ab  2026-11-25 10:12:17Z  delivered                                T-1     critical  DIMM A1 failed",
    );
    expect(second).toContain("waiting (retried by direct destination)");
    expect(third).toContain("not in the book any more");
    expect(formatList([])).toBe("no events");
  });

  test("show the whole way, each step with its time and reason", () => {
    const step = { n: 1, id: ID, path: null, ticket: null } as const;
    const shown: ShownEvent = {
      ...listed(),
      steps: [
        { ...step, atMs: AT_MS + 7, step: "queued", reason: "durable in the outbox" },
        {
          ...{ ...step, n: 2, atMs: AT_MS + 1_830, step: "delivered", reason: "R2" },
          ...{ path: { kind: "direct", name: "destination" }, ticket: "T-1" },
        },
      ],
      explain: ["waiting: for a path"],
    };
    const text = formatShown(shown);
    expect(text).toMatch(/\+7 ms +queued +- +durable in the outbox/);
    expect(text).toMatch(/\+1\.8 s +delivered +direct +R2; ticket T-1/);
    expect(text).toEndWith("now:\n  waiting: for a path");
  });

  test("show no control characters of a stranger", () => {
    const evil = listed({ event: eventOf({ text: "\u001b[2Jgone\nnew line" }) });
    expect(formatList([evil])).not.toContain("\u001b");
    expect(formatList([evil]).split("\n").length).toBe(2);
  });
});

describe("the hops of a test", () => {
  test("say what happened and how long it took", () => {
    const hop = {
      path: "manager",
      name: "http://m",
      ms: 183,
      detail: "m has it",
      ticket: null,
    } as const;
    expect(formatHop({ ...hop, hop: "kept" })).toBe(
      "manager http://m: accepted after 183 ms: m has it",
    );
    expect(formatHop({ ...hop, path: "direct", hop: "ticket", ticket: "T-9" })).toBe(
      "direct: ticket T-9 after 183 ms: m has it",
    );
    expect(formatHop({ ...hop, path: "peer", name: "-", hop: "none" })).toContain("not tried");
  });

  test("end with one ticket, none, or too many", () => {
    const end = { isOver: true, id: ID, worked: 2, tried: 3 } as const;
    expect(formatEnd({ ...end, tickets: ["T-1"] })).toContain("2 of 3 paths work, one ticket: T-1");
    expect(formatEnd({ ...end, tickets: [] })).toContain("none of 3 paths works");
    expect(formatEnd({ ...end, tickets: ["T-1", "T-2"] })).toContain("2 tickets for one event");
  });

  test("give times as people say them", () => {
    expect([5, 1_250, 150_000, 9_000_000].map(formatMs)).toEqual(["5 ms", "1.3 s", "3 min", "3 h"]);
  });
});
