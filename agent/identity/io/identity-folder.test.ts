/**
 * An identity on disk: what a running process makes of a folder that changes under it, is damaged, or half written; and what
 * `init` makes and leaves alone.
 */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../harness/test-door.ts";
import { authorityFolderOf } from "./identity-folder.ts";
import { type InitOrder, initCluster } from "./init-cluster.ts";
import { renewIdentity } from "./keeper.ts";
import { type FolderIdentity, openIdentity } from "./open-identity.ts";

/** Certificates are made by the dozen, perhaps on a machine that is busy. */
setDefaultTimeout(60_000);

const root = mkdtempSync(join(tmpdir(), "holdfast-folder-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
const opened: FolderIdentity[] = [];
afterEach(() => {
  for (const identity of opened.splice(0)) identity.close();
});

function order(change: Partial<InitOrder> = {}): InitOrder {
  count++;
  return {
    cluster: "c1",
    identityFolder: join(root, `d${count}`, "identity"),
    nodeName: "n1",
    operatorFolder: join(root, `o${count}`),
    operatorName: "ann",
    ...change,
  };
}

function open(folder: string): FolderIdentity {
  const identity = openIdentity(folder);
  if (!identity.ok) throw new Error(identity.error);
  opened.push(identity.value);
  return identity.value;
}

async function made(): Promise<InitOrder> {
  const asked = order();
  const report = await initCluster(asked);
  if (!report.ok) throw new Error(report.error.detail);
  return asked;
}

/** Every file below, with its content. */
function picture(folder: string): Readonly<Record<string, string>> {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true });
  const entries = files
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name))
    .filter((path) => !path.endsWith("-shm") && !path.endsWith("-wal"))
    .map((path) => [path, readFileSync(path, "base64")] as const);
  return Object.fromEntries(entries);
}

