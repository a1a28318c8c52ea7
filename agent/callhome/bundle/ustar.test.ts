/**
 * Goal: what is written is read again however it is cut, and whatever a bundle never has is refused by its own error. Method: round
 * trips and damage by fast-check; members made by hand for what our writer cannot write. (Other programs' tar: `test/real/`.)
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  BLOCK_BYTES,
  encodeTarHeader,
  isMemberName,
  paddingOf,
  TAR_END,
  type TarError,
  TarReader,
} from "./ustar.ts";

const LIMITS = { membersMax: 50, bytesMax: 100_000 };

interface File_ {
  readonly name: string;
  readonly bytes: Uint8Array;
}

function tarOf(files: readonly File_[]): Uint8Array {
  const parts = files.flatMap(({ name, bytes }) => [
    encodeTarHeader({ name, bytes: bytes.length, mtimeSeconds: 1_000 }),
    bytes,
    new Uint8Array(paddingOf(bytes.length)),
  ]);
  return Buffer.concat([...parts, TAR_END]);
}

function readTar(tar: Uint8Array, cuts: readonly number[] = []): File_[] | TarError {
  const reader = new TarReader(LIMITS);
  const files: { name: string; parts: Uint8Array[]; isWhole: boolean }[] = [];
  let start = 0;
  const ends = [...cuts.map((cut) => cut % (tar.length + 1)), tar.length].sort((a, b) => a - b);
  for (const end of ends) {
    const events = reader.push(tar.subarray(start, end));
    if (!events.ok) return events.error;
    for (const event of events.value) {
      const last = files.at(-1);
      if (event.kind === "member") {
        files.push({ name: event.member.name, parts: [], isWhole: false });
      } else if (event.kind === "bytes") last?.parts.push(event.bytes.slice());
      else if (last !== undefined) last.isWhole = true;
    }
    start = end;
  }
  const error = reader.end();
  if (error !== null) return error;
  expect(files.every(({ isWhole }) => isWhole)).toBe(true);
  return files.map(({ name, parts }) => ({ name, bytes: Buffer.concat(parts) }));
}

/** A header that our writer would not write, with a right sum. */
function forged(change: (header: Uint8Array) => void): Uint8Array {
  const header = encodeTarHeader({ name: "a", bytes: 0, mtimeSeconds: 0 });
  change(header);
  header.set(new TextEncoder().encode("        "), 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.set(new TextEncoder().encode(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
  return Buffer.concat([header, TAR_END]);
}

function named(name: string): Uint8Array {
  return forged((header) => {
    header.fill(0, 0, 100);
    header.set(new TextEncoder().encode(name).subarray(0, 100));
  });
}

describe("an archive", () => {
  const files = fc.uniqueArray(
    fc.record({
      name: fc.constantFrom("a", "bmc/sel.json", "host/log/kern.log", "x.y-z_0", "c/d/e"),
      bytes: fc.uint8Array({ maxLength: 1_500 }),
    }),
    { selector: ({ name }) => name },
  );

  test("is read as it was written, however it is cut", () => {
    fc.assert(
      fc.property(files, fc.array(fc.nat(10_000), { maxLength: 10 }), (some, cuts) => {
        const read = readTar(tarOf(some), cuts);
        expect(Array.isArray(read)).toBe(true);
        if (!Array.isArray(read)) return;
        expect(read.map(({ name }) => name)).toEqual(some.map(({ name }) => name));
        for (const [index, { bytes }] of read.entries()) {
          expect(Buffer.compare(bytes, some[index]?.bytes ?? new Uint8Array(1))).toBe(0);
        }
      }),
    );
  });

  test("that was cut in the middle is refused, wherever it was", () => {
    const tar = tarOf([{ name: "a", bytes: new Uint8Array(700) }]);
    for (let length = 0; length < tar.length; length += 97) {
      expect(readTar(tar.subarray(0, length))).toMatchObject({ kind: "cut" });
    }
  });

  test("with a flipped bit in a header is refused, and nothing throws", () => {
    const tar = tarOf([{ name: "bmc/sel.json", bytes: new Uint8Array(10) }]);
    for (let bit = 0; bit < 345 * 8; bit++) {
      const damaged = tar.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const read = readTar(damaged);
      // In the field of the sum itself a space may be a zero and mean the same.
      if (bit >= 148 * 8 && bit < 156 * 8) continue;
      expect(Array.isArray(read)).toBe(false);
    }
  });

  test("of random bytes is refused and nothing throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 3_000 }), (bytes) => {
        if (bytes.some((byte) => byte !== 0)) expect(Array.isArray(readTar(bytes))).toBe(false);
      }),
    );
  });
});

describe("what a bundle never has", () => {
  test.each([
    "../etc/passwd",
    "/etc/passwd",
    "a/../../b",
    "a//b",
    "./a",
    ".hidden",
    "a/.ssh/x",
    "a\\b",
    "C:\\x",
    "a b",
    "",
    "a/",
    "é",
    "A",
    "a\nb",
  ])("is the name %j", (name) => {
    expect(isMemberName(name)).toBe(false);
    expect(readTar(named(name))).toMatchObject({ kind: "bad-name" });
  });

  test.each([
    ["a hard link", "1"],
    ["a symbolic link", "2"],
    ["a device", "3"],
    ["a folder", "5"],
    ["a pax header", "x"],
    ["a long GNU name", "L"],
  ])("is %s", (_, type) => {
    const tar = forged((header) => {
      header[156] = type.charCodeAt(0);
    });
    expect(readTar(tar)).toMatchObject({ kind: "bad-type" });
  });

  test("is a prefix, a size that is no number, a name twice, more than the limits", () => {
    const prefixed = forged((header) => header.set(new TextEncoder().encode("../x"), 345));
    expect(readTar(prefixed)).toMatchObject({ kind: "bad-name" });
    const sized = forged((header) => header.set(new TextEncoder().encode("-0000000001"), 124));
    expect(readTar(sized)).toMatchObject({ kind: "bad-header" });
    const empty = { name: "a", bytes: new Uint8Array() };
    expect(readTar(tarOf([empty, empty]))).toMatchObject({ kind: "twice" });
    const huge = encodeTarHeader({ name: "a", bytes: 100_001, mtimeSeconds: 0 });
    expect(readTar(huge)).toMatchObject({ kind: "too-large" });
    const many = Array.from({ length: 51 }, (_, n) => ({ name: `f${n}`, bytes: new Uint8Array() }));
    expect(readTar(tarOf(many))).toMatchObject({ kind: "too-large" });
  });

  test("is anything behind its end but zeros", () => {
    const tar = tarOf([{ name: "a", bytes: new Uint8Array(3) }]);
    expect(Array.isArray(readTar(Buffer.concat([tar, new Uint8Array(BLOCK_BYTES * 3)])))).toBe(
      true,
    );
    const more = encodeTarHeader({ name: "b", bytes: 0, mtimeSeconds: 0 });
    expect(readTar(Buffer.concat([tar, more]))).toMatchObject({ kind: "bad-header" });
  });
});
