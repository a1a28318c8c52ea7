/**
 * The checkpoint store of a node: carries out store commands, takes in what peers send. Runs in a Worker
 * (`store-worker.ts`); decides only what no other part can (parents, what is damaged), and answers every command with one
 * `done` or `failed`.
 *
 * Invariants: a shard that is told of in a `holdings` event is durable and matched its digests; a sealed one has its mark on
 * disk; of what is told nothing is lost by a crash at any moment.
 */
import { rm, unlink } from "node:fs/promises";
import { AssertionError, unreachable } from "../../../core/assert.ts";
import type { Epoch } from "../../membership/membership.ts";
import type { Pass } from "../../net/io/pass.ts";
import type { Holding, StoreCommand, StoreEvent, Version } from "../checkpoint.ts";
import { DEFAULT_LIMITS } from "../limits.ts";
import type { DigestCore } from "../page-digests.ts";
import { shardsToDelete } from "../retention.ts";
import { describeShardError } from "../shard.ts";
import { syncFile } from "./durable.ts";
import { detailOf, failureOf, isMissing } from "./io-failure.ts";
import { type StoredShard, storedShard } from "./job-shards.ts";
import { checkpointFolder, isJobName, jobFolder } from "./layout.ts";
import { restoreMailbox, restoreRegions, zeroRegions } from "./restore.ts";
import { giveWay, ShardReader } from "./shard-reader.ts";
import { captureVersion, sendToPartner } from "./store-capture.ts";
import { describe, StoreContext } from "./store-context.ts";
import { faultOf, faultOfProblem, StoreFault } from "./store-fault.ts";
import { fetchVersion } from "./store-fetch.ts";
import type { Admission, Arrival, StoreOptions } from "./store-messages.ts";
import { scanFolder } from "./store-scan.ts";

type Command<Kind extends StoreCommand["kind"]> = Extract<StoreCommand, { kind: Kind }>;

export class Store {
  readonly #context: StoreContext;
  readonly #busy = new Set<Promise<unknown>>();
  /** One line for each shard that was set aside at the start. */
  readonly damaged: readonly string[];

  private constructor(context: StoreContext, damaged: readonly string[]) {
    this.#context = context;
    this.damaged = damaged;
  }

  /** Rejects with `FolderError`. */
  static async open(
    options: StoreOptions,
    core: DigestCore,
    emit: (event: StoreEvent) => void,
  ): Promise<Store> {
    const folder = checkpointFolder(options.dataFolder);
    const { jobs, damaged } = await scanFolder(folder, core);
    const limits = { ...DEFAULT_LIMITS, ...options.limits };
    return new Store(new StoreContext({ folder, core, limits, emit, jobs }), damaged);
  }

