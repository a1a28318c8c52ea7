/**
 * A lead's records on their way to every member's disk.
 *
 * Decides who lacks the newest record of a job, and says it to them again until each has acknowledged. One broadcast a job:
 * a newer record takes the place of an older one.
 */
import type { NodeId } from "../membership/membership.ts";
import type { EffectSink } from "./effects.ts";
import type { JobMessage, JobRecord } from "./job.ts";
import type { Reports } from "./planning.ts";

interface Broadcast {
  readonly record: JobRecord;
  readonly missing: Set<NodeId>;
  readonly acknowledged: Set<NodeId>;
}

type Recorded = Extract<JobMessage, { kind: "recorded" }>;

export class Broadcasts {
  readonly #self: NodeId;
  readonly #open = new Map<string, Broadcast>();

  constructor(self: NodeId) {
    this.#self = self;
  }

  clear(): void {
    this.#open.clear();
  }

  /** To every member whose report did not show this very record. */
  spread(record: JobRecord, reports: Reports, sink: EffectSink): void {
    const job = record.spec.id;
    const missing = new Set<NodeId>();
    const acknowledged = new Set<NodeId>();
    for (const { id } of sink.view?.members ?? []) {
      const theirs = reports.get(id)?.records.find((r) => r.spec.id === job);
      const has = theirs?.epoch === record.epoch && theirs.revision === record.revision;
      if (has) acknowledged.add(id);
      else missing.add(id);
    }
    if (missing.size === 0) return;
    const broadcast = { record, missing, acknowledged };
    this.#open.set(job, broadcast);
    this.#send(broadcast, sink);
  }

  /** How many members have the record on disk now; null when the word is about an older one. */
  onRecorded(from: NodeId, message: Recorded): number | null {
    const broadcast = this.#open.get(message.job);
    if (broadcast === undefined) return null;
    const { record, missing, acknowledged } = broadcast;
    if (record.epoch !== message.epoch || record.revision > message.revision) return null;
    missing.delete(from);
    acknowledged.add(from);
    if (missing.size === 0) this.#open.delete(message.job);
    return acknowledged.size;
  }

  repeat(sink: EffectSink): void {
    for (const broadcast of this.#open.values()) this.#send(broadcast, sink);
  }

  /** The own node keeps a record when it is written and acknowledges once it is on disk. */
  #send({ record, missing }: Broadcast, sink: EffectSink): void {
    for (const node of missing) {
      if (node !== this.#self) sink.send(node, { kind: "record", epoch: record.epoch, record });
    }
  }
}
