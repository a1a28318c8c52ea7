/**
 * Goal: a version gets its commit mark only when every rank is durable, and the next one only when every node has the mark.
 * Method: the sealing machine with a sink that keeps what it says; lost messages are simply not delivered.
 */
import { describe, expect, test } from "bun:test";
import { EffectSink } from "./effects.ts";
import * as make from "./job-fixtures.ts";
import { Sealing } from "./sealing.ts";

function seals(sink: EffectSink): string[] {
  return sink
    .takeEffects()
    .flatMap((effect) =>
      effect.kind === "send-job-message" && effect.message.kind === "seal"
        ? [`${effect.to} v${effect.message.version}`]
        : [],
    );
}

function sinkOf(): EffectSink {
  const sink = new EffectSink(make.config("n9"));
  sink.setView(make.view(2, "n1", "n2", "n9"));
  return sink;
}

describe("sealing", () => {
  test("a version with one rank not durable yet is not sealed", () => {
    const sink = sinkOf();
    const sealing = new Sealing(make.record(), make.version(0));
    sealing.onDurable(0, make.version(1), sink);
    expect(seals(sink)).toEqual([]);
    sealing.onDurable(1, make.version(1), sink);
    expect(seals(sink)).toEqual(["n1 v1", "n2 v1"]);
  });

  test("the next version waits until every node has sealed the one before", () => {
    const sink = sinkOf();
    const sealing = new Sealing(make.record(), make.version(0));
    for (const v of [1, 2]) for (const r of [0, 1]) sealing.onDurable(r, make.version(v), sink);
    expect(seals(sink)).toEqual(["n1 v1", "n2 v1"]);
    expect(sealing.onSealed(make.node("n1"), make.version(1), sink)).toBeNull();
    expect(seals(sink)).toEqual([]);
    expect(sealing.onSealed(make.node("n2"), make.version(1), sink)).toBe(make.version(1));
    expect(seals(sink)).toEqual(["n1 v2", "n2 v2"]);
  });

  test("a lost seal is said again, only to those who lack it", () => {
    const sink = sinkOf();
    const sealing = new Sealing(make.record(), make.version(0));
    for (const rank of [0, 1]) sealing.onDurable(rank, make.version(1), sink);
    sealing.onSealed(make.node("n1"), make.version(1), sink);
    seals(sink);
    sealing.repeat(sink);
    expect(seals(sink)).toEqual(["n2 v1"]);
  });

  test("a new lead has the newest sealed version sealed everywhere before a newer one", () => {
    const sink = sinkOf();
    const sealing = new Sealing(make.record(), make.version(5));
    for (const rank of [0, 1]) sealing.onDurable(rank, make.version(6), sink);
    expect(seals(sink)).toEqual([]);
    sealing.repeat(sink);
    expect(seals(sink)).toEqual(["n1 v5", "n2 v5"]);
    for (const id of ["n1", "n2"]) sealing.onSealed(make.node(id), make.version(5), sink);
    expect(seals(sink)).toEqual(["n1 v6", "n2 v6"]);
  });

  test("when several versions wait, the newest complete one is sealed and the older are skipped", () => {
    const sink = sinkOf();
    const sealing = new Sealing(make.record(), make.version(0));
    for (const v of [1, 2, 3]) for (const r of [0, 1]) sealing.onDurable(r, make.version(v), sink);
    seals(sink);
    for (const id of ["n1", "n2"]) sealing.onSealed(make.node(id), make.version(1), sink);
    expect(seals(sink)).toEqual(["n1 v3", "n2 v3"]);
  });
});