  holdings(): readonly Holding[] {
    return [...this.#context.jobs.values()].flatMap((job) => job.holdings());
  }

  usePass(pass: Pass): void {
    this.#context.pass = pass;
  }

  execute(command: StoreCommand): void {
    void this.#track(this.#answer(command));
  }

  async raiseEpoch(job: string, epoch: Epoch): Promise<void> {
    if (isJobName(job)) (await this.#context.job(job)).raiseEpoch(epoch);
  }

  /** Waits for what is under way. */
  async close(): Promise<void> {
    while (this.#busy.size > 0) await Promise.all(this.#busy);
  }

  /** Decides whether what a peer sent becomes a shard. Leaves no temporary file. */
  admit(arrival: Arrival): Promise<Admission> {
    return this.#track(this.#answerArrival(arrival));
  }

  #track<T>(work: Promise<T>): Promise<T> {
    this.#busy.add(work);
    void work.finally(() => this.#busy.delete(work));
    return work;
  }

  async #answerArrival(arrival: Arrival): Promise<Admission> {
    try {
      return await this.#admit(arrival);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      const detail = `${describe(arrival)}: ${detailOf(error)}`;
      return { kind: "problem", problem: failureOf(error) ?? "io", detail };
    } finally {
      await this.#context.drop(arrival.path);
    }
  }

  async #answer(command: StoreCommand): Promise<void> {
    const { emit, folder } = this.#context;
    try {
      if (!isJobName(command.job)) throw new StoreFault("refused", `no job's name: ${command.job}`);
      const bytes = await this.#perform(command);
      emit({ kind: "done", token: command.token, bytes });
    } catch (error) {
      const what = "rank" in command ? `rank ${command.rank} of ${command.job}` : command.job;
      const version = "version" in command ? `version ${command.version} of ` : "";
      const fault = faultOf(error, `${version}${what}`, folder);
      emit({
        kind: "failed",
        token: command.token,
        failure: fault.failure,
        detail: fault.message,
      });
    }
  }

  #perform(command: StoreCommand): Promise<number> {
    switch (command.kind) {
      case "capture":
        return captureVersion(this.#context, command);
      case "fetch":
        return fetchVersion(this.#context, command);
      case "seal":
        return this.#seal(command);
      case "restore":
        return this.#restore(command);
      case "replicate":
        return this.#replicate(command);
      case "collect":
        return this.#collect(command);
      default:
        return unreachable(command, "store command");
    }
  }

  /** A node that holds nothing of the version has nothing to mark: done, with 0 bytes. */
  async #seal({ job: name, version, epoch }: Command<"seal">): Promise<number> {
    const context = this.#context;
    const job = await context.job(name);
    return context.underEpoch(job, epoch, async () => {
      const written = newestEpoch(job.shards(), version, epoch);
      if (written === null) return 0;
      const id = { version, epoch: written };
      const held = job.shards().filter((s) => s.version === version && s.epoch === written);
      await context.locks.run(`${name} seals`, () => job.seals.seal([id]));
      job.markSealed(id);
      context.tellHoldings(job);
      return held.reduce((sum, shard) => sum + shard.bytes, 0);
    });
  }

  async #restore(command: Command<"restore">): Promise<number> {
    const context = this.#context;
    const job = await context.job(command.job);
    return context.underEpoch(job, command.epoch, () =>
      context.locks.run(`${command.job}/${command.rank}`, async () => {
        if (command.version === 0) {
          zeroRegions(command.regionsFolder, new Set());
          restoreMailbox(command.mailboxPath, null);
          job.resetBase(command.rank, null);
          return 0;
        }
        return this.#restoreShard(command, this.#namedShard(command));
      }),
    );
  }

