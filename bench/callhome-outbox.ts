/**
 * Events that a node's outbox takes a second, each on disk before it is acknowledged: many appenders share a flush. Beside it,
 * in the same folder, what the disk itself gives: the same bytes appended and flushed by one write each thousand.
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import {
  envelopeOf,
  idOf,
  itemOf,
  openTestOutbox,
  TestFolder,
} from "../agent/callhome/io/test-outbox.ts";
import { assert } from "../core/assert.ts";
import { type Measurement, median, medianDeviation } from "./bench.ts";

const EVENTS = 30_000;
const APPENDERS = 1_024;
const RUNS = 5;

async function outboxPerSecond(): Promise<number> {
  using folder = new TestFolder();
  const opened = await openTestOutbox(folder.path);
  let next = 0;
  const startNs = Bun.nanoseconds();
  const appender = async (): Promise<void> => {
    while (next < EVENTS) {
      const done = await opened.put(itemOf(next++));
      assert(done.kind === "kept", `an event is ${done.kind}`);
    }
  };
  await Promise.all(Array.from({ length: APPENDERS }, appender));
  const seconds = (Bun.nanoseconds() - startNs) / 1e9;
  await opened.outbox.stop();
  return EVENTS / seconds;
}

function diskPerSecond(): number {
  using folder = new TestFolder();
  const file = openSync(join(folder.path, "raw"), "a", 0o600);
  const startNs = Bun.nanoseconds();
  for (let from = 0; from < EVENTS; from += APPENDERS) {
    const count = Math.min(APPENDERS, EVENTS - from);
    const bytes = Array.from({ length: count }, (_, n) => envelopeOf(idOf(from + n)));
    writeSync(file, Buffer.concat(bytes));
    fdatasyncSync(file);
  }
  const seconds = (Bun.nanoseconds() - startNs) / 1e9;
  closeSync(file);
  return EVENTS / seconds;
}

export async function run(): Promise<readonly Measurement[]> {
  const ours: number[] = [];
  const disk: number[] = [];
  await outboxPerSecond();
  for (let i = 0; i < RUNS; i++) {
    disk.push(diskPerSecond());
    ours.push(await outboxPerSecond());
  }
  return [
    {
      bench: "callhome-outbox",
      what: `signed events of 1,500 bytes taken by an outbox, ${APPENDERS} appenders, each acknowledged after its flush`,
      ours: median(ours),
      peer: median(disk),
      peerName: `write and fdatasync of ${APPENDERS} envelopes at once`,
      unit: "events/s",
      spread: medianDeviation(ours),
      runs: RUNS,
      goal: { of: "ours", better: "higher", must: 5_000, aim: 20_000 },
      note: null,
    },
  ];
}