describe("init", () => {
  test("makes an authority, a node and an operator who believe each other", async () => {
    const asked = order();
    const report = await initCluster(asked);
    if (!report.ok) throw new Error(report.error.detail);
    expect(report.value).toMatchObject({ cluster: "c1", isNew: true });
    expect(report.value.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    const node = open(asked.identityFolder);
    const person = open(asked.operatorFolder);
    expect(node.principal).toEqual({ cluster: "c1", role: "agent", name: "n1" });
    expect(person.principal).toEqual({ cluster: "c1", role: "operator", name: "ann" });
    const envelope = person.signer.sign("text/plain", new Uint8Array(1));
    expect(node.verifier.verify(envelope, "text/plain", Date.now()).ok).toBe(true);
    const authority = authorityFolderOf(asked.identityFolder);
    for (const path of [asked.identityFolder, authority, asked.operatorFolder]) {
      expect(statSync(path).mode & 0o777).toBe(0o700);
    }
    for (const file of ["ca-1.key.pem", "authority.sqlite"]) {
      expect(statSync(join(authority, file)).mode & 0o777).toBe(0o600);
    }
    expect(readFileSync(join(asked.operatorFolder, "bundle.json"), "utf8")).toContain(
      '"clusterKeys":[]',
    );
  });

  test("a second time says what is there and changes nothing", async () => {
    const asked = await made();
    const before = { ...picture(asked.identityFolder), ...picture(asked.operatorFolder) };
    for (const cluster of ["c1", null]) {
      const report = await initCluster({ ...asked, cluster });
      if (!report.ok) throw new Error(report.error.detail);
      expect([report.value.isNew, report.value.node.isNew]).toEqual([false, false]);
      expect(report.value.operator.ok && report.value.operator.value.isNew).toBe(false);
    }
    expect({ ...picture(asked.identityFolder), ...picture(asked.operatorFolder) }).toEqual(before);
  });

  test("finishes what an interrupted one began", async () => {
    const asked = await made();
    rmSync(join(asked.identityFolder, "bundle.json"));
    rmSync(join(asked.identityFolder, "sign.pem"));
    rmSync(asked.operatorFolder, { recursive: true });
    mkdirSync(join(asked.identityFolder, "authority.new.1"));
    const report = await initCluster(asked);
    if (!report.ok) throw new Error(report.error.detail);
    expect([report.value.isNew, report.value.node.isNew]).toEqual([false, true]);
    expect(open(asked.identityFolder).principal.name).toBe("n1");
  });

  test("refuses another cluster, another node's id, and a node that joined elsewhere", async () => {
    const asked = await made();
    const other = await initCluster({ ...asked, cluster: "c2" });
    expect(other.ok ? "" : other.error.detail).toContain("is the authority of cluster c1, not c2");
    const renamed = await initCluster({ ...asked, nodeName: "n2" });
    expect(renamed.ok ? "" : renamed.error.detail).toContain("has the identity of agent n1");
    rmSync(authorityFolderOf(asked.identityFolder), { recursive: true });
    const joined = await initCluster(asked);
    expect(joined.ok ? "" : joined.error.detail).toContain("whose authority is elsewhere");
  });

  test("leaves an operator of another cluster alone, and says so", async () => {
    const first = await made();
    const before = picture(first.operatorFolder);
    const second = order({ cluster: "c2", operatorFolder: first.operatorFolder });
    const report = await initCluster(second);
    if (!report.ok) throw new Error(report.error.detail);
    const { operator } = report.value;
    expect(operator.ok ? "" : operator.error.detail).toContain("operator ann of cluster c1");
    expect(picture(first.operatorFolder)).toEqual(before);
  });
});

describe("a folder", () => {
  test("is followed by a running process, whoever writes there", async () => {
    const asked = await made();
    const running = open(asked.identityFolder);
    const before = running.tls()?.cert;
    let calls = 0;
    running.onChange(() => calls++);
    expect(await renewIdentity(open(asked.identityFolder), [], Date.now())).toEqual({
      ok: true,
      value: null,
    });
    await until(() => calls > 0 && running.tls()?.cert !== before, "the change is seen");
    const envelope = running.signer.sign("text/plain", new Uint8Array(1));
    expect(running.verifier.verify(envelope, "text/plain", Date.now()).ok).toBe(true);
  });

  const damages: readonly (readonly [string, (folder: string) => void])[] = [
    ["a key is empty", (folder) => writeFileSync(join(folder, "tls.pem"), "")],
    ["a certificate is cut", (folder) => cut(join(folder, "sign.pem"))],
    ["a bundle is cut", (folder) => cut(join(folder, "bundle.json"))],
    ["a bundle is not one", (folder) => writeFileSync(join(folder, "bundle.json"), "{}")],
    ["a bundle is gone", (folder) => rmSync(join(folder, "bundle.json"))],
    ["a file is huge", (folder) => writeFileSync(join(folder, "tls.pem"), "x".repeat(5_000_000))],
    [
      "keys are exchanged",
      (folder) => copyFileSync(join(folder, "tls.pem"), join(folder, "sign.pem")),
    ],
    [
      "a key is of another certificate",
      (folder) => {
        const path = join(folder, "tls.pem");
        const cert = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/;
        const sign = cert.exec(readFileSync(join(folder, "sign.pem"), "utf8"))?.[0] ?? "";
        writeFileSync(path, readFileSync(path, "utf8").replace(cert, sign));
      },
    ],
    ["everything is gone", (folder) => rmSync(folder, { recursive: true })],
  ];
  for (const [what, damage] of damages) {
    test(`in which ${what} is refused at a start, and changes nothing in a running process`, async () => {
      const asked = await made();
      const running = open(asked.identityFolder);
      const before = running.tls();
      let calls = 0;
      running.onChange(() => calls++);
      damage(asked.identityFolder);
      expect(running.reload()).toContain(asked.identityFolder);
      const fresh = openIdentity(asked.identityFolder);
      expect(fresh.ok ? "" : fresh.error).toContain(asked.identityFolder);
      expect(running.tls()).toEqual(before);
      expect(calls).toBe(0);
      const envelope = running.signer.sign("text/plain", new Uint8Array(1));
      expect(running.verifier.verify(envelope, "text/plain", Date.now()).ok).toBe(true);
    });
  }

  test("that becomes somebody else's is not followed", async () => {
    const first = await made();
    const running = open(first.identityFolder);
    const second = order({ nodeName: "n2" });
    expect((await initCluster(second)).ok).toBe(true);
    for (const file of ["tls.pem", "sign.pem", "bundle.json"]) {
      copyFileSync(join(second.identityFolder, file), join(first.identityFolder, file));
    }
    expect(running.reload()).toContain("start the process anew");
    expect(running.principal.name).toBe("n1");
  });

  test("is as it was after a write that failed, without a leftover", async () => {
    const asked = await made();
    const running = open(asked.identityFolder);
    const before = picture(asked.identityFolder);
    mkdirSync(join(asked.identityFolder, `tls.pem.${process.pid}.tmp`));
    const renewed = await renewIdentity(running, [], Date.now());
    expect(renewed.ok ? "" : renewed.error.kind).toBe("not-kept");
    rmSync(join(asked.identityFolder, `tls.pem.${process.pid}.tmp`), {
      recursive: true,
      force: true,
    });
    const after = picture(asked.identityFolder);
    const own = ["tls.pem", "sign.pem", "bundle.json"].map((file) =>
      join(asked.identityFolder, file),
    );
    for (const path of own) expect(after[path]).toBe(before[path] ?? "");
    expect(existsSync(join(asked.identityFolder, "tls.pem"))).toBe(true);
  });
});

function cut(path: string): void {
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.slice(0, text.length - 60));
}
