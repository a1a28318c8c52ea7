/**
 * A job that computes on this node: its proxy, and the checkpoints its ranks take.
 *
 * Decides what becomes of a capture: copied → the program goes on; durable here and at the partner → the lead is told,
 * again and again until the version is sealed or a newer one is; failed → the program is told and the version never counts.
 */
import type { ShardSource, StoreEvent, StoreFailure, Version } from "../checkpoint/checkpoint.ts";
import type { Epoch, NodeId } from "../membership/membership.ts";
import type { ProxyToAgent } from "../proxy/proxy.ts";
import type { EffectSink } from "./effects.ts";
import type { AssignMessage, JobMessage, JobRecord, RunningRank } from "./job.ts";
import { type NodeParts, shardUrlOf } from "./parts.ts";
import type { Recovery } from "./recovery.ts";

type Capture = Extract<ProxyToAgent, { kind: "capture" }>;

/** Failures that do not pass by themselves. */
const LASTING: ReadonlySet<StoreFailure> = new Set(["no-space", "io", "too-large"]);

export class ActiveJob {
  readonly job: string;
  readonly epoch: Epoch;
  readonly proxy: number;
  readonly record: JobRecord;
  readonly #parts: NodeParts;
  readonly #assign: AssignMessage;
  readonly #captures = new Map<number, Capture & { told: boolean }>();
  /** Durable, not yet sealed: newest version a rank. */
  readonly #durable = new Map<number, Version>();
  /** Ranks whose user knows that their checkpoints fail. */
  readonly #warned = new Set<number>();

  constructor(parts: NodeParts, assign: AssignMessage, record: JobRecord, proxy: number) {
    this.#parts = parts;
    this.#assign = assign;
    this.job = record.spec.id;
    this.epoch = record.epoch;
    this.record = record;
    this.proxy = proxy;
  }

  running(): readonly RunningRank[] {
    const { pool, programs } = this.#parts;
    const { job, epoch } = this;
    const proxyPid = pool.pidOf(this.proxy);
    return programs
      .of(job)
      .filter((program) => !program.ending)
      .map(({ rank, pid }) => ({ job, rank, pid: pid ?? 0, epoch, proxyPid }));
  }

  /** Everybody is restored: the proxy wakes the programs that live, the others are started. */
  begin(recovery: Recovery, version: Version, sink: EffectSink): void {
    const { programs } = this.#parts;
    const { localRanks } = recovery;
    const mailboxes = localRanks.map((rank) => ({ rank, path: recovery.mailboxOf(rank) }));
    sink.push({
      kind: "tell-proxy",
      proxy: this.proxy,
      message: { kind: "resume", epoch: this.epoch, version, mailboxes },
    });
    for (const rank of localRanks) {
      const program = programs.get(this.job, rank);
      if (recovery.fresh.has(rank) || program === undefined) {
        programs.start(this.record, rank, sink);
      } else program.epoch = this.epoch;
    }
    this.#protect(version, localRanks, sink);
  }

  onCapture(message: Capture, sink: EffectSink): void {
    const token = sink.token();
    this.#captures.set(token, { ...message, told: false });
    sink.push({
      kind: "store",
      command: {
        kind: "capture",
        token,
        job: this.job,
        rank: message.rank,
        version: message.version,
        epoch: this.epoch,
        regions: message.regions,
        mailbox: message.mailbox,
        partner: this.#partnerOf(message.rank, sink),
      },
    });
  }

  /** Everything up to this version has its commit mark. */
  onSealed(version: Version): void {
    for (const [rank, durable] of this.#durable) {
      if (durable <= version) this.#durable.delete(rank);
    }
  }

  onStore(event: StoreEvent, lead: NodeId, sink: EffectSink): boolean {
    if (event.kind === "holdings") return false;
    const capture = this.#captures.get(event.token);
    if (capture === undefined) return false;
    this.#onCaptureEvent(capture, event, lead, sink);
    return true;
  }

  /** What the lead has not answered yet. */
  repeat(lead: NodeId, sink: EffectSink): void {
    for (const [rank, version] of this.#durable)
      sink.send(lead, this.#durableMessage(rank, version));
  }

  get hasUnsealed(): boolean {
    return this.#durable.size > 0;
  }

  /** The restored state gets its second copy again where the recovery left it with one. */
  #protect(version: Version, ranks: readonly number[], sink: EffectSink): void {
    if (version === 0) return;
    for (const rank of ranks) {
      const partner = this.#partnerOf(rank, sink);
      if (partner === null) continue;
      const held = this.#assign.holdings.find((h) => h.node === partner.node)?.holdings ?? [];
      if (held.some((h) => h.rank === rank && h.version === version && h.sealed)) continue;
      sink.push({
        kind: "store",
        command: {
          kind: "replicate",
          token: sink.token(),
          job: this.job,
          rank,
          version,
          epoch: this.epoch,
          partner,
        },
      });
    }
  }

  #onCaptureEvent(
    capture: Capture & { told: boolean },
    event: Exclude<StoreEvent, { kind: "holdings" }>,
    lead: NodeId,
    sink: EffectSink,
  ): void {
    const { rank, version } = capture;
    const failure = event.kind === "failed" ? event.detail : null;
    if (!capture.told) {
      capture.told = true;
      sink.push({
        kind: "tell-proxy",
        proxy: this.proxy,
        message: { kind: "captured", epoch: this.epoch, rank, version, failure },
      });
    }
    if (event.kind === "captured") return;
    this.#captures.delete(event.token);
    if (failure !== null) {
      this.#warn(rank, event, sink);
      sink.decide("checkpoint", this.job, `version ${version} of rank ${rank} failed: ${failure}`);
      return;
    }
    this.#warned.delete(rank);
    this.#durable.set(rank, version);
    sink.send(lead, this.#durableMessage(rank, version));
  }

  /** Once, until a checkpoint is kept again. A partner that has gone is replaced without anybody's help. */
  #warn(rank: number, event: StoreEvent, sink: EffectSink): void {
    if (event.kind !== "failed" || !LASTING.has(event.failure) || this.#warned.has(rank)) return;
    this.#warned.add(rank);
    const text = `its checkpoint is not kept: ${event.detail}. It goes on, but a fault would cost what it has done since the last that is kept`;
    sink.push({ kind: "warn", job: this.job, rank, text });
  }

  #durableMessage(rank: number, version: Version): JobMessage {
    return { kind: "durable", epoch: this.epoch, job: this.job, rank, version };
  }

  /** By the newest record and the view in force: a lost partner is replaced without a rollback. */
  #partnerOf(rank: number, sink: EffectSink): ShardSource | null {
    const record = this.#parts.book.get(this.job) ?? this.record;
    const member = sink.view?.members.find((m) => m.id === record.partners[rank]);
    return member === undefined ? null : { node: member.id, url: shardUrlOf(member) };
  }
}
