/**
 * Bringing a version of a rank here from other nodes, with every shard that it needs.
 *
 * Each shard of the chain may come from another source: they are tried in order, and what does not match its digests or
 * does not fit counts as not had. Nothing is put in place before the chain is whole, so a fetch that fails changes nothing.
 */
import type { Epoch } from "../../membership/membership.ts";
import type { ShardId } from "../chain.ts";
import type { ShardSource, StoreCommand, StoreFailure, Version } from "../checkpoint.ts";
import { describeShardError } from "../shard.ts";
import { syncFile } from "./durable.ts";
import { type JobShards, type StoredShard, storedShard } from "./job-shards.ts";
import { giveWay, ShardReader } from "./shard-reader.ts";
import { type Offered, type Pulled, pullShard } from "./shard-transfer.ts";
import { describe, fits, type StoreContext } from "./store-context.ts";
import { faultOfProblem, StoreFault } from "./store-fault.ts";

type Fetch = Extract<StoreCommand, { kind: "fetch" }>;

/** A link of the chain: here already, or in a temporary file. */
type Link =
  | { readonly kind: "held"; readonly shard: StoredShard; readonly parent: ShardId | null }
  | { readonly kind: "pulled"; readonly reader: ShardReader; readonly parent: ShardId | null };

class ChainFetch {
  readonly #context: StoreContext;
  readonly #job: JobShards;
  readonly #command: Fetch;
  readonly #signal: AbortSignal;
  readonly #links: Link[] = [];
  /** The worst of what the sources said of the link now looked for. */
  #fault: StoreFault | null = null;

  constructor(context: StoreContext, job: JobShards, command: Fetch, signal: AbortSignal) {
    this.#context = context;
    this.#job = job;
    this.#command = command;
    this.#signal = signal;
  }

  async run(): Promise<number> {
    try {
      await this.#link(this.#command.version, null);
      for (let next = this.#links.at(-1)?.parent ?? null; next !== null; ) {
        await this.#link(next.version, next.epoch);
        next = this.#links.at(-1)?.parent ?? null;
      }
      return await this.#keep();
    } finally {
      for (const link of this.#links) {
        if (link.kind !== "pulled") continue;
        link.reader.close();
        await this.#context.drop(link.reader.path);
      }
    }
  }

  async #link(version: Version, epoch: Epoch | null): Promise<void> {
    const { rank } = this.#command;
    const held =
      epoch === null
        ? this.#job.findVersion(rank, version, this.#command.epoch)
        : this.#job.find(rank, { version, epoch });
    if (held !== null) {
      this.#links.push({ kind: "held", shard: held, parent: held.parent });
      return;
    }
    this.#fault = null;
    for (const source of this.#command.sources) {
      const link = await this.#try(source, version, epoch);
      this.#signal.throwIfAborted();
      if (link === null) continue;
      this.#links.push(link);
      return;
    }
    const nobody = `${describe({ ...this.#command, version })}: no source holds it`;
    throw this.#fault ?? new StoreFault("not-found", nobody);
  }

  /** null: not had from there, and why is noted. */
  async #try(source: ShardSource, version: Version, epoch: Epoch | null): Promise<Link | null> {
    const { job, rank } = this.#command;
    const path = this.#context.temporaryPath();
    let held: StoredShard | null = null;
    const wants = (offer: Offered): boolean => {
      const here = this.#job.find(rank, { version, epoch: offer.epoch });
      held = here !== null && here.whole === offer.digest ? here : null;
      return held === null;
    };
    const name = { job, rank, version };
    const { limits, pass } = this.#context;
    const pulled = await pullShard(
      { from: source, name, epoch, path, limits, pass, signal: this.#signal },
      wants,
    );
    if (pulled.kind === "problem") {
      this.#note(faultOfProblem(pulled.problem, `${describe(name)}: ${pulled.detail}`));
      return null;
    }
    if (held !== null) {
      const shard: StoredShard = held;
      return { kind: "held", shard, parent: shard.parent };
    }
    return this.#verify(source, path, { ...pulled, version });
  }

  async #verify(
    source: ShardSource,
    path: string,
    wanted: Pulled & { readonly version: Version },
  ): Promise<Link | null> {
    const { core } = this.#context;
    const opened = ShardReader.open(path, core);
    let fault = opened.ok ? null : describeShardError(opened.error);
    if (opened.ok) {
      const reader = opened.value;
      const verified = await reader.verifyPayload(core, giveWay);
      fault = verified.ok ? this.#unfit(reader, wanted) : describeShardError(verified.error);
      if (fault === null) {
        const { parent } = reader.head;
        return { kind: "pulled", reader, parent };
      }
      reader.close();
    }
    await this.#context.drop(path);
    const what = describe({ ...this.#command, version: wanted.version });
    this.#note(new StoreFault("damaged", `${what} from ${source.node}: ${fault}`));
    return null;
  }

  /** null: it is the shard that was asked for. */
  #unfit(reader: ShardReader, wanted: Pulled & { readonly version: Version }): string | null {
    const { head } = reader;
    const { job, rank } = this.#command;
    const isNamed =
      head.job === job &&
      head.rank === rank &&
      head.version === wanted.version &&
      head.epoch === wanted.epoch;
    if (!isNamed) return "is another shard than was asked for";
    if (head.epoch > this.#command.epoch) return `was written under a later epoch, ${head.epoch}`;
    const child = this.#links.at(-1);
    const isFit = child?.kind !== "pulled" || fits(child.reader, reader);
    return isFit ? null : "is not the state that the version above builds on";
  }

  #note(fault: StoreFault): void {
    const weight: readonly StoreFailure[] = ["not-found", "unreachable", "damaged"];
    const isWorse = weight.indexOf(fault.failure) >= weight.indexOf(this.#fault?.failure ?? "io");
    if (this.#fault === null || isWorse) this.#fault = fault;
  }

  async #keep(): Promise<number> {
    const context = this.#context;
    const pulled = this.#links.filter((link) => link.kind === "pulled").map((link) => link.reader);
    for (const reader of pulled) await syncFile(reader.path);
    const shards = pulled.toReversed().map((reader) => ({ name: reader.head, path: reader.path }));
    await context.place(shards);
    for (const reader of pulled) this.#job.add(storedShard(reader));
    // Only a version that somebody sealed is fetched, and a sealed version is built on sealed ones.
    const ids = this.#links.map((link) => (link.kind === "held" ? link.shard : link.reader.head));
    await context.locks.run(`${this.#job.job} seals`, () => this.#job.seals.seal(ids));
    for (const id of ids) this.#job.markSealed(id);
    context.tellHoldings(this.#job);
    return pulled.reduce((sum, reader) => sum + reader.bytes, 0);
  }
}

export async function fetchVersion(context: StoreContext, command: Fetch): Promise<number> {
  const job = await context.job(command.job);
  return context.underEpoch(job, command.epoch, (signal) =>
    context.locks.run(`${command.job}/${command.rank}`, () =>
      new ChainFetch(context, job, command, signal).run(),
    ),
  );
}
