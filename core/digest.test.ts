/**
 * Goal: the digest kernel is XXH3-128 at every length and alignment, whichever way the bytes come in.
 * Method: one suite of the reference's vectors for kernel and oracle; then kernel against oracle, against Bun's native XXH3
 * (64 bits: the low half of long digests), and against `xxhsum` where it is installed.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { hasCommand, realPart } from "../test/real-part.ts";
import { DIGEST_BYTES, PAGE_BYTES, STREAM_BYTES, WINDOW_BYTES } from "./abi.ts";
import { createCore } from "./core.ts";
import * as oracle from "./oracle/digest.ts";

/** `xxhsum -H2` 0.8.1 over the reference's test data (`referenceData`); seed 0. */
const VECTORS: readonly (readonly [bytes: number, digest: string])[] = [
  [0, "99aa06d3014798d86001c324468d497f"],
  [1, "a6cd5e9392000f6ac44bdff4074eecdb"],
  [2, "76750c3c7bf956687a9978044cb8a8bb"],
  [3, "96c9e69d712597023f968b83e9a87dc3"],
  [4, "b82a7c2448b346349ed107eeb27c98a0"],
  [7, "9e91c3f1eb68f9c28af632efb8a6fe40"],
  [8, "ac605166dcc08d7950cf99bad5cf962e"],
  [9, "46fff7eb3f33b11db2039104d2f1051c"],
  [15, "96c61276d49dda37a8122c03b9b36130"],
  [16, "06a5c500f7396f72d47638bf87ac5789"],
  [17, "e5399dafc2044a0938efb512b295e427"],
  [32, "6150186e2042fed0670fa996661bf5b4"],
  [33, "f3d787b7e8f05aa56246f7acf0c8e960"],
  [64, "e0668855beee497bbaac72d2bccad454"],
  [65, "098412d12d021f10e44c86e2e92a5ba6"],
  [96, "59d9a99194ee1e91ead78fffc5d92544"],
  [97, "247e976273d356545c7c428afe659495"],
  [128, "787ef7a7d8dbd6c0e67909f8f46f8ee1"],
  [129, "556bb86eda8bf18dc9117c1e071386d3"],
  [160, "7194c95fb3e8ad9d17a14d54f0ec0009"],
  [239, "2d351cea9429741fccdef7d56ce02667"],
  [240, "9d788a87ff2db6b9f13e75b202ddf57d"],
  [241, "49460f718bb2b59b281410fd53152172"],
  [256, "f5ec1864384cf37762945c6f9a69e20a"],
  [1024, "20ccbe01f48bc14295c63c696323768e"],
  [1025, "556d4fd89bfd35cb890c433f563ca294"],
  [2048, "4d222afea62ca9448c9a8e3f25d392d6"],
  [4095, "77097c98f724d4bc7298c4d07fed2fa4"],
  [4096, "70fa908f6feba1b1862b1eaab93d2798"],
  [4097, "8b8565b19e3684acabf67d4ba253ce72"],
  [12288, "4899bf90493b8c7f3414b60f611c9c03"],
];

/** The generator of the reference's own sanity tests. */
function referenceData(byteCount: number): Uint8Array {
  const bytes = new Uint8Array(byteCount);
  let state = 0x9e3779b1n;
  for (let i = 0; i < byteCount; i++) {
    bytes[i] = Number(state >> 56n);
    state = (state * 0x9e3779b185ebca87n) & 0xffff_ffff_ffff_ffffn;
  }
  return bytes;
}

const core = createCore();
const data = referenceData(3 * PAGE_BYTES + 64);

type PageDigester = Pick<typeof core, "digestPages">;

function pagesBy(subject: PageDigester, bytes: Uint8Array): string {
  const digests = new Uint8Array(Math.ceil(bytes.length / PAGE_BYTES) * DIGEST_BYTES);
  subject.digestPages(bytes, digests);
  return digests.toHex();
}

for (const [name, subject] of [
  ["kernel", core],
  ["oracle", oracle],
] as const) {
  describe(`digest, ${name}`, () => {
    test("gives the reference's digests", () => {
      for (const [byteCount, digest] of VECTORS) {
        expect(`${byteCount}: ${subject.digest(data.subarray(0, byteCount)).toHex()}`).toBe(
          `${byteCount}: ${digest}`,
        );
      }
    });

    test("digests each page for itself, and no page of nothing", () => {
      const whole = data.subarray(0, 2 * PAGE_BYTES + 5);
      const each = [0, 1, 2].map((page) =>
        subject.digest(whole.subarray(page * PAGE_BYTES, (page + 1) * PAGE_BYTES)).toHex(),
      );
      expect(pagesBy(subject, whole)).toBe(each.join(""));
      expect(pagesBy(subject, whole.subarray(0, 0))).toBe("");
    });
  });
}

