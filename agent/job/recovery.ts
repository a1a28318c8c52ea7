/**
 * One job's recovery on one node, from the lead's `assign` to `ready`, and on to `resume`.
 *
 * Decides the order: old proxy ended → warm proxy assigned → programs idle and the common state selected (in either order)
 * → shards fetched where they are missing → regions restored → ready. Nothing is restored before every living program
 * of the node is idle: it could still write. A fault on the way never hangs it: the node asks for a new epoch, and this recovery
 * is dropped with its epoch.
 */
import type { Selection, StoreEvent, Version } from "../checkpoint/checkpoint.ts";
import type { Epoch, NodeId } from "../membership/membership.ts";
import type { JobSecret, ProxyToAgent } from "../proxy/proxy.ts";
import type { EffectSink } from "./effects.ts";
import type { AssignMessage, JobMessage, JobSpec, RecoveryStage } from "./job.ts";
import { holdsChain, type NodeParts, onLineage } from "./parts.ts";
import { rankFiles } from "./programs.ts";
import { ranksOf } from "./records.ts";

export class Recovery {
  readonly job: string;
  readonly epoch: Epoch;
  readonly assign: AssignMessage;
  readonly localRanks: readonly number[];
  readonly #parts: NodeParts;
  /** Ranks that get a new process once restored. */
  readonly fresh: Set<number> = new Set();
  /** Store commands under way: token → what it is for. */
  readonly #pending = new Map<
    number,
    { readonly rank: number; readonly step: "fetch" | "restore" }
  >();
  readonly #restored = new Set<number>();
  proxy: number | null = null;
  selection: Selection | null = null;
  failure: string | null = null;
  #joined = false;
  #idle = false;
  #restoring = false;

  constructor(parts: NodeParts, assign: AssignMessage) {
    this.#parts = parts;
    this.assign = assign;
    this.job = assign.record.spec.id;
    this.epoch = assign.epoch;
    this.localRanks = ranksOf(assign.record, parts.config.id);
  }

