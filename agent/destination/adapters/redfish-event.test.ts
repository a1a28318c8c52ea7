/**
 * Goal: a Redfish listener understands us. Method: what the schema Event.v1 requires, and the reader of pushed events that
 * holdfast has for real BMCs.
 */
import { describe, expect, test } from "bun:test";
import { change } from "./harness/change.ts";
import { redfishBody } from "./redfish-event.ts";

interface Record_ {
  readonly [name: string]: unknown;
}

function body(of: Parameters<typeof change>[0]): { event: Record_; record: Record_ } {
  const event = redfishBody(change(of), "mine") as Record_;
  const [record] = event["Events"] as readonly Record_[];
  return { event, record: record ?? {} };
}

describe("a change as a Redfish event", () => {
  test("has what the schema requires", () => {
    const { event, record } = body({});
    for (const name of ["@odata.type", "Id", "Name", "Events"]) expect(event[name]).toBeDefined();
    for (const name of ["EventType", "MessageId", "MemberId"]) expect(record[name]).toBeDefined();
    expect(event["@odata.type"]).toMatch(/^#Event\.v1_\d+_\d+\.Event$/);
    expect(record["MessageId"]).toMatch(/^[A-Za-z]+\.\d+\.\d+\.[A-Za-z]+$/);
    expect(record["EventTimestamp"]).toBe("2026-11-25T09:34:09.123Z");
    expect(event["Context"]).toBe("mine");
  });

  test("keeps one group for a ticket and one id for a change", () => {
    const first = body({}).record;
    const second = body({ key: "T-2026-000123.2", kind: "closed" }).record;
    const other = body({ ticket: "T-2026-000124", key: "T-2026-000124.1" }).record;
    expect(second["EventGroupId"]).toBe(first["EventGroupId"]);
    expect(other["EventGroupId"]).not.toBe(first["EventGroupId"]);
    expect(second["EventId"]).not.toBe(first["EventId"]);
    expect(Number(first["EventGroupId"])).toBeGreaterThan(0);
  });

  test("is OK once the ticket is closed", () => {
    expect(body({}).record["MessageSeverity"]).toBe("Critical");
    expect(body({ kind: "closed" }).record).toMatchObject({
      MessageSeverity: "OK",
      MessageId: "Holdfast.1.0.TicketResolved",
    });
  });
});