describe("digest", () => {
  test("equals the oracle at every length up to 1100 and around each border", () => {
    const borders = [1, 2, 3].flatMap((page) =>
      [-65, -64, -1, 0, 1, 63, 64, 65].map((d) => page * PAGE_BYTES + d),
    );
    for (const byteCount of [...Array(1100).keys(), ...borders]) {
      const bytes = data.subarray(0, byteCount);
      const found = core.digest(bytes).toHex();
      if (found !== oracle.digest(bytes).toHex()) throw new Error(`${byteCount} bytes: ${found}`);
    }
  });

  test("has Bun's XXH3-64 as its low half at every length from 241 bytes to 3 pages", () => {
    for (let byteCount = 241; byteCount <= 3 * PAGE_BYTES; byteCount++) {
      const bytes = data.subarray(0, byteCount);
      const low = Bun.hash.xxHash3(bytes).toString(16).padStart(16, "0");
      if (core.digest(bytes).toHex().slice(16) !== low) throw new Error(`${byteCount} bytes`);
    }
  });

  test("does not depend on where the bytes lie", () => {
    for (let offset = 0; offset < 64; offset++) {
      const bytes = data.subarray(offset, offset + PAGE_BYTES + offset);
      expect(core.digest(bytes)).toEqual(core.digest(bytes.slice()));
      expect(pagesBy(core, bytes)).toBe(pagesBy(core, bytes.slice()));
    }
  });

  test("of the window equals that of the buffer", () => {
    for (const byteCount of [0, 1, PAGE_BYTES, PAGE_BYTES + 1, 3 * PAGE_BYTES, WINDOW_BYTES]) {
      const bytes = referenceData(byteCount);
      core.inputWindow().set(bytes);
      const window = core.digestWindow(byteCount).toHex();
      expect(window).toBe(pagesBy(core, bytes));
    }
  });

  test("of a buffer longer than the stream is the same as the native one's low half", () => {
    for (const extra of [-1, 0, 1, 63, 64, 65, 1023, 1024, 1025]) {
      const bytes = referenceData(2 * STREAM_BYTES + extra);
      const low = Bun.hash.xxHash3(bytes).toString(16).padStart(16, "0");
      expect(core.digest(bytes).toHex().slice(16)).toBe(low);
    }
  });

  test("of a stream does not depend on how it is cut, nor on what else is digested meanwhile", () => {
    const bytes = referenceData(3 * STREAM_BYTES + 17);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 6 }), (cuts) => {
        const stream = core.digestStream();
        const other = core.digestStream();
        let from = 0;
        for (const to of [...cuts, bytes.length].sort((a, b) => a - b)) {
          stream.update(bytes.subarray(from, to));
          other.update(bytes.subarray(0, to - from));
          core.digest(bytes.subarray(0, 300));
          from = to;
        }
        expect(stream.finish()).toEqual(core.digest(bytes));
      }),
      { numRuns: 50 },
    );
  });

  test("changes with any one bit of a page", () => {
    const page = data.slice(0, PAGE_BYTES);
    const seen = new Set([core.digest(page).toHex()]);
    for (let bit = 0; bit < PAGE_BYTES * 8; bit += 37) {
      page[bit >> 3] = (page[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      seen.add(core.digest(page).toHex());
      page[bit >> 3] = (page[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    }
    expect(seen.size).toBe(1 + Math.ceil((PAGE_BYTES * 8) / 37));
  });

  const xxhsum = realPart("xxhsum", () => hasCommand("xxhsum"), "apt-get install xxhash");
  xxhsum("equals xxhsum -H2", () => {
    for (const byteCount of [0, 5, 200, PAGE_BYTES, 100_003]) {
      const bytes = referenceData(byteCount);
      const run = Bun.spawnSync(["xxhsum", "-H2", "-"], { stdin: bytes });
      expect(run.stdout.toString().split(" ")[0]).toBe(core.digest(bytes).toHex());
    }
  });
});
