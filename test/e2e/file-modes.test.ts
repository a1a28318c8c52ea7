/**
 * Goal: whatever agent, manager, destination and `init` write, nobody else on the machine can read or change.
 * Method: real processes with a umask that forbids nothing, in folders that were there with the usual mode; an event goes all the
 * way, so that what call home writes is there. What is public (certificates) may be read, in folders that nobody may enter.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { removeFolder } from "../../agent/runtime/io/remove-folder.ts";
import { ask, MAIN, until } from "./test-cluster.ts";

const LIMIT_MS = 60_000;
/** What is given to whoever asks. */
const PUBLIC = /^(ca\.pem|crl\.pem|settings\.json|ca-\d+\.pem)$/;

const folder = mkdtempSync(join(tmpdir(), "holdfast-modes-"));
const children: Bun.Subprocess[] = [];
let ports: readonly number[] = [];

/** Free ones, all at once, so that they differ. */
function freePorts(count: number): readonly number[] {
  const socket = { data: () => undefined };
  const all = Array.from({ length: count }, () =>
    Bun.listen({ hostname: "127.0.0.1", port: 0, socket }),
  );
  const found = all.map(({ port }) => port);
  for (const one of all) one.stop(true);
  return found;
}

/** With a umask of 0. */
function spawn(name: string, args: readonly string[]): Bun.Subprocess {
  const script = `umask 0; exec "$@" >"$0" 2>&1`;
  const child = Bun.spawn({
    cmd: ["sh", "-c", script, join(folder, `${name}.log`), process.execPath, MAIN, ...args],
    stdio: ["ignore", "ignore", "ignore"],
  });
  children.push(child);
  return child;
}

function logOf(name: string): string {
  return readFileSync(join(folder, `${name}.log`), "utf8");
}

function openFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  chmodSync(path, 0o755);
  return path;
}

beforeAll(async () => {
  ports = freePorts(3);
  const [agent = 0, manager = 0, destination = 0] = ports;
  const at = (port: number): string => `127.0.0.1:${port}`;
  spawn("destination", [
    ...["destination", "--data", openFolder("d"), "--listen", at(destination)],
  ]);
  spawn("manager", [
    ...["manager", "--data", openFolder("m"), "--listen", at(manager), "--page-listen", "none"],
    ...["--destination", `http://${at(destination)}`],
  ]);
  spawn("agent", [
    ...["agent", "--id", "n1", "--data", openFolder("a"), "--port", String(agent), "--found"],
    ...["--address", "127.0.0.1", "--shm", openFolder("shm"), "--manager", `http://${at(manager)}`],
    ...["--destination", `http://${at(destination)}`],
  ]);
  const init = spawn("init", [
    ...["init", "--cluster", "c1", "--id", "n1", "--data", openFolder("i")],
    ...["--operator", join(folder, "o")],
  ]);
  expect(await init.exited).toBe(0);
  await until("all are up", 30_000, async () => {
    const node = await ask<unknown>(at(agent), "/v1/node");
    const isUp = ["manager", "destination"].every((name) => logOf(name).includes("listens on"));
    return node !== null && isUp ? node : null;
  });
  await until("an event is taken and has a ticket", 30_000, async () => {
    const known = await ask<{ tickets: unknown[] }>(at(destination), "/v1/tickets");
    if ((known?.tickets.length ?? 0) > 0) return known;
    const body = JSON.stringify({ severity: "critical", text: "a disk is dying", subject: "sda" });
    await fetch(`http://${at(agent)}/v1/hooks/event`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
    });
    await Bun.sleep(1_000);
    return null;
  });
}, LIMIT_MS);

afterAll(async () => {
  for (const child of children) {
    child.kill();
    await child.exited;
  }
  await removeFolder(folder);
});

/** `MODE path` of what others may do anything with. */
function openOnes(name: string): readonly string[] {
  const top = join(folder, name);
  const all = [
    top,
    ...readdirSync(top, { recursive: true, encoding: "utf8" }).map((one) => join(top, one)),
  ];
  return all.flatMap((path) => {
    const { mode } = statSync(path, { throwIfNoEntry: false }) ?? { mode: 0 };
    const isPublic = PUBLIC.test(path.split("/").at(-1) ?? "") && (mode & 0o133) === 0;
    if ((mode & 0o077) === 0 || isPublic) return [];
    return [`${(mode & 0o777).toString(8)} ${relative(folder, path)}`];
  });
}

test("nothing of an agent, a manager, a destination and an authority is open to others", () => {
  for (const name of ["a", "m", "d", "i/identity", "o"]) expect(openOnes(name)).toEqual([]);
  expect(readdirSync(join(folder, "a")).sort()).toContain("identity");
  expect(readdirSync(join(folder, "m"))).toContain("manager.sqlite-wal");
  expect(readdirSync(join(folder, "d"))).toContain("tickets.sqlite-wal");
});

test("a data folder that was open to others is closed, and said so", () => {
  for (const [name, data] of [
    ["agent", "a"],
    ["manager", "m"],
    ["destination", "d"],
  ] as const) {
    expect(logOf(name)).toContain(`${join(folder, data)} was open to other users (mode 755)`);
  }
});
