/**
 * Goal: each change is one whole file in the directory, and no name leads out of it. Method: a real directory; names made to escape.
 */
import { afterEach, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { change } from "../harness/change.ts";
import { opened, type SecretFolder, secretFolder } from "../harness/secrets.ts";
import { fileNameOf } from "./folder-adapter.ts";
import { openAdapter } from "./open-adapter.ts";

let folder: SecretFolder = secretFolder();

afterEach(() => {
  folder.remove();
  folder = secretFolder();
});

test("a change becomes one file that only its owner can read, and once more the same file", async () => {
  const path = join(folder.path, "tickets");
  const adapter = opened(`dir:${path}`);
  await adapter.deliver(change());
  await adapter.deliver(change({ key: "T-2026-000123.2", kind: "closed" }));
  await adapter.deliver(change());
  const names = readdirSync(path).sort();
  expect(names).toEqual(["support--T-2026-000123.1.json", "support--T-2026-000123.2.json"]);
  expect(statSync(join(path, names[0] ?? "")).mode & 0o777).toBe(0o600);
  const written = JSON.parse(readFileSync(join(path, names[1] ?? ""), "utf8"));
  expect(written).toMatchObject({ type: "ticket.closed", data: { ticket: "T-2026-000123" } });
});

test("a name never leads out of the directory", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (destination) => {
      const name = fileNameOf(change({ destination }));
      expect(name).toMatch(/^[A-Za-z0-9._-]+$/);
      expect(name.startsWith(".")).toBe(false);
    }),
  );
  expect(fileNameOf(change({ destination: "../../etc" }))).not.toContain("/");
});

test("a directory that goes away is tried again later, one that cannot be made is said at once", async () => {
  const path = join(folder.path, "tickets");
  const adapter = opened(`dir:${path}`);
  folder.remove();
  const told = await adapter.deliver(change());
  expect(told).toMatchObject({ ok: false, error: { kind: "unreachable", isPermanent: false } });
  folder = secretFolder();
  writeFileSync(join(folder.path, "file"), "");
  const of = { proxy: null, nowMs: () => 0 };
  const refused = openAdapter(`dir:${folder.path}/file/tickets`, of);
  expect(refused).toMatchObject({ ok: false });
  if (!refused.ok) expect(refused.error).toContain("cannot be made (ENOTDIR)");
});
