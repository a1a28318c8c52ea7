/**
 * Gathers one bundle: two lanes side by side (`../bundle-plan.ts`), each item in its time and size, secrets out before a byte is on disk;
 * then what is too much is cut, and the rest written as one file.
 *
 * It always ends, and always with a bundle: what fails is said in the manifest. Only a disk that takes nothing is an error.
 */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Bmc, BmcEvent } from "../../../../bmc/bmc.ts";
import type { BmcError } from "../../../../bmc/bmc-error.ts";
import type { Result } from "../../../../core/result.ts";
import type { ItemFault, Manifest, ManifestItem } from "../bundle.ts";
import { fit, gatherOrder, type PlanItem, timeFor } from "../bundle-plan.ts";
import type { Redactor } from "../redact.ts";
import { isMemberName } from "../ustar.ts";
import { ItemFile } from "./item-file.ts";
import { absent, type DocumentSource, failed, type Source } from "./source.ts";
import { BmcSources, documentText } from "./sources-bmc.ts";
import { type BundlePart, type WrittenBundle, writeBundle } from "./write-bundle.ts";

export interface GatherSettings {
  readonly id: string;
  readonly event: BmcEvent;
  readonly cluster: string;
  readonly node: string;
  readonly bytesMax: number;
  readonly timeMs: number;
  /** Empty or not there; removed afterwards. */
  readonly workFolder: string;
  /** Where the bundle goes. */
  readonly path: string;
  readonly redactor: Redactor;
  readonly items: readonly PlanItem[];
  /** By the item's name; those of `bmc/` are read from the BMC. */
  readonly sources: ReadonlyMap<string, Source | DocumentSource>;
  readonly openBmc: () => Promise<Result<Bmc, BmcError> | null>;
  readonly nowMs: () => number;
}

export interface GatheredBundle extends WrittenBundle {
  readonly manifest: Manifest;
}

interface Taken {
  readonly plan: PlanItem;
  readonly path: string;
  readonly item: ManifestItem;
}

/** A BMC's connection is begun only where the time is. */
const BMC_OPEN_MS = 20_000;

class Gathering {
  readonly #settings: GatherSettings;
  readonly #begunMs: number;
  readonly #taken: Taken[] = [];
  #fileCount = 0;

  constructor(settings: GatherSettings) {
    this.#settings = settings;
    this.#begunMs = settings.nowMs();
  }

  async run(): Promise<GatheredBundle> {
    const { workFolder, path, items } = this.#settings;
    rmSync(workFolder, { recursive: true, force: true });
    mkdirSync(workFolder, { recursive: true, mode: 0o700 });
    try {
      await Promise.all([
        this.#hostLane(gatherOrder(items, "host")),
        this.#bmcLane(gatherOrder(items, "bmc")),
      ]);
      const parts = await this.#cutToFit();
      const manifest = this.#manifest();
      return { manifest, ...(await writeBundle(path, manifest, parts)) };
    } finally {
      rmSync(workFolder, { recursive: true, force: true });
    }
  }

  #leftMs(plan: PlanItem): number {
    const { nowMs, timeMs } = this.#settings;
    return timeFor(plan, this.#begunMs, nowMs(), timeMs);
  }

