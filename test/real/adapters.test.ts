/**
 * Goal: adapters work with servers that others wrote, over TLS whose authority must be known. Method: certificates by OpenSSL; a mail
 * server of Python (aiosmtpd) with STARTTLS and logins; an HTTPS far end; a webhook's signature checked by Python.
 */
import { afterEach, expect } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { change } from "../../agent/destination/adapters/harness/change.ts";
import { farEnd } from "../../agent/destination/adapters/harness/far-end.ts";
import { opened } from "../../agent/destination/adapters/harness/secrets.ts";
import { hasCommand, realPart } from "../real-part.ts";
import { freePort } from "./bmc/ipmi-sim.ts";

const openssl = realPart("openssl", () => hasCommand("openssl"), "apt-get install openssl");
/** Debian's, where the package is, whatever Python comes first. */
const PYTHON = "/usr/bin/python3";
const mail = realPart(
  "aiosmtpd and openssl",
  () => hasCommand("openssl") && Bun.spawnSync([PYTHON, "-c", "import aiosmtpd"]).exitCode === 0,
  "apt-get install python3-aiosmtpd openssl",
);

const folders: string[] = [];
const stops: (() => unknown)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

interface Certificate {
  readonly folder: string;
  readonly cert: string;
  readonly key: string;
}

/** Of an authority of its own, for that name. */
function certificate(name: string): Certificate {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-tls-"));
  folders.push(folder);
  const cert = join(folder, "cert.pem");
  const key = join(folder, "key.pem");
  const made = Bun.spawnSync([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ...["-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=test"],
    ...["-addext", `subjectAltName=${name}`],
  ]);
  if (made.exitCode !== 0) throw new Error(made.stderr.toString());
  return { folder, cert, key };
}

function secret(folder: string, name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, `${text}\n`);
  chmodSync(path, 0o600);
  return path;
}

openssl("a far end over TLS is believed only by its authority and its name", async () => {
  const good = certificate("IP:127.0.0.1");
  const other = certificate("IP:127.0.0.1");
  const misnamed = certificate("DNS:elsewhere.example");
  const serve = (of: Certificate): ReturnType<typeof farEnd> => {
    const tls = { cert: readFileSync(of.cert, "utf8"), key: readFileSync(of.key, "utf8") };
    const server = farEnd({ answer: () => new Response(null, { status: 204 }), tls });
    stops.push(server.stop);
    return server;
  };
  const server = serve(good);
  const told = (port: number, ca: string | null): Promise<unknown> => {
    const more = ca === null ? "" : `&ca-file=${ca}`;
    return opened(`webhook+https://127.0.0.1:${port}/x?unsigned=yes${more}`).deliver(change());
  };
  expect(await told(server.port, good.cert)).toEqual({ ok: true, value: { externalId: null } });
  const failure = { ok: false, error: { kind: "misconfigured", isPermanent: false } };
  expect(await told(server.port, null)).toMatchObject(failure);
  expect(await told(server.port, other.cert)).toMatchObject(failure);
  expect(await told(serve(misnamed).port, misnamed.cert)).toMatchObject(failure);
  expect(server.heard).toHaveLength(1);
});

const VERIFY = `
import base64, hashlib, hmac, sys
secret, ident, timestamp, signatures, body = sys.argv[1:]
key = base64.b64decode(secret.removeprefix("whsec_"))
mac = hmac.new(key, f"{ident}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
print("v1," + base64.b64encode(mac).decode() in signatures.split(" "))
`;

