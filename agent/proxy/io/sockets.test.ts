/**
 * Goal: control lines and long paths pass whole. Method: real Unix sockets in this process, driven by one poller.
 */
import { afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LineSocket } from "./line-socket.ts";
import { Poller, READABLE } from "./poller.ts";
import { accept, connectUnix, listenUnix } from "./socket.ts";

const folder = mkdtempSync(join(tmpdir(), "hf-"));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function pump(poller: Poller, isDone: () => boolean): void {
  const endMs = performance.now() + 5000;
  while (!isDone() && performance.now() < endMs) poller.wait(10);
}

test("lines of any length and number pass, also where the path is too long for a socket", () => {
  const deep = join(folder, "d".repeat(100), "e".repeat(60));
  mkdirSync(deep, { recursive: true });
  const path = join(deep, "control.sock");
  const poller = new Poller();
  const heard: unknown[] = [];
  const closed: string[] = [];
  const listener = listenUnix(path);
  let server: LineSocket | null = null;
  poller.add(listener, READABLE, () => {
    server = new LineSocket(accept(listener), poller, {
      onMessage: (message) => heard.push(message),
      onClose: (reason) => closed.push(reason),
    });
  });
  const fd = connectUnix(path);
  expect(fd).toBeGreaterThanOrEqual(0);
  const client = new LineSocket(fd, poller, { onMessage: () => {}, onClose: () => {} });
  const long = { kind: "long", text: "ü\n".repeat(1_000_000) };
  client.send(long);
  for (let i = 0; i < 500; i++) client.send({ i });
  pump(poller, () => heard.length === 501);
  expect(heard[0]).toEqual(long);
  expect(heard[500]).toEqual({ i: 499 });
  client.close();
  pump(poller, () => closed.length > 0);
  expect(closed).toEqual(["connection closed"]);
  expect(server).not.toBeNull();
});

test("nobody at the other end is told, not waited for", () => {
  expect(connectUnix("/tmp/holdfast-nobody-listens.sock")).toBe(-1);
});
