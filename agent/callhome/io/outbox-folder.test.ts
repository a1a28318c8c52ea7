/**
 * Goal: what the outbox acknowledges is there again, and what goes wrong with its disk is told and survived. Method: real folders, a real
 * small file system, and files that are damaged between two lives.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { realPart } from "../../../test/real-part.ts";
import { canMount, smallDisk } from "../../checkpoint/io/store-harness.ts";
import { envelopeOf, idOf, itemOf, openTestOutbox, TestFolder } from "./test-outbox.ts";

const mount = realPart("leave to mount a tmpfs", canMount, "run the tests as root");

function segmentsIn(folder: string): readonly string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".segment"))
    .sort();
}

function openIds(outbox: { open(): readonly { readonly id: string }[] }): readonly string[] {
  return outbox.open().map(({ id }) => id);
}

describe("an outbox", () => {
  test("has after a restart what was kept, byte for byte, in order, without what was closed", async () => {
    using folder = new TestFolder();
    const first = await openTestOutbox(folder.path);
    const kept = await Promise.all([1, 2, 3, 4].map((number) => first.put(itemOf(number))));
    expect(kept.map(({ kind }) => kind)).toEqual(["kept", "kept", "kept", "kept"]);
    await first.closed(idOf(2));
    await first.outbox.stop();
    const second = await openTestOutbox(folder.path);
    expect(second.damages).toEqual([]);
    expect(openIds(second.outbox)).toEqual([idOf(1), idOf(3), idOf(4)]);
    expect(await second.bytesOf(idOf(3))).toEqual(envelopeOf(idOf(3)));
    expect(await second.bytesOf(idOf(2))).toBeUndefined();
    await second.outbox.stop();
  });

  test("keeps an event once, however often it is given", async () => {
    using folder = new TestFolder();
    const { outbox, put } = await openTestOutbox(folder.path);
    const both = await Promise.all([put(itemOf(1)), put(itemOf(1))]);
    expect(both.map(({ kind }) => kind)).toEqual(["kept", "known"]);
    expect(await put(itemOf(1))).toEqual({ kind: "known" });
    expect(outbox.report().openCount).toBe(1);
    await outbox.stop();
  });

  test("shares a flush among all that come together", async () => {
    using folder = new TestFolder();
    let flushes = 0;
    const { outbox, put } = await openTestOutbox(folder.path, {}, () => flushes++);
    await Promise.all(Array.from({ length: 500 }, (_, index) => put(itemOf(index))));
    expect(flushes).toBeLessThan(10);
    await outbox.stop();
  });

  test("keeps what was refused until somebody wants it sent again", async () => {
    using folder = new TestFolder();
    const first = await openTestOutbox(folder.path);
    await first.put(itemOf(1));
    await first.closed(idOf(1), "refused");
    await first.outbox.stop();
    const second = await openTestOutbox(folder.path);
    expect(openIds(second.outbox)).toEqual([]);
    expect(second.outbox.refused().map(({ id }) => id)).toEqual([idOf(1)]);
    expect(second.outbox.reopen(idOf(1))).toBe(true);
    await second.outbox.stop();
    const third = await openTestOutbox(folder.path);
    expect(openIds(third.outbox)).toEqual([idOf(1)]);
    await third.outbox.stop();
  });

  test("deletes segments once nothing in them is open, and writes anew what keeps an old one", async () => {
    using folder = new TestFolder();
    const limits = { segmentBytes: 20_000 };
    const { outbox, put, closed, bytesOf } = await openTestOutbox(folder.path, limits);
    await put(itemOf(0));
    for (let number = 1; number < 300; number++) {
      await put(itemOf(number));
      await closed(idOf(number));
    }
    await outbox.settled();
    expect(outbox.report().diskBytes).toBeLessThan(120_000);
    expect(segmentsIn(folder.path)[0]).not.toBe("0000000001.segment");
    expect(await bytesOf(idOf(0))).toEqual(envelopeOf(idOf(0)));
    await outbox.stop();
    const again = await openTestOutbox(folder.path, limits);
    expect(openIds(again.outbox)).toEqual([idOf(0)]);
    await again.outbox.stop();
  });
});

describe("an outbox that is full", () => {
  test("keeps the urgent, folds the rest into counts, and says so", async () => {
    using folder = new TestFolder();
    const first = await openTestOutbox(folder.path, { openMax: 10 });
    for (let number = 0; number < 10; number++) await first.put(itemOf(number, { urgency: 3 }));
    expect(await first.put(itemOf(20, { urgency: 3 }))).toEqual({ kind: "folded" });
    expect(await first.put(itemOf(21, { urgency: 0 }))).toEqual({ kind: "kept" });
    expect(first.heard.full).toEqual([true]);
    expect(first.heard.folded).toEqual([idOf(9)]);
    const [fold] = first.outbox.folded();
    expect(fold).toMatchObject({ count: 2, urgency: 3, component: "4c4c4544 memory DIMM A1" });
    await first.outbox.stop();
    const second = await openTestOutbox(folder.path, { openMax: 10 });
    expect(second.outbox.folded()).toMatchObject([{ count: 2 }]);
    expect(openIds(second.outbox)).toContain(idOf(21));
    expect(openIds(second.outbox)).not.toContain(idOf(9));
    await new Promise<void>((resolve) => {
      second.outbox.takeFolded(second.outbox.folded(), resolve);
    });
    await second.outbox.stop();
    const third = await openTestOutbox(folder.path, { openMax: 10 });
    expect(third.outbox.folded()).toEqual([]);
    await third.outbox.stop();
  });

  test("leaves room for the event that says that nothing comes through", async () => {
    using folder = new TestFolder();
    const { outbox, put } = await openTestOutbox(folder.path, { openMax: 2 });
    await put(itemOf(1, { urgency: 0 }));
    await put(itemOf(2, { urgency: 0 }));
    expect(await put(itemOf(3, { urgency: 1, isByEveryPath: true }))).toEqual({ kind: "kept" });
    expect(await put(itemOf(4, { urgency: 1 }))).toEqual({ kind: "folded" });
    await outbox.stop();
  });
});

describe("a disk that changes what was written", () => {
  async function filled(folder: string): Promise<string> {
    const { outbox, put } = await openTestOutbox(folder);
    for (let number = 1; number <= 5; number++) await put(itemOf(number));
    await outbox.stop();
    return join(folder, segmentsIn(folder)[0] ?? "");
  }

  test("costs what it changed and no more; the file as it was is set aside, and it is told", async () => {
    using folder = new TestFolder();
    const path = await filled(folder.path);
    const bytes = readFileSync(path);
    bytes[3_500] = (bytes[3_500] ?? 0) ^ 0x10;
    writeFileSync(path, bytes);
    const again = await openTestOutbox(folder.path);
    expect(openIds(again.outbox)).toEqual([1, 2, 4, 5].map(idOf).filter((id) => id !== idOf(3)));
    expect(again.damages).toHaveLength(1);
    expect(again.damages[0]?.detail).toContain("4 records are sound");
    expect(existsSync(`${path}.damaged`)).toBe(true);
    expect(await again.bytesOf(idOf(5))).toEqual(envelopeOf(idOf(5)));
    await again.outbox.stop();
    const third = await openTestOutbox(folder.path);
    expect([third.damages, openIds(third.outbox).length]).toEqual([[], 4]);
    await third.outbox.stop();
  });

  test("never stops it from starting: a torn head, an empty file, noise, a folder in a file's place", async () => {
    using folder = new TestFolder();
    await filled(folder.path);
    writeFileSync(join(folder.path, "0000000007.segment"), "HFOUT");
    writeFileSync(join(folder.path, "0000000008.segment"), "");
    writeFileSync(join(folder.path, "0000000009.segment"), Buffer.alloc(70_000, 0x7b));
    mkdirSync(join(folder.path, "0000000010.segment"));
    const again = await openTestOutbox(folder.path);
    expect(openIds(again.outbox)).toHaveLength(5);
    expect(again.damages.length).toBeGreaterThan(0);
    expect(await again.put(itemOf(9))).toEqual({ kind: "kept" });
    await again.outbox.stop();
  });

  test("is noticed when the event is read, and what is lost is counted", async () => {
    using folder = new TestFolder();
    const { outbox, put, bytesOf, heard } = await openTestOutbox(folder.path);
    await put(itemOf(1));
    await put(itemOf(2));
    const path = join(folder.path, segmentsIn(folder.path)[0] ?? "");
    const bytes = readFileSync(path);
    bytes[500] = (bytes[500] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    expect(await bytesOf(idOf(1))).toBeUndefined();
    expect(await bytesOf(idOf(2))).toEqual(envelopeOf(idOf(2)));
    expect(heard.damages).toHaveLength(1);
    expect(heard.folded).toEqual([idOf(1)]);
    await outbox.settled();
    expect(outbox.folded()).toMatchObject([{ count: 1 }]);
    await outbox.stop();
  });
});

describe("a disk that is full", () => {
  mount(
    "is told to the caller, loses nothing, and is written to again when it has room",
    async () => {
      using folder = new TestFolder();
      const at = join(folder.path, "disk");
      const disk = smallDisk(at);
      try {
        const data = join(at, "outbox");
        const first = await openTestOutbox(data, { segmentBytes: 1024 * 1024 });
        let number = 0;
        let result = await first.put(itemOf(number, { envelope: envelopeOf(idOf(0), 100_000) }));
        while (result.kind === "kept") {
          number++;
          const envelope = envelopeOf(idOf(number), 100_000);
          result = await first.put(itemOf(number, { envelope }));
        }
        expect(result).toMatchObject({ kind: "failed", failure: { kind: "no-space" } });
        expect(number).toBeGreaterThan(50);
        expect(first.heard.failures.at(-1)).toMatchObject({ kind: "no-space" });
        // Closing makes room, though there is none to write the closures.
        for (let each = 0; each < number - 3; each++) first.outbox.close(idOf(each), "delivered");
        await first.put(itemOf(5_000));
        await first.outbox.settled();
        for (
          let tries = 0;
          tries < 50 && (await first.put(itemOf(6_000))).kind === "failed";
          tries++
        ) {
          await first.outbox.settled();
        }
        expect(first.outbox.report().failure).toBeNull();
        await first.outbox.settled();
        await first.outbox.stop();
        const second = await openTestOutbox(data, { segmentBytes: 1024 * 1024 });
        const open = openIds(second.outbox);
        expect(open).toContain(idOf(6_000));
        for (let each = number - 3; each < number; each++) expect(open).toContain(idOf(each));
        await second.outbox.stop();
      } finally {
        disk?.unmount();
        rmSync(at, { recursive: true, force: true });
      }
    },
  );
});
