/**
 * Goal: every form of `--adapter` is read, and what is wrong with one is said by the name of the field, never by a value that
 * might be a secret. Method: the forms of the head comment, each with its mistakes.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseAdapterUrl } from "./adapter-url.ts";

function read(url: string): unknown {
  const setting = parseAdapterUrl(url);
  if (!setting.ok) throw new Error(setting.error);
  return setting.value;
}

function why(url: string): string {
  const setting = parseAdapterUrl(url);
  return setting.ok ? "it is taken" : setting.error;
}

describe("the URL of an adapter", () => {
  test("of a webhook has its secrets in files, the current one first", () => {
    const url = "webhook+https://hooks.example.com:8443/a/b?secret-file=/s/new&secret-file=/s/old";
    expect(read(url)).toMatchObject({
      kind: "webhook",
      name: "webhook-hooks.example.com-8443",
      url: "https://hooks.example.com:8443/a/b",
      secretFiles: ["/s/new", "/s/old"],
      http: { timeoutMs: 15_000, proxy: null },
    });
    expect(read("webhook:?url-file=/s/url&unsigned=yes&timeout=500ms")).toMatchObject({
      url: null,
      urlFile: "/s/url",
      http: { timeoutMs: 500 },
    });
  });

  test("of PagerDuty, Opsgenie and Jira chooses the region's address", () => {
    expect(read("pagerduty:?key-file=/k")).toMatchObject({
      name: "pagerduty",
      url: "https://events.pagerduty.com/v2/enqueue",
    });
    expect(read("pagerduty:?key-file=/k&region=eu&name=night")).toMatchObject({
      name: "night",
      url: "https://events.eu.pagerduty.com/v2/enqueue",
    });
    expect(
      read("opsgenie:?key-file=/k&region=eu&tags=a,b&responders=team:ops,user:ann@example.com"),
    ).toMatchObject({
      url: "https://api.eu.opsgenie.com",
      tags: ["a", "b"],
      responders: [
        { type: "team", name: "ops" },
        { type: "user", name: "ann@example.com" },
      ],
    });
    expect(read("jsm:?key-file=/k")).toMatchObject({
      kind: "jsm",
      url: "https://api.atlassian.com/jsm/ops/integration",
    });
  });

  test("of ServiceNow has a user or a token, a table and fields of the instance", () => {
    const url =
      "servicenow+https://dev1.service-now.com?user=svc&password-file=/p&field.assignment_group=hw";
    expect(read(url)).toMatchObject({
      url: "https://dev1.service-now.com",
      table: "incident",
      access: { kind: "basic", user: "svc", passwordFile: "/p" },
      closes: true,
      fields: { assignment_group: "hw" },
    });
    expect(
      read("servicenow+https://dev1.service-now.com?token-file=/t&table=em_event&closes=no"),
    ).toMatchObject({ table: "em_event", access: { kind: "bearer" }, closes: false });
  });

  test("of mail has recipients, and TLS unless it stays on the machine", () => {
    const mail =
      "smtp://hf%40example.com@mail.example.com?password-file=/p&to=a@example.com,b@example.com";
    expect(read(mail)).toMatchObject({
      host: "mail.example.com",
      port: 587,
      security: "starttls",
      user: "hf@example.com",
      from: "hf@example.com",
      to: ["a@example.com", "b@example.com"],
    });
    expect(read("smtps://mail.example.com?from=x@y.z&to=a@b.c")).toMatchObject({
      port: 465,
      security: "tls",
    });
    expect(read("smtp://127.0.0.1:2525?from=x@y.z&to=a@b.c")).toMatchObject({
      port: 2525,
      security: "opportunistic",
    });
  });

  test("of a listener and of a directory", () => {
    expect(read("redfish+https://10.0.0.9/events?context=hf")).toMatchObject({
      kind: "redfish",
      url: "https://10.0.0.9/events",
      context: "hf",
      access: { kind: "none" },
    });
    expect(read("dir:/var/spool/tickets%20x")).toMatchObject({ path: "/var/spool/tickets x" });
  });
});

describe("a wrong URL", () => {
  test.each([
    ["pagerduty:", "--adapter pagerduty: key-file: is missing: the file that holds"],
    ["pagerduty:?keyfile=/k", "keyfile: is no setting here; there are"],
    ["pagerduty:?key-file=/k&key-file=/l", "key-file: is given twice"],
    ["pagerduty:?key-file=k", "key-file: must be an absolute path"],
    ["pagerduty:?key-file=/k&region=mars", "region: must be us or eu"],
    ["pagerduty:?key-file=/k&timeout=1h", "timeout: must be a time such as 15s"],
    ["pagerduty:?key-file=/k&timeout=26s", "timeout: must be 100ms to 25s"],
    ["pagerduty:?key-file=/k&url=http://example.com/x", "url: http to example.com would show keys"],
    ["pagerduty:?key-file=/k&proxy=socks5://h:1", "proxy: must be an http or https address"],
    ["pagerduty:?key-file=/k&proxy-password-file=/p", "proxy-password-file: goes with proxy="],
    ["jsm:?key-file=/k&region=eu", "region: is no setting of jsm"],
    ["opsgenie:?key-file=/k&responders=ops", "responders: must be such as team:platform"],
    ["webhook+https://h/p", "secret-file: is missing"],
    ["webhook+http://h/p?unsigned=yes", "http to h would show keys"],
    ["webhook:?unsigned=yes", "url-file: goes with webhook:"],
    ["webhook+https://h/p?secret-file=/s&client-cert-file=/c", "goes with client-key-file"],
    ["servicenow+https://x.service-now.com", "user: is missing; or give token-file"],
    ["servicenow+https://x.service-now.com?user=u", "password-file: is missing"],
    ["servicenow+https://x.service-now.com?token-file=/t&user=u", "token-file: goes without user"],
    ["servicenow+https://x.service-now.com?token-file=/t&field.A=1", "field.A: must be field."],
    ["smtp://h?from=x@y.z", "to: is missing: who gets the mails"],
    ["smtp://h?to=a@b.c", "from: is missing: the sender's address"],
    ["smtp://h?from=x@y.z&to=a", "to: must be addresses"],
    ["smtp://u@h?to=a@b.c&from=x@y.z", "password-file: is missing"],
    ["smtp://u@h?to=a@b.c&from=x@y.z&password-file=/p&tls=none", "tls: must be required where"],
    ["smtps://h?to=a@b.c&from=x@y.z&tls=none", "tls: smtps has it"],
    ["dir:relative", "must be dir:/ABSOLUTE/PATH"],
    ["dir:/x%zz", "has a % that is no code"],
    ["carrier-pigeon:?x=1", "there are webhook, pagerduty"],
    ["nonsense", "is no URL"],
  ])("%s is refused by the name of the field", (url, part) => {
    expect(why(url)).toContain(part);
  });

  test("never shows a password that stands in it", () => {
    for (const url of [
      "webhook+https://u:hunter2@h/p?unsigned=yes",
      "servicenow+https://u:hunter2@h?token-file=/t",
      "smtp://u:hunter2@h?to=a@b.c",
      "pagerduty:?key-file=/k&proxy=http://u:hunter2@h:3128",
      "pagerduty:?key-file=hunter2",
      "pagerduty:?key=hunter2",
    ]) {
      expect(why(url)).toStartWith("--adapter ");
      expect(why(url)).not.toContain("hunter2");
    }
  });

  test("whatever it is, is answered and not thrown", () => {
    const scheme = fc.constantFrom(
      "webhook+https:",
      "webhook:",
      "pagerduty:",
      "servicenow+https:",
      "smtp:",
      "dir:",
      "",
    );
    fc.assert(
      fc.property(scheme, fc.string(), (start, rest) => {
        const setting = parseAdapterUrl(`${start}${rest}`);
        if (!setting.ok) expect(setting.error).toStartWith("--adapter ");
      }),
      { numRuns: 500 },
    );
  });
});
