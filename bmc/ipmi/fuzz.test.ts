/**
 * Every decoder of the room on damaged bytes: none throws, none sees what lies behind its bytes.
 *
 * Each input lies inside a larger buffer, and is decoded twice with other bytes around it: the answers are the same, or
 * something was read past the end. The long run, 10 million inputs, is in `bench/`.
 */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { ALL_COMMANDS } from "./harness/commands.ts";
import { ALL_DECODERS, type Decoder } from "./harness/decoders.ts";
import { MutationRandom, mutate } from "./harness/mutations.ts";

const INPUTS_EACH = 300;
const MARGIN_BYTES = 64;
const ROOM = join(import.meta.dir, "..");

/** Inside a buffer that is full of `fill`. */
function within(bytes: Uint8Array, fill: number): Uint8Array {
  const buffer = new Uint8Array(bytes.byteLength + 2 * MARGIN_BYTES).fill(fill);
  buffer.set(bytes, MARGIN_BYTES);
  return buffer.subarray(MARGIN_BYTES, MARGIN_BYTES + bytes.byteLength);
}

function answerOf(decoder: Decoder, bytes: Uint8Array): string {
  try {
    return Bun.inspect(decoder.decode(bytes), { depth: 12 });
  } catch (error) {
    throw new Error(`${decoder.name} throws on ${bytes.toHex()}`, { cause: error });
  }
}

function tryDecoder(decoder: Decoder, random: MutationRandom): void {
  const scratch = new Uint8Array(1024);
  for (let count = 0; count < INPUTS_EACH; count++) {
    const seed = decoder.seeds[random.below(decoder.seeds.length)] ?? new Uint8Array(0);
    const input = scratch.slice(0, mutate(seed, scratch, random));
    const answer = answerOf(decoder, within(input, 0x00));
    if (answer !== answerOf(decoder, within(input, 0xc5))) {
      throw new Error(`${decoder.name} reads beyond ${input.toHex()}`);
    }
  }
}

/** Text of every file of the room that is shipped, by its path in the room. */
async function shippedFiles(): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  for await (const path of new Bun.Glob("**/*.ts").scan(ROOM)) {
    if (/\.test\.ts$|(^|\/)harness\/|(^|\/)test-/.test(path)) continue;
    files.set(path, await Bun.file(join(ROOM, path)).text());
  }
  return files;
}

describe("decoders", () => {
  test("neither throw nor read past the end, whatever is damaged", () => {
    const seed = Math.trunc(Math.random() * 0xffff_ffff);
    const random = new MutationRandom(seed);
    try {
      for (const decoder of ALL_DECODERS) tryDecoder(decoder, random);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }, 60_000);

  test("take their own sound inputs, so that damage reaches what is behind the first check", () => {
    const sound = ["decodeSdr", "decodeFru", "decodePetTrap", "decodeSessionPacket", "decodeRakp2"];
    for (const name of sound) {
      const decoder = ALL_DECODERS.find((one) => one.name === name);
      const [seed = new Uint8Array(0)] = decoder?.seeds ?? [];
      const answer = Bun.inspect(decoder?.decode(seed));
      expect(answer).not.toMatch(/ok: false|kind: "(too-short|bad-)/);
    }
  });

  test("are caught when they read past the end", () => {
    const greedy: Decoder = {
      name: "greedy",
      decode: (bytes) => new Uint8Array(bytes.buffer)[bytes.byteOffset + bytes.byteLength],
      seeds: [new Uint8Array(4)],
    };
    expect(() => tryDecoder(greedy, new MutationRandom(1))).toThrow("reads beyond");
  });
});

describe("the list of decoders", () => {
  /** They take numbers, or nothing: no bytes of others reach them directly. */
  const NO_BYTES = ["decodeEntity", "decodeFactors", "decodeUnits", "decodeNothing"];

  test("has every command of the room", async () => {
    const names = new Set(ALL_COMMANDS.map(({ name }) => name));
    let count = 0;
    for (const [path, text] of await shippedFiles()) {
      for (const match of text.matchAll(
        /^export const \w+: IpmiCommand<[^=]*?= \{\s*name: "([^"]+)"/gms,
      )) {
        count++;
        expect(`${path}: ${names.has(match[1] ?? "")}`).toBe(`${path}: true`);
      }
    }
    expect(count).toBeGreaterThan(50);
  });

  test("has every function of the IPMI and serial rooms that decodes bytes", async () => {
    const names = new Set(ALL_DECODERS.map(({ name }) => name));
    const missing: string[] = [];
    for (const [path, text] of await shippedFiles()) {
      if (!/^(ipmi|serial|link)\//.test(path)) continue;
      for (const match of text.matchAll(/^export function (decode[A-Z]\w*)\(/gm)) {
        const name = match[1] ?? "";
        if (!names.has(name) && !NO_BYTES.includes(name)) missing.push(`${path}: ${name}`);
      }
    }
    expect(missing).toEqual([]);
  });
});
