/**
 * A node's checkpoint store as the simulator sees it: the contract of `agent/checkpoint/checkpoint.ts` with time, faults and
 * a content that can be told right from wrong, in place of bytes.
 *
 * As on the real disk a shard is named by version and epoch; one asked for without an epoch is of the newest.
 * A write is durable a while after it began and torn by a crash in between. A damaged shard is found when it is read and
 * leaves the holdings.
 */
import type {
  Holding,
  StoreCommand,
  StoreEvent,
  StoreFailure,
  Version,
} from "../../../agent/checkpoint/checkpoint.ts";
import { isOnLineage } from "../../../agent/checkpoint/checkpoint.ts";
import type { Epoch, NodeId } from "../../../agent/membership/membership.ts";
import type { Prng } from "../../../agent/runtime/prng.ts";
import type { SimTime } from "../../../agent/runtime/sim/sim-clock.ts";
import { initialState, type RankState } from "./workload.ts";

/** Deltas against one full shard: as many as the real store allows, so that chains are long enough to break. */
const CHAIN_DELTAS_MAX = 4;

export interface Shard {
  readonly job: string;
  readonly rank: number;
  readonly version: Version;
  readonly epoch: Epoch;
  readonly parent: Version | null;
  readonly state: RankState;
  sealed: boolean;
  damaged: boolean;
}

/** What the store needs of the node it lives on, and of the world. */
export interface StoreWorld {
  readonly time: SimTime;
  readonly prng: Prng;
  readonly node: NodeId;
  emit(event: StoreEvent): void;
  /** The protected regions of a rank, by the folder they lie in. */
  memory(regionsFolder: string): RankState | undefined;
  setMemory(regionsFolder: string, state: RankState): void;
  /** Another node's store, over the network; null when it cannot be reached in time. */
  call<T>(
    target: NodeId,
    serve: (store: SimStore, reply: (answer: T) => void) => void,
    answer: (value: T | null) => void,
  ): void;
  /** For the referee. */
  onDurable(shard: Shard): void;
  onSealed(shard: Shard): void;
}

type Captured = Extract<StoreCommand, { kind: "capture" }>;
type PutAnswer = "done" | StoreFailure;

export class SimStore {
  readonly #world: StoreWorld;
  #shards: Shard[] = [];
  #epoch = 0;
  #full = false;
  /** Raised by a crash: what was being written is torn. */
  #life = 0;

  constructor(world: StoreWorld) {
    this.#world = world;
  }

  setFull(full: boolean): void {
    this.#full = full;
  }

  raiseEpoch(epoch: number): void {
    if (epoch > this.#epoch) this.#epoch = epoch;
  }

  /** The process is gone: what is durable stays. */
  crash(): void {
    this.#life++;
    this.#epoch = 0;
  }

  wipe(): void {
    this.#shards = [];
    this.#full = false;
  }

  /** A scan of the disk, as at a start of the agent. */
  holdings(job?: string): readonly Holding[] {
    const held: Holding[] = [];
    for (const shard of this.#shards) {
      if (job !== undefined && shard.job !== job) continue;
      held.push(holdingOf(shard));
    }
    return held;
  }

  shards(): readonly Shard[] {
    return this.#shards;
  }

  /** Bits rot in one shard; nobody knows until it is read. */
  damageOne(prng: Prng): Shard | null {
    if (this.#shards.length === 0) return null;
    const shard = this.#shards[prng.below(this.#shards.length)] as Shard;
    shard.damaged = true;
    return shard;
  }

  execute(command: StoreCommand): void {
    if ("epoch" in command) this.raiseEpoch(command.epoch);
    switch (command.kind) {
      case "capture":
        this.#capture(command);
        break;
      case "seal":
        this.#seal(command);
        break;
      case "fetch":
        this.#fetch(command);
        break;
      case "restore":
        this.#restore(command);
        break;
      case "replicate":
        this.#replicate(command);
        break;
      case "collect":
        this.#collect(command);
        break;
    }
  }

  /** A shard that another node wants kept here. */
  put(shard: Shard, planEpoch: number, reply: (answer: PutAnswer) => void): void {
    if (planEpoch < this.#epoch) {
      reply("refused");
      return;
    }
    if (this.#full) {
      reply("no-space");
      return;
    }
    this.#write(() => {
      if (planEpoch < this.#epoch) {
        reply("refused");
        return;
      }
      this.#keep(shard);
      reply("done");
    });
  }

  /** The newest shard of a version with its whole chain, oldest first; damage is found now. */
  read(job: string, rank: number, version: Version): readonly Shard[] | null {
    const chain: Shard[] = [];
    let wanted: Version | null = version;
    while (wanted !== null) {
      const shard = this.#find(job, rank, wanted);
      if (shard === undefined) return null;
      if (shard.damaged) {
        this.#drop((s) => s === shard, job);
        return null;
      }
      chain.unshift(shard);
      wanted = shard.parent;
    }
    return chain;
  }

