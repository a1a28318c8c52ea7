/**
 * Joining, renewal, revocation and rotation through a real door on loopback, with what can go wrong at each.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseJoinToken } from "../join-token.ts";
import { createAuthority, openAuthorityOffice } from "./authority-office.ts";
import { joinCluster } from "./credentials.ts";
import { startJoinDoor } from "./join-door.ts";
import { openIdentity } from "./open-identity.ts";

const root = mkdtempSync(join(tmpdir(), "holdfast-door-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("a node joins by a token", async () => {
  const folder = join(root, "authority");
  await createAuthority(folder, "c1", Date.now());
  const office = openAuthorityOffice(folder);
  const log = { say: (_: string, text: string) => console.log(text) };
  const door = await startJoinDoor(office, { hostname: "127.0.0.1", port: 0, log });
  if (!door.ok) throw new Error(door.error.detail);
  const token = office.makeToken({ role: "agent", name: null, ttlMs: 60_000 });
  if (!token.ok) throw new Error(token.error.detail);
  const parsed = parseJoinToken(token.value);
  if (parsed === null) throw new Error("token");
  const joined = await joinCluster({
    door: `127.0.0.1:${door.value.port}`,
    token: parsed,
    name: "n1",
    folder: join(root, "n1"),
  });
  expect(joined).toEqual({ ok: true, value: { cluster: "c1", role: "agent", name: "n1" } });
  const identity = openIdentity(join(root, "n1"));
  if (!identity.ok) throw new Error(identity.error);
  expect(identity.value.clusterKeys()).toHaveLength(1);
  identity.value.close();
  await door.value.close();
});
