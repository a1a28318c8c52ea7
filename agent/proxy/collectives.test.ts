/**
 * Goal: every collective gives what plain computation gives, for every number of ranks, size and type, and a sum has equal bits
 * on every rank and under every order of delivery. Method: real runners over an in-memory wire whose frames are delivered in an
 * order drawn by a seed (in order only within a pair of ranks, as TCP does it).
 */
import { describe, expect, test } from "bun:test";
import { type Prng, prng } from "../runtime/prng.ts";
import { CollectiveRunner } from "./collective-runner.ts";
import type { Call, Done } from "./communication-library.ts";
import { NUMBER_TYPE, type NumberType, OP, type Op, REDUCE_OP, STATUS } from "./segment-layout.ts";
import type { Memory, OutFrame } from "./transport.ts";

function memory(bytes: number): Memory {
  return { u8: new Uint8Array(new ArrayBuffer(bytes)), pointer: 0 };
}

/** Ranks joined by FIFO queues, one a pair; `deliver` picks a pair by chance. */
class Wire {
  readonly runners: CollectiveRunner[] = [];
  readonly done: Done[] = [];
  readonly #queues = new Map<string, OutFrame[]>();
  readonly #random: Prng;

  constructor(size: number, seed: number) {
    this.#random = prng(seed);
    for (let rank = 0; rank < size; rank++) {
      const place = { rank, size, epoch: 1 };
      const transport = {
        send: (frame: OutFrame) => {
          const key = `${frame.header.source}>${frame.header.destination}`;
          const queue = this.#queues.get(key) ?? [];
          queue.push(frame);
          this.#queues.set(key, queue);
        },
      };
      this.runners.push(
        new CollectiveRunner(place, transport, (done) => this.done.push(done), memory),
      );
    }
  }

