/**
 * Ten million damaged inputs over every decoder of the BMC room, in turn: none may throw, and none may see what lies behind its
 * bytes. For the second each input is decoded twice with other bytes around it, and every 64th time the answers are compared
 * whole (turning an answer into text costs twenty times as much as decoding it).
 */
import { ALL_DECODERS, type Decoder } from "../bmc/ipmi/harness/decoders.ts";
import { MutationRandom, mutate } from "../bmc/ipmi/harness/mutations.ts";
import type { Measurement } from "./bench.ts";

const INPUTS = 10_000_000;
const COMPARED_EACH = 64;
const MARGIN_BYTES = 64;
const INPUT_BYTES_MAX = 1024;
const SEED = 20261125;
/** The first failures are shown with what replays them. */
const SHOWN_MAX = 5;

interface Finding {
  readonly decoder: string;
  readonly what: string;
  readonly hex: string;
}

class Fuzzer {
  readonly findings: Finding[] = [];
  compared = 0;
  readonly #random = new MutationRandom(SEED);
  readonly #scratch = new Uint8Array(INPUT_BYTES_MAX);
  readonly #quiet = new Uint8Array(INPUT_BYTES_MAX + 2 * MARGIN_BYTES);
  readonly #loud = new Uint8Array(INPUT_BYTES_MAX + 2 * MARGIN_BYTES).fill(0xc5);

  try(decoder: Decoder, isCompared: boolean): void {
    const { seeds } = decoder;
    const seed = seeds[this.#random.below(seeds.length)] ?? new Uint8Array(0);
    const bytes = mutate(seed, this.#scratch, this.#random);
    const input = this.#scratch.subarray(0, bytes);
    const quiet = this.#within(this.#quiet, input, 0);
    try {
      const answer = decoder.decode(quiet);
      if (!isCompared) return;
      this.compared++;
      const text = Bun.inspect(answer, { depth: 12 });
      const loud = this.#within(this.#loud, input, 0xc5);
      if (text !== Bun.inspect(decoder.decode(loud), { depth: 12 })) {
        this.#find(decoder, "reads beyond", input);
      }
    } catch (error) {
      this.#find(decoder, `throws ${String(error)}`, input);
    }
  }

  /** What the input before left behind its end is covered again. */
  #within(buffer: Uint8Array, input: Uint8Array, fill: number): Uint8Array {
    buffer.fill(fill, MARGIN_BYTES + input.byteLength);
    buffer.set(input, MARGIN_BYTES);
    return buffer.subarray(MARGIN_BYTES, MARGIN_BYTES + input.byteLength);
  }

  #find({ name }: Decoder, what: string, input: Uint8Array): void {
    this.findings.push({ decoder: name, what, hex: input.toHex() });
  }
}

export function run(): readonly Measurement[] {
  const fuzzer = new Fuzzer();
  const startNs = Bun.nanoseconds();
  for (let i = 0; i < INPUTS; i++) {
    const decoder = ALL_DECODERS[i % ALL_DECODERS.length] as Decoder;
    fuzzer.try(decoder, Math.floor(i / ALL_DECODERS.length) % COMPARED_EACH === 0);
  }
  const seconds = (Bun.nanoseconds() - startNs) / 1e9;
  for (const { decoder, what, hex } of fuzzer.findings.slice(0, SHOWN_MAX)) {
    process.stderr.write(`${decoder} ${what}: ${hex}\n`);
  }
  return [
    {
      bench: "bmc-fuzz",
      what: `${INPUTS} damaged inputs over ${ALL_DECODERS.length} decoders: throws, and reads past the end`,
      ours: fuzzer.findings.length,
      peer: null,
      peerName: null,
      unit: "findings",
      spread: null,
      runs: 1,
      goal: { of: "ours", better: "lower", must: 0, aim: null },
      note: `seed ${SEED}; ${fuzzer.compared} answers compared with other bytes around; ${seconds.toFixed(1)} s`,
    },
  ];
}
