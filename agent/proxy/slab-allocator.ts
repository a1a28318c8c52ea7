/**
 * Which bytes of the slab are free? The program's side only: the proxy never allocates.
 *
 * First fit over a sorted list of free stretches; small blocks from the low end, large ones from the high end, so that many
 * small open receives never cut up the room a large transfer needs. O(stretches), at most one more than there are blocks.
 */
import { assert } from "../../core/assert.ts";

/** A cache line: two blocks never share one, and every number type is aligned. */
const GRAIN_BYTES = 64;
/** What counts as large. */
const LARGE_BYTES = 262_144;

export class SlabAllocator {
  readonly #free: { offset: number; bytes: number }[];
  readonly #used = new Map<number, number>();

  constructor(slabBytes: number) {
    this.#free = [{ offset: 0, bytes: slabBytes }];
  }

  /** Offset of a block, or -1: no room now. */
  allocate(bytes: number): number {
    const need = Math.max(GRAIN_BYTES, Math.ceil(bytes / GRAIN_BYTES) * GRAIN_BYTES);
    const isLarge = need >= LARGE_BYTES;
    const fits = (stretch: { readonly bytes: number }): boolean => stretch.bytes >= need;
    const index = isLarge ? this.#free.findLastIndex(fits) : this.#free.findIndex(fits);
    const stretch = this.#free[index];
    if (stretch === undefined) return -1;
    const offset = isLarge ? stretch.offset + stretch.bytes - need : stretch.offset;
    stretch.bytes -= need;
    if (!isLarge) stretch.offset += need;
    if (stretch.bytes === 0) this.#free.splice(index, 1);
    this.#used.set(offset, need);
    return offset;
  }

  release(offset: number): void {
    const bytes = this.#used.get(offset);
    assert(bytes !== undefined, "only what was allocated is released, once");
    this.#used.delete(offset);
    let index = this.#free.findIndex((stretch) => stretch.offset > offset);
    if (index < 0) index = this.#free.length;
    const before = this.#free[index - 1];
    const after = this.#free[index];
    const joinsBefore = before !== undefined && before.offset + before.bytes === offset;
    const joinsAfter = after !== undefined && offset + bytes === after.offset;
    if (joinsBefore && joinsAfter) {
      before.bytes += bytes + after.bytes;
      this.#free.splice(index, 1);
    } else if (joinsBefore) before.bytes += bytes;
    else if (joinsAfter) {
      after.offset = offset;
      after.bytes += bytes;
    } else this.#free.splice(index, 0, { offset, bytes });
  }

  get freeBytes(): number {
    return this.#free.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