  get stage(): RecoveryStage {
    if (this.isReady) return "restored";
    if (this.#restoring) return "restoring";
    if (this.selection !== null) return "selected";
    if (this.#idle) return "idle";
    return this.#joined ? "joined" : "assigned";
  }

  /** Restored and idle, or certain that it cannot be. */
  get isReady(): boolean {
    if (this.selection === null) return false;
    if (this.failure !== null || this.selection.version === null) return true;
    return this.#restored.size === this.localRanks.length;
  }

  /** What the lead is told, and told again. */
  stageMessage(): JobMessage {
    const { epoch, job, selection, failure } = this;
    if (this.isReady && selection !== null) {
      return { kind: "ready", epoch, job, selection, failure };
    }
    return { kind: "progress", epoch, job, stage: this.stage };
  }

  begin(sink: EffectSink): void {
    const { config, pool, programs } = this.#parts;
    const endpoint = this.assign.proxies.find((p) => p.node === config.id);
    this.proxy = endpoint === undefined ? null : pool.take(endpoint.port);
    if (this.proxy === null) {
      sink.wantEpoch(`${config.id} lost its warm proxy`);
      return;
    }
    for (const rank of this.localRanks) {
      programs.occupy(this.job, rank);
      if (!programs.isAlive(this.job, rank)) this.fresh.add(rank);
    }
    const { record } = this.assign;
    sink.push({
      kind: "tell-proxy",
      proxy: this.proxy,
      message: {
        kind: "assign",
        job: this.job,
        epoch: this.epoch,
        node: config.id,
        size: record.spec.ranks,
        placement: record.placement,
        proxies: this.assign.proxies,
        local: this.localRanks.map((rank) => {
          const { segment, regionsFolder } = rankFiles(config, this.job, rank);
          return { rank, segment, regionsFolder, fresh: this.fresh.has(rank) };
        }),
        checkpointEveryMs: record.spec.checkpointEveryMs,
        holdings: this.assign.holdings,
        lineage: record.lineage,
        poisoned: record.poisoned,
        everSealed: this.assign.everSealed,
        nextVersion: this.assign.nextVersion,
        idleWithinMs: config.idleWithinMs,
        secret: secretOf(record.spec),
      },
    });
  }

  onProxySays(message: ProxyToAgent, sink: EffectSink): void {
    const { config, programs } = this.#parts;
    if (message.kind === "joined") {
      this.#joined = true;
      sink.decide("joined", this.job, `${config.id}: proxies connected`);
    } else if (message.kind === "idle") {
      this.#idle = true;
      sink.decide("idle", this.job, `${config.id}: programs idle`);
    } else if (message.kind === "stuck") {
      this.fresh.add(message.rank);
      programs.end(this.job, message.rank, sink);
      sink.decide(
        "idle",
        this.job,
        `rank ${message.rank} did not reach a call within ${config.idleWithinMs} ms: started anew`,
      );
    } else if (message.kind === "selected") {
      this.selection = message.selection;
      const { version } = message.selection;
      const what =
        version === null ? "no state" : version === 0 ? "the start" : `version ${version}`;
      sink.decide("select", this.job, `${config.id}: proxies selected ${what}`);
    }
    this.#restoreWhenPossible(sink);
  }

  /** A program ended by itself meanwhile: it was waiting, so nothing of it is lost, it starts anew. */
  onProgramEnded(rank: number): void {
    this.fresh.add(rank);
  }

  onStore(event: StoreEvent, sink: EffectSink): boolean {
    if (event.kind === "holdings") return false;
    const pending = this.#pending.get(event.token);
    if (pending === undefined) return false;
    if (event.kind === "captured") return true;
    this.#pending.delete(event.token);
    if (event.kind === "failed") {
      this.failure ??= `${this.#parts.config.id}: rank ${pending.rank}: ${event.detail}`;
    } else if (pending.step === "fetch") {
      this.#restoreRank(pending.rank, sink);
    } else {
      this.#restored.add(pending.rank);
      if (this.isReady) {
        sink.decide("restore", this.job, `${this.#parts.config.id}: regions restored`);
      }
    }
    return true;
  }

  mailboxOf(rank: number): string {
    return rankFiles(this.#parts.config, this.job, rank).mailbox;
  }

  #restoreWhenPossible(sink: EffectSink): void {
    const version = this.selection?.version ?? null;
    if (this.#restoring || !this.#idle || version === null) return;
    this.#restoring = true;
    const { lineage } = this.assign.record;
    for (const rank of this.localRanks) {
      if (version === 0 || this.#parts.shards.has(this.job, rank, version, lineage)) {
        this.#restoreRank(rank, sink);
      } else {
        this.#fetchRank(rank, version, sink);
      }
    }
  }

  #fetchRank(rank: number, version: Version, sink: EffectSink): void {
    const holders = new Set<NodeId>();
    for (const { node, holdings } of this.assign.holdings) {
      if (node === this.#parts.config.id) continue;
      const usable = onLineage(holdings, this.assign.record.lineage);
      if (holdsChain(usable, rank, version)) holders.add(node);
    }
    const sources = this.assign.shardUrls.filter((source) => holders.has(source.node));
    const token = sink.token();
    this.#pending.set(token, { rank, step: "fetch" });
    sink.decide(
      "restore",
      this.job,
      `${this.#parts.config.id}: fetching version ${version} of rank ${rank} from ${sources.map((s) => s.node).join(", ") || "nobody"}`,
    );
    sink.push({
      kind: "store",
      command: {
        kind: "fetch",
        token,
        job: this.job,
        rank,
        version,
        epoch: this.epoch,
        sources,
      },
    });
  }

  #restoreRank(rank: number, sink: EffectSink): void {
    const { regionsFolder, mailbox } = rankFiles(this.#parts.config, this.job, rank);
    const token = sink.token();
    this.#pending.set(token, { rank, step: "restore" });
    sink.push({
      kind: "store",
      command: {
        kind: "restore",
        token,
        job: this.job,
        rank,
        version: this.selection?.version as Version,
        epoch: this.epoch,
        regionsFolder,
        mailboxPath: mailbox,
      },
    });
  }
}

function secretOf({ key, isEncrypted }: JobSpec): JobSecret | null {
  return key === undefined ? null : { key, isEncrypted: isEncrypted ?? false };
}
