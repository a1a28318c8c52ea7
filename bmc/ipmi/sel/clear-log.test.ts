/**
 * Clearing and showing a log against a model of one: nothing unread is erased, nobody tries for ever, and a log is told whole.
 */
import { describe, expect, test } from "bun:test";
import { ModelLog, readChain, runOn } from "../event/test-model-log.ts";
import { realCrypto } from "../io/crypto.ts";
import { ATTEMPTS_MAX, clearLog } from "./clear-log.ts";
import { eventLogOf } from "./event-log.ts";
import { SEL_LAST } from "./get-sel-entry.ts";

function filled(count: number): ModelLog {
  const log = new ModelLog();
  for (let sensor = 1; sensor <= count; sensor++) log.add(sensor);
  return log;
}

describe("clearing", () => {
  test("erases what it read, and nothing that came meanwhile", () => {
    const log = filled(3);
    let hasCome = false;
    log.onRequest = ({ command }) => {
      if (command !== 0x47 || hasCome) return;
      hasCome = true;
      log.add(9);
    };
    const cleared = runOn(log, clearLog(readChain));
    if (!cleared.ok) throw new Error(cleared.error.detail);
    expect(cleared.value?.records.map(({ bytes }) => bytes[11])).toEqual([1, 2, 3, 9]);
    expect(log.entries).toEqual([]);
  });

  test("ends when events keep coming, and leaves the log as it is", () => {
    const log = filled(1);
    let attempts = 0;
    log.onRequest = ({ command, data }) => {
      if (command !== 0x47 || data[5] !== 0xaa) return;
      attempts++;
      log.add(9);
    };
    expect(runOn(log, clearLog(readChain))).toMatchObject({
      ok: false,
      error: { kind: "changed-while-read" },
    });
    expect(attempts).toBe(ATTEMPTS_MAX);
    expect(log.entries).toHaveLength(1 + ATTEMPTS_MAX);
  });

  test("waits for an erase that takes its time, and not for ever", () => {
    const slow = filled(2);
    slow.eraseLooks = 5;
    let waitedMs = 0;
    expect(
      runOn(slow, clearLog(null), (ms) => {
        waitedMs += ms;
      }),
    ).toEqual({ ok: true, value: null });
    expect(waitedMs).toBeGreaterThan(0);
    const stuck = filled(2);
    stuck.eraseLooks = 1e9;
    let stuckMs = 0;
    expect(
      runOn(stuck, clearLog(null), (ms) => {
        stuckMs += ms;
      }),
    ).toMatchObject({
      ok: false,
      error: { kind: "busy" },
    });
    expect(stuckMs).toBeGreaterThan(30_000);
    expect(stuckMs).toBeLessThan(120_000);
  });

  test("takes an empty log for an answer where the question is not understood", () => {
    const log = filled(2);
    log.eraseLooks = 3;
    const deaf: Pick<ModelLog, "answer"> = {
      answer: (request) =>
        request.command === 0x47 && request.data[5] === 0
          ? { completionCode: 0xcc, data: new Uint8Array(0) }
          : log.answer(request),
    };
    expect(runOn(deaf, clearLog(null))).toEqual({ ok: true, value: null });
  });

  test("says why a BMC refuses", () => {
    const locked: Pick<ModelLog, "answer"> = {
      answer: () => ({ completionCode: 0xd4, data: new Uint8Array(0) }),
    };
    expect(runOn(locked, clearLog(null))).toMatchObject({
      ok: false,
      error: { kind: "privilege-too-low", completionCode: 0xd4 },
    });
  });
});

describe("a log as the contract has it", () => {
  test("has every record in order, twins counted, times in milliseconds", () => {
    const log = filled(2);
    log.add(2);
    log.lastErase = 1_600_000_000;
    const read = runOn(log, readChain());
    if (!read.ok) throw new Error(read.error.detail);
    const system = "00112233445566778899aabbccddeeff";
    const shown = eventLogOf(read.value, { system, seenMs: 5, sha256: realCrypto.sha256 });
    expect(shown.entries.map(({ recordId }) => recordId)).toEqual(["0001", "0002", "0003"]);
    expect(shown.entries.map(({ event }) => event.nth)).toEqual([0, 0, 1]);
    expect(shown.entries[0]?.event).toMatchObject({
      system,
      epoch: 1_600_000_000,
      way: "sel",
      seenMs: 5,
      whenMs: 1_700_000_000_000,
      text: "memory sensor 0x01: uncorrectable memory error (ECC)",
    });
    expect(new Set(shown.entries.map(({ event }) => event.id)).size).toBe(3);
    expect(shown).toMatchObject({
      isOverflowed: false,
      lastAddMs: 1_700_000_000_000,
      lastEraseMs: 1_600_000_000_000,
    });
  });

  test("of an empty log is empty, with times that the BMC does not know", () => {
    const log = new ModelLog();
    log.lastErase = SEL_LAST;
    const read = runOn(log, readChain());
    if (!read.ok) throw new Error(read.error.detail);
    const shown = eventLogOf(read.value, {
      system: "lan://192.0.2.1",
      seenMs: 0,
      sha256: realCrypto.sha256,
    });
    expect(shown).toMatchObject({ entries: [], lastAddMs: null, lastEraseMs: null });
  });
});
