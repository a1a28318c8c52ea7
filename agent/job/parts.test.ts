/**
 * Goal: what a node can restore by itself is read from holdings rightly.
 * Method: small named lists of shards.
 */
import { describe, expect, test } from "bun:test";
import type { Holding } from "../checkpoint/checkpoint.ts";
import * as make from "./job-fixtures.ts";
import { holdsChain, LocalShards, onLineage } from "./parts.ts";

const delta = (v: number, parent: number): Holding =>
  make.holding(0, v, { parent: make.version(parent) });
const holds = (held: readonly Holding[], v: number, rank = 0) =>
  holdsChain(held, rank, make.version(v));

describe("a node's shards", () => {
  test("restore a version when they go down to a full shard", () => {
    const whole = [make.holding(0, 1), delta(2, 1), delta(3, 2)];
    expect(holds(whole, 3)).toBe(true);
    expect(holds(whole, 2)).toBe(true);
    expect(holds(whole, 9)).toBe(false);
    expect(holds([delta(2, 1), delta(3, 2)], 3)).toBe(false);
    expect(holds([make.holding(0, 3)], 3)).toBe(true);
  });

  test("of another rank or job do not count", () => {
    expect(holds([make.holding(1, 1)], 1)).toBe(false);
    const shards = new LocalShards([make.holding(0, 1, { job: "j-00000002" })]);
    expect(shards.has("j-00000001", 0, make.version(1), [])).toBe(false);
    expect(shards.has("j-00000002", 0, make.version(1), [])).toBe(true);
  });

  test("with a parent that is no older end the walk instead of going round", () => {
    expect(holds([delta(2, 3), delta(3, 2)], 3)).toBe(false);
  });

  test("that a rollback made void are left out", () => {
    const lineage = [{ epoch: make.epoch(3), base: make.version(1) }];
    const held = [
      make.holding(0, 1),
      delta(2, 1),
      make.holding(0, 3, { parent: make.version(1), epoch: make.epoch(3) }),
    ];
    expect(onLineage(held, lineage).map((h) => Number(h.version))).toEqual([1, 3]);
  });
});
