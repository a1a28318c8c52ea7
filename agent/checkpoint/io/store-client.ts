/**
 * The agent's handle on its checkpoint store, whose work is done in a Worker so that digesting 256 MiB never holds up a
 * probe. Keeps a copy of the holdings, so that reading them and serving a shard ask nobody.
 *
 * Commands of different ranks run side by side; those of one rank in the order given, except that a capture's writing and
 * sending goes on behind the next command. Every command is answered by `done` or `failed` with its token.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { AssertionError, assert } from "../../../core/assert.ts";
import { workerUrl } from "../../../core/io/worker-url.ts";
import type { Epoch } from "../../membership/membership.ts";
import type { Pass } from "../../net/io/pass.ts";
import type { Holding, StoreCommand, StoreEvent, Version } from "../checkpoint.ts";
import { DEFAULT_LIMITS, type StoreLimits } from "../limits.ts";
import { checkpointFolder, shardPath, temporaryFolder } from "./layout.ts";
import { ShardCache } from "./shard-cache.ts";
import type { Admission, Arrival, FromStore, StoreOptions, ToStore } from "./store-messages.ts";

/** The store cannot work with this data folder; `message` is the one line for the user. */
export class StoreOpenError extends Error {
  override readonly name = "StoreOpenError";
}

type Opened = Extract<FromStore, { kind: "opened" }>;

export interface FoundShard {
  readonly holding: Holding;
  readonly path: string;
}

export class StoreClient {
  readonly limits: StoreLimits;
  /** One line for each shard that did not match its digests when the folder was scanned. */
  readonly damagedAtStart: readonly string[];
  /** Shards of others, in memory. */
  readonly cache: ShardCache;
  readonly #worker: Worker;
  /** `checkpoints/` of the data folder. */
  readonly folder: string;
  readonly #holdings = new Map<string, readonly Holding[]>();
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  readonly #admissions = new Map<number, (admission: Admission) => void>();
  readonly #epochs = new Map<string, Epoch>();
  #admissionCount = 0;
  #closing: (() => void) | null = null;

  constructor(worker: Worker, options: StoreOptions, opened: Opened) {
    this.#worker = worker;
    this.damagedAtStart = opened.damaged;
    this.folder = checkpointFolder(options.dataFolder);
    this.limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.cache = new ShardCache(this.limits.partnerCacheBytes);
    for (const [job, held] of Map.groupBy(opened.holdings, (holding) => holding.job)) {
      this.#holdings.set(job, held);
    }
    worker.onmessage = (message: MessageEvent<FromStore>) => this.#hear(message.data);
    worker.onerror = (event) => {
      // The store is gone and nothing durable can be promised any more: crash-only, as for any broken assertion.
      throw new AssertionError(`checkpoint store: ${event.message}`);
    };
  }

  execute(command: StoreCommand): void {
    if ("epoch" in command) this.raiseEpoch(command.job, command.epoch);
    this.#tell({ kind: "command", command });
  }

  /** With what other nodes are asked from now on; before: in the clear. */
  usePass(pass: Pass): void {
    this.#tell({ kind: "pass", pass });
  }

  /** Returns what ends the subscription. */
  onEvent(callback: (event: StoreEvent) => void): () => void {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  }

  /** Of one job, or of all. */
  holdings(job?: string): readonly Holding[] {
    return job === undefined
      ? [...this.#holdings.values()].flat()
      : (this.#holdings.get(job) ?? []);
  }

  /**
   * The plan of a job in force, which every command raises too. Captures and copies of an older one are refused, also
   * those under way. Of a job and not of the node: a view may change without a job being touched.
   */
  raiseEpoch(job: string, epoch: Epoch): void {
    if (epoch <= this.epochOf(job)) return;
    this.#epochs.set(job, epoch);
    this.#tell({ kind: "epoch", job, epoch });
  }

  epochOf(job: string): Epoch {
    return this.#epochs.get(job) ?? (0 as Epoch);
  }

  /** The shard that `epoch` wrote; without an epoch the newest. */
  find(job: string, rank: number, version: Version, epoch: Epoch | null): FoundShard | null {
    let best: Holding | null = null;
    for (const holding of this.holdings(job)) {
      if (holding.rank !== rank || holding.version !== version) continue;
      if (epoch !== null && holding.epoch !== epoch) continue;
      if (best === null || holding.epoch > best.epoch) best = holding;
    }
    return best === null ? null : { holding: best, path: shardPath(this.folder, best) };
  }

  /** Where an arriving shard is written until it is admitted; cleaned at the next start should this one end. */
  arrivalPath(): string {
    return join(temporaryFolder(this.folder), `${randomUUID()}.tmp`);
  }

  /** Verifies the file, makes it durable and takes it over; on a problem the file is removed. */
  admit(arrival: Arrival): Promise<Admission> {
    const id = this.#admissionCount++;
    return new Promise((resolve) => {
      this.#admissions.set(id, resolve);
      this.#tell({ kind: "admit", id, arrival });
    });
  }

  /** Waits for what is under way to end; nothing may be asked afterwards. */
  close(): Promise<void> {
    assert(this.#closing === null, "a store is closed once");
    return new Promise((resolve) => {
      this.#closing = () => {
        this.#worker.terminate();
        resolve();
      };
      this.#tell({ kind: "close" });
    });
  }

  #replaceHoldings(job: string, holdings: readonly Holding[]): void {
    const gone = new Set((this.#holdings.get(job) ?? []).map((old) => shardPath(this.folder, old)));
    for (const held of holdings) gone.delete(shardPath(this.folder, held));
    for (const path of gone) this.cache.drop(path);
    if (holdings.length > 0) this.#holdings.set(job, holdings);
    else this.#holdings.delete(job);
  }

  #tell(message: ToStore): void {
    this.#worker.postMessage(message);
  }

  #hear(message: FromStore): void {
    switch (message.kind) {
      case "event":
        if (message.event.kind === "holdings") {
          this.#replaceHoldings(message.event.job, message.event.holdings);
        }
        for (const listener of this.#listeners) listener(message.event);
        return;
      case "admitted": {
        const resolve = this.#admissions.get(message.id);
        this.#admissions.delete(message.id);
        resolve?.(message.admission);
        return;
      }
      case "closed":
        this.#closing?.();
        return;
      case "opened":
      case "refused":
        throw new AssertionError(`checkpoint store: unexpected ${message.kind}`);
    }
  }
}

/** Scans the data folder, which takes as long as reading it. Rejects with `StoreOpenError`. */
export function openStore(options: StoreOptions): Promise<StoreClient> {
  const worker = new Worker(workerUrl("agent/checkpoint/io/store-worker.ts"));
  return new Promise((resolve, reject) => {
    const refuse = (detail: string): void => {
      worker.terminate();
      reject(new StoreOpenError(detail));
    };
    worker.onerror = (event) => refuse(`checkpoint store: ${event.message}`);
    worker.onmessage = (message: MessageEvent<FromStore>) => {
      const first = message.data;
      if (first.kind === "opened") resolve(new StoreClient(worker, options, first));
      else if (first.kind === "refused") refuse(first.detail);
    };
    worker.postMessage({ kind: "open", options } satisfies ToStore);
  });
}