openssl(
  "a webhook's signatures are right to another implementation, before and after a rotation",
  async () => {
    const { folder } = certificate("IP:127.0.0.1");
    const [before, after] = [1, 2].map(
      (n) => `whsec_${btoa(`secret number ${n} of thirty-two b`)}`,
    );
    const server = farEnd({ answer: () => new Response(null, { status: 200 }) });
    stops.push(server.stop);
    const files = [secret(folder, "new", after ?? ""), secret(folder, "old", before ?? "")];
    const url = `webhook+${server.url}/hook?secret-file=${files[0]}&secret-file=${files[1]}`;
    expect((await opened(url).deliver(change({ text: "Grüße aus München" }))).ok).toBe(true);
    const [heard] = server.heard;
    const header = (name: string): string => heard?.headers.get(`webhook-${name}`) ?? "";
    for (const key of [before, after]) {
      const argv = [key ?? "", header("id"), header("timestamp"), header("signature")];
      const checked = Bun.spawnSync(["python3", "-c", VERIFY, ...argv, heard?.text ?? ""]);
      expect(checked.stdout.toString().trim()).toBe("True");
    }
  },
);

const SERVER = `
import asyncio, json, ssl, sys
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
cert, key, user, password, port = sys.argv[1:6]
class Handler:
    async def handle_DATA(self, server, session, envelope):
        text = envelope.content.decode("utf8", "replace")
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "text": text,
            "tls": session.ssl is not None, "user": session.authenticated}), flush=True)
        return "250 taken"
def check(server, session, envelope, mechanism, data):
    ok = isinstance(data, LoginPassword) and data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=ok, handled=ok)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(cert, key)
controller = Controller(Handler(), hostname="127.0.0.1", port=int(port), tls_context=context,
    require_starttls=True, auth_required=True, authenticator=check)
controller.start()
print(json.dumps({"port": int(port)}), flush=True)
asyncio.new_event_loop().run_forever()
`;

interface MailServer {
  readonly port: number;
  next(): Promise<Record<string, unknown>>;
}

async function mailServer(of: Certificate, user: string, password: string): Promise<MailServer> {
  const argv = [PYTHON, "-c", SERVER, of.cert, of.key, user, password, `${await freePort()}`];
  const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  stops.push(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  const lines = (async function* () {
    let text = "";
    for await (const chunk of child.stdout) {
      text += Buffer.from(chunk).toString();
      for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
        yield JSON.parse(text.slice(0, end)) as Record<string, unknown>;
        text = text.slice(end + 1);
      }
    }
  })();
  const next = async (): Promise<Record<string, unknown>> => (await lines.next()).value ?? {};
  return { port: Number((await next())["port"]), next };
}

mail("mails of a ticket are one thread, over STARTTLS and with a login", async () => {
  const tls = certificate("DNS:localhost,IP:127.0.0.1");
  const server = await mailServer(tls, "hf", "mail-w0rd");
  const password = secret(tls.folder, "password", "mail-w0rd");
  const url = (file: string, ca: string): string =>
    `smtp://hf@localhost:${server.port}?password-file=${file}&from=hf@example.com&to=ops@example.com&tls=required&ca-file=${ca}`;
  const adapter = opened(url(password, tls.cert));
  expect(await adapter.deliver(change())).toMatchObject({ ok: true });
  const first = await server.next();
  expect(first).toMatchObject({
    from: "hf@example.com",
    to: ["ops@example.com"],
    tls: true,
    user: true,
  });
  expect(await adapter.deliver(change({ key: "T-2026-000123.2", kind: "closed" }))).toMatchObject({
    ok: true,
  });
  const second = await server.next();
  const id = /^Message-ID: (\S+)/im.exec(String(first["text"]))?.[1] ?? "none";
  expect(String(second["text"])).toContain(`References: ${id}`);
  // A wrong password and an authority that is not known are for people to mend; nothing was sent.
  const wrong = secret(tls.folder, "wrong", "other-w0rd");
  for (const bad of [url(wrong, tls.cert), url(password, certificate("DNS:localhost").cert)]) {
    const told = await opened(bad).deliver(change());
    expect(told).toMatchObject({ ok: false, error: { kind: "misconfigured", isPermanent: false } });
    expect(JSON.stringify(told)).not.toMatch(/w0rd/);
  }
});
