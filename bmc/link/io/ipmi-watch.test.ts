/**
 * The watch as whoever uses it sees it, in real time: a connection that is a model log, which breaks, comes back and pushes. Times
 * are those of the requirement: 100 ms when pushed, a poll and a second when polled.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { err, ok, type Result } from "../../../core/result.ts";
import type { BmcEvent, WatchMemory, WatchNotice, WatchOptions } from "../../bmc.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { NameOf } from "../../ipmi/event/event-text.ts";
import { ModelLog, readChain, runOn } from "../../ipmi/event/test-model-log.ts";
import { realCrypto } from "../../ipmi/io/crypto.ts";
import type { IpmiReply } from "../../ipmi/ipmi.ts";
import { eventLogOf } from "../../ipmi/sel/event-log.ts";
import type { IpmiConnection, Unsolicited } from "./connection.ts";
import { watchIpmi } from "./ipmi-watch.ts";

const GUID = "00112233445566778899aabbccddeeff";
const POLL_MS = 100;
const LIMIT_MS = 5_000;

/** A BMC, the connections to it, and what a watch told of it. */
class Bench {
  readonly log = new ModelLog();
  isUp = true;
  pushes = false;
  hasGuid = true;
  names: NameOf | null = null;
  opened = 0;
  closed = 0;
  readonly events: BmcEvent[] = [];
  readonly toldMs: number[] = [];
  readonly notices: WatchNotice[] = [];
  memory: WatchMemory = null;
  #handler: ((message: Unsolicited) => void) | null = null;
  #stop: (() => Promise<void>) | null = null;

  start(options: Partial<WatchOptions> = {}): this {
    const { names } = this;
    const watch = watchIpmi(
      {
        url: "lan://192.0.2.1",
        open: async () => this.#open(),
        readSel: readChain,
        sha256: realCrypto.sha256,
        ...(names === null ? {} : { namesOf: async () => names }),
      },
      { pollMs: POLL_MS, memory: null, tellsOld: false, ...options },
      {
        onEvent: (event) => {
          this.events.push(event);
          this.toldMs.push(performance.now());
        },
        onMemory: (memory) => {
          this.memory = JSON.parse(JSON.stringify(memory));
        },
        onNotice: (notice) => this.notices.push(notice),
      },
    );
    this.#stop = () => watch.stop();
    return this;
  }

  async stop(): Promise<void> {
    await this.#stop?.();
    this.#stop = null;
  }

  push(record: Uint8Array): void {
    this.#handler?.({ kind: "event", record: record.slice() });
  }

  add(sensor: number): Uint8Array {
    this.log.clock++;
    return this.log.add(sensor)?.bytes ?? new Uint8Array(16);
  }

  #open(): Result<IpmiConnection, BmcError> {
    if (!this.isUp) return err(bmcError("unreachable", "no route"));
    this.opened++;
    return ok({
      url: "lan://192.0.2.1",
      requestBytesMax: 64,
      replyBytesMax: 64,
      windowMax: 4,
      request: async (request) => {
        await Bun.sleep(1);
        if (!this.isUp) return err(bmcError("timeout", "no answer"));
        return ok(this.#guidOf(request.netFn, request.command) ?? this.log.answer(request));
      },
      enableEvents: async () => ok(this.pushes),
      onUnsolicited: (handler) => {
        this.#handler = handler;
      },
      close: async () => {
        this.closed++;
      },
    });
  }

  #guidOf(netFn: number, command: number): IpmiReply | null {
    const isGuid = netFn === 0x06 && command === 0x37 && this.hasGuid;
    return isGuid ? { completionCode: 0, data: Uint8Array.fromHex(GUID) } : null;
  }

  kinds(): readonly string[] {
    return this.notices.map(({ kind }) => kind);
  }

  async until(what: string, isSo: () => boolean): Promise<void> {
    const limitMs = performance.now() + LIMIT_MS;
    while (!isSo()) {
      if (performance.now() > limitMs) throw new Error(`not within ${LIMIT_MS} ms: ${what}`);
      await Bun.sleep(2);
    }
  }
}

const benches: Bench[] = [];

function newBench(): Bench {
  const bench = new Bench();
  benches.push(bench);
  return bench;
}

afterEach(async () => {
  for (const bench of benches.splice(0)) await bench.stop();
});

