/**
 * Taking a checkpoint of one rank, and giving a copy to its partner.
 *
 *   copy (the program waits) → captured → on disk and at the partner, side by side → in place → done
 *
 * The copy is taken under the rank's lock; what follows is not, so the next checkpoint may be copied while this one is still
 * on its way. A shard is renamed into place only after both copies were tried: an unreachable partner leaves the own copy.
 */
import { readFile, stat } from "node:fs/promises";
import type { Epoch } from "../../membership/membership.ts";
import { FULL_SHARD, isFullDue, withDelta } from "../chain.ts";
import type { RegionFile, ShardSource, StoreCommand } from "../checkpoint.ts";
import {
  MAILBOX_BYTES_MAX,
  REGION_NAME_BYTES_MAX,
  REGIONS_MAX,
  STATE_BYTES_MAX,
} from "../limits.ts";
import { zeroDigests } from "../page-digests.ts";
import type { ShardHead, ShardTail } from "../shard.ts";
import { isSameLayout, type StateLayout, stateLayout } from "../state-layout.ts";
import { capturePages } from "./capture.ts";
import { type Base, type JobShards, storedShard } from "./job-shards.ts";
import { flattenChain } from "./restore.ts";
import { ShardReader } from "./shard-reader.ts";
import { type Problem, sendShard } from "./shard-transfer.ts";
import { ShardWriter, type WrittenShard } from "./shard-writer.ts";
import { describe, type StoreContext } from "./store-context.ts";
import { faultOfProblem, StoreFault } from "./store-fault.ts";

type Capture = Extract<StoreCommand, { kind: "capture" }>;

interface Copied {
  readonly writer: ShardWriter;
  readonly head: ShardHead;
  readonly tail: ShardTail;
  readonly base: Base | null;
}

function checkRegions(regions: readonly RegionFile[]): StateLayout {
  const layout = stateLayout(regions);
  if (regions.length > REGIONS_MAX || layout.bytes > STATE_BYTES_MAX) {
    const most = `at most ${REGIONS_MAX} regions of ${STATE_BYTES_MAX} bytes together`;
    throw new StoreFault(
      "too-large",
      `${regions.length} regions of ${layout.bytes} bytes: ${most}`,
    );
  }
  const names = new Set<string>();
  for (const { name } of regions) {
    const bytes = Buffer.byteLength(name);
    if (bytes === 0 || bytes > REGION_NAME_BYTES_MAX || names.has(name)) {
      const rule = `names are unique and of 1 to ${REGION_NAME_BYTES_MAX} bytes`;
      throw new StoreFault("refused", `region '${name.slice(0, 99)}': ${rule}`);
    }
    names.add(name);
  }
  return layout;
}

async function readMailbox(path: string | null): Promise<Uint8Array | null> {
  if (path === null) return null;
  const { size } = await stat(path);
  if (size > MAILBOX_BYTES_MAX) {
    const detail = `mailbox ${path} has ${size} bytes, at most ${MAILBOX_BYTES_MAX} are kept`;
    throw new StoreFault("too-large", detail);
  }
  return readFile(path);
}

/** The version that a delta may be taken against; null: the shard is better complete in itself. */
function deltaBase(job: JobShards, command: Capture, layout: StateLayout): Base | null {
  const base = job.baseOf(command.rank);
  if (base === null || base.id.version >= command.version) return null;
  if (!isSameLayout(base.layout, layout) || isFullDue(base.cost, layout.bytes)) return null;
  return base;
}

async function copyState(
  context: StoreContext,
  job: JobShards,
  command: Capture,
  signal: AbortSignal,
): Promise<Copied> {
  if (job.seals.has(command)) {
    throw new StoreFault("refused", `${describe(command)} is sealed and cannot be taken again`);
  }
  const layout = checkRegions(command.regions);
  const base = deltaBase(job, command, layout);
  const mailbox = await readMailbox(command.mailbox);
  const head: ShardHead = {
    job: command.job,
    rank: command.rank,
    version: command.version,
    epoch: command.epoch,
    parent: base === null ? null : { ...base.id, state: base.state },
    layout,
    mailboxBytes: mailbox === null ? null : mailbox.length,
  };
  const { core, pool } = context;
  const writer = await ShardWriter.create({ path: context.temporaryPath(), pool, head, mailbox });
  try {
    signal.throwIfAborted();
    const tail = await capturePages({
      core,
      layout,
      files: command.regions,
      base: base?.digests ?? zeroDigests(core, layout),
      writer,
      signal,
    });
    // Everything changed: then nothing of the base is needed to read it.
    const isWhole = tail.runs.length === 2 && tail.runs[1] === layout.pageCount;
    return isWhole
      ? { writer, head: { ...head, parent: null }, tail, base: null }
      : { writer, head, tail, base };
  } catch (error) {
    await writer.discard();
    throw error;
  }
}

