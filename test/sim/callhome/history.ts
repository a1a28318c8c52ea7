/**
 * One seeded history of calling home: a cluster, events, a storm of faults, then calm, in which everything is owed.
 *
 * Each seed first draws its cluster and which kinds of faults there are, so that rare mixtures come up; every fault that begins also ends,
 * at the latest when calm does.
 */

import type { Urgency } from "../../../agent/callhome/delivery-events.ts";
import { type Prng, prng } from "../../../agent/runtime/prng.ts";
import { Violation, type ViolationKind } from "../world/violation.ts";
import { World, type WorldOptions } from "./world.ts";

export interface CallhomeFailure {
  readonly kind: ViolationKind;
  readonly rule: string;
  readonly text: string;
}

export interface CallhomeResult {
  readonly seed: number;
  readonly failure: CallhomeFailure | null;
  readonly events: number;
  readonly steps: number;
  readonly faults: number;
  readonly failOvers: number;
  readonly duplicates: number;
  /** From the end of the storm until everything was delivered. */
  readonly settledMs: number | null;
  /** Of all that the machines did: one seed gives one. */
  readonly hash: string;
}

export interface CallhomeHistoryOptions {
  readonly seed: number;
  readonly seconds?: number;
  readonly wrap?: WorldOptions["wrap"];
  /** Changes the world itself: for defects outside the machine. */
  readonly change?: (world: World) => void;
}

/** Back-off ends after five minutes at the latest; what is refused without being said to be is tried a few times. */
const SETTLE_MS_MAX = 40 * 60_000;

/** Begins, and gives what ends it. */
type Fault = (world: World, random: Prng) => () => void;

function pick<T>(list: readonly T[], random: Prng): T {
  return list[random.below(list.length)] as T;
}

const FAULTS: Readonly<Record<string, Fault>> = {
  "a manager is killed": (world, random) => {
    const manager = pick(world.managers, random);
    if (manager.party.life !== "up") return () => undefined;
    manager.kill();
    return () => manager.start();
  },
  "a manager is stopped": (world, random) => {
    const { party } = pick(world.managers, random);
    party.stop();
    return () => party.goOn();
  },
  "a manager does not reach the destination": (world, random) => {
    const { name } = pick(world.managers, random).party;
    world.wire.cutBoth(name, "d");
    return () => world.wire.healBoth(name, "d");
  },
  "a manager cannot relay and does not say so": (world, random) => {
    const manager = pick(world.managers, random);
    const { name } = manager.party;
    manager.isSilentOnRelay = true;
    world.wire.cutBoth(name, "d");
    return () => {
      manager.isSilentOnRelay = false;
      world.wire.healBoth(name, "d");
    };
  },
  "a manager's disk is full": (world, random) => {
    const manager = pick(world.managers, random);
    manager.isDiskFull = true;
    return () => {
      manager.isDiskFull = false;
    };
  },
  "a node and a manager are cut off": (world, random) => {
    const node = pick(world.nodes, random).party.name;
    const { name } = pick(world.managers, random).party;
    world.wire.cutBoth(node, name);
    return () => world.wire.healBoth(node, name);
  },
  "what a manager answers is lost": (world, random) => {
    const node = pick(world.nodes, random).party.name;
    const { name } = pick(world.managers, random).party;
    world.wire.cut(name, node);
    return () => world.wire.heal(name, node);
  },
  "a node does not reach the destination": (world, random) => {
    const node = pick(world.nodes, random).party.name;
    world.wire.cutBoth(node, "d");
    return () => world.wire.healBoth(node, "d");
  },
  "the destination is killed": (world) => {
    if (world.destination.party.life !== "up") return () => undefined;
    world.destination.party.kill();
    return () => world.destination.party.rise();
  },
  "the destination is stopped": (world) => {
    world.destination.party.stop();
    return () => world.destination.party.goOn();
  },
  "the destination is slow": (world, random) => {
    world.destination.slowMs = random.below(15_000);
    return () => {
      world.destination.slowMs = 0;
    };
  },
  "the destination is busy": (world) => {
    world.destination.isBusy = true;
    return () => {
      world.destination.isBusy = false;
    };
  },
  "answers are lost": (world, random) => {
    world.wire.answerLoss = random.unit() * 0.5;
    return () => {
      world.wire.answerLoss = 0;
    };
  },
  "answers come twice": (world) => {
    world.wire.answerTwice = 0.5;
    return () => {
      world.wire.answerTwice = 0;
    };
  },
  "the network is slow": (world, random) => {
    world.wire.delayMsMax = 50 + random.below(3_000);
    return () => {
      world.wire.delayMsMax = 5;
    };
  },
  "a node is killed": (world, random) => {
    const node = pick(world.nodes, random);
    if (node.party.life === "killed") return () => undefined;
    node.kill();
    return () => node.restart();
  },
  "a node is stopped": (world, random) => {
    const { party } = pick(world.nodes, random);
    party.stop();
    return () => party.goOn();
  },
  "a node's disk is full": (world, random) => {
    const node = pick(world.nodes, random);
    node.isDiskFull = true;
    return () => {
      node.isDiskFull = false;
    };
  },
};

