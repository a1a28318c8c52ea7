/**
 * Where each page of a state is read from, given a chain of shards: the newest shard that has the page, or nowhere, which
 * means zeros. Decides; reads nothing. Restoring, verifying and writing a chain as one full shard all follow this plan.
 *
 * Groups come in page order, never cross a region's border, lie in one piece in their shard's payload and cover every page
 * of the state exactly once. O(runs × length of the chain).
 */
import type { RegionStretch, StateLayout } from "./state-layout.ts";
import { bytesOfPages, stretchesOf } from "./state-layout.ts";

export interface PageGroup extends RegionStretch {
  /** Index in the chain, newest 0; null: the pages are zero. */
  readonly shard: number | null;
  /** Where the group begins in that shard's payload. */
  readonly payloadOffset: number;
}

/** Follows one shard's runs upwards. */
class RunCursor {
  readonly #layout: StateLayout;
  readonly #runs: Uint32Array;
  #index = 0;
  #page = 0;
  #offset = 0;

  constructor(layout: StateLayout, runs: Uint32Array) {
    this.#layout = layout;
    this.#runs = runs;
    this.#page = runs[0] ?? 0;
  }

  get first(): number {
    return this.#runs[this.#index] ?? Number.POSITIVE_INFINITY;
  }

  get end(): number {
    return this.first + (this.#runs[this.#index + 1] ?? 0);
  }

  /** Pages are asked for in rising order. */
  seek(page: number): void {
    while (this.end <= page) {
      this.#moveTo(this.end);
      this.#index += 2;
      this.#page = this.first;
    }
    if (this.first <= page) this.#moveTo(page);
  }

  get payloadOffset(): number {
    return this.#offset;
  }

  #moveTo(page: number): void {
    if (page > this.#page)
      this.#offset += bytesOfPages(this.#layout, this.#page, page - this.#page);
    this.#page = page;
  }
}

/** `chain` holds the runs of each shard, newest first. No group is longer than `pagesMax`. */
export function* readPlan(
  layout: StateLayout,
  chain: readonly Uint32Array[],
  pagesMax: number,
): Generator<PageGroup> {
  const cursors = chain.map((runs) => new RunCursor(layout, runs));
  for (let page = 0; page < layout.pageCount; ) {
    let end = Math.min(layout.pageCount, page + pagesMax);
    let shard: number | null = null;
    for (const [index, cursor] of cursors.entries()) {
      cursor.seek(page);
      if (cursor.first <= page) {
        end = Math.min(end, cursor.end);
        shard = index;
        break;
      }
      end = Math.min(end, cursor.first);
    }
    // A piece ends at a region's border too; what follows is a group of its own.
    const stretch = firstOf(stretchesOf(layout, page, end - page));
    const payloadOffset = shard === null ? 0 : (cursors[shard] as RunCursor).payloadOffset;
    yield { ...stretch, shard, payloadOffset };
    page += stretch.pageCount;
  }
}

function firstOf(stretches: Generator<RegionStretch>): RegionStretch {
  for (const stretch of stretches) return stretch;
  throw new RangeError("no page was asked for");
}

/** Collects changed pages, in page order, into runs. */
export class RunList {
  readonly #numbers: number[] = [];

  add(first: number, count: number): void {
    const numbers = this.#numbers;
    const last = numbers.length - 2;
    if (last >= 0 && (numbers[last] as number) + (numbers[last + 1] as number) === first) {
      numbers[last + 1] = (numbers[last + 1] as number) + count;
    } else {
      numbers.push(first, count);
    }
  }

  runs(): Uint32Array {
    return Uint32Array.from(this.#numbers);
  }
}
