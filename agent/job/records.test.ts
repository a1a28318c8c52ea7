/**
 * Goal: of two records of a job every node keeps the same one, and a lineage tells abandoned shards from living ones.
 * Method: pairs of records; random histories of rollbacks against a model that remembers which shards were abandoned.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isOnLineage, type Rollback } from "../checkpoint/checkpoint.ts";
import * as make from "./job-fixtures.ts";
import { HISTORY_LINES_MAX, RecordBook, revise, withRollback } from "./records.ts";

describe("records", () => {
  test("a higher epoch wins over a higher revision", () => {
    const book = new RecordBook([make.record({ epoch: make.epoch(2), revision: 9 })]);
    expect(book.adopt(make.record({ epoch: make.epoch(3), revision: 0 }))).toBe(true);
    expect(book.adopt(make.record({ epoch: make.epoch(2), revision: 10 }))).toBe(false);
    expect(book.get("j-00000001")?.epoch).toBe(make.epoch(3));
  });

  test("a revision under a new epoch counts from 0, under the same epoch one up", () => {
    const record = make.record({ revision: 4 });
    expect(revise(record, {}, null).revision).toBe(5);
    expect(revise(record, { epoch: make.epoch(7) }, null).revision).toBe(0);
  });

  test("the story of a job is bounded", () => {
    let record = make.record();
    for (let i = 0; i < HISTORY_LINES_MAX + 50; i++) {
      record = revise(record, {}, { atMs: i, what: `line ${i}` });
    }
    expect(record.history).toHaveLength(HISTORY_LINES_MAX);
    expect(record.history.at(-1)?.what).toBe(`line ${HISTORY_LINES_MAX + 49}`);
  });

  test("a version that was sealed is remembered, and never goes back", () => {
    const book = new RecordBook([make.record()]);
    book.noteSealed("j-00000001", make.version(5));
    book.noteSealed("j-00000001", make.version(4));
    expect(book.get("j-00000001")?.sealed).toBe(make.version(5));
  });
});

describe("lineage", () => {
  test("a shard is on the lineage exactly when no later rollback went below it", () => {
    const step = fc.record({
      checkpoints: fc.integer({ min: 0, max: 5 }),
      back: fc.integer({ min: 0, max: 9 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        let lineage: readonly Rollback[] = [];
        let alive: { version: number; epoch: number }[] = [];
        let abandoned: typeof alive = [];
        let next = 1;
        steps.forEach(({ checkpoints, back }, index) => {
          const now = index + 1;
          const base = alive.at(-1 - back)?.version ?? 0;
          lineage = withRollback(lineage, make.epoch(now), make.version(base));
          abandoned = abandoned.concat(alive.filter((shard) => shard.version > base));
          alive = alive.filter((shard) => shard.version <= base);
          for (let i = 0; i < checkpoints; i++) alive.push({ version: next++, epoch: now });
        });
        const isOn = (shard: { version: number; epoch: number }) =>
          isOnLineage(
            { version: make.version(shard.version), epoch: make.epoch(shard.epoch) },
            lineage,
          );
        expect(alive.every(isOn)).toBe(true);
        expect(abandoned.some(isOn)).toBe(false);
      }),
    );
  });
});