  #find(job: string, rank: number, version: Version): Shard | undefined {
    let best: Shard | undefined;
    for (const shard of this.#shards) {
      if (shard.job !== job || shard.rank !== rank || shard.version !== version) continue;
      if (best !== undefined && best.epoch > shard.epoch) continue;
      best = shard;
    }
    return best;
  }

  #capture(command: Captured): void {
    const { token, job, rank, version, epoch, regions, partner } = command;
    const { time, prng } = this.#world;
    const path = regions[0]?.path ?? "";
    const state = this.#world.memory(path.slice(0, path.lastIndexOf("/")));
    const life = this.#life;
    time.after(0.5 + prng.unit() * 2, () => {
      if (life !== this.#life) return;
      if (state === undefined) {
        this.#fail(token, "io", `${path} cannot be read`);
        return;
      }
      if (this.#full) {
        this.#fail(token, "no-space", `no space left for version ${version}`);
        return;
      }
      this.#world.emit({ kind: "captured", token });
      const shard = this.#shardOf({ job, rank, version, epoch, state });
      let left = partner === null ? 1 : 2;
      let failed = false;
      const finish = (answer: PutAnswer | null) => {
        if (failed || life !== this.#life) return;
        if (answer !== "done") {
          failed = true;
          this.#fail(
            token,
            answer ?? "unreachable",
            `copy of version ${version} at ${partner?.node}`,
          );
          return;
        }
        if (--left === 0) this.#world.emit({ kind: "done", token, bytes: 4096 });
      };
      this.#write(() => {
        if (epoch < this.#epoch) {
          finish("refused");
          return;
        }
        this.#keep(shard);
        finish("done");
      });
      if (partner !== null) this.#sendTo(partner.node, [shard], epoch, finish);
    });
  }

  #shardOf(made: Pick<Shard, "job" | "rank" | "version" | "epoch" | "state">): Shard {
    let parent: Shard | undefined;
    for (const shard of this.#shards) {
      if (shard.job !== made.job || shard.rank !== made.rank || shard.version >= made.version)
        continue;
      if (parent === undefined || shard.version > parent.version) parent = shard;
    }
    const chain = parent === undefined ? 0 : this.#chainLength(parent);
    const isDelta = parent?.epoch === made.epoch && chain < CHAIN_DELTAS_MAX;
    return {
      ...made,
      parent: isDelta ? (parent?.version ?? null) : null,
      sealed: false,
      damaged: false,
    };
  }

  #chainLength(shard: Shard): number {
    let count = 1;
    let wanted = shard.parent;
    while (wanted !== null && count <= CHAIN_DELTAS_MAX) {
      const below: Version = wanted;
      const parent = this.#shards.find(
        (s) => s.job === shard.job && s.rank === shard.rank && s.version === below,
      );
      if (parent === undefined) return CHAIN_DELTAS_MAX;
      count++;
      wanted = parent.parent;
    }
    return count;
  }

  /** A target that lacks the parent is sent the whole state instead of a delta. */
  #sendTo(
    target: NodeId,
    chain: readonly Shard[],
    planEpoch: number,
    answer: (value: PutAnswer | null) => void,
  ): void {
    let index = 0;
    const next = (before: PutAnswer | null) => {
      const shard = chain[index];
      if (before !== "done" || shard === undefined) {
        answer(before);
        return;
      }
      index++;
      this.#world.call<PutAnswer>(
        target,
        (store, reply) => {
          const hasParent =
            shard.parent === null ||
            store.hasShard(shard.job, shard.rank, shard.parent, shard.epoch);
          store.put(hasParent ? { ...shard } : { ...shard, parent: null }, planEpoch, reply);
        },
        next,
      );
    };
    next("done");
  }

  hasShard(job: string, rank: number, version: Version, epoch: Epoch): boolean {
    return this.#shards.some(
      (s) => s.job === job && s.rank === rank && s.version === version && s.epoch === epoch,
    );
  }

  #seal(command: Extract<StoreCommand, { kind: "seal" }>): void {
    const life = this.#life;
    this.#world.time.after(0.5 + this.#world.prng.unit() * 4, () => {
      if (life !== this.#life) return;
      if (this.#full) {
        this.#fail(command.token, "no-space", `no space left for a seal`);
        return;
      }
      let found = false;
      for (const shard of this.#shards) {
        if (shard.job !== command.job || shard.version !== command.version) continue;
        if (shard.epoch !== command.epoch) continue;
        found = true;
        if (shard.sealed) continue;
        shard.sealed = true;
        this.#world.onSealed(shard);
      }
      if (!found) {
        this.#fail(command.token, "not-found", `version ${command.version} is not here`);
        return;
      }
      this.#tellHoldings(command.job);
      this.#world.emit({ kind: "done", token: command.token, bytes: 0 });
    });
  }

  #fetch(command: Extract<StoreCommand, { kind: "fetch" }>): void {
    const { token, job, rank, version, sources } = command;
    const life = this.#life;
    let index = 0;
    const attempt = () => {
      const source = sources[index++];
      if (source === undefined) {
        const names = sources.map((s) => s.node).join(", ");
        this.#fail(
          token,
          "not-found",
          `version ${version} of rank ${rank}: none of ${names} has it`,
        );
        return;
      }
      this.#world.call<readonly Shard[] | null>(
        source.node,
        (store, reply) => reply(store.read(job, rank, version)),
        (chain) => {
          if (life !== this.#life) return;
          if (chain === null) {
            attempt();
            return;
          }
          if (this.#full) {
            this.#fail(token, "no-space", `no space left for version ${version}`);
            return;
          }
          this.#write(() => {
            for (const shard of chain) this.#keep({ ...shard });
            this.#world.emit({ kind: "done", token, bytes: 4096 });
          });
        },
      );
    };
    attempt();
  }

  #restore(command: Extract<StoreCommand, { kind: "restore" }>): void {
    const { token, job, rank, version, regionsFolder } = command;
    const life = this.#life;
    this.#world.time.after(0.5 + this.#world.prng.unit() * 5, () => {
      if (life !== this.#life) return;
      let state = initialState(rank);
      if (version > 0) {
        const chain = this.read(job, rank, version);
        const newest = chain?.at(-1);
        if (newest === undefined) {
          this.#fail(token, "damaged", `version ${version} of rank ${rank} cannot be read here`);
          return;
        }
        state = newest.state;
      }
      this.#world.setMemory(regionsFolder, state);
      this.#world.emit({ kind: "done", token, bytes: 4096 });
    });
  }

  #replicate(command: Extract<StoreCommand, { kind: "replicate" }>): void {
    const { token, job, rank, version, epoch, partner } = command;
    const chain = this.read(job, rank, version);
    if (chain === null) {
      this.#fail(token, "not-found", `version ${version} is not here`);
      return;
    }
    const life = this.#life;
    this.#sendTo(partner.node, chain, epoch, (answer) => {
      if (life !== this.#life) return;
      if (answer === "done") this.#world.emit({ kind: "done", token, bytes: 4096 });
      else this.#fail(token, answer ?? "unreachable", `${partner.node} does not take the copy`);
    });
  }

  #collect(command: Extract<StoreCommand, { kind: "collect" }>): void {
    const { token, job, keepFrom, lineage } = command;
    const kept = this.#shards.filter(
      (s) => s.job === job && keepFrom !== null && s.version >= keepFrom && isOnLineage(s, lineage),
    );
    const wanted = new Set<Shard>(kept);
    for (const shard of kept) {
      let parent = shard.parent;
      while (parent !== null) {
        const below: Version = parent;
        const found = this.#shards.find(
          (s) =>
            s.job === job &&
            s.rank === shard.rank &&
            s.version === below &&
            isOnLineage(s, lineage),
        );
        if (found === undefined) break;
        wanted.add(found);
        parent = found.parent;
      }
    }
    this.#drop((s) => s.job === job && !wanted.has(s), job);
    this.#world.emit({ kind: "done", token, bytes: 0 });
  }

  /** Takes its time; nothing comes of it when the node crashes meanwhile. */
  #write(done: () => void): void {
    const life = this.#life;
    this.#world.time.after(1 + this.#world.prng.unit() * 15, () => {
      if (life === this.#life) done();
    });
  }

  #keep(shard: Shard): void {
    const index = this.#shards.findIndex(
      (s) =>
        s.job === shard.job &&
        s.rank === shard.rank &&
        s.version === shard.version &&
        s.epoch === shard.epoch,
    );
    if (index < 0) this.#shards.push(shard);
    else {
      const old = this.#shards[index] as Shard;
      this.#shards[index] = { ...shard, sealed: shard.sealed || old.sealed };
    }
    this.#world.onDurable(shard);
    this.#tellHoldings(shard.job);
  }

  #drop(isGone: (shard: Shard) => boolean, job: string): void {
    const before = this.#shards.length;
    this.#shards = this.#shards.filter((shard) => !isGone(shard));
    if (this.#shards.length !== before) this.#tellHoldings(job);
  }

  #tellHoldings(job: string): void {
    this.#world.emit({ kind: "holdings", job, holdings: this.holdings(job) });
  }

  #fail(token: number, failure: StoreFailure, detail: string): void {
    this.#world.emit({ kind: "failed", token, failure, detail: `${this.#world.node}: ${detail}` });
  }
}

function holdingOf(shard: Shard): Holding {
  const { job, rank, version, epoch, parent, sealed } = shard;
  return { job, rank, version, epoch, parent, sealed, bytes: 4096 };
}
