/**
 * Writes a version's regions in place, and a chain of shards as one full shard. Both follow the read plan and check every
 * page against the newest shard's digests before it goes anywhere.
 *
 * Region files are written into and never replaced, nor made shorter: a program may have them mapped. What a version does
 * not cover reads as zeros afterwards.
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { DIGEST_BYTES, WINDOW_BYTES, WINDOW_PAGES } from "../../../core/abi.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import { type DigestCore, firstMismatch, zeroDigests } from "../page-digests.ts";
import { type PageGroup, RunList, readPlan } from "../read-plan.ts";
import type { ShardHead } from "../shard.ts";
import type { PlacedRegion } from "../state-layout.ts";
import type { ChunkPool } from "./chunk-pool.ts";
import { GIVE_WAY_BYTES, giveWay, type ShardReader } from "./shard-reader.ts";
import { ShardWriter, type WrittenShard } from "./shard-writer.ts";

/** A page that does not match, and the shard of the chain it was read from (null: it should have been zero). */
export interface BadPage {
  readonly page: number;
  readonly shard: number | null;
}

const ZEROS = new Uint8Array(WINDOW_BYTES);

function writeFully(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}

function zeroFrom(fd: number, from: number, upTo: number): void {
  for (let at = from; at < upTo; at += ZEROS.length) {
    writeFully(fd, ZEROS.subarray(0, Math.min(ZEROS.length, upTo - at)), at);
  }
}

function openInPlace(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
}

/** Reads a group into the core's window and checks it. The view holds until the core is used again. */
function groupBytes(
  core: DigestCore,
  chain: readonly ShardReader[],
  group: PageGroup,
): Result<Uint8Array, BadPage> {
  const window = core.inputWindow().subarray(0, group.bytes);
  if (group.shard === null) window.fill(0);
  else (chain[group.shard] as ShardReader).readPayload(window, group.payloadOffset);
  const { digests } = (chain[0] as ShardReader).tail;
  const found = core.digestWindow(group.bytes);
  const page = firstMismatch(digests, group.firstPage, found, group.pageCount);
  return page === null ? ok(window) : err({ page, shard: group.shard });
}

function planOf(chain: readonly ShardReader[]): Generator<PageGroup> {
  const runs = chain.map((shard) => shard.tail.runs);
  return readPlan((chain[0] as ShardReader).head.layout, runs, WINDOW_PAGES);
}

/** Zeros every region file whose name is not in `except`. */
export function zeroRegions(folder: string, except: ReadonlySet<string>): void {
  mkdirSync(folder, { recursive: true });
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (!entry.isFile() || except.has(entry.name)) continue;
    const fd = openInPlace(join(folder, entry.name));
    try {
      zeroFrom(fd, 0, fstatSync(fd).size);
    } finally {
      closeSync(fd);
    }
  }
}

/** `chain` is newest first and complete. Resolves with the bytes written. */
export async function restoreRegions(
  core: DigestCore,
  chain: readonly ShardReader[],
  folder: string,
): Promise<Result<number, BadPage>> {
  const { layout } = (chain[0] as ShardReader).head;
  const files = layout.regions.map((region) => encodeURIComponent(region.name));
  zeroRegions(folder, new Set(files));
  const fds = new Map<PlacedRegion, number>();
  try {
    for (const [index, region] of layout.regions.entries()) {
      const fd = openInPlace(join(folder, files[index] as string));
      fds.set(region, fd);
      const { size } = fstatSync(fd);
      if (size < region.bytes) ftruncateSync(fd, region.bytes);
      zeroFrom(fd, region.bytes, size);
    }
    let bytesSincePause = 0;
    for (const group of planOf(chain)) {
      const bytes = groupBytes(core, chain, group);
      if (!bytes.ok) return bytes;
      writeFully(fds.get(group.region) as number, bytes.value, group.offset);
      bytesSincePause += group.bytes;
      if (bytesSincePause < GIVE_WAY_BYTES) continue;
      bytesSincePause = 0;
      await giveWay();
    }
    return ok(layout.bytes);
  } finally {
    for (const fd of fds.values()) closeSync(fd);
  }
}

/** A mailbox of another version must not be taken for this one's, so without one the file goes. */
export function restoreMailbox(path: string, mailbox: Uint8Array | null): void {
  if (mailbox === null) rmSync(path, { force: true });
  else writeFileSync(path, mailbox);
}

/** Writes the version as a shard that needs no parent, to a temporary file that is then the caller's. */
export async function flattenChain(
  core: DigestCore,
  chain: readonly ShardReader[],
  to: { readonly path: string; readonly pool: ChunkPool },
): Promise<Result<WrittenShard, BadPage>> {
  const newest = chain[0] as ShardReader;
  const head: ShardHead = { ...newest.head, parent: null };
  const writer = await ShardWriter.create({ ...to, head, mailbox: newest.mailbox });
  const zeros = zeroDigests(core, head.layout);
  const runs = new RunList();
  let isWhole = false;
  try {
    let bytesSincePause = 0;
    for (const group of planOf(chain)) {
      await writer.room();
      const bytes = groupBytes(core, chain, group);
      if (!bytes.ok) return bytes;
      const from = group.firstPage * DIGEST_BYTES;
      const found = newest.tail.digests.subarray(from, from + group.pageCount * DIGEST_BYTES);
      // Pages that became zero need not be stored; telling them one by one would not be worth it.
      if (firstMismatch(zeros, group.firstPage, found, group.pageCount) !== null) {
        writer.append(bytes.value);
        runs.add(group.firstPage, group.pageCount);
      }
      bytesSincePause += group.bytes;
      if (bytesSincePause < GIVE_WAY_BYTES) continue;
      bytesSincePause = 0;
      await giveWay();
    }
    const tail = { digests: newest.tail.digests, runs: runs.runs() };
    const written = await writer.finish(core, head, tail);
    isWhole = true;
    return ok(written);
  } finally {
    if (isWhole) await writer.close();
    else await writer.discard();
  }
}
