/**
 * Goal: what a mail server answers at each step decides whether a mail comes again, is given up, or somebody must mend a setting.
 * Method: a real SMTP conversation with a server that answers as it is told.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { AdapterFailure } from "../../adapter.ts";
import { change } from "../harness/change.ts";
import { type MailServer, mailServer, type Replies } from "../harness/mail-server.ts";
import { opened, secretFolder } from "../harness/secrets.ts";

const stops: (() => void)[] = [];

afterEach(() => {
  for (const stop of stops.splice(0).reverse()) stop();
});

async function server(replies: Replies = {}): Promise<MailServer> {
  const made = await mailServer(replies);
  stops.push(made.stop);
  return made;
}

function url(port: number, more = ""): string {
  return `smtp://127.0.0.1:${port}?from=hf@example.com&to=a@example.com,b@example.com${more}`;
}

async function failureOf(replies: Replies, more = ""): Promise<AdapterFailure> {
  const { port } = await server(replies);
  const told = await opened(url(port, more)).deliver(change());
  if (told.ok) throw new Error("it was delivered");
  expect(told.error.detail).not.toContain("\n");
  return told.error;
}

describe("a mail", () => {
  test("is sent with its thread's headers", async () => {
    const { port, mails } = await server();
    const adapter = opened(url(port));
    expect((await adapter.deliver(change())).ok).toBe(true);
    const raised = change({ key: "T-2026-000123.2", kind: "raised" });
    expect((await adapter.deliver(raised)).ok).toBe(true);
    const id = /^Message-ID: (.*)$/im.exec(mails[0] ?? "")?.[1]?.trim() ?? "none";
    expect(id).toBe("<T-2026-000123.support.holdfast@example.com>");
    expect(mails[1]).toContain(`References: ${id}`);
    expect(mails[1]).toContain(`In-Reply-To: ${id}`);
    for (const mail of mails) {
      expect(mail).toContain("Auto-Submitted: auto-generated");
      expect(mail).toContain("To: a@example.com, b@example.com");
    }
  });

  test("of a nasty text has no header of its making", async () => {
    const { port, mails } = await server();
    const title = "x\r\nBcc: evil@example.com\r\n\r\nbody";
    await opened(url(port)).deliver(change({ title, text: title }));
    expect(mails).toHaveLength(1);
    expect(mails[0]).not.toMatch(/^Bcc:/im);
  });
});

describe("a mail server", () => {
  test.each([
    ["greets with 421", { GREETING: "421 busy" }, "unreachable", false],
    ["refuses the sender", { MAIL: "550 no such sender" }, "misconfigured", false],
    ["refuses the recipients", { RCPT: "550 no such user" }, "misconfigured", false],
    ["puts recipients off", { RCPT: "450 greylisted" }, "unreachable", false],
    ["puts the mail off", { BODY: "452 no room" }, "unreachable", false],
    ["refuses the mail", { BODY: "554 it is spam" }, "refused", true],
  ] as const)("that %s", async (_, replies, kind, isPermanent) => {
    expect(await failureOf(replies)).toMatchObject({ kind, isPermanent });
  });

  test("that says nothing is given up after its time", async () => {
    const began = performance.now();
    const failure = await failureOf({ GREETING: null }, "&timeout=300ms");
    expect(failure).toMatchObject({ kind: "unreachable", isPermanent: false });
    expect(performance.now() - began).toBeLessThan(5_000);
  });

  test("that is not there is tried again later", async () => {
    const made = await mailServer();
    made.stop();
    const told = await opened(url(made.port)).deliver(change());
    expect(told).toMatchObject({ ok: false, error: { kind: "unreachable", isPermanent: false } });
  });

  test("that has no TLS gets nothing where TLS is required", async () => {
    const { port, mails } = await server();
    const told = await opened(url(port, "&tls=required")).deliver(change());
    expect(told).toMatchObject({ ok: false, error: { kind: "misconfigured" } });
    expect(mails).toHaveLength(0);
  });

  test("that refuses the login is a misconfiguration, without the password in it", async () => {
    const folder = secretFolder();
    stops.push(folder.remove);
    const password = folder.write("password", "mail-w0rd");
    const { port } = await server({ AUTH: "535 5.7.8 mail-w0rd is wrong" });
    const told = await opened(
      `smtp://bob@127.0.0.1:${port}?password-file=${password}&from=hf@example.com&to=a@example.com`,
    ).deliver(change());
    expect(told).toMatchObject({ ok: false, error: { kind: "misconfigured" } });
    expect(JSON.stringify(told)).not.toContain("mail-w0rd");
  });
});