/** Sends a file that holds the shard; a partner without its parent is sent the version in full. */
export async function sendToPartner(
  context: StoreContext,
  job: JobShards,
  shard: {
    readonly path: string;
    readonly written: Pick<WrittenShard, "head" | "footer" | "bytes">;
    readonly sealed: boolean;
    readonly planEpoch: Epoch;
    readonly to: ShardSource;
  },
  signal: AbortSignal,
): Promise<{ kind: "kept" } | Problem> {
  const { head, footer, bytes } = shard.written;
  const common = {
    to: shard.to,
    name: head,
    planEpoch: shard.planEpoch,
    sealed: shard.sealed,
    limits: context.limits,
    pass: context.pass,
    signal,
  };
  const { path } = shard;
  const digest = footer.whole.toHex();
  const sent = await sendShard({ ...common, path, bytes, parent: head.parent, digest });
  if (sent.kind === "kept" || sent.problem !== "missing-parent" || head.parent === null)
    return sent;
  const parent = job.find(head.rank, head.parent);
  if (parent === null) return sent;
  const newest = ShardReader.open(path, context.core);
  if (!newest.ok) throw new StoreFault("damaged", `${describe(head)} changed on its way`);
  const chain = [newest.value];
  const full = context.temporaryPath();
  try {
    chain.push(...(await context.openChain(job, parent)));
    const flat = await flattenChain(context.core, chain, { path: full, pool: context.pool });
    if (!flat.ok) throw await context.faultOfPage(job, chain, flat.error);
    const whole = flat.value.footer.whole.toHex();
    const size = flat.value.bytes;
    return await sendShard({ ...common, path: full, bytes: size, parent: null, digest: whole });
  } finally {
    for (const reader of chain) reader.close();
    await context.drop(full);
  }
}

export async function captureVersion(context: StoreContext, command: Capture): Promise<number> {
  const job = await context.job(command.job);
  return context.underEpoch(job, command.epoch, async (signal) => {
    const copied = await context.locks.run(`${command.job}/${command.rank}`, async () => {
      const copy = await copyState(context, job, command, signal);
      context.emit({ kind: "captured", token: command.token });
      return copy;
    });
    return keepCopy(context, job, command, copied, signal);
  });
}

// biome-ignore lint/complexity/useMaxParams: the parts of one capture, with one caller
async function keepCopy(
  context: StoreContext,
  job: JobShards,
  command: Capture,
  copied: Copied,
  signal: AbortSignal,
): Promise<number> {
  const { writer, head, tail, base } = copied;
  let isPlaced = false;
  try {
    const written = await writer.finish(context.core, head, tail);
    const send = async (to: ShardSource): Promise<{ kind: "kept" } | Problem> => {
      const shard = { path: writer.path, written, sealed: false, planEpoch: command.epoch, to };
      return sendToPartner(context, job, shard, signal);
    };
    const [synced, sent] = await Promise.allSettled([
      writer.sync(),
      command.partner === null ? { kind: "kept" as const } : send(command.partner),
    ]);
    if (synced.status === "rejected") throw synced.reason;
    signal.throwIfAborted();
    await context.place([{ name: head, path: writer.path }]);
    isPlaced = true;
    job.add(storedShard(written));
    job.addPending(command.rank, {
      id: { version: head.version, epoch: head.epoch },
      state: written.footer.state,
      layout: head.layout,
      digests: tail.digests,
      cost: base === null ? FULL_SHARD : withDelta(base.cost, written.bytes),
    });
    context.tellHoldings(job);
    if (sent.status === "rejected") throw sent.reason;
    if (sent.value.kind === "problem") {
      throw faultOfProblem(sent.value.problem, `${describe(head)}: ${sent.value.detail}`);
    }
    return written.bytes;
  } finally {
    if (isPlaced) await writer.close();
    else await writer.discard();
  }
}
