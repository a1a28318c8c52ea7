/**
 * Goal: a bundle is always made, in its time and size, with the least important cut first and no secret in it. Method: sources that
 * give, fail, stall and flood; a BMC that is slow, absent or not to be reached; real files.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bmc } from "../../../../bmc/bmc.ts";
import { bmcError } from "../../../../bmc/bmc-error.ts";
import { err, ok } from "../../../../core/result.ts";
import type { Manifest, ManifestItem } from "../bundle.ts";
import type { PlanItem } from "../bundle-plan.ts";
import { bmcEvent } from "../harness/bmc-event.ts";
import { Redactor } from "../redact.ts";
import { type GatherSettings, gatherBundle } from "./gather.ts";
import { extractBundle } from "./read-bundle.ts";
import { absent, type DocumentSource, type Source } from "./source.ts";

let folder = mkdtempSync(join(tmpdir(), "holdfast-gather-"));

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  folder = mkdtempSync(join(tmpdir(), "holdfast-gather-"));
});

function item(name: string, of: Partial<PlanItem> = {}): PlanItem {
  const lane = name.startsWith("bmc/") ? "bmc" : "host";
  return {
    ...{ name, what: "for a test", lane, priority: 5, perishes: 1, bytesMax: 100_000 },
    ...{ timeMs: 2_000, keep: "newest", ...of },
  };
}

function giving(text: string): Source {
  return async ({ sink }) => {
    await sink(Buffer.from(text));
    return null;
  };
}

async function gather(
  plans: readonly (readonly [PlanItem, (Source | DocumentSource)?])[],
  of: Partial<GatherSettings> = {},
): Promise<{
  readonly manifest: Manifest;
  readonly read: (name: string, encoding?: BufferEncoding) => string;
}> {
  const sources = new Map<string, Source | DocumentSource>();
  for (const [plan, source] of plans) if (source !== undefined) sources.set(plan.name, source);
  const path = join(folder, "b.tar.zst");
  const { manifest, bytes } = await gatherBundle({
    ...{ id: "1111111111111111-1800000000000", event: bmcEvent(), cluster: "tokyo", node: "n7" },
    ...{ bytesMax: 1_000_000, timeMs: 10_000, workFolder: join(folder, "work"), path },
    redactor: new Redactor({ rules: [], literals: ["plain-secret"], hasAddresses: false }),
    items: plans.map(([plan]) => plan),
    sources,
    openBmc: () => Promise.resolve(null),
    nowMs: () => performance.timeOrigin + performance.now(),
    ...of,
  });
  expect(existsSync(join(folder, "work"))).toBe(false);
  expect(bytes).toBe(statSync(path).size);
  const out = join(folder, `out-${Math.random()}`);
  const extracted = await extractBundle(path, out);
  if (!extracted.ok) throw new Error(extracted.error.detail);
  expect(extracted.value).toEqual(manifest);
  return { manifest, read: (name, encoding = "utf8") => readFileSync(join(out, name), encoding) };
}

function of(manifest: Manifest, name: string): ManifestItem {
  const found = manifest.items.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no ${name}`);
  return found;
}

/** Only what a test gives; the rest is not to be called. */
function bmc(parts: Partial<Bmc>): Bmc {
  return { url: "lan://test", close: async () => undefined, ...parts } as Bmc;
}

