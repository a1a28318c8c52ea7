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
import { type RetainedShard, shardsToDelete } from "../../../agent/checkpoint/retention.ts";
import type { Epoch, NodeId } from "../../../agent/membership/membership.ts";
import type { Prng } from "../../../agent/runtime/prng.ts";
import type { SimTime } from "../../../agent/runtime/sim/sim-clock.ts";
import { initialState, type RankState } from "./workload.ts";

/** Deltas against one full shard: as many as the real store allows, so that chains are long enough to break. */
const CHAIN_DELTAS_MAX = 4;

interface ShardId {
  readonly version: Version;
  readonly epoch: Epoch;
}

export interface Shard extends ShardId {
  readonly job: string;
  readonly rank: number;
  readonly parent: ShardId | null;
  readonly state: RankState;
  sealed: boolean;
  damaged: boolean;
  /** Since when it lies here, for the referee. */
  keptMs: number;
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
  /** The plan in force, by job. */
  readonly #epochs = new Map<string, number>();
  /** What the next delta of a rank is taken against, by job and rank; in memory only. */
  readonly #bases = new Map<string, ShardId>();
  #full = false;
  /** Raised by a crash: what was being written is torn. */
  #life = 0;

  constructor(world: StoreWorld) {
    this.#world = world;
  }

  setFull(full: boolean): void {
    this.#full = full;
  }

  #raiseEpoch(job: string, epoch: number): void {
    if (epoch > this.#epochOf(job)) this.#epochs.set(job, epoch);
  }

