/**
 * Commit marks on the shards that this node keeps, of its own ranks and of those whose copy it has.
 *
 * Decides nothing about when: the lead says seal, this node marks what it holds, says so, and lets go of what is older. A copy
 * on a node that runs no rank is marked as well: when its owner dies, nobody else could say that the version was sealed.
 */
import type { StoreEvent, Version } from "../checkpoint/checkpoint.ts";
import type { NodeId } from "../membership/membership.ts";
import type { EffectSink } from "./effects.ts";
import type { JobMessage, JobRecord } from "./job.ts";
import type { NodeParts } from "./parts.ts";
import { isOver } from "./records.ts";

/** Two versions are kept so that a fault while the newest is being sealed still finds one everywhere. */
const SEALED_KEPT = 2;

/**
 * Versions that nobody seals (a disk is full, a partner is away) would fill this disk too. The lead looks at no more than
 * these; the store keeps the newest sealed ones in any case.
 */
const UNSEALED_KEPT = 16;

type Seal = Extract<JobMessage, { kind: "seal" }>;

interface Marking {
  readonly message: Seal;
  readonly lead: NodeId;
}

export class SealKeeper {
  readonly #parts: NodeParts;
  readonly #onSealed: (job: string, version: Version) => void;
  readonly #marking = new Map<number, Marking>();

  constructor(parts: NodeParts, onSealed: (job: string, version: Version) => void) {
    this.#parts = parts;
    this.#onSealed = onSealed;
  }

  onSeal(message: Seal, lead: NodeId, sink: EffectSink): void {
    const { job, version, epoch } = message;
    const record = this.#parts.book.get(job);
    if (record === undefined || record.epoch !== epoch || isOver(record)) return;
    if (this.#parts.shards.sealed(job, record.lineage).includes(version)) {
      this.#acknowledge({ message, lead }, record, sink);
      return;
    }
    const isBeingMarked = ({ message: other }: Marking): boolean =>
      other.job === job && other.version === version && other.epoch === epoch;
    if ([...this.#marking.values()].some(isBeingMarked)) return;
    const token = sink.token();
    this.#marking.set(token, { message, lead });
    sink.push({ kind: "store", command: { kind: "seal", token, job, version, epoch } });
  }

  onStore(event: StoreEvent, sink: EffectSink): boolean {
    if (event.kind === "holdings") return false;
    const marking = this.#marking.get(event.token);
    if (marking === undefined) return false;
    this.#marking.delete(event.token);
    const record = this.#parts.book.get(marking.message.job);
    if (event.kind === "done" && record?.epoch === marking.message.epoch) {
      this.#acknowledge(marking, record, sink);
    }
    return true;
  }

  /** What is held of a job has changed. */
  onHoldings(job: string, sink: EffectSink): void {
    const record = this.#parts.book.get(job);
    if (record === undefined) return;
    const newest = new Map<number, { count: number; version: Version }>();
    for (const { rank, version, sealed } of this.#parts.shards.of(job)) {
      const known = newest.get(rank) ?? { count: 0, version };
      if (!sealed) known.count++;
      if (version > known.version) known.version = version;
      newest.set(rank, known);
    }
    const over = [...newest.values()].filter(({ count }) => count > UNSEALED_KEPT);
    if (over.length === 0) return;
    const lowest = Math.min(...over.map(({ version }) => version));
    const keepFrom = Math.max(0, lowest - UNSEALED_KEPT + 1) as Version;
    const { lineage } = record;
    const token = sink.token();
    sink.push({ kind: "store", command: { kind: "collect", token, job, keepFrom, lineage } });
  }

  #acknowledge({ message, lead }: Marking, record: JobRecord, sink: EffectSink): void {
    const { job, version, epoch } = message;
    this.#onSealed(job, version);
    this.#parts.book.noteSealed(job, version);
    sink.send(lead, { kind: "sealed", epoch, job, version });
    const { lineage } = record;
    const keepFrom = this.#parts.shards.sealed(job, lineage).at(-SEALED_KEPT);
    if (keepFrom === undefined) return;
    const token = sink.token();
    sink.push({ kind: "store", command: { kind: "collect", token, job, keepFrom, lineage } });
  }
}
