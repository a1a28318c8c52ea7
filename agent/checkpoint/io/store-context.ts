/**
 * What the commands of a store share: its folder, core, memory and index, and the few steps that several of them take.
 * One a store; lives in its Worker.
 */
import { randomUUID } from "node:crypto";
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Epoch } from "../../membership/membership.ts";
import type { Pass } from "../../net/io/pass.ts";
import type { StoreEvent, Version } from "../checkpoint.ts";
import type { StoreLimits } from "../limits.ts";
import type { DigestCore } from "../page-digests.ts";
import { describeShardError } from "../shard.ts";
import { isSameLayout } from "../state-layout.ts";
import { ChunkPool } from "./chunk-pool.ts";
import { makeFolder, syncFolder } from "./durable.ts";
import { isMissing } from "./io-failure.ts";
import { JobShards, type Running, type StoredShard } from "./job-shards.ts";
import { rankFolder, type ShardName, sealsPath, shardPath, temporaryFolder } from "./layout.ts";
import { Locks } from "./locks.ts";
import type { BadPage } from "./restore.ts";
import { SealJournal } from "./seal-journal.ts";
import { ShardReader } from "./shard-reader.ts";
import { StoreFault } from "./store-fault.ts";
import { setAside } from "./store-scan.ts";

export class StoreContext {
  readonly folder: string;
  readonly core: DigestCore;
  readonly limits: StoreLimits;
  readonly pool: ChunkPool;
  readonly locks: Locks = new Locks();
  readonly emit: (event: StoreEvent) => void;
  readonly jobs: Map<string, JobShards>;
  /** As whom other nodes are asked; null: in the clear. Replaced in time. */
  pass: Pass | null = null;

  constructor(options: {
    readonly folder: string;
    readonly core: DigestCore;
    readonly limits: StoreLimits;
    readonly emit: (event: StoreEvent) => void;
    readonly jobs: Map<string, JobShards>;
  }) {
    this.folder = options.folder;
    this.core = options.core;
    this.limits = options.limits;
    this.emit = options.emit;
    this.jobs = options.jobs;
    this.pool = new ChunkPool(options.limits.copyBytesMax);
  }

  /** Known or new. */
  async job(name: string): Promise<JobShards> {
    const known = this.jobs.get(name);
    if (known !== undefined) return known;
    const job = new JobShards(name, await SealJournal.open(sealsPath(this.folder, name)));
    // Another command may have been faster while the journal was read.
    const first = this.jobs.get(name) ?? job;
    this.jobs.set(name, first);
    return first;
  }

  temporaryPath(): string {
    return join(temporaryFolder(this.folder), `${randomUUID()}.tmp`);
  }

  pathOf(shard: ShardName): string {
    return shardPath(this.folder, shard);
  }

  tellHoldings(job: JobShards): void {
    this.emit({ kind: "holdings", job: job.job, holdings: job.holdings() });
  }

  /** Runs under an epoch: refused when it is over, told through the signal when it ends meanwhile. */
  async underEpoch<T>(
    job: JobShards,
    epoch: Epoch,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    job.raiseEpoch(epoch);
    this.#refuseStale(job, epoch);
    const { promise, resolve } = Promise.withResolvers<void>();
    const running: Running = { epoch, controller: new AbortController(), ended: promise };
    job.running.add(running);
    try {
      return await work(running.controller.signal);
    } catch (error) {
      this.#refuseStale(job, epoch);
      if (running.controller.signal.aborted) throw new StoreFault("refused", `${job.job} is over`);
      throw error;
    } finally {
      job.running.delete(running);
      resolve();
    }
  }

  /** From temporary files that are synced to shards, oldest first; durable once it resolves. */
  async place(
    shards: readonly { readonly name: ShardName; readonly path: string }[],
  ): Promise<void> {
    const folders = new Set(shards.map(({ name }) => rankFolder(this.folder, name.job, name.rank)));
    for (const folder of folders) await makeFolder(folder);
    for (const { name, path } of shards) await rename(path, this.pathOf(name));
    for (const folder of folders) await syncFolder(folder);
  }

  /** The readers of a whole chain, newest first, which the caller closes. What proves damaged is set aside. */
  async openChain(job: JobShards, shard: StoredShard): Promise<readonly ShardReader[]> {
    const chain = job.chain(shard);
    if (!chain.ok) {
      const missing = `version ${chain.error.version} of epoch ${chain.error.epoch}`;
      throw new StoreFault("not-found", `${describe(shard)} builds on ${missing}, not held here`);
    }
    const readers: ShardReader[] = [];
    try {
      for (const link of chain.value) {
        const reader = await this.#openShard(job, link);
        readers.push(reader);
        if (!fits(readers.at(-2), reader)) {
          await this.setAside(job, chain.value[readers.length - 2] as StoredShard);
          const detail = `${describe(shard)} does not fit the version it builds on: fetch it anew`;
          throw new StoreFault("damaged", detail);
        }
      }
      return readers;
    } catch (error) {
      for (const reader of readers) reader.close();
      throw error;
    }
  }

  /** A page that does not match: its shard is set aside. */
  async faultOfPage(
    job: JobShards,
    chain: readonly ShardReader[],
    bad: BadPage,
  ): Promise<StoreFault> {
    const { head } = chain[bad.shard ?? 0] as ShardReader;
    const shard = job.find(head.rank, head);
    if (shard !== null) await this.setAside(job, shard);
    const detail = `page ${bad.page} of ${describe(head)} does not match its digest: set aside`;
    return new StoreFault("damaged", detail);
  }

  async setAside(job: JobShards, shard: StoredShard): Promise<void> {
    job.remove(shard);
    try {
      await setAside(this.pathOf(shard));
    } catch (error) {
      if (!isMissing(error)) throw error;
    } finally {
      this.tellHoldings(job);
    }
  }

  async drop(path: string): Promise<void> {
    await rm(path, { force: true });
  }

  async #openShard(job: JobShards, shard: StoredShard): Promise<ShardReader> {
    const path = this.pathOf(shard);
    let fault = "its file is gone";
    try {
      const opened = ShardReader.open(path, this.core);
      if (opened.ok) return opened.value;
      fault = describeShardError(opened.error);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    await this.setAside(job, shard);
    throw new StoreFault("damaged", `${describe(shard)} cannot be used (${fault}): set aside`);
  }

  #refuseStale(job: JobShards, epoch: Epoch): void {
    if (epoch >= job.epoch) return;
    throw new StoreFault("refused", `epoch ${epoch} of ${job.job} is over, ${job.epoch} holds`);
  }
}

/** Whether the older shard is the state that the newer one is a delta against. */
export function fits(newer: ShardReader | undefined, older: ShardReader): boolean {
  if (newer === undefined) return true;
  const parent = newer.head.parent;
  return (
    parent !== null &&
    parent.state.toHex() === older.footer.state.toHex() &&
    isSameLayout(newer.head.layout, older.head.layout)
  );
}

export function describe(shard: { job: string; rank: number; version: Version }): string {
  return `version ${shard.version} of rank ${shard.rank} of ${shard.job}`;
}