class Weather {
  readonly #world: World;
  readonly #random: Prng;
  readonly #faults: readonly Fault[];
  readonly #ends = new Set<() => void>();
  count = 0;

  constructor(world: World, random: Prng) {
    this.#world = world;
    this.#random = random;
    const share = 0.15 + random.unit() * 0.5;
    this.#faults = Object.values(FAULTS).filter(() => random.unit() < share);
  }

  strike(): void {
    if (this.#faults.length === 0) return;
    this.count++;
    const end = pick(this.#faults, this.#random)(this.#world, this.#random);
    this.#ends.add(end);
    const durationMs = 100 * 2 ** (this.#random.unit() * 9);
    this.#world.time.after(durationMs, () => this.#end(end));
  }

  calm(): void {
    for (const end of [...this.#ends]) this.#end(end);
    this.#world.wire.healAll();
  }

  #end(end: () => void): void {
    if (this.#ends.delete(end)) end();
  }
}

function drawWorld(options: CallhomeHistoryOptions): World {
  const random = prng(options.seed).fork("shape");
  const nodeCount = 1 + random.below(4);
  const nodes = Array.from({ length: nodeCount }, () => random.below(3) > 0);
  // Somebody reaches the destination some way.
  const managerCount = 1 + random.below(3);
  return new World({
    seed: options.seed,
    nodes,
    managerCount,
    driftMax: random.below(2) === 0 ? 0.002 : 0,
    ...(options.wrap === undefined ? {} : { wrap: options.wrap }),
  });
}

function raiseSome(world: World, random: Prng, untilMs: number): void {
  const isStormy = random.below(4) === 0;
  const poisons = random.below(3) === 0;
  const next = (): void => {
    if (world.time.nowMs() >= untilMs) return;
    const node = pick(world.nodes, random);
    const count = isStormy && random.below(20) === 0 ? 300 : 1;
    for (let index = 0; index < count; index++) {
      const isPoison = poisons && random.below(30) === 0;
      if (node.party.life === "up") {
        node.raise(random.below(5) as Urgency, false, isPoison ? "refused" : "none");
      }
    }
    world.time.after(random.unit() * 1_500, next);
  };
  world.time.after(1_000, next);
}

interface Play {
  readonly world: World;
  readonly weather: Weather;
  settledMs: number | null;
}

/** Throws a `Violation` where something is wrong. */
function playOut(play: Play, random: Prng, stormMs: number): void {
  const { world, weather } = play;
  raiseSome(world, random.fork("events"), stormMs);
  const gapMs = 500 * 2 ** (random.unit() * 5);
  while (world.time.nowMs() < stormMs) {
    world.runMs(random.unit() * gapMs);
    weather.strike();
  }
  weather.calm();
  play.settledMs = world.settleMs(SETTLE_MS_MAX);
  if (play.settledMs !== null) return;
  throw new Violation("liveness", "not delivered", world.referee.settled(world.nodes) ?? "");
}

function failureOf(cause: unknown): CallhomeFailure {
  if (cause instanceof Violation) {
    return { kind: cause.kind, rule: cause.rule, text: cause.message };
  }
  const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
  return { kind: "crash", rule: "crash", text };
}

export function runCallhomeHistory(options: CallhomeHistoryOptions): CallhomeResult {
  const random = prng(options.seed).fork("play");
  const world = drawWorld(options);
  for (const manager of world.managers) manager.knowsPermanent = random.below(2) === 0;
  options.change?.(world);
  const state: Play = {
    world,
    weather: new Weather(world, random.fork("weather")),
    settledMs: null,
  };
  let failure: CallhomeFailure | null = null;
  try {
    playOut(state, random, (options.seconds ?? 60) * 1_000);
  } catch (cause) {
    failure = failureOf(cause);
  }
  const { referee, nodes } = world;
  return {
    seed: options.seed,
    failure,
    events: referee.count,
    steps: nodes.reduce((sum, { steps }) => sum + steps, 0),
    faults: state.weather.count,
    failOvers: referee.failOvers,
    duplicates: referee.duplicates,
    settledMs: state.settledMs,
    hash: referee.hash(),
  };
}