describe("a watch", () => {
  test("tells a polled event within a poll and a second, as the log tells it", async () => {
    const bench = newBench();
    bench.add(1);
    bench.names = (_, __, number) => (number === 2 ? { name: "DIMM A2", entity: null } : null);
    bench.start();
    await bench.until("the first look", () => bench.memory !== null);
    expect(bench.events).toEqual([]);
    bench.add(2);
    const atMs = performance.now();
    await bench.until("an event", () => bench.events.length > 0);
    expect((bench.toldMs[0] ?? 0) - atMs).toBeLessThan(POLL_MS + 1000);
    const [event] = bench.events;
    expect(event).toMatchObject({
      way: "sel",
      system: GUID,
      subject: "DIMM A2",
      category: "memory",
    });
    const read = runOn(bench.log, readChain());
    if (!read.ok) throw new Error(read.error.detail);
    const log = eventLogOf(read.value, { system: GUID, seenMs: 0, sha256: realCrypto.sha256 });
    expect(event?.id).toBe(log.entries[1]?.event.id ?? "");
  });

  test("tells a pushed event within 100 ms, once, under the id of the log", async () => {
    const bench = newBench();
    bench.pushes = true;
    bench.start({ pollMs: 60_000 });
    await bench.until("the first look", () => bench.memory !== null);
    expect(bench.kinds()).toEqual(["pushed"]);
    const delaysMs: number[] = [];
    for (let sensor = 1; sensor <= 10; sensor++) {
      const record = bench.add(sensor);
      const atMs = performance.now();
      bench.push(record);
      await bench.until("a pushed event", () => bench.events.length === sensor);
      delaysMs.push((bench.toldMs.at(-1) ?? 0) - atMs);
    }
    expect(Math.max(...delaysMs)).toBeLessThan(100);
    expect(bench.events.map(({ way }) => way)).toEqual(new Array(10).fill("kcs"));
    const read = runOn(bench.log, readChain());
    if (!read.ok) throw new Error(read.error.detail);
    const log = eventLogOf(read.value, { system: GUID, seenMs: 0, sha256: realCrypto.sha256 });
    expect(bench.events.map(({ id }) => id)).toEqual(log.entries.map(({ event }) => event.id));
  });

  test("lives through a BMC that goes away, clears its log and comes back", async () => {
    const bench = newBench();
    bench.start();
    await bench.until("the first look", () => bench.memory !== null);
    bench.add(1);
    await bench.until("an event", () => bench.events.length === 1);
    bench.isUp = false;
    await bench.until("the loss", () => bench.kinds().includes("lost"));
    bench.log.clock++;
    bench.log.clear();
    bench.add(2);
    bench.isUp = true;
    await bench.until("the return", () => bench.events.length === 2);
    expect(bench.kinds()).toEqual(["polling", "lost", "back", "cleared"]);
    expect(bench.events.map(({ extra }) => extra["sensorNumber"])).toEqual([1, 2]);
    await bench.stop();
    expect(bench.closed).toBe(bench.opened);
  });

  test("goes on after a restart where it was", async () => {
    const bench = newBench();
    bench.start();
    await bench.until("the first look", () => bench.memory !== null);
    bench.add(1);
    await bench.until("an event", () => bench.events.length === 1);
    await bench.stop();
    bench.add(2);
    bench.add(3);
    bench.start({ memory: bench.memory });
    await bench.until("what came meanwhile", () => bench.events.length === 3);
    expect(bench.events.map(({ extra }) => extra["sensorNumber"])).toEqual([1, 2, 3]);
  });

  test("calls a BMC without a GUID by its address", async () => {
    const bench = newBench();
    bench.hasGuid = false;
    bench.add(1);
    bench.start({ tellsOld: true });
    await bench.until("an event", () => bench.events.length === 1);
    expect(bench.events[0]?.system).toBe("lan://192.0.2.1");
  });

  test("that cannot connect says so once, and stops at once", async () => {
    const bench = newBench();
    bench.isUp = false;
    bench.start();
    await bench.until("the loss", () => bench.notices.length > 0);
    await Bun.sleep(600);
    expect(bench.kinds()).toEqual(["lost"]);
    const atMs = performance.now();
    await bench.stop();
    expect(performance.now() - atMs).toBeLessThan(500);
  });
});