  deliverAll(): void {
    for (;;) {
      const waiting = [...this.#queues.values()].filter((queue) => queue.length > 0);
      const frame = waiting[this.#random.below(Math.max(waiting.length, 1))]?.shift();
      if (frame === undefined) return;
      const runner = this.runners[frame.header.destination] as CollectiveRunner;
      const { header, payload } = frame;
      if (payload === null) {
        frame.onWritten?.();
        runner.onFrame(header, null);
        continue;
      }
      const target = runner.spanFor(header) ?? {
        memory: memory(payload.bytes),
        offset: 0,
        bytes: payload.bytes,
      };
      const bytes = payload.memory.u8.subarray(payload.offset, payload.offset + payload.bytes);
      target.memory.u8.set(bytes, target.offset);
      frame.onWritten?.();
      runner.onFrame(header, target);
    }
  }
}

interface Setup {
  readonly op: Op;
  readonly size: number;
  readonly elements: number;
  readonly seed: number;
  readonly root: number;
  readonly type: NumberType;
  readonly reduce: keyof typeof REDUCE_OP;
}

const DEFAULTS: Setup = {
  op: OP.allReduce,
  size: 4,
  elements: 100,
  seed: 1,
  root: 0,
  type: NUMBER_TYPE.f32,
  reduce: "sum",
};

/** Runs one collective on 32-bit elements; input of each rank by `fill`; the output memory of each rank. */
function perform(
  changes: Partial<Setup>,
  fill: (rank: number, index: number) => number,
): readonly Float32Array[] {
  const setup = { ...DEFAULTS, ...changes };
  const { op, size, elements, root, type } = setup;
  const wire = new Wire(size, setup.seed);
  const outputs: Float32Array[] = [];
  for (let rank = 0; rank < size; rank++) {
    const bytes = elements * 4;
    const input = memory(bytes);
    const values = new Float32Array(input.u8.buffer as ArrayBuffer);
    for (let i = 0; i < elements; i++) values[i] = fill(rank, i);
    const gathers = op === OP.allGather || (op === OP.gather && rank === root);
    const isApart = gathers || op === OP.allToAll;
    const output = isApart ? memory(gathers ? bytes * size : bytes) : null;
    const call: Call = {
      rank,
      op,
      request: 1,
      peer: root,
      tag: 0,
      input: { memory: input, offset: 0, bytes },
      totalBytes: bytes,
      numberType: type,
      reduce: REDUCE_OP[setup.reduce],
      output: output && { memory: output, offset: 0, bytes: output.u8.byteLength },
    };
    outputs.push(new Float32Array((output ?? input).u8.buffer as ArrayBuffer));
    (wire.runners[rank] as CollectiveRunner).start(call);
  }
  wire.deliverAll();
  expect(wire.done.map(({ status }) => status)).toEqual(new Array(size).fill(STATUS.ok));
  return outputs;
}

const SIZES = [1, 2, 3, 4, 5, 7, 8, 9];
/** Small; just below and above where the algorithm changes; several segments, not a multiple of anything. */
const LENGTHS = [1, 17, 8192, 8193, 150_001];
/** For results that are `size` times as large. */
const BLOCKS = [1, 17, 8193, 40_000];
const value = (rank: number, index: number): number => ((rank + 1) * 31 + index) % 97;

function sumOf(size: number, index: number): number {
  let sum = 0;
  for (let rank = 0; rank < size; rank++) sum += value(rank, index);
  return sum;
}

describe("collectives against plain computation", () => {
  test("all-reduce leaves the sum with every rank", () => {
    for (const size of SIZES) {
      for (const elements of LENGTHS) {
        const outputs = perform({ size, elements, seed: size * 7 + elements }, value);
        const expected = Float32Array.from({ length: elements }, (_, i) => sumOf(size, i));
        for (const output of outputs) expect(Bun.deepEquals(output, expected)).toBe(true);
      }
    }
  });

  test("reduce leaves the sum with the root, whichever it is", () => {
    for (const size of SIZES) {
      for (const elements of LENGTHS) {
        const root = (size + elements) % size;
        const outputs = perform({ op: OP.reduce, size, elements, root }, value);
        const expected = Float32Array.from({ length: elements }, (_, i) => sumOf(size, i));
        expect(Bun.deepEquals(outputs[root], expected)).toBe(true);
      }
    }
  });

  test("broadcast leaves the root's data with every rank", () => {
    for (const size of SIZES) {
      for (const elements of LENGTHS) {
        const root = (elements + 1) % size;
        const outputs = perform({ op: OP.broadcast, size, elements, root }, value);
        const expected = Float32Array.from({ length: elements }, (_, i) => value(root, i));
        for (const output of outputs) expect(Bun.deepEquals(output, expected)).toBe(true);
      }
    }
  });

  test("gather and all-gather put blocks in rank order", () => {
    for (const size of SIZES) {
      for (const elements of BLOCKS) {
        const root = elements % size;
        const expected = Float32Array.from({ length: elements * size }, (_, i) =>
          value(Math.floor(i / elements), i % elements),
        );
        const gathered = perform({ op: OP.gather, size, elements, root }, value);
        expect(Bun.deepEquals(gathered[root], expected)).toBe(true);
        for (const output of perform({ op: OP.allGather, size, elements }, value)) {
          expect(Bun.deepEquals(output, expected)).toBe(true);
        }
      }
    }
  });

  test("all-to-all sends block i to rank i", () => {
    for (const size of SIZES) {
      for (const block of BLOCKS) {
        const outputs = perform({ op: OP.allToAll, size, elements: block * size }, value);
        for (const [rank, output] of outputs.entries()) {
          const expected = Float32Array.from({ length: block * size }, (_, i) =>
            value(Math.floor(i / block), rank * block + (i % block)),
          );
          expect(Bun.deepEquals(output, expected)).toBe(true);
        }
      }
    }
  });

  test("nobody passes a barrier before all are in it", () => {
    for (const size of SIZES) {
      const wire = new Wire(size, size);
      const nothing = { memory: memory(0), offset: 0, bytes: 0 };
      const none = { peer: 0, tag: 0, totalBytes: 0, numberType: null, reduce: null, output: null };
      for (let rank = 0; rank < size; rank++) {
        expect(wire.done.length).toBe(0);
        const call: Call = { rank, op: OP.barrier, request: 1, input: nothing, ...none };
        wire.runners[rank]?.start(call);
        wire.deliverAll();
      }
      expect(wire.done.length).toBe(size);
    }
  });

  test("product, minimum and maximum, and integers that wrap", () => {
    const least = perform({ reduce: "min", elements: 9000 }, value);
    const most = perform({ reduce: "max", elements: 9000 }, value);
    const product = perform({ reduce: "product", elements: 50 }, (r, i) => (r + i) % 3);
    for (let i = 0; i < 50; i++) {
      const all = [0, 1, 2, 3].map((rank) => value(rank, i));
      expect(least[2]?.[i]).toBe(Math.min(...all));
      expect(most[3]?.[i]).toBe(Math.max(...all));
      expect(product[0]?.[i]).toBe([0, 1, 2, 3].reduce((p, rank) => p * ((rank + i) % 3), 1));
    }
    // The same bits seen as 32-bit integers: fill writes floats, so set the words by hand.
    const wire = new Wire(2, 1);
    const words = [0x7fff_ffff, 5].map((word) => {
      const m = memory(4);
      new Int32Array(m.u8.buffer as ArrayBuffer)[0] = word;
      return m;
    });
    for (const [rank, m] of words.entries()) {
      const span = { memory: m, offset: 0, bytes: 4 };
      const kind = { numberType: NUMBER_TYPE.i32, reduce: REDUCE_OP.sum, output: null };
      const call = { rank, op: OP.allReduce, request: 1, peer: 0, tag: 0, totalBytes: 4 };
      wire.runners[rank]?.start({ ...call, ...kind, input: span });
    }
    wire.deliverAll();
    expect(new Int32Array(words[1]?.u8.buffer as ArrayBuffer)[0]).toBe((0x7fff_ffff + 5) | 0);
  });
});

describe("sums", () => {
  const awkward = (rank: number, index: number): number =>
    Math.fround(Math.sin(rank * 1000 + index) * 10 ** ((index + rank) % 9));

  test("have equal bits on every rank and under every order of delivery", () => {
    for (const size of [2, 3, 4, 7, 9]) {
      for (const elements of [100, 20_000]) {
        const runs = [1, 2, 3, 4].map((seed) => perform({ size, elements, seed }, awkward));
        const [first] = runs[0] as readonly Float32Array[];
        const bits = new Uint32Array((first as Float32Array).buffer);
        for (const output of runs.flat()) {
          expect(Bun.deepEquals(new Uint32Array(output.buffer), bits)).toBe(true);
        }
      }
    }
  });

  test("really depend on the order, so the test above can fail", () => {
    const forward = Math.fround(Math.fround(Math.fround(1e8) + 1) + -1e8);
    const backward = Math.fround(Math.fround(1e8 + -1e8) + 1);
    expect(forward).not.toBe(backward);
  });
});

test("ranks that call different collectives are told who calls what", () => {
  const wire = new Wire(2, 1);
  const rest = { request: 1, peer: 0, tag: 0, totalBytes: 8, output: null };
  const span = (): Call["input"] => ({ memory: memory(8), offset: 0, bytes: 8 });
  const kind = { numberType: NUMBER_TYPE.f32, reduce: REDUCE_OP.sum };
  wire.runners[0]?.start({ rank: 0, op: OP.allReduce, ...rest, ...kind, input: span() });
  wire.runners[1]?.start({ rank: 1, op: OP.broadcast, ...rest, ...kind, input: span() });
  wire.deliverAll();
  const texts = wire.done.filter(({ status }) => status === STATUS.mismatch).map((d) => d.text);
  expect(texts).toContain(
    "rank 0 calls all-reduce of 8 bytes, root 0, rank 1 broadcast of 8 bytes, root 0",
  );
});

test("many collectives in a row, ranks far apart, keep their order", () => {
  const wire = new Wire(3, 5);
  const outputs: Float32Array[] = [];
  for (let rank = 0; rank < 3; rank++) {
    for (let round = 0; round < 40; round++) {
      const input = memory(40);
      const values = new Float32Array(input.u8.buffer as ArrayBuffer).fill(rank + round);
      if (rank === 2) outputs.push(values);
      const span = { memory: input, offset: 0, bytes: 40 };
      const kind = { numberType: NUMBER_TYPE.f32, reduce: REDUCE_OP.sum, output: null };
      const call = { rank, op: OP.allReduce, request: round, peer: 0, tag: 0, totalBytes: 40 };
      wire.runners[rank]?.start({ ...call, ...kind, input: span });
    }
    wire.deliverAll();
  }
  expect(wire.done.length).toBe(120);
  for (const [round, values] of outputs.entries()) expect(values[9]).toBe(3 * round + 3);
});
