/**
 * Goal: a bundle that is not exactly what it says is refused, by its own kind of error, and nothing is ever written outside its folder.
 * Method: the real writer's bundles, damaged; bundles forged by hand; a bomb.
 */
import { afterEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import { forgedBundle, manifestOf, member, noise, testBundle } from "../harness/bundle.ts";
import { encodeTarHeader } from "../ustar.ts";
import { extractBundle, verifyBundle } from "./read-bundle.ts";

let folder = mkdtempSync(join(tmpdir(), "holdfast-bundle-"));

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  folder = mkdtempSync(join(tmpdir(), "holdfast-bundle-"));
});

const ITEMS = [
  { name: "event.json", bytes: Buffer.from("{}\n") },
  { name: "bmc/sel.json", bytes: noise(200_000) },
  { name: "host/log/empty.log", bytes: new Uint8Array() },
];

async function kindOf(path: string): Promise<string> {
  const read = await verifyBundle(path);
  return read.ok ? "ok" : read.error.kind;
}

function withManifest(text: string, ...more: ReturnType<typeof member>[]): string {
  return forgedBundle(folder, [member("manifest.json", text), ...more]);
}

describe("a bundle", () => {
  test("is the same bytes each time, and is read and extracted as it was written", async () => {
    const [one, two] = [join(folder, "1.tar.zst"), join(folder, "2.tar.zst")];
    const first = await testBundle(one, ITEMS);
    const second = await testBundle(two, [...ITEMS].reverse());
    expect(first.bytes).toBe(statSync(one).size);
    const again = await testBundle(two, ITEMS);
    expect(again).toEqual(first);
    expect(second.bytes).toBeGreaterThan(0);
    expect(await verifyBundle(one)).toEqual({ ok: true, value: manifestOf(ITEMS) });
    const target = join(folder, "out");
    expect((await extractBundle(one, target)).ok).toBe(true);
    expect(
      Buffer.compare(readFileSync(join(target, "bmc/sel.json")), ITEMS[1]?.bytes ?? Buffer.of()),
    ).toBe(0);
    expect(statSync(join(target, "host/log/empty.log")).mode & 0o777).toBe(0o600);
    // Nothing is overwritten.
    expect(await extractBundle(one, target)).toMatchObject({ ok: false });
  });

  test("is the same bytes however busy the machine is", async () => {
    const seen = new Set<string>();
    const write = async (worker: number): Promise<void> => {
      for (let round = 0; round < 25; round++) {
        const { digest } = await testBundle(join(folder, `${worker}.tar.zst`), ITEMS);
        seen.add(digest);
      }
    };
    await Promise.all([write(0), write(1), write(2), write(3)]);
    expect(seen.size).toBe(1);
  });

  test("that was cut in the middle is refused, wherever it was", async () => {
    const path = join(folder, "a.tar.zst");
    await testBundle(path, ITEMS);
    const whole = readFileSync(path);
    // The last four bytes are a checksum of zstd's: without it all of the content is there, and right by its digests.
    const parts = [0, 1, 10, whole.length >> 2, whole.length >> 1];
    for (let missing = 5; missing < 30; missing++) parts.push(whole.length - missing);
    for (const part of parts) {
      writeFileSync(path, whole.subarray(0, part));
      expect([part, await kindOf(path)]).toEqual([
        part,
        expect.stringMatching(/^(?:no-zstd|cut)$/),
      ]);
    }
  });

  test("with a flipped bit is refused, wherever it is", async () => {
    const path = join(folder, "a.tar.zst");
    await testBundle(path, ITEMS);
    const whole = readFileSync(path);
    for (let at = 0; at < whole.length; at += Math.ceil(whole.length / 40)) {
      const damaged = Buffer.from(whole);
      damaged[at] = (damaged[at] ?? 0) ^ 0x10;
      writeFileSync(path, damaged);
      expect(await kindOf(path)).not.toBe("ok");
    }
  });
});

describe("a forged bundle", () => {
  const good = JSON.stringify(manifestOf([{ name: "a", bytes: Buffer.from("abc") }]));

  test("is refused by what is wrong with it", async () => {
    expect(await kindOf(withManifest(good, member("a", "abc")))).toBe("ok");
    expect(await kindOf(withManifest(good, member("a", "abd")))).toBe("bad-digest");
    expect(await kindOf(withManifest(good, member("a", "abcd")))).toBe("bad-digest");
    expect(await kindOf(withManifest(good))).toBe("not-named");
    expect(await kindOf(withManifest(good, member("a", "abc"), member("b", "")))).toBe("not-named");
    expect(await kindOf(withManifest("{", member("a", "abc")))).toBe("bad-manifest");
    expect(await kindOf(withManifest('{"v":2}', member("a", "abc")))).toBe("bad-manifest");
    expect(await kindOf(forgedBundle(folder, [member("a", "abc")]))).toBe("bad-manifest");
    expect(await kindOf(forgedBundle(folder, []))).toBe("bad-manifest");
    expect(await kindOf(join(folder, "none"))).toBe("unreadable");
    writeFileSync(join(folder, "text"), "this is no bundle at all, but a text");
    expect(await kindOf(join(folder, "text"))).toBe("no-zstd");
  });

  test("never writes outside its folder", async () => {
    for (const name of ["../evil", "/tmp/holdfast-evil", "a/../../evil", "a\\..\\evil"]) {
      const header = encodeTarHeader({ name: "x", bytes: 3, mtimeSeconds: 0 });
      header.fill(0, 0, 100);
      header.set(Buffer.from(name));
      header.set(Buffer.from("        "), 148);
      const sum = header.reduce((total, byte) => total + byte, 0);
      header.set(Buffer.from(`${sum.toString(8).padStart(6, "0")}\0 `), 148);
      const path = withManifest(good, { header, bytes: Buffer.from("abc") });
      const target = join(folder, "out");
      expect(await extractBundle(path, target)).toMatchObject({ error: { kind: "bad-name" } });
      expect(readdirSync(folder).sort()).toEqual(["forged.tar.zst", "out"]);
      expect(existsSync("/tmp/holdfast-evil")).toBe(false);
      rmSync(target, { recursive: true });
    }
  });

  test("that unpacks to more than anybody has is given up early", async () => {
    const path = join(folder, "bomb");
    const header = encodeTarHeader({ name: "manifest.json", bytes: 0o7777777777, mtimeSeconds: 0 });
    writeFileSync(path, zstdCompressSync(Buffer.concat([header, Buffer.alloc(64 * 1024 * 1024)])));
    expect(statSync(path).size).toBeLessThan(100_000);
    expect(["too-large", "bad-manifest"]).toContain(await kindOf(path));
  });
});
