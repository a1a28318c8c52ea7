/**
 * A simulated cluster that calls home: nodes with the real delivery machine, managers, one destination, one wire, a referee.
 */
import { Delivery } from "../../../agent/callhome/delivery.ts";
import {
  DEFAULT_TIMING,
  type DeliveryMachine,
  type DeliveryTiming,
} from "../../../agent/callhome/delivery-events.ts";
import { type Prng, prng } from "../../../agent/runtime/prng.ts";
import { SimTime } from "../../../agent/runtime/sim/sim-clock.ts";
import { SimDestination } from "./destination.ts";
import { SimManager } from "./manager.ts";
import { SimNode } from "./node.ts";
import { Referee } from "./referee.ts";
import { Wire } from "./wire.ts";

export interface WorldOptions {
  readonly seed: number;
  /** Whether each node has a direct way. */
  readonly nodes: readonly boolean[];
  readonly managerCount: number;
  /** Clocks run up to so much too fast or too slow. */
  readonly driftMax?: number;
  readonly timing?: Partial<DeliveryTiming>;
  readonly streamAgainMs?: number;
  /** Puts a defect around the decision code. */
  readonly wrap?: (machine: DeliveryMachine) => DeliveryMachine;
}

export class World {
  readonly time: SimTime = new SimTime();
  readonly random: Prng;
  readonly wire: Wire;
  readonly destination: SimDestination;
  readonly managers: readonly SimManager[];
  readonly nodes: readonly SimNode[];
  readonly referee: Referee;

  constructor(options: WorldOptions) {
    this.random = prng(options.seed);
    this.wire = new Wire(this.time, this.random.fork("wire"));
    this.destination = new SimDestination(this.wire, this.random.fork("destination"));
    this.referee = new Referee(this.time, this.destination);
    const names = Array.from({ length: options.managerCount }, (_, index) => `m${index + 1}`);
    this.managers = names.map((name) => {
      return new SimManager(name, this.wire, this.destination, this.random.fork(name));
    });
    for (const manager of this.managers) {
      manager.onRelayedAgain = (id) => this.referee.relayedAgain(id);
    }
    const timing = { ...DEFAULT_TIMING, heartbeatMs: null, ...options.timing };
    const wrap = options.wrap ?? ((machine) => machine);
    const drift = options.driftMax ?? 0;
    const rates = this.random.fork("rates");
    this.nodes = options.nodes.map((hasDirect, index) => {
      const name = `n${index + 1}`;
      const rate = 1 + (rates.unit() * 2 - 1) * drift;
      return new SimNode(
        { name, hasDirect, managers: names, rate },
        {
          time: this.time,
          wire: this.wire,
          random: this.random.fork(name),
          referee: this.referee,
          managers: this.managers,
          destination: this.destination,
          peers: () => this.nodes,
          make: (random) => wrap(new Delivery(random, timing)),
          ...(options.streamAgainMs === undefined ? {} : { streamAgainMs: options.streamAgainMs }),
        },
      );
    });
    for (const node of this.nodes) node.begin();
  }

  get node(): SimNode {
    return this.nodes[0] as SimNode;
  }

  get manager(): SimManager {
    return this.managers[0] as SimManager;
  }

  runMs(durationMs: number): void {
    const limitMs = this.time.nowMs() + durationMs;
    while (this.time.step(limitMs)) {
      // Each step is an event of the simulation; the referee looks on from within.
    }
  }

  /** Until everything is delivered; how long that took, or null. */
  settleMs(limitMs: number): number | null {
    const startMs = this.time.nowMs();
    while (this.time.nowMs() - startMs < limitMs) {
      if (this.referee.settled(this.nodes) === null) return this.time.nowMs() - startMs;
      this.runMs(50);
    }
    return this.referee.settled(this.nodes) === null ? this.time.nowMs() - startMs : null;
  }

  /** Of all that was acknowledged so far, the longest way to the destination; Infinity: one has not arrived. */
  delayMsMax(): number {
    return Math.max(
      0,
      ...this.referee.all().map(({ id }) => this.referee.delayMs(id) ?? Number.POSITIVE_INFINITY),
    );
  }
}
