/**
 * What a node's store knows of one job: its shards, their seals, the epoch in force, and for each rank the version that the
 * next delta is taken against. In memory; the files are the truth and are changed first.
 */
import type { Epoch } from "../../membership/membership.ts";
import { type ChainCost, type ChainLink, chainOf, FULL_SHARD, type ShardId } from "../chain.ts";
import type { Holding, Version } from "../checkpoint.ts";
import type { StateLayout } from "../state-layout.ts";
import { shardFile } from "./layout.ts";
import type { SealJournal } from "./seal-journal.ts";
import type { ShardReader } from "./shard-reader.ts";

export interface StoredShard extends ChainLink {
  readonly job: string;
  readonly rank: number;
  readonly sealed: boolean;
  readonly bytes: number;
  /** Digests in hexadecimal: of the state, and of the shard. */
  readonly state: string;
  readonly whole: string;
}

/** A version whose page digests are at hand. */
export interface Base {
  readonly id: ShardId;
  readonly state: Uint8Array;
  readonly layout: StateLayout;
  readonly digests: Uint8Array;
  readonly cost: ChainCost;
}

/** Captured and not yet sealed, per rank: digests of 256 MiB take 1 MiB. */
const PENDING_MAX = 4;

function isSame(a: ShardId, b: ShardId): boolean {
  return a.version === b.version && a.epoch === b.epoch;
}

/** Something under way under an epoch: ended early once that epoch is over. */
export interface Running {
  readonly epoch: Epoch;
  readonly controller: AbortController;
  readonly ended: Promise<void>;
}

export class JobShards {
  readonly job: string;
  readonly seals: SealJournal;
  readonly running: Set<Running> = new Set();
  #epoch: Epoch = 0 as Epoch;
  readonly #shards = new Map<string, StoredShard>();
  readonly #bases = new Map<number, Base>();
  readonly #pending = new Map<number, Base[]>();

  constructor(job: string, seals: SealJournal) {
    this.job = job;
    this.seals = seals;
  }

  get epoch(): Epoch {
    return this.#epoch;
  }

  /** Ends what is under way under an older epoch. */
  raiseEpoch(epoch: Epoch): void {
    if (epoch <= this.#epoch) return;
    this.#epoch = epoch;
    for (const running of this.running) {
      if (running.epoch < epoch) running.controller.abort(new Error(`epoch ${epoch} holds now`));
    }
  }

  shards(): readonly StoredShard[] {
    return [...this.#shards.values()];
  }

  find(rank: number, id: ShardId): StoredShard | null {
    return this.#shards.get(keyOf(rank, id)) ?? null;
  }

  /**
   * The newest shard of a version that no later epoch than `epochMax` wrote. Sealed or not: whoever names a version has
   * learnt that somebody sealed it, so this node at most missed the mark.
   */
  findVersion(rank: number, version: Version, epochMax: Epoch): StoredShard | null {
    let best: StoredShard | null = null;
    for (const shard of this.#shards.values()) {
      if (shard.rank !== rank || shard.version !== version) continue;
      if (shard.epoch > epochMax) continue;
      if (best === null || shard.epoch > best.epoch) best = shard;
    }
    return best;
  }

  /** Newest first; the error is what is missing. */
  chain(shard: StoredShard): ReturnType<typeof chainOf<StoredShard>> {
    return chainOf(shard, (id) => this.find(shard.rank, id));
  }

  costOf(shard: StoredShard): ChainCost {
    const chain = this.chain(shard);
    if (!chain.ok) return FULL_SHARD;
    const deltas = chain.value.slice(0, -1);
    const deltaBytes = deltas.reduce((sum, delta) => sum + delta.bytes, 0);
    return { deltaCount: deltas.length, deltaBytes, lastDeltaBytes: deltas[0]?.bytes ?? 0 };
  }

  /** The file is in place. Sealed when the journal says so. */
  add(shard: Omit<StoredShard, "sealed">): void {
    this.#shards.set(keyOf(shard.rank, shard), { ...shard, sealed: this.seals.has(shard) });
  }

  remove(shard: StoredShard): void {
    this.#shards.delete(keyOf(shard.rank, shard));
    const base = this.#bases.get(shard.rank);
    if (base !== undefined && isSame(base.id, shard)) this.#bases.delete(shard.rank);
  }

  /** The journal was written. Returns the shards that this seals. */
  markSealed(id: ShardId): readonly StoredShard[] {
    const marked: StoredShard[] = [];
    for (const [key, shard] of this.#shards) {
      if (!isSame(shard, id)) continue;
      const sealed = { ...shard, sealed: true };
      this.#shards.set(key, sealed);
      marked.push(sealed);
      this.#promote(shard.rank, id);
    }
    return marked;
  }

  /** What the next delta of a rank is taken against: always a sealed version. */
  baseOf(rank: number): Base | null {
    return this.#bases.get(rank) ?? null;
  }

  /** A version is durable; once sealed it is the base. */
  addPending(rank: number, base: Base): void {
    // A version that is taken again replaces what was taken first.
    const others = (this.#pending.get(rank) ?? []).filter((other) => !isSame(other.id, base.id));
    this.#pending.set(rank, [...others, base].slice(-PENDING_MAX));
    if (this.seals.has(base.id)) this.#promote(rank, base.id);
  }

  /** After a restore nothing but what was restored can be built on; null: nothing at all. */
  resetBase(rank: number, base: Base | null): void {
    this.#pending.delete(rank);
    if (base === null) this.#bases.delete(rank);
    else this.#bases.set(rank, base);
  }

  isPinned(shard: { readonly rank: number } & ShardId): boolean {
    const base = this.#bases.get(shard.rank);
    if (base !== undefined && isSame(base.id, shard)) return true;
    return (this.#pending.get(shard.rank) ?? []).some((pending) => isSame(pending.id, shard));
  }

  holdings(): readonly Holding[] {
    return this.shards()
      .map(({ job, rank, version, epoch, parent, sealed, bytes }) => {
        return { job, rank, version, epoch, parent: parent?.version ?? null, sealed, bytes };
      })
      .sort((a, b) => a.rank - b.rank || a.version - b.version || a.epoch - b.epoch);
  }

  #promote(rank: number, id: ShardId): void {
    const pending = this.#pending.get(rank) ?? [];
    const base = pending.find((candidate) => isSame(candidate.id, id));
    if (base === undefined) return;
    const current = this.#bases.get(rank);
    if (current === undefined || current.id.version < id.version) this.#bases.set(rank, base);
    this.#pending.set(
      rank,
      pending.filter((candidate) => candidate.id.version > id.version),
    );
  }
}

function keyOf(rank: number, id: ShardId): string {
  return `${rank}/${shardFile(id.version, id.epoch)}`;
}

/** What the index keeps of a shard whose file was opened, hence checked. */
export function storedShard(
  reader: Pick<ShardReader, "head" | "footer" | "bytes">,
): Omit<StoredShard, "sealed"> {
  const { head, footer, bytes } = reader;
  return {
    job: head.job,
    rank: head.rank,
    version: head.version,
    epoch: head.epoch,
    parent:
      head.parent === null ? null : { version: head.parent.version, epoch: head.parent.epoch },
    bytes,
    state: footer.state.toHex(),
    whole: footer.whole.toHex(),
  };
}