  #epochOf(job: string): number {
    return this.#epochs.get(job) ?? 0;
  }

  /** The process is gone: what is durable stays. */
  crash(): void {
    this.#life++;
    this.#epochs.clear();
    this.#bases.clear();
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
    if ("epoch" in command) this.#raiseEpoch(command.job, command.epoch);
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
    if (planEpoch < this.#epochOf(shard.job)) {
      reply("refused");
      return;
    }
    if (this.#full) {
      reply("no-space");
      return;
    }
    this.#write(() => {
      if (planEpoch < this.#epochOf(shard.job)) {
        reply("refused");
        return;
      }
      this.#keep(shard);
      reply("done");
    });
  }

  /** The newest shard of a version up to an epoch, with its whole chain, oldest first; damage is found now. */
  read(job: string, rank: number, version: Version, epochMax: Epoch): readonly Shard[] | null {
    const chain: Shard[] = [];
    let shard = this.#newest(job, rank, version, epochMax);
    for (;;) {
      if (shard === undefined) return null;
      const found: Shard = shard;
      if (found.damaged) {
        this.#drop((s) => s === found, job);
        return null;
      }
      chain.unshift(found);
      if (found.parent === null) return chain;
      shard = this.find(job, rank, found.parent);
    }
  }

  find(job: string, rank: number, id: ShardId): Shard | undefined {
    return this.#shards.find(
      (s) => s.job === job && s.rank === rank && s.version === id.version && s.epoch === id.epoch,
    );
  }

  #newest(job: string, rank: number, version: Version, epochMax: Epoch): Shard | undefined {
    let best: Shard | undefined;
    for (const shard of this.#shards) {
      if (shard.job !== job || shard.rank !== rank || shard.version !== version) continue;
      if (shard.epoch > epochMax) continue;
      if (best === undefined || shard.epoch > best.epoch) best = shard;
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
        if (epoch < this.#epochOf(job)) {
          finish("refused");
          return;
        }
        this.#keep(shard);
        finish("done");
      });
      if (partner !== null) this.#sendTo(partner.node, [shard], epoch, finish);
    });
  }

  /** A delta is taken against a version that is sealed, or was restored, here. */
  #shardOf(made: Pick<Shard, "job" | "rank" | "version" | "epoch" | "state">): Shard {
    const base = this.#bases.get(`${made.job}/${made.rank}`);
    const parent = base === undefined ? undefined : this.find(made.job, made.rank, base);
    const isDelta =
      parent !== undefined &&
      parent.version < made.version &&
      this.#chainLength(parent) <= CHAIN_DELTAS_MAX;
    const id = isDelta ? { version: parent.version, epoch: parent.epoch } : null;
    return { ...made, parent: id, sealed: false, damaged: false, keptMs: 0 };
  }

  #chainLength(shard: Shard): number {
    let count = 1;
    for (let { parent } = shard; parent !== null; count++) {
      const next = this.find(shard.job, shard.rank, parent);
      if (next === undefined) return CHAIN_DELTAS_MAX + 1;
      parent = next.parent;
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
            shard.parent === null || store.find(shard.job, shard.rank, shard.parent) !== undefined;
          store.put(hasParent ? { ...shard } : { ...shard, parent: null }, planEpoch, reply);
        },
        next,
      );
    };
    next("done");
  }

  /** Who holds nothing of the version has nothing to mark, and is done. */
  #seal(command: Extract<StoreCommand, { kind: "seal" }>): void {
    const { token, job, version, epoch } = command;
    const life = this.#life;
    this.#world.time.after(0.5 + this.#world.prng.unit() * 4, () => {
      if (life !== this.#life) return;
      if (this.#full) {
        this.#fail(token, "no-space", "no space left for a seal");
        return;
      }
      const named = this.#shards.filter((s) => s.job === job && s.version === version);
      const written = Math.max(0, ...named.map((s) => s.epoch).filter((e) => e <= epoch));
      for (const shard of named) if (shard.epoch === written) this.#mark(shard);
      this.#tellHoldings(job);
      this.#world.emit({ kind: "done", token, bytes: 0 });
    });
  }

  #mark(shard: Shard): void {
    if (shard.sealed) return;
    shard.sealed = true;
    const key = `${shard.job}/${shard.rank}`;
    const base = this.#bases.get(key);
    if (base === undefined || base.version < shard.version) this.#bases.set(key, shard);
    this.#world.onSealed(shard);
  }

  #fetch(command: Extract<StoreCommand, { kind: "fetch" }>): void {
    const { token, job, rank, version, epoch, sources } = command;
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
        (store, reply) => reply(store.read(job, rank, version, epoch)),
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
            for (const shard of chain) this.#keep({ ...shard, sealed: true });
            this.#world.emit({ kind: "done", token, bytes: 4096 });
          });
        },
      );
    };
    attempt();
  }

  #restore(command: Extract<StoreCommand, { kind: "restore" }>): void {
    const { token, job, rank, version, epoch, regionsFolder } = command;
    const life = this.#life;
    this.#world.time.after(0.5 + this.#world.prng.unit() * 5, () => {
      if (life !== this.#life) return;
      let state = initialState(rank);
      if (version > 0) {
        const chain = this.read(job, rank, version, epoch);
        const newest = chain?.at(-1);
        if (newest === undefined) {
          this.#fail(token, "damaged", `version ${version} of rank ${rank} cannot be read here`);
          return;
        }
        state = newest.state;
        this.#bases.set(`${job}/${rank}`, newest);
      } else this.#bases.delete(`${job}/${rank}`);
      this.#world.setMemory(regionsFolder, state);
      this.#world.emit({ kind: "done", token, bytes: 4096 });
    });
  }

  #replicate(command: Extract<StoreCommand, { kind: "replicate" }>): void {
    const { token, job, rank, version, epoch, partner } = command;
    const chain = this.read(job, rank, version, epoch);
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

  /** By the real store's rule, with the real code. */
  #collect(command: Extract<StoreCommand, { kind: "collect" }>): void {
    const { token, job, keepFrom, lineage } = command;
    const isPinned = (shard: RetainedShard): boolean => {
      const base = this.#bases.get(`${job}/${shard.rank}`);
      return base !== undefined && base.version === shard.version && base.epoch === shard.epoch;
    };
    const mine = this.#shards.filter((shard) => shard.job === job);
    const gone = new Set<Shard>(shardsToDelete(mine, { keepFrom, lineage, isPinned }));
    this.#drop((shard) => gone.has(shard), job);
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
    shard.keptMs = this.#world.time.nowMs();
    const old = this.find(shard.job, shard.rank, shard);
    if (old === undefined) this.#shards.push(shard);
    else this.#shards[this.#shards.indexOf(old)] = { ...shard, sealed: shard.sealed || old.sealed };
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
  return { job, rank, version, epoch, parent: parent?.version ?? null, sealed, bytes: 4096 };
}
