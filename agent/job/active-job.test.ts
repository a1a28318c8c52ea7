/**
 * Goal: a checkpoint that cannot be kept reaches the program and the user, once, and never the lead.
 * Method: one active job, the store's answers given by hand.
 */
import { describe, expect, test } from "bun:test";
import type { StoreFailure } from "../checkpoint/checkpoint.ts";
import { ActiveJob } from "./active-job.ts";
import { assignMessage } from "./assignment.ts";
import { EffectSink } from "./effects.ts";
import * as make from "./job-fixtures.ts";
import type { NodeEffect } from "./node-events.ts";
import { LocalShards } from "./parts.ts";
import { Programs } from "./programs.ts";
import { ProxyPool } from "./proxy-pool.ts";
import { RecordBook } from "./records.ts";

const LEAD = make.node("n2");

class Bench {
  readonly #sink = new EffectSink(make.config("n1"));
  readonly #active: ActiveJob;
  #version = 0;

  constructor() {
    const config = make.config("n1");
    const record = make.record();
    const view = make.view(2, "n1", "n2");
    this.#sink.setView(view);
    const parts = {
      config,
      book: new RecordBook([record]),
      pool: new ProxyPool(config.id, config.address),
      programs: new Programs(config),
      shards: new LocalShards([]),
    };
    const assign = assignMessage(record, view, make.reports(make.report("n1"), make.report("n2")));
    this.#active = new ActiveJob(parts, assign, record, 1);
  }

  /** Takes the next checkpoint; `failure` null: it is kept. Gives the effects after the capture was asked for. */
  checkpoint(failure: StoreFailure | null, isCopied = true): readonly NodeEffect[] {
    const sink = this.#sink;
    this.#version++;
    const version = make.version(this.#version);
    const regions = [{ name: "state", path: "/shm/state", bytes: 8 }];
    const epoch = make.epoch(2);
    this.#active.onCapture(
      { kind: "capture", epoch, rank: 0, version, regions, mailbox: null },
      sink,
    );
    const asked = sink.takeEffects().find((effect) => effect.kind === "store");
    const token = asked?.kind === "store" ? asked.command.token : 0;
    if (isCopied) this.#active.onStore({ kind: "captured", token }, LEAD, sink);
    const detail = `no room for version ${this.#version}: make some`;
    this.#active.onStore(
      failure === null
        ? { kind: "done", token, bytes: 8 }
        : { kind: "failed", token, failure, detail },
      LEAD,
      sink,
    );
    return sink.takeEffects();
  }
}

const warnings = (effects: readonly NodeEffect[]): readonly string[] =>
  effects.flatMap((effect) => (effect.kind === "warn" ? [effect.text] : []));

const toldLead = (effects: readonly NodeEffect[]): boolean =>
  effects.some((effect) => effect.kind === "send-job-message");

describe("a checkpoint that cannot be kept", () => {
  test("is told to the user once, until one is kept again", () => {
    const bench = new Bench();
    const first = bench.checkpoint("no-space");
    expect(warnings(first)).toHaveLength(1);
    expect(warnings(first)[0]).toContain("no room for version 1: make some");
    expect(warnings(bench.checkpoint("no-space"))).toEqual([]);
    expect(toldLead(bench.checkpoint(null))).toBe(true);
    expect(warnings(bench.checkpoint("io"))).toHaveLength(1);
  });

  test("is never told to the lead as durable", () => {
    expect(toldLead(new Bench().checkpoint("no-space"))).toBe(false);
  });

  test("is told to the program when it failed before it was copied", () => {
    const effects = new Bench().checkpoint("too-large", false);
    const told = effects.find((effect) => effect.kind === "tell-proxy");
    expect(told).toMatchObject({
      message: { kind: "captured", failure: expect.stringContaining("no room") },
    });
  });

  test("for a partner that has just gone is nothing to trouble a user with", () => {
    const bench = new Bench();
    expect(warnings(bench.checkpoint("unreachable"))).toEqual([]);
    expect(warnings(bench.checkpoint("refused"))).toEqual([]);
  });
});