  async #hostLane(plans: readonly PlanItem[]): Promise<void> {
    for (const plan of plans) {
      const source = this.#settings.sources.get(plan.name);
      if (source === undefined) this.#missing(plan, absent("nothing gives it on this node"));
      else if (typeof source === "function") await this.#takeHost(plan, source);
      else await this.#take(plan, false, (file) => putDocument(plan, file, source.document()));
    }
  }

  async #takeHost(plan: PlanItem, source: Source): Promise<void> {
    await this.#take(plan, true, async (file, signal) => {
      return await source({
        sink: (chunk) => file.write(chunk),
        signal,
        cut: (bytes) => file.cut(bytes),
        bytesMax: plan.bytesMax,
      });
    });
  }

  async #bmcLane(plans: readonly PlanItem[]): Promise<void> {
    if (plans.length === 0) return;
    const opened = await within(BMC_OPEN_MS, this.#settings.openBmc());
    if (opened === "late")
      return this.#allMissing(plans, failed("the BMC does not answer in time"));
    if (opened === null) return this.#allMissing(plans, absent("no BMC is known for this system"));
    if (!opened.ok) return this.#allMissing(plans, failed(opened.error.detail));
    const bmc = opened.value;
    const sources = new BmcSources(bmc);
    try {
      for (const plan of plans) {
        await this.#take(plan, false, async (file) => {
          const content = await sources.read(plan.name);
          if (content.kind === "fault") return content.fault;
          if (content.kind === "document") return await putDocument(plan, file, content.document);
          return await putBytes(plan, file, content.bytes);
        });
      }
    } finally {
      sources.stop();
      await within(BMC_OPEN_MS, bmc.close());
    }
  }

  #allMissing(plans: readonly PlanItem[], fault: ItemFault): void {
    for (const plan of plans) this.#missing(plan, fault);
  }

  #missing(plan: PlanItem, fault: ItemFault): void {
    const item = this.#itemOf(plan, { tookMs: 0, takenAtMs: this.#settings.nowMs(), fault });
    this.#taken.push({ plan, path: "", item });
  }

  /** One item in its time. What it has by then is kept, unless a part of it says nothing. */
  async #take(
    plan: PlanItem,
    isText: boolean,
    read: (file: ItemFile, signal: AbortSignal) => Promise<ItemFault | null>,
  ): Promise<void> {
    const { nowMs, workFolder } = this.#settings;
    const leftMs = this.#leftMs(plan);
    if (leftMs === 0) {
      return this.#missing(plan, { kind: "out-of-time", detail: "the whole had no time left" });
    }
    const takenAtMs = nowMs();
    const path = join(workFolder, String(this.#fileCount++));
    const redactor = this.#settings.redactor.another();
    const file = await ItemFile.make({ path, bytesMax: plan.bytesMax, redactor, isText });
    const abort = new AbortController();
    const reading = read(file, abort.signal).catch(
      (cause: unknown): ItemFault => failed(cause instanceof Error ? cause.message : String(cause)),
    );
    const ended = await within(leftMs, reading);
    abort.abort();
    // A source sees that it is ended at its next chunk; a BMC's answer may come whenever, and finds the file closed to it.
    if (ended === "late") await within(1_000, reading);
    const finished = await file.finish();
    const fault: ItemFault | null =
      ended === "late" ? { kind: "out-of-time", detail: `it took more than ${leftMs} ms` } : ended;
    const item = this.#itemOf(plan, { tookMs: nowMs() - takenAtMs, takenAtMs, fault });
    const isUseless = finished.bytes === 0 || (fault !== null && plan.keep === "whole");
    this.#taken.push({
      plan,
      path,
      item: {
        ...item,
        ...(isUseless ? {} : { bytes: finished.bytes, sha256: finished.sha256 }),
        cutBytes: finished.cutBytes + (isUseless ? finished.bytes : 0),
        redacted: redactor.takeCounts(),
        fault: fault ?? (finished.bytes === 0 ? absent("it is empty") : null),
      },
    });
  }

  #itemOf(
    { name, what, priority }: PlanItem,
    of: Pick<ManifestItem, "takenAtMs" | "tookMs" | "fault">,
  ): ManifestItem {
    const rest = { bytes: 0, sha256: null, cutBytes: 0, redacted: {} };
    return { name, what, priority, ...rest, ...of, tookMs: Math.round(Math.max(0, of.tookMs)) };
  }

  /** Cuts the least important, in the files too. What stays is the bundle's. */
  async #cutToFit(): Promise<readonly BundlePart[]> {
    const present = this.#taken.filter(({ item }) => item.sha256 !== null);
    const kept = fit(
      present.map(({ plan, item }) => ({
        name: item.name,
        priority: plan.priority,
        bytes: item.bytes,
        keep: plan.keep,
      })),
      this.#settings.bytesMax,
    );
    const parts: BundlePart[] = [];
    for (const [index, taken] of this.#taken.entries()) {
      const { item } = taken;
      if (item.sha256 === null) continue;
      const bytes = kept.get(item.name) ?? 0;
      const cut = bytes < item.bytes ? await shorten(taken, bytes) : item;
      this.#taken[index] = { ...taken, item: cut };
      if (cut.sha256 === null) continue;
      const { name, takenAtMs } = cut;
      parts.push({ name, path: taken.path, bytes: cut.bytes, takenAtMs });
    }
    return parts;
  }

  #manifest(): Manifest {
    const { id, event, cluster, node, bytesMax, timeMs, redactor, nowMs } = this.#settings;
    const items = this.#taken
      .map(({ item }) => item)
      .sort((a, b) => a.priority - b.priority || (a.name < b.name ? -1 : 1));
    const sum = (of: (item: ManifestItem) => number): number =>
      items.reduce((total, item) => total + of(item), 0);
    return {
      v: 1,
      id,
      event: event.id,
      cluster,
      node,
      system: event.system,
      begunMs: Math.round(this.#begunMs),
      tookMs: Math.round(Math.max(0, nowMs() - this.#begunMs)),
      bytesMax,
      timeMs,
      bytes: sum(({ bytes }) => bytes),
      cutBytes: sum(({ cutBytes }) => cutBytes),
      redactedCount: sum(({ redacted }) => Object.values(redacted).reduce((a, b) => a + b, 0)),
      rules: redactor.ruleNames,
      items,
    };
  }
}

function putDocument(plan: PlanItem, file: ItemFile, document: unknown): Promise<ItemFault | null> {
  return putBytes(plan, file, Buffer.from(documentText(document, file.redactor)));
}

async function putBytes(
  plan: PlanItem,
  file: ItemFile,
  bytes: Uint8Array,
): Promise<ItemFault | null> {
  if (plan.keep === "whole" && bytes.length > plan.bytesMax) {
    file.cut(bytes.length);
    return { kind: "cut", detail: `it has ${bytes.length} bytes` };
  }
  await file.write(bytes);
  return null;
}

const LINE_END = 10;
const COPY_BYTES = 64 * 1024;

/** Keeps the end or the beginning of a text, from one line's end to another's. */
async function shorten({ plan, path, item }: Taken, bytes: number): Promise<ManifestItem> {
  const detail = "the bundle had no room for all of it";
  const none: ManifestItem = {
    ...item,
    ...{ bytes: 0, sha256: null, cutBytes: item.cutBytes + item.bytes },
    fault: { kind: "cut", detail },
  };
  if (bytes === 0) return none;
  const file = await open(path, "r+");
  try {
    const start = plan.keep === "newest" ? item.bytes - bytes : 0;
    const buffer = Buffer.alloc(bytes);
    let read = 0;
    while (read < bytes) {
      const length = Math.min(COPY_BYTES, bytes - read);
      const { bytesRead } = await file.read(buffer, read, length, start + read);
      if (bytesRead === 0) break;
      read += bytesRead;
    }
    const isRecords = plan.name.endsWith(".bin");
    const kept = plan.keep === "newest" ? newest(buffer, isRecords) : oldest(buffer);
    if (kept.length === 0) return none;
    await file.write(kept, 0, kept.length, 0);
    await file.truncate(kept.length);
    const sha256 = createHash("sha256").update(kept).digest("hex");
    const cutBytes = item.cutBytes + item.bytes - kept.length;
    return { ...item, bytes: kept.length, sha256, cutBytes, fault: { kind: "cut", detail } };
  } finally {
    await file.close();
  }
}

function newest(buffer: Buffer, isRecords: boolean): Buffer {
  // Records of the event log have 16 bytes each.
  if (isRecords) return buffer.subarray(buffer.length % 16);
  const end = buffer.indexOf(LINE_END);
  return end < 0 ? buffer.subarray(0, 0) : buffer.subarray(end + 1);
}

function oldest(buffer: Buffer): Buffer {
  return buffer.subarray(0, buffer.lastIndexOf(LINE_END) + 1);
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T | "late"> {
  let timer: ReturnType<typeof setTimeout> | null = null;
  const late = new Promise<"late">((resolve) => {
    timer = setTimeout(() => resolve("late"), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    if (timer !== null) clearTimeout(timer);
  }
}

/** Rejects only where the disk takes nothing. */
export function gatherBundle(settings: GatherSettings): Promise<GatheredBundle> {
  for (const { name } of settings.items) {
    if (!isMemberName(name)) throw new Error(`${name} is no name of an item`);
  }
  return new Gathering(settings).run();
}
