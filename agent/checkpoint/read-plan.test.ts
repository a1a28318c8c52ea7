/**
 * Goal: the read plan names, for every page, the newest shard that has it and where in its payload. Method: random regions
 * and chains against an oracle that goes page by page.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type PageGroup, RunList, readPlan } from "./read-plan.ts";
import { bytesOfPages, type StateLayout, stateLayout } from "./state-layout.ts";

const state = fc
  .array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 5 })
  .map((sizes) => stateLayout(sizes.map((bytes, index) => ({ name: `r${index}`, bytes }))));

const chains = state.chain((layout) => {
  const pages = fc.array(fc.boolean(), {
    minLength: layout.pageCount,
    maxLength: layout.pageCount,
  });
  return fc.record({
    layout: fc.constant(layout),
    chain: fc.array(pages, { minLength: 1, maxLength: 4 }),
    pagesMax: fc.integer({ min: 1, max: 9 }),
  });
});

type HasPages = readonly boolean[];

function runsOf(has: HasPages): Uint32Array {
  const list = new RunList();
  for (const [page, isThere] of has.entries()) if (isThere) list.add(page, 1);
  return list.runs();
}

/** Bytes of the pages below `page` that a shard has: where that page begins in its payload. */
function offsetOf(layout: StateLayout, has: HasPages, page: number): number {
  const below = has.slice(0, page).entries();
  return [...below].reduce((sum, [at, is]) => sum + (is ? bytesOfPages(layout, at, 1) : 0), 0);
}

function checkGroup(group: PageGroup, layout: StateLayout, chain: readonly HasPages[]): void {
  let offset = group.payloadOffset;
  for (let page = group.firstPage; page < group.firstPage + group.pageCount; page++) {
    const newest = chain.findIndex((has) => has[page] === true);
    expect(group.shard).toBe(newest === -1 ? null : newest);
    expect(page).toBeLessThan(group.region.firstPage + group.region.pageCount);
    if (newest === -1) continue;
    expect(offset).toBe(offsetOf(layout, chain[newest] as HasPages, page));
    offset += bytesOfPages(layout, page, 1);
  }
}

test("every page is read from the newest shard that has it, or is zero", () => {
  fc.assert(
    fc.property(chains, ({ layout, chain, pagesMax }) => {
      let next = 0;
      for (const group of readPlan(layout, chain.map(runsOf), pagesMax)) {
        expect(group.firstPage).toBe(next);
        expect(group.pageCount).toBeLessThanOrEqual(pagesMax);
        expect(group.bytes).toBe(bytesOfPages(layout, group.firstPage, group.pageCount));
        checkGroup(group, layout, chain);
        next += group.pageCount;
      }
      expect(next).toBe(layout.pageCount);
    }),
  );
});
