/**
 * How many records of an event log are decoded a second, in one process: the bytes of a log of 10,000 entries, a mix of system
 * events and OEM records, into the closed union that everything else works on. No peer decodes them apart from reading.
 */
import { decodeSelRecord } from "../bmc/ipmi/sel/sel-record.ts";
import { assert } from "../core/assert.ts";
import { type Measurement, median, medianDeviation } from "./bench.ts";

const RECORD_BYTES = 16;
const ENTRIES = 10_000;
const ROUNDS = 100;
const RUNS = 9;

/** Nine of ten are system events, the others OEM records of both kinds. */
function log(): Uint8Array {
  const bytes = new Uint8Array(ENTRIES * RECORD_BYTES);
  for (let i = 0; i < ENTRIES; i++) {
    const record = bytes.subarray(i * RECORD_BYTES, (i + 1) * RECORD_BYTES);
    const type = i % 20 === 7 ? 0xc1 : i % 20 === 17 ? 0xe2 : 0x02;
    record.set([i & 0xff, i >> 8, type, i & 0xff, 0x20, 0x30, 0x66, 0x20, 0, 4, 0x0c, i & 0x7f]);
    record.set([0x6f, i & 1, 0xff, i & 0xff], 12);
  }
  return bytes;
}

/** Of the decoded fields something is used, or the work could be left out. */
function decodeAll(bytes: Uint8Array): number {
  let sum = 0;
  for (let offset = 0; offset < bytes.length; offset += RECORD_BYTES) {
    const decoded = decodeSelRecord(bytes, offset);
    assert(decoded.ok, "sixteen bytes are a record");
    sum += decoded.value.recordId;
  }
  return sum;
}

export function run(): readonly Measurement[] {
  const bytes = log();
  const rates: number[] = [];
  const expected = (ENTRIES * (ENTRIES - 1)) / 2;
  for (let turn = -2; turn < RUNS; turn++) {
    const startNs = Bun.nanoseconds();
    for (let round = 0; round < ROUNDS; round++) {
      assert(decodeAll(bytes) === expected, "every record is decoded");
    }
    const seconds = (Bun.nanoseconds() - startNs) / 1e9;
    if (turn >= 0) rates.push((ENTRIES * ROUNDS) / seconds);
  }
  return [
    {
      bench: "bmc-decode",
      what: "decode throughput of event log records in one process",
      ours: median(rates),
      peer: null,
      peerName: null,
      unit: "records/s",
      spread: medianDeviation(rates),
      runs: RUNS,
      goal: { of: "ours", better: "higher", must: 500_000, aim: 2_000_000 },
      note: null,
    },
  ];
}
