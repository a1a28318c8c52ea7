/**
 * Copies what changed in a rank's regions out of the memory it shares with the program, in one pass: a window of a region
 * is read into the core's memory, digested there, and those of its pages that differ from the base go to the writer.
 *
 * The program waits until this returns, so the pages do not change under it. Decides nothing: base and regions are given.
 */
import { closeSync, openSync } from "node:fs";
import { DIGEST_BYTES, PAGE_BYTES, WINDOW_BYTES } from "../../../core/abi.ts";
import { assert } from "../../../core/assert.ts";
import type { RegionFile } from "../checkpoint.ts";
import type { DigestCore } from "../page-digests.ts";
import { RunList } from "../read-plan.ts";
import type { ShardTail } from "../shard.ts";
import type { PlacedRegion, StateLayout } from "../state-layout.ts";
import { GIVE_WAY_BYTES, giveWay, readFully } from "./shard-reader.ts";
import type { ShardWriter } from "./shard-writer.ts";

export interface CaptureInput {
  readonly core: DigestCore;
  readonly layout: StateLayout;
  /** In the order of the layout's regions. */
  readonly files: readonly RegionFile[];
  /** Page digests of the base; same layout. */
  readonly base: Uint8Array;
  readonly writer: ShardWriter;
  readonly signal: AbortSignal;
}

const WORDS = DIGEST_BYTES / 4;

/** Runs of pages in `now` that differ from `base`, as [first, end) relative to `firstPage`. */
function changedRuns(
  now: Uint32Array,
  base: Uint32Array,
  firstPage: number,
  pageCount: number,
): readonly (readonly [number, number])[] {
  const runs: [number, number][] = [];
  for (let index = 0; index < pageCount; index++) {
    const at = (firstPage + index) * WORDS;
    const isSame =
      now[at] === base[at] &&
      now[at + 1] === base[at + 1] &&
      now[at + 2] === base[at + 2] &&
      now[at + 3] === base[at + 3];
    if (isSame) continue;
    const last = runs.at(-1);
    if (last !== undefined && last[1] === index) last[1]++;
    else runs.push([index, index + 1]);
  }
  return runs;
}

function wordsOf(bytes: Uint8Array): Uint32Array {
  assert(bytes.byteOffset % 4 === 0, "digests lie on words");
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

class Capture {
  readonly #input: CaptureInput;
  readonly #digests: Uint8Array;
  readonly #now: Uint32Array;
  readonly #base: Uint32Array;
  readonly #runs = new RunList();
  #bytesSincePause = 0;

  constructor(input: CaptureInput) {
    this.#input = input;
    this.#digests = new Uint8Array(input.layout.pageCount * DIGEST_BYTES);
    this.#now = wordsOf(this.#digests);
    this.#base = wordsOf(input.base);
  }

  async region(region: PlacedRegion, file: RegionFile): Promise<void> {
    if (region.bytes === 0) return;
    const fd = openSync(file.path, "r");
    try {
      for (let offset = 0; offset < region.bytes; offset += WINDOW_BYTES) {
        await this.#pause();
        await this.#input.writer.room();
        this.#window(fd, region, offset);
      }
    } catch (error) {
      if (error instanceof Error && error.message.startsWith("ends at ")) {
        const detail = `region '${region.name}' of ${region.bytes} bytes ${error.message}`;
        throw new Error(detail, { cause: error });
      }
      throw error;
    } finally {
      closeSync(fd);
    }
  }

  tail(): ShardTail {
    return { digests: this.#digests, runs: this.#runs.runs() };
  }

  /** No await in here: the core's window is shared with whatever else the Worker does. */
  #window(fd: number, region: PlacedRegion, offset: number): void {
    const { core, writer } = this.#input;
    const bytes = Math.min(WINDOW_BYTES, region.bytes - offset);
    const page = region.firstPage + offset / PAGE_BYTES;
    const pageCount = Math.ceil(bytes / PAGE_BYTES);
    const window = core.inputWindow();
    readFully(fd, window.subarray(0, bytes), offset);
    this.#digests.set(core.digestWindow(bytes), page * DIGEST_BYTES);
    for (const [first, end] of changedRuns(this.#now, this.#base, page, pageCount)) {
      writer.append(window.subarray(first * PAGE_BYTES, Math.min(end * PAGE_BYTES, bytes)));
      this.#runs.add(page + first, end - first);
    }
    this.#bytesSincePause += bytes;
  }

  async #pause(): Promise<void> {
    if (this.#bytesSincePause < GIVE_WAY_BYTES) return;
    this.#bytesSincePause = 0;
    await giveWay();
    this.#input.signal.throwIfAborted();
  }
}

/** The payload is with the writer, though not yet on disk, once this resolves. */
export async function capturePages(input: CaptureInput): Promise<ShardTail> {
  const capture = new Capture(input);
  for (const [index, region] of input.layout.regions.entries()) {
    await capture.region(region, input.files[index] as RegionFile);
  }
  return capture.tail();
}
