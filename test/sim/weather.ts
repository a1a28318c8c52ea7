/**
 * The faults of one history: which kinds are on and how strong is drawn first, then when and where each strikes.
 *
 * Some kinds are off in most histories, so that a rare combination of few is met as well as the storm of all. Nothing here
 * breaks what nobody can survive: a disk is replaced only while the members with their disks intact stay a majority.
 */
import { majorityOf, type NodeId, type View } from "../../agent/membership/membership.ts";
import type { Prng } from "../../agent/runtime/prng.ts";
import { CALM } from "../../agent/runtime/sim/sim-network.ts";
import type { Cluster } from "./world/cluster.ts";
import type { SimNode } from "./world/node.ts";

interface Fault {
  readonly name: string;
  /** In how many of the histories it is on at all. */
  readonly chance: number;
  /** How often against the others when it is on. */
  readonly weight: number;
  readonly needsJobs?: boolean;
  readonly strike: (storm: Storm) => void;
}

/** Durations are drawn so that short ones are the most frequent and long ones occur. */
function drawMs(random: Prng, minMs: number, maxMs: number): number {
  return minMs * (maxMs / minMs) ** random.unit();
}

export class Storm {
  readonly cluster: Cluster;
  readonly random: Prng;
  readonly #faults: readonly Fault[];
  readonly #meanMs: number;
  readonly #wipes: boolean;
  #over = false;
  struck = 0;

  /** `split`: nothing but long cuts. */
  constructor(cluster: Cluster, random: Prng, split = false) {
    this.cluster = cluster;
    this.random = random;
    const draw = random.fork("which");
    const kinds = FAULTS.filter((fault) => !(fault.needsJobs === true && cluster.membershipOnly));
    this.#faults = split ? [LONG_CUT] : kinds.filter((fault) => draw.unit() < fault.chance);
    this.#meanMs = split ? 4_000 : drawMs(draw, 400, 15_000);
    this.#wipes = draw.unit() < 0.3;
    const isBad = draw.unit() < 0.6;
    const conditions = {
      latencyMsMin: 0.1,
      latencyMsMax: draw.unit() < 0.2 ? drawMs(draw, 1, 60) : 0.8,
      lossRatio: isBad && draw.unit() < 0.5 ? drawMs(draw, 0.005, 0.2) : 0,
      duplicateRatio: isBad && draw.unit() < 0.5 ? drawMs(draw, 0.01, 0.3) : 0,
      reorderRatio: isBad && draw.unit() < 0.5 ? drawMs(draw, 0.01, 0.3) : 0,
      reorderMsMax: drawMs(draw, 2, 400),
    };
    cluster.network.setConditions(conditions);
    const names = this.#faults.map((fault) => fault.name).join(", ") || "none";
    cluster.log.say(
      "storm",
      `every ${Math.round(this.#meanMs)} ms one of: ${names}; loss ${conditions.lossRatio.toFixed(3)}, doubled ${conditions.duplicateRatio.toFixed(3)}, reordered ${conditions.reorderRatio.toFixed(3)}, latency up to ${conditions.latencyMsMax.toFixed(1)} ms`,
    );
  }