  #namedShard(command: Command<"restore"> | Command<"replicate">): StoredShard {
    const { rank, version, epoch } = command;
    const shard = this.#context.jobs.get(command.job)?.findVersion(rank, version, epoch) ?? null;
    if (shard !== null) return shard;
    throw new StoreFault("not-found", `${describe(command)} is not held here: fetch it`);
  }

  async #restoreShard(command: Command<"restore">, shard: StoredShard): Promise<number> {
    const context = this.#context;
    const job = await context.job(command.job);
    const chain = await context.openChain(job, shard);
    try {
      const restored = await restoreRegions(context.core, chain, command.regionsFolder);
      if (!restored.ok) throw await context.faultOfPage(job, chain, restored.error);
      const { head, tail, footer, mailbox } = chain[0] as ShardReader;
      restoreMailbox(command.mailboxPath, mailbox);
      job.resetBase(command.rank, {
        id: { version: shard.version, epoch: shard.epoch },
        state: footer.state,
        layout: head.layout,
        digests: tail.digests,
        cost: job.costOf(shard),
      });
      return restored.value;
    } finally {
      for (const reader of chain) reader.close();
    }
  }

  async #replicate(command: Command<"replicate">): Promise<number> {
    const context = this.#context;
    const job = await context.job(command.job);
    return context.underEpoch(job, command.epoch, async (signal) => {
      const shard = this.#namedShard(command);
      const reader = ShardReader.open(context.pathOf(shard), context.core);
      if (!reader.ok) {
        await context.setAside(job, shard);
        const fault = describeShardError(reader.error);
        throw new StoreFault("damaged", `${describe(shard)} cannot be used (${fault}): set aside`);
      }
      reader.value.close();
      // A delta goes as it is where its parent is; elsewhere the version goes in full.
      const sent = await sendToPartner(
        context,
        job,
        {
          path: context.pathOf(shard),
          written: reader.value,
          sealed: true,
          planEpoch: command.epoch,
          to: command.partner,
        },
        signal,
      );
      if (sent.kind === "kept") return shard.bytes;
      throw faultOfProblem(sent.problem, `${describe(shard)}: ${sent.detail}`);
    });
  }

  async #collect(command: Command<"collect">): Promise<number> {
    const context = this.#context;
    const job = context.jobs.get(command.job);
    if (job === undefined) return 0;
    if (command.keepFrom === null) {
      for (const running of job.running) running.controller.abort(new Error("the job is over"));
      await Promise.all([...job.running].map((running) => running.ended));
    }
    const going = shardsToDelete(job.shards(), {
      ...command,
      isPinned: (shard) => job.isPinned(shard),
    });
    for (const shard of going) {
      job.remove(shard);
      try {
        await unlink(context.pathOf(shard));
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
    }
    if (command.keepFrom === null) {
      context.jobs.delete(command.job);
      await rm(jobFolder(context.folder, command.job), { recursive: true, force: true });
    } else {
      await context.locks.run(`${command.job} seals`, () => job.seals.compact(job.shards()));
    }
    if (going.length > 0) context.tellHoldings(job);
    return going.reduce((sum, shard) => sum + shard.bytes, 0);
  }

  async #admit(arrival: Arrival): Promise<Admission> {
    const context = this.#context;
    const job = await context.job(arrival.job);
    const opened = ShardReader.open(arrival.path, context.core);
    if (!opened.ok) return damaged(arrival, describeShardError(opened.error));
    const reader = opened.value;
    try {
      const { head, footer } = reader;
      const isNamed =
        head.job === arrival.job &&
        head.rank === arrival.rank &&
        head.version === arrival.version &&
        head.epoch === arrival.epoch;
      if (!isNamed) return damaged(arrival, "is another shard than was announced");
      if (arrival.digest !== null && arrival.digest !== footer.whole.toHex()) {
        return damaged(arrival, "has another digest than was announced");
      }
      const parent = head.parent === null ? null : job.find(head.rank, head.parent);
      if (head.parent !== null && parent?.state !== head.parent.state.toHex()) {
        const detail = `version ${head.parent.version} is not held here: send a full shard`;
        return { kind: "problem", problem: "missing-parent", detail };
      }
      const verified = await reader.verifyPayload(context.core, giveWay);
      if (!verified.ok) return damaged(arrival, describeShardError(verified.error));
      await syncFile(arrival.path);
      await context.place([{ name: head, path: arrival.path }]);
      job.add(storedShard(reader));
      if (arrival.sealed) {
        await context.locks.run(`${job.job} seals`, () => job.seals.seal([head]));
        job.markSealed(head);
      }
      context.tellHoldings(job);
      return { kind: "kept" };
    } finally {
      reader.close();
    }
  }
}

/** The epoch that wrote a version: the newest up to `epochMax`; what is off the lineage was collected before. */
function newestEpoch(
  shards: readonly StoredShard[],
  version: Version,
  epochMax: Epoch,
): Epoch | null {
  let newest: Epoch | null = null;
  for (const shard of shards) {
    if (shard.version !== version || shard.epoch > epochMax) continue;
    if (newest === null || shard.epoch > newest) newest = shard.epoch;
  }
  return newest;
}

function damaged(arrival: Arrival, fault: string): Admission {
  return { kind: "problem", problem: "damaged", detail: `${describe(arrival)} ${fault}` };
}
