/**
 * Segments and regions as files: made, mapped, removed. Folders are the agent's to choose; on a tmpfs (`/dev/shm`) nothing of
 * this ever touches a disk.
 */
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { ffiText, mappingPointer } from "../../../core/io/native.ts";
import { ERRNO, errno, libc } from "../../runtime/io/ffi.ts";
import { bellPathOf } from "../program.ts";
import { Segment } from "../segment.ts";
import { SEGMENT_BYTES } from "../segment-layout.ts";
import type { Memory } from "../transport.ts";

const O_RDWR = 2;
const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x80000;

export interface MappedSegment {
  readonly path: string;
  readonly segment: Segment;
  readonly memory: Memory;
}

/** Maps a whole file; both sides see each other's writes. */
export function mapFile(path: string): Memory {
  const u8 = Bun.mmap(path, { shared: true });
  return { u8, pointer: u8.byteLength > 1000 ? mappingPointer(u8) : 0 };
}

/** A new, empty segment under this name; whatever had the name before keeps its memory and loses the name. */
export function createSegment(path: string, rank: number, size: number): void {
  removeSegment(path);
  mkdirSync(dirname(path), { recursive: true });
  const partial = `${path}.new`;
  const fd = openSync(partial, "w+", 0o600);
  ftruncateSync(fd, SEGMENT_BYTES);
  closeSync(fd);
  const memory = mapFile(partial);
  new Segment(memory.u8).format(rank, size);
  if (libc.mkfifo(ffiText(bellPathOf(path)).pointer, 0o600) < 0 && errno() !== ERRNO.EEXIST) {
    throw new Error(`cannot make ${bellPathOf(path)}: error ${errno()}`);
  }
  renameSync(partial, path);
}

/** Throws with one line when the file is not there or is not a segment. */
export function openSegment(path: string): MappedSegment {
  if (statSync(path).size < SEGMENT_BYTES) throw new Error(`${path} is too short for a segment`);
  const memory = mapFile(path);
  const segment = new Segment(memory.u8);
  const checked = segment.check();
  if (!checked.ok) throw new Error(`${path} ${checked.error}`);
  return { path, segment, memory };
}

/** Opened for both directions, so that it neither blocks nor ends while the other side is away. */
export function openBell(path: string): number {
  const flags = O_RDWR | O_NONBLOCK | O_CLOEXEC;
  const fd = libc.open(ffiText(bellPathOf(path)).pointer, flags, 0);
  if (fd < 0) throw new Error(`cannot open ${bellPathOf(path)}: error ${errno()}`);
  return fd;
}

export function regionPath(regionsFolder: string, name: string): string {
  return join(regionsFolder, encodeURIComponent(name));
}

/** Memory that is shared with the proxy but no part of a checkpoint. */
export function sharedPath(segmentPath: string, name: string): string {
  return `${segmentPath}.shared-${encodeURIComponent(name)}`;
}

/** The segment and everything that belongs to it: pipe, socket, shared memory, mailboxes. */
export function removeSegment(path: string): void {
  const folder = dirname(path);
  const name = basename(path);
  let entries: readonly string[] = [];
  try {
    entries = readdirSync(folder);
  } catch {
    return;
  }
  for (const entry of entries) {
    if (entry === name || entry.startsWith(`${name}.`))
      rmSync(join(folder, entry), { force: true });
  }
}