  begin(): void {
    if (this.#faults.length > 0) this.#next();
  }

  /** Everything is mended: from here on progress is owed. */
  end(): void {
    this.#over = true;
    const { cluster } = this;
    cluster.log.say("storm", "is over: everything is mended, progress is owed");
    cluster.heal();
    cluster.network.setConditions(CALM);
    for (const node of cluster.nodes) {
      node.disk.setFull(false);
      node.store.setFull(false);
      if (node.stopped) node.cont();
      if (!node.isUp) node.start(false);
      for (const program of node.host.programs()) {
        program.setSlowness(1);
        if (program.isStuck) node.host.killProgram(program);
      }
    }
  }

  later(ms: number, run: () => void): void {
    this.cluster.time.after(ms, () => {
      if (!this.#over) run();
    });
  }

  pick<T>(list: readonly T[]): T | undefined {
    return list[this.random.below(Math.max(1, list.length))];
  }

  upNode(): SimNode | undefined {
    return this.pick(this.cluster.living());
  }

  /** Down for a while, then back with the old disk, or with an empty one. */
  comeBack(node: SimNode): void {
    const wiped = this.#wipes && this.random.below(3) === 0;
    this.later(drawMs(this.random, 30, 12_000), () => {
      if (node.isUp) return;
      if (wiped && canLose(this.cluster, node)) node.wipe();
      node.start(false);
    });
  }

  #next(): void {
    // Exponential, so that faults come in bursts too.
    const waitMs = -Math.log(1 - this.random.unit()) * this.#meanMs;
    this.later(waitMs, () => {
      const total = this.#faults.reduce((sum, fault) => sum + fault.weight, 0);
      let at = this.random.unit() * total;
      for (const fault of this.#faults) {
        at -= fault.weight;
        if (at >= 0) continue;
        this.struck++;
        fault.strike(this);
        break;
      }
      this.#next();
    });
  }
}

/** Whether the cluster can still decide when this node's disk is replaced. */
function canLose(cluster: Cluster, lost: SimNode): boolean {
  const views = cluster.nodes.map((node) => node.savedView()).filter((view) => view !== null);
  const newest = Math.max(0, ...views.map((view) => view.epoch));
  // The two newest: a decided view may not have reached every disk yet.
  return views.every((view) => view.epoch < newest - 1 || hasMajority(cluster, view, lost.id));
}

function hasMajority(cluster: Cluster, view: View, lost: NodeId): boolean {
  const intact = view.members.filter(
    (m) => m.id !== lost && cluster.node(m.id).instance() === m.instance,
  );
  // One more than needed: the next view may be smaller by one that is dead already.
  return intact.length > majorityOf(view.members.length);
}

function split(storm: Storm): {
  readonly one: readonly SimNode[];
  readonly other: readonly SimNode[];
} {
  const { nodes } = storm.cluster;
  if (storm.random.below(2) === 0) {
    const alone = storm.pick(nodes) as SimNode;
    return { one: [alone], other: nodes.filter((node) => node !== alone) };
  }
  const one = nodes.filter(() => storm.random.below(2) === 0);
  return { one, other: nodes.filter((node) => !one.includes(node)) };
}

function cut(storm: Storm, oneWay: boolean): void {
  const { one, other } = split(storm);
  if (one.length === 0 || other.length === 0) return;
  storm.cluster.cut(one, other, oneWay);
  storm.later(drawMs(storm.random, 50, 12_000), () => storm.cluster.heal());
}

function stop(storm: Storm, wholeHost: boolean): void {
  const node = storm.upNode();
  if (node === undefined || node.stopped) return;
  node.stop(wholeHost);
  const { life } = node;
  storm.later(drawMs(storm.random, 20, 8_000), () => {
    if (node.life === life) node.cont();
  });
}

/** Longer than either side needs to find out. */
const LONG_CUT: Fault = {
  name: "long cut",
  chance: 1,
  weight: 1,
  strike: (storm) => {
    if (storm.cluster.network.cutCount() > 0) return;
    const { one, other } = split(storm);
    if (one.length === 0 || other.length === 0) return;
    storm.cluster.cut(one, other, storm.random.below(6) === 0);
    storm.later(drawMs(storm.random, 4_000, 16_000), () => storm.cluster.heal());
  },
};

const FAULTS: readonly Fault[] = [
  {
    name: "agent killed",
    chance: 0.6,
    weight: 3,
    strike: (storm) => {
      const node = storm.upNode();
      if (node === undefined) return;
      node.kill();
      storm.comeBack(node);
    },
  },
  {
    name: "power lost",
    chance: 0.5,
    weight: 2,
    strike: (storm) => {
      const node = storm.upNode();
      if (node === undefined) return;
      node.losePower();
      storm.comeBack(node);
    },
  },
  {
    name: "all power lost",
    chance: 0.08,
    weight: 0.3,
    strike: (storm) => {
      for (const node of storm.cluster.living()) {
        node.losePower();
        storm.later(drawMs(storm.random, 100, 5_000), () => {
          if (!node.isUp) node.start(false);
        });
      }
    },
  },
  { name: "cut", chance: 0.5, weight: 2, strike: (storm) => cut(storm, false) },
  { name: "one-way cut", chance: 0.3, weight: 1, strike: (storm) => cut(storm, true) },
  {
    name: "one pair cut",
    chance: 0.3,
    weight: 1,
    strike: (storm) => {
      const one = storm.pick(storm.cluster.nodes) as SimNode;
      const other = storm.pick(storm.cluster.nodes) as SimNode;
      if (one === other) return;
      storm.cluster.cut([one], [other], storm.random.below(2) === 0);
      storm.later(drawMs(storm.random, 50, 8_000), () => storm.cluster.heal());
    },
  },
  { name: "agent stopped", chance: 0.4, weight: 2, strike: (storm) => stop(storm, false) },
  { name: "host stopped", chance: 0.3, weight: 1, strike: (storm) => stop(storm, true) },
  {
    name: "link broken",
    chance: 0.4,
    weight: 2,
    strike: (storm) => {
      const peer = storm.pick(storm.cluster.nodes);
      if (peer !== undefined) storm.upNode()?.breakLink(peer.id);
    },
  },
  {
    name: "proxy killed",
    chance: 0.5,
    weight: 2,
    needsJobs: true,
    strike: (storm) => {
      const node = storm.upNode();
      const proxy = storm.pick(node?.host.proxies() ?? []);
      if (node === undefined || proxy === undefined) return;
      node.say(`its ${proxy.job === null ? "warm proxy" : `proxy of ${proxy.job}`} is killed`);
      node.host.killProxy(proxy);
    },
  },
  {
    name: "proxies' link broken",
    chance: 0.2,
    weight: 1,
    needsJobs: true,
    strike: (storm) => {
      const node = storm.upNode();
      const proxy = storm.pick(node?.host.proxies().filter((p) => p.job !== null) ?? []);
      if (proxy?.breakOneLink(storm.random) === true) node?.say("a link of its proxy breaks");
    },
  },
  {
    name: "program killed",
    chance: 0.5,
    weight: 2,
    needsJobs: true,
    strike: (storm) => {
      const node = storm.upNode();
      const program = storm.pick(node?.host.programs() ?? []);
      if (node === undefined || program === undefined) return;
      node.say(`rank ${program.rank} of ${program.job} is killed`);
      node.host.killProgram(program);
    },
  },
  {
    name: "program slow or stuck",
    chance: 0.3,
    weight: 1,
    needsJobs: true,
    strike: (storm) => {
      const node = storm.upNode();
      const program = storm.pick(node?.host.programs() ?? []);
      if (node === undefined || program === undefined) return;
      const isStuck = storm.random.below(3) === 0;
      node.say(`rank ${program.rank} of ${program.job} becomes ${isStuck ? "stuck" : "slow"}`);
      if (isStuck) program.makeStuck();
      else program.setSlowness(20);
      storm.later(drawMs(storm.random, 200, 5_000), () => {
        program.setSlowness(1);
        // Nobody but a user can tell a program that hangs from one that computes for long.
        if (program.isStuck) node.host.killProgram(program);
      });
    },
  },
  {
    name: "disk full",
    chance: 0.15,
    weight: 1,
    needsJobs: true,
    strike: (storm) => {
      const node = storm.upNode();
      if (node === undefined) return;
      storm.cluster.storeFaults++;
      node.say("its disk is full");
      node.store.setFull(true);
      storm.later(drawMs(storm.random, 200, 8_000), () => {
        node.say("its disk has room again");
        node.store.setFull(false);
      });
    },
  },
  {
    name: "shard damaged",
    chance: 0.2,
    weight: 1,
    needsJobs: true,
    strike: (storm) => {
      const node = storm.pick(storm.cluster.nodes);
      const shard = node?.store.damageOne(storm.random) ?? null;
      if (shard === null) return;
      storm.cluster.storeFaults++;
      node?.say(`bits rot in version ${shard.version} of rank ${shard.rank} of ${shard.job}`);
    },
  },
];
