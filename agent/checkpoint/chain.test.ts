/**
 * Goal: chains and full shards follow their rules.
 * Method: small named chains, and the rule of the chain's cost over long random histories.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Epoch } from "../membership/membership.ts";
import { type ChainCost, chainOf, FULL_SHARD, isFullDue, withDelta } from "./chain.ts";
import type { Version } from "./checkpoint.ts";
import { CHAIN_DELTAS_MAX } from "./limits.ts";

describe("a chain", () => {
  test("goes from the newest to the full shard, or names what is missing", () => {
    const link = (version: number, parent: number | null) => ({
      version: version as Version,
      epoch: 1 as Epoch,
      parent: parent === null ? null : { version: parent as Version, epoch: 1 as Epoch },
    });
    const all = [link(1, null), link(2, 1), link(4, 2)];
    const find = (id: { version: number }) => all.find((one) => one.version === id.version) ?? null;
    const whole = chainOf(link(5, 4), find);
    expect(whole.ok && whole.value.map((one) => Number(one.version))).toEqual([5, 4, 2, 1]);
    expect(chainOf(link(5, 3), find)).toMatchObject({ ok: false, error: { version: 3 } });
    // A parent that is no older would make a chain without end.
    expect(chainOf(link(2, 4), find)).toMatchObject({ ok: false, error: { version: 4 } });
  });

  test("never grows longer than its bound, nor much larger than the state", () => {
    const stateBytes = 1000;
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 1000 }), { maxLength: 60 }), (deltas) => {
        let cost: ChainCost = FULL_SHARD;
        for (const bytes of deltas) {
          cost = isFullDue(cost, stateBytes) ? FULL_SHARD : withDelta(cost, bytes);
          expect(cost.deltaCount).toBeLessThanOrEqual(CHAIN_DELTAS_MAX);
          expect(cost.deltaBytes).toBeLessThanOrEqual(2 * stateBytes);
        }
      }),
    );
  });
});
