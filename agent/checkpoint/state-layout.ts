/**
 * Pages of a rank's state: its regions one after the other, each beginning a page of its own.
 *
 *   region 0: pages 0 … a−1    region 1: pages a … b−1    …    the last page of a region may be short
 *
 * A page index therefore names a region and an offset; two states may be compared page by page exactly when their regions
 * have the same names and sizes in the same order.
 */
import { PAGE_BYTES } from "../../core/abi.ts";
import { assert } from "../../core/assert.ts";

export interface ShardRegion {
  readonly name: string;
  readonly bytes: number;
}

export interface PlacedRegion extends ShardRegion {
  readonly firstPage: number;
  readonly pageCount: number;
}

export interface StateLayout {
  readonly regions: readonly PlacedRegion[];
  readonly pageCount: number;
  readonly bytes: number;
}

export function stateLayout(regions: readonly ShardRegion[]): StateLayout {
  let pageCount = 0;
  let bytes = 0;
  const placed = regions.map((region) => {
    const here = {
      name: region.name,
      bytes: region.bytes,
      firstPage: pageCount,
      pageCount: Math.ceil(region.bytes / PAGE_BYTES),
    };
    pageCount += here.pageCount;
    bytes += region.bytes;
    return here;
  });
  return { regions: placed, pageCount, bytes };
}

export function isSameLayout(a: StateLayout, b: StateLayout): boolean {
  return (
    a.regions.length === b.regions.length &&
    a.regions.every((region, index) => {
      const other = b.regions[index] as PlacedRegion;
      return region.name === other.name && region.bytes === other.bytes;
    })
  );
}

/** A stretch of pages inside one region, as bytes of that region. */
export interface RegionStretch {
  readonly region: PlacedRegion;
  readonly firstPage: number;
  readonly pageCount: number;
  readonly offset: number;
  readonly bytes: number;
}

/** Bytes of the pages [first, first + count), which may span regions. O(regions). */
export function bytesOfPages(layout: StateLayout, first: number, count: number): number {
  let bytes = 0;
  for (const stretch of stretchesOf(layout, first, count)) bytes += stretch.bytes;
  return bytes;
}

/** Cuts a run of pages at the borders of regions. O(log regions + pieces). */
export function* stretchesOf(
  layout: StateLayout,
  first: number,
  count: number,
): Generator<RegionStretch> {
  assert(first + count <= layout.pageCount, "a run ends inside the state");
  const end = first + count;
  for (let index = regionIndexOf(layout, first); first < end; index++) {
    const region = layout.regions[index] as PlacedRegion;
    const upTo = Math.min(end, region.firstPage + region.pageCount);
    if (upTo <= first) continue;
    const offset = (first - region.firstPage) * PAGE_BYTES;
    const ends = Math.min(region.bytes, (upTo - region.firstPage) * PAGE_BYTES);
    yield { region, firstPage: first, pageCount: upTo - first, offset, bytes: ends - offset };
    first = upTo;
  }
}

/** The last region that begins at or before the page; empty regions before it are stepped over by the caller. */
function regionIndexOf(layout: StateLayout, page: number): number {
  let low = 0;
  let high = layout.regions.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    const region = layout.regions[middle] as PlacedRegion;
    if (region.firstPage + region.pageCount > page) high = middle;
    else low = middle + 1;
  }
  return low;
}
