/**
 * Two-phase sealing of one job's versions, at the lead.
 *
 * Decides when a version gets its commit mark: first every rank's shard is durable at its owner and its partner, then all
 * nodes that keep one are told to seal, one version at a time. The next version is sealed only when every node has acknowledged
 * the one before, so whenever anybody holds v as sealed, everybody holds the version sealed before v, and
 * two kept versions are always enough.
 */
import type { Version } from "../checkpoint/checkpoint.ts";
import type { Epoch, NodeId } from "../membership/membership.ts";
import type { EffectSink } from "./effects.ts";
import type { JobRecord } from "./job.ts";
import { keepersOf } from "./records.ts";

/** Versions under way at a time; a checkpoint every few milliseconds must not grow this without end. */
const DURABLE_VERSIONS_MAX = 16;

export class Sealing {
  readonly #job: string;
  readonly #epoch: Epoch;
  readonly #nodes: readonly NodeId[];
  readonly #rankCount: number;
  readonly #durable = new Map<Version, Set<number>>();
  #current: { readonly version: Version; readonly missing: Set<NodeId> } | null = null;
  #newest: Version;

  /** `newest`: what somebody is known to have sealed; it is sealed everywhere before anything newer. */
  constructor(record: JobRecord, newest: Version) {
    this.#job = record.spec.id;
    this.#epoch = record.epoch;
    this.#nodes = keepersOf(record);
    this.#rankCount = record.spec.ranks;
    this.#newest = newest;
    if (newest > 0) this.#current = { version: newest, missing: new Set(this.#nodes) };
  }

  get epoch(): Epoch {
    return this.#epoch;
  }

  onDurable(rank: number, version: Version, sink: EffectSink): void {
    if (version <= this.#newest) {
      // The seal got lost on its way to that node: it says so by repeating itself. What is sealed is the newest, never
      // the version it speaks of: that one may have been skipped because another rank never finished it.
      for (const node of this.#nodes) this.#send(node, this.#newest, sink);
      return;
    }
    const ranks = this.#durable.get(version) ?? new Set<number>();
    this.#durable.set(version, ranks.add(rank));
    if (this.#durable.size > DURABLE_VERSIONS_MAX) {
      this.#durable.delete(Math.min(...this.#durable.keys()) as Version);
    }
    this.#advance(sink);
  }

  /** Says which version is now sealed on every node, if that is news. */
  onSealed(node: NodeId, version: Version, sink: EffectSink): Version | null {
    if (this.#current?.version !== version) return null;
    this.#current.missing.delete(node);
    if (this.#current.missing.size > 0) return null;
    this.#current = null;
    this.#advance(sink);
    return version;
  }

  repeat(sink: EffectSink): void {
    if (this.#current === null) return;
    for (const node of this.#current.missing) this.#send(node, this.#current.version, sink);
  }

  get isWaiting(): boolean {
    return this.#current !== null;
  }

  #advance(sink: EffectSink): void {
    if (this.#current !== null) return;
    let newest: Version | null = null;
    for (const [version, ranks] of this.#durable) {
      if (ranks.size === this.#rankCount && (newest === null || version > newest)) newest = version;
    }
    if (newest === null) return;
    for (const version of [...this.#durable.keys()]) {
      if (version <= newest) this.#durable.delete(version);
    }
    this.#newest = newest;
    this.#current = { version: newest, missing: new Set(this.#nodes) };
    this.repeat(sink);
  }

  #send(node: NodeId, version: Version, sink: EffectSink): void {
    sink.send(node, { kind: "seal", epoch: this.#epoch, job: this.#job, version });
  }
}