describe("a bundle", () => {
  test("holds what its sources gave, without secrets, which are counted", async () => {
    const { manifest, read } = await gather([
      [item("host/a.log"), giving("one\npassword=hunter2 plain-secret\nlast line without end")],
      [item("host/b.json"), { document: () => ({ token: "t0p", list: [1, 2] }) }],
    ]);
    expect(read("host/a.log")).toBe(
      "one\npassword=[redacted:named] [redacted:literal]\nlast line without end",
    );
    expect(JSON.parse(read("host/b.json"))).toEqual({ token: "[redacted:named]", list: [1, 2] });
    expect(of(manifest, "host/a.log").redacted).toEqual({ literal: 1, named: 1 });
    expect(of(manifest, "host/b.json").redacted).toEqual({ named: 1 });
    expect(manifest).toMatchObject({ redactedCount: 3, cutBytes: 0, node: "n7" });
  });

  test("is made where sources fail, throw, are missing, stall or flood, and says so", async () => {
    const began = performance.now();
    const { manifest, read } = await gather([
      [item("host/none.log"), async () => absent("there is no such file")],
      [item("host/throws.log"), () => Promise.reject(new Error("it broke"))],
      [item("host/nobody.log")],
      [item("host/empty.log"), giving("")],
      [
        item("host/stalls.log", { timeMs: 200 }),
        async ({ sink, signal }) => {
          await sink(Buffer.from("a beginning\n"));
          await new Promise((resolve) => signal.addEventListener("abort", resolve));
          return null;
        },
      ],
      [
        item("host/stalls.json", { timeMs: 200, keep: "whole" }),
        async ({ sink }) => {
          await sink(Buffer.from("half a docu"));
          return await new Promise(() => undefined);
        },
      ],
      [
        item("host/floods.log", { bytesMax: 5_000 }),
        async ({ sink }) => {
          while (await sink(Buffer.alloc(1_000, "x\n"))) await Bun.sleep(0);
          return null;
        },
      ],
    ]);
    expect(performance.now() - began).toBeLessThan(8_000);
    const faults = manifest.items.map(({ name, fault, bytes }) => [name, fault?.kind, bytes]);
    expect(Object.fromEntries(faults.map(([name, ...rest]) => [name, rest]))).toEqual({
      "host/none.log": ["absent", 0],
      "host/throws.log": ["failed", 0],
      "host/nobody.log": ["absent", 0],
      "host/empty.log": ["absent", 0],
      "host/stalls.log": ["out-of-time", 12],
      "host/stalls.json": ["out-of-time", 0],
      "host/floods.log": [undefined, 5_000],
    });
    expect(read("host/stalls.log")).toBe("a beginning\n");
    expect(of(manifest, "host/throws.log").fault?.detail).toBe("it broke");
  });

  test("out of time leaves out what was not begun", async () => {
    const slow: Source = async ({ sink }) => {
      await Bun.sleep(150);
      await sink(Buffer.from("x\n"));
      return null;
    };
    const plans = Array.from({ length: 8 }, (_, n) => [item(`host/${n}.log`), slow] as const);
    const { manifest } = await gather(plans, { timeMs: 500 });
    const late = manifest.items.filter(({ fault }) => fault?.kind === "out-of-time");
    expect(late.length).toBeGreaterThan(2);
    expect(late.length).toBeLessThan(8);
    expect(manifest.items.at(0)?.fault).toBeNull();
  });

  test("over its size is cut, the least important first, at the ends of lines", async () => {
    const lines = (word: string): Source =>
      giving(
        Array.from({ length: 100 }, (_, n) => `${word} ${String(n).padStart(3, "0")}\n`).join(""),
      );
    const { manifest, read } = await gather(
      [
        [item("host/vital.log", { priority: 1 }), lines("vital")],
        [item("host/logs.log", { priority: 2, keep: "newest" }), lines("loggs")],
        [item("host/gone.log", { priority: 3 }), lines("gonee")],
      ],
      { bytesMax: 1_500 },
    );
    expect(read("host/vital.log")).toHaveLength(1_000);
    expect(read("host/logs.log")).toEndWith("loggs 099\n");
    expect(read("host/logs.log")).toStartWith("loggs 05");
    expect(of(manifest, "host/logs.log")).toMatchObject({ fault: { kind: "cut" }, bytes: 490 });
    expect(of(manifest, "host/gone.log")).toMatchObject({ fault: { kind: "cut" }, bytes: 0 });
    expect(manifest.bytes).toBeLessThanOrEqual(1_500);
    expect(manifest.cutBytes).toBe(1_510);
  });
});

describe("a BMC", () => {
  const power = item("bmc/power.json", { keep: "whole" });
  const fru = item("bmc/fru.json", { keep: "whole", perishes: 2, timeMs: 300 });
  const log = [item("host/a.log"), giving("a\n")] as const;

  test("that is not known, or cannot be reached, costs its items and nothing else", async () => {
    const none = await gather([[power], log]);
    expect(of(none.manifest, "bmc/power.json").fault?.kind).toBe("absent");
    const openBmc = (): Promise<ReturnType<typeof err<ReturnType<typeof bmcError>>>> =>
      Promise.resolve(err(bmcError("timeout", "the BMC does not answer")));
    const dead = await gather([[power], log], { openBmc });
    expect(of(dead.manifest, "bmc/power.json").fault).toEqual({
      kind: "failed",
      detail: "the BMC does not answer",
    });
    expect(dead.read("host/a.log")).toBe("a\n");
  });

  test("that stalls at one question is asked the next, and does not hold up the host", async () => {
    const status = { isOn: true, restorePolicy: "on", lastCause: null, faults: [] } as const;
    let isClosed = false;
    const stalling = bmc({
      fru: () => new Promise(() => undefined),
      power: async () => ok(status),
      watchdog: async () => err(bmcError("unsupported", "this BMC has none")),
      close: async () => {
        isClosed = true;
      },
    });
    const watchdog = item("bmc/watchdog.json", { perishes: 3, keep: "whole" });
    const { manifest, read } = await gather([[fru], [power], [watchdog], log], {
      openBmc: async () => ok(stalling),
    });
    expect(of(manifest, "bmc/fru.json").fault?.kind).toBe("out-of-time");
    expect(of(manifest, "bmc/watchdog.json").fault?.kind).toBe("absent");
    expect(JSON.parse(read("bmc/power.json"))).toEqual({ ...status, faults: [] });
    expect(isClosed).toBe(true);
  });

  test("gives the log once, decoded and as records with their ids", async () => {
    let readCount = 0;
    const record = "0000".padEnd(32, "a5");
    const logging = bmc({
      log: async () => {
        readCount++;
        const entries = [{ recordId: "02ff", event: bmcEvent({ record }) }];
        return ok({
          ...{ entries, isOverflowed: false, freeBytes: null, lastAddMs: null, lastEraseMs: null },
        });
      },
    });
    const { read, manifest } = await gather(
      [[item("bmc/sel.json", { keep: "whole" })], [item("bmc/sel.bin", { perishes: 2 })]],
      { openBmc: async () => ok(logging) },
    );
    expect(readCount).toBe(1);
    expect(JSON.parse(read("bmc/sel.json")).entries[0].recordId).toBe("02ff");
    expect(of(manifest, "bmc/sel.bin").bytes).toBe(16);
    // The id is put back, low byte first.
    expect(read("bmc/sel.bin", "hex")).toBe(`ff02${"a5".repeat(14)}`);
  });
});
