/**
 * Goal: each service ends in the state that a ticket's life asks for, also when deliveries are repeated. Method: real HTTP to servers
 * that demand what the services' documentation demands (`../harness/`).
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { TicketChange } from "../../adapter.ts";
import type { Adapter } from "../../io/adapter.ts";
import { change } from "../harness/change.ts";
import { farEnd } from "../harness/far-end.ts";
import { opsgenieServer } from "../harness/opsgenie-server.ts";
import { pagerdutyServer } from "../harness/pagerduty-server.ts";
import { opened, secretFolder } from "../harness/secrets.ts";
import { servicenowServer } from "../harness/servicenow-server.ts";
import { openAdapter, openAdapters } from "./open-adapter.ts";
import { tryAdapter } from "./try-adapter.ts";

const KEY = "R0123456789abcdef0123456789abcde";
const stops: (() => unknown)[] = [];
const folder = (): ReturnType<typeof secretFolder> => {
  const made = secretFolder();
  stops.push(() => made.remove());
  return made;
};

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function tell(adapter: Adapter, of: Partial<TicketChange> = {}): Promise<string | null> {
  const told = await adapter.deliver(change(of));
  if (!told.ok) throw new Error(told.error.detail);
  return told.value.externalId;
}

describe("PagerDuty", () => {
  test("has one alert for a ticket, resolved at its end, and a new one when it is reopened", async () => {
    const server = pagerdutyServer(KEY);
    stops.push(server.stop);
    const adapter = opened(
      `pagerduty:?key-file=${folder().write("key", KEY)}&url=${server.url}/v2/enqueue`,
    );
    const key = await tell(adapter);
    expect(key).toBe("T-2026-000123@support");
    await tell(adapter);
    await tell(adapter, { key: "T-2026-000123.2", kind: "raised", severity: "non-recoverable" });
    expect(server.alerts).toEqual([
      { key: "T-2026-000123@support", state: "triggered", entries: 3, severity: "critical" },
    ]);
    await tell(adapter, { key: "T-2026-000123.3", kind: "closed" });
    expect(server.alerts[0]?.state).toBe("resolved");
    await tell(adapter, { key: "T-2026-000123.4", kind: "reopened", severity: "warning" });
    expect(server.alerts.map(({ state }) => state)).toEqual(["resolved", "triggered"]);
    const first = server.heard[0]?.body ?? {};
    expect(first["links"]).toEqual([
      { href: "https://support.example.com/tickets/T-2026-000123", text: "T-2026-000123" },
    ]);
    expect(first["payload"]).toMatchObject({ source: "n7", component: "DIMM_A1", class: "memory" });
  });

  test("takes the longest texts that a ticket can have", async () => {
    const server = pagerdutyServer(KEY);
    stops.push(server.stop);
    const adapter = opened(
      `pagerduty:?key-file=${folder().write("key", KEY)}&url=${server.url}/v2/enqueue`,
    );
    const long = "x".repeat(256);
    const related = Array.from({ length: 500 }, (_, n) => `T-2026-${n}`);
    await tell(adapter, {
      title: long.repeat(16),
      text: long.repeat(16),
      destination: long,
      node: long,
      cluster: long,
      component: { category: long, subject: long },
      related,
    });
    expect(server.alerts).toHaveLength(1);
  });

  test("that does not know the key is a misconfiguration, and the key is not repeated", async () => {
    const server = pagerdutyServer("another");
    stops.push(server.stop);
    const adapter = opened(
      `pagerduty:?key-file=${folder().write("key", KEY)}&url=${server.url}/v2/enqueue`,
    );
    const told = await adapter.deliver(change());
    expect(told).toMatchObject({ ok: false, error: { kind: "misconfigured", isPermanent: false } });
    expect(JSON.stringify(told)).not.toContain(KEY);
  });
});

describe("Opsgenie", () => {
  const start = (
    laterLooks = 0,
  ): { server: ReturnType<typeof opsgenieServer>; adapter: Adapter } => {
    const server = opsgenieServer(KEY, "", laterLooks);
    stops.push(server.stop);
    const url = `opsgenie:?key-file=${folder().write("key", KEY)}&url=${server.url}`;
    return {
      server,
      adapter: opened(`${url}&responders=team:ops,user:ann@example.com&tags=rack7`),
    };
  };

  test("has one alert for a ticket with notes, a raised priority, closed at its end", async () => {
    const { server, adapter } = start();
    const id = await tell(adapter);
    expect(id).toBe(server.alerts[0]?.id ?? "none");
    await tell(adapter, { key: "T-2026-000123.2", kind: "appended", eventCount: 4 });
    await tell(adapter, {
      key: "T-2026-000123.3",
      kind: "raised",
      severity: "non-recoverable",
      externalId: id,
    });
    expect(server.alerts).toHaveLength(1);
    expect(server.alerts[0]).toMatchObject({ priority: "P1", isOpen: true, count: 1 });
    expect(server.alerts[0]?.notes).toHaveLength(2);
    expect(await tell(adapter, { key: "T-2026-000123.4", kind: "closed" })).toBe(id);
    expect(server.alerts[0]?.isOpen).toBe(false);
    expect(server.heard[0]?.body).toMatchObject({
      responders: [
        { type: "team", name: "ops" },
        { type: "user", username: "ann@example.com" },
      ],
      tags: ["holdfast", "memory", "rack7"],
    });
  }, 20_000);

  test("makes the alert anew where a person has closed it while the fault goes on", async () => {
    const { server, adapter } = start();
    await tell(adapter);
    const [alert] = server.alerts;
    if (alert !== undefined) alert.isOpen = false;
    await tell(adapter, { key: "T-2026-000123.2", kind: "appended" });
    expect(server.alerts.map(({ isOpen }) => isOpen)).toEqual([false, true]);
    // Closing what nobody has open is a success.
    for (const one of server.alerts) one.isOpen = false;
    await tell(adapter, { key: "T-2026-000123.3", kind: "closed" });
    expect(server.alerts).toHaveLength(2);
  }, 20_000);

  test("is looked at again until the request is carried out, and no longer than seconds", async () => {
    const soon = start(1);
    expect(await tell(soon.adapter)).toBe(soon.server.alerts[0]?.id ?? "none");
    const never = start(99);
    expect(await tell(never.adapter)).toBeNull();
    expect(never.server.heard).toHaveLength(4);
  }, 20_000);

  test("of Jira Service Management is told of a raise by a note", async () => {
    const server = opsgenieServer(KEY, "/jsm/ops/integration");
    stops.push(server.stop);
    const keyFile = folder().write("key", KEY);
    const adapter = opened(`jsm:?key-file=${keyFile}&url=${server.url}/jsm/ops/integration`);
    await tell(adapter);
    await tell(adapter, { key: "T-2026-000123.2", kind: "raised", severity: "non-recoverable" });
    expect(server.alerts[0]?.notes[0]).toContain("is now non-recoverable");
  }, 20_000);

  test("that refuses a body refuses it for ever, one that does not know the key does not", async () => {
    const { adapter } = start();
    const refused = await adapter.deliver(change({ title: "" }));
    expect(refused).toMatchObject({ ok: false, error: { kind: "refused", isPermanent: true } });
    const server = opsgenieServer("another");
    stops.push(server.stop);
    const keyFile = folder().write("key", KEY);
    const told = await opened(`opsgenie:?key-file=${keyFile}&url=${server.url}`).deliver(change());
    expect(told).toMatchObject({ ok: false, error: { kind: "misconfigured" } });
  });
});

describe("ServiceNow", () => {
  const basic = `Basic ${btoa("svc:s3cret-word")}`;
  const start = (more = ""): { server: ReturnType<typeof servicenowServer>; adapter: Adapter } => {
    const server = servicenowServer(basic);
    stops.push(server.stop);
    const password = folder().write("password", "s3cret-word");
    const url = `servicenow+${server.url}?user=svc&password-file=${password}${more}`;
    return { server, adapter: opened(url) };
  };

  test("has one incident for a ticket, with notes, resolved and reopened", async () => {
    const { server, adapter } = start("&field.assignment_group=hardware");
    const id = await tell(adapter);
    const incident = server.incidents[0];
    expect(incident?.sys_id).toBe(id ?? "none");
    expect(incident?.fields).toMatchObject({
      correlation_id: "T-2026-000123@support",
      urgency: "1",
      impact: "2",
      assignment_group: "hardware",
    });
    await tell(adapter, { key: "T-2026-000123.2", kind: "appended", externalId: id });
    await tell(adapter, { key: "T-2026-000123.3", kind: "closed", externalId: id });
    expect(incident?.fields).toMatchObject({ state: "6", close_code: "Solution provided" });
    await tell(adapter, { key: "T-2026-000123.4", kind: "reopened", externalId: id });
    expect(incident?.fields["state"]).toBe("2");
    expect(incident?.notes).toHaveLength(2);
    expect(server.incidents).toHaveLength(1);
  });

  test("gets no second incident when the answer to the first was lost", async () => {
    const { server, adapter } = start();
    await tell(adapter);
    await tell(adapter);
    await tell(adapter, { key: "T-2026-000123.2", kind: "appended" });
    expect(server.incidents).toHaveLength(1);
    expect(server.incidents[0]?.notes).toHaveLength(1);
  });

  test("gets a new one where people have closed the incident for good", async () => {
    const { server, adapter } = start();
    const id = await tell(adapter);
    const [incident] = server.incidents;
    if (incident !== undefined) incident.fields["state"] = "7";
    const next = await tell(adapter, { key: "T-2026-000123.2", kind: "appended", externalId: id });
    expect(server.incidents).toHaveLength(2);
    expect(next).not.toBe(id);
    // A deleted record is looked for and made again; what nobody has need not be closed.
    const gone = "f".repeat(32);
    await tell(adapter, { key: "T-2026-000123.3", kind: "raised", externalId: gone });
    expect(server.incidents).toHaveLength(2);
    await tell(adapter, { ticket: "T-2026-000200", key: "T-2026-000200.1", kind: "closed" });
    expect(server.incidents).toHaveLength(2);
  });

  test("leaves closing to people where that is asked for", async () => {
    const { server, adapter } = start("&closes=no");
    const id = await tell(adapter);
    await tell(adapter, { key: "T-2026-000123.2", kind: "closed", externalId: id });
    expect(server.incidents[0]?.fields["state"]).toBe("1");
    expect(server.incidents[0]?.notes[0]).toContain("closed");
  });

  test("that refuses the password is a misconfiguration", async () => {
    const server = servicenowServer("Basic other");
    stops.push(server.stop);
    const password = folder().write("password", "s3cret-word");
    const adapter = opened(`servicenow+${server.url}?user=svc&password-file=${password}`);
    const told = await adapter.deliver(change());
    expect(told).toMatchObject({ ok: false, error: { kind: "misconfigured" } });
    expect(JSON.stringify(told)).not.toMatch(/s3cret-word|c3ZjOnMz/);
  });

  test("of Event Management gets events with a message key, cleared at the end", async () => {
    const server = farEnd({ answer: () => Response.json({ result: {} }, { status: 200 }) });
    stops.push(server.stop);
    const token = folder().write("token", "oauth-token-1");
    const adapter = opened(`servicenow+${server.url}?token-file=${token}&table=em_event`);
    await tell(adapter);
    await tell(adapter, { key: "T-2026-000123.2", kind: "closed" });
    const records = server.heard.map(
      ({ body }) => ((body?.["records"] ?? []) as Record<string, string>[])[0] ?? {},
    );
    expect(server.heard[0]?.path).toBe("/api/global/em/jsonv2");
    expect(server.heard[0]?.headers.get("authorization")).toBe("Bearer oauth-token-1");
    expect(records.map((record) => record["severity"])).toEqual(["1", "0"]);
    expect(new Set(records.map((record) => record["message_key"])).size).toBe(1);
    expect(records[0]?.["time_of_event"]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    expect(JSON.parse(records[0]?.["additional_info"] ?? "")).toMatchObject({ node: "n7" });
  });
});

describe("a Redfish listener", () => {
  test("gets the event with its password", async () => {
    const server = farEnd({ answer: () => new Response(null, { status: 204 }) });
    stops.push(server.stop);
    const password = folder().write("password", "listen-word");
    const adapter = opened(
      `redfish+${server.url}/events?user=bob&password-file=${password}&context=rack7`,
    );
    await tell(adapter);
    const [heard] = server.heard;
    expect(heard?.headers.get("authorization")).toBe(`Basic ${btoa("bob:listen-word")}`);
    expect(heard?.headers.get("odata-version")).toBe("4.0");
    expect(heard?.body).toMatchObject({ Context: "rack7", Events: [{ EventType: "Alert" }] });
  });
});

describe("opening", () => {
  test("names a secret that others can read, that is missing, that is none", () => {
    const secrets = folder();
    const open = (url: string): string => {
      const adapter = openAdapter(url, { proxy: null, nowMs: () => 0 });
      return adapter.ok ? "opened" : adapter.error;
    };
    const readable = secrets.write("readable", "hunter2hunter2", 0o644);
    expect(open(`pagerduty:?key-file=${readable}`)).toContain("others may read it: chmod 600");
    expect(open(`pagerduty:?key-file=${secrets.path}/none`)).toContain("cannot be read (ENOENT)");
    const lines = secrets.write("lines", "hunter2\nhunter3");
    expect(open(`pagerduty:?key-file=${lines}`)).toContain("must hold one line");
    const weak = secrets.write("weak", "whsec_aHVudGVyMg==");
    const said = open(`webhook+https://h/p?secret-file=${weak}`);
    expect(said).toContain("has 7 bytes; Standard Webhooks wants 24 to 64");
    expect(said).not.toContain("aHVudGVyMg");
    const ca = secrets.write("ca", "no certificate");
    const key = secrets.write("key", "0123456789abcdef");
    expect(open(`pagerduty:?key-file=${key}&ca-file=${ca}`)).toContain("holds no PEM text");
  });

  test("wants names that differ", () => {
    const { path } = folder();
    const of = { proxy: null, nowMs: () => 0 };
    expect(openAdapters([`dir:${path}`, `dir:${path}`], of)).toMatchObject({
      ok: false,
      error: "--adapter: two are called dir: give one of them a name=…",
    });
    expect(openAdapters([`dir:${path}`, `dir:${path}?name=b`], of).ok).toBe(true);
  });
});

describe("a trial", () => {
  test("opens a ticket of its own and closes it, and says how it went", async () => {
    const server = pagerdutyServer(KEY);
    stops.push(server.stop);
    const adapter = opened(
      `pagerduty:?key-file=${folder().write("key", KEY)}&url=${server.url}/v2/enqueue`,
    );
    const of = { destination: "support", cluster: "tokyo", nowMs: 0, link: null, mark: "ab12" };
    const trial = await tryAdapter(adapter, of);
    expect(trial.isDelivered).toBe(true);
    expect(trial.lines).toHaveLength(2);
    expect(server.alerts).toEqual([
      { key: "T-TEST-ab12@support", state: "resolved", entries: 1, severity: "info" },
    ]);
  });
});
