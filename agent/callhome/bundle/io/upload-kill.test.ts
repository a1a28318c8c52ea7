/**
 * Goal: an upload survives the death of either side, again and again, and arrives in whole. Method: receiver and sender as processes that
 * are killed with SIGKILL in the middle; a small piece, so that there is a middle.
 */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BUNDLES_PATH } from "../bundle.ts";
import { bmcEvent } from "../harness/bmc-event.ts";
import { noise, testBundle } from "../harness/bundle.ts";

const HARNESS = join(import.meta.dir, "../harness");
const SMALL_PIECE = "8192";
/** For the rest, which nobody kills: hundreds of pieces, each flushed, take a busy machine a minute. */
const LARGE_PIECE = "1048576";
let folder = mkdtempSync(join(tmpdir(), "holdfast-kill-"));
const children: Bun.Subprocess[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await child.exited;
  }
  rmSync(folder, { recursive: true, force: true });
  folder = mkdtempSync(join(tmpdir(), "holdfast-kill-"));
});

function spawn(...argv: readonly string[]): Bun.Subprocess<"ignore", "pipe", "ignore"> {
  const child = Bun.spawn([process.execPath, ...argv], {
    ...{ stdin: "ignore", stdout: "pipe", stderr: "ignore" },
  });
  children.push(child);
  return child;
}

async function firstLine(child: Bun.Subprocess<"ignore", "pipe", "ignore">): Promise<string> {
  let text = "";
  for await (const chunk of child.stdout) {
    text += Buffer.from(chunk).toString();
    if (text.includes("\n")) break;
  }
  return text.trim();
}

async function startServer(port: string): Promise<{ child: Bun.Subprocess; port: string }> {
  const child = spawn(join(HARNESS, "upload-server.ts"), join(folder, "store"), port);
  return { child, port: await firstLine(child) };
}

async function offsetOf(url: string, digest: string): Promise<number> {
  try {
    const headers = { "tus-resumable": "1.0.0" };
    const head = await fetch(`${url}${BUNDLES_PATH}/${digest}`, { method: "HEAD", headers });
    return Number(head.headers.get("upload-offset") ?? 0);
  } catch {
    return 0;
  }
}

/** Waits until it has come further than `from`; the sender may be done before it is seen. */
async function further(url: string, digest: string, from: number): Promise<number> {
  const endMs = performance.now() + 20_000;
  while (performance.now() < endMs) {
    const offset = await offsetOf(url, digest);
    if (offset > from) return offset;
    await Bun.sleep(2);
  }
  throw new Error(`the upload stands at ${from}`);
}

test("an upload goes on after the sender and the receiver were killed in the middle", async () => {
  const path = join(folder, "b.tar.zst");
  const written = await testBundle(path, [{ name: "host/x.bin", bytes: noise(3_000_000) }]);
  const { digest, bytes } = written;
  let server = await startServer("0");
  const url = `http://127.0.0.1:${server.port}`;
  const send = (piece: string): Bun.Subprocess<"ignore", "pipe", "ignore"> =>
    spawn(join(HARNESS, "upload-sender.ts"), path, digest, `${bytes}`, bmcEvent().id, url, piece);
  let at = 0;
  let killCount = 0;
  for (let round = 0; round < 4 && at < bytes; round++) {
    const sender = send(SMALL_PIECE);
    const before = at;
    at = await further(url, digest, before);
    const victim = round % 2 === 0 ? sender : server.child;
    victim.kill("SIGKILL");
    await victim.exited;
    sender.kill("SIGKILL");
    await sender.exited;
    killCount++;
    if (victim !== sender) server = await startServer(server.port);
    const after = await offsetOf(url, digest);
    // Whatever was answered is there.
    expect(after).toBeGreaterThanOrEqual(at);
    at = after;
  }
  expect(killCount).toBeGreaterThan(0);
  expect(JSON.parse(await firstLine(send(LARGE_PIECE)))).toEqual({ kind: "delivered" });
  const stored = readFileSync(join(folder, "store", `${digest}.tar.zst`));
  expect(Buffer.compare(stored, readFileSync(path))).toBe(0);
}, 120_000);
