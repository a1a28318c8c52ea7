/**
 * Keeps records: in the book at once, on disk as soon as the world can, and tells whoever wants to know.
 */
import type { NodeId } from "../membership/membership.ts";
import type { EffectSink } from "./effects.ts";
import type { JobRecord } from "./job.ts";
import type { RecordBook } from "./records.ts";

interface Writing {
  readonly record: JobRecord;
  readonly acknowledgeTo: NodeId | null;
}

export class RecordKeeper {
  readonly #book: RecordBook;
  readonly #writing = new Map<number, Writing>();

  constructor(book: RecordBook) {
    this.#book = book;
  }

  /**
   * Says whether the record was news. `acknowledgeTo` is told once it, or a newer one, is on disk; while an older write of
   * the job is under way nothing is said, since whoever waits for the word asks again.
   */
  keep(record: JobRecord, acknowledgeTo: NodeId | null, sink: EffectSink): boolean {
    if (this.#book.adopt(record)) {
      this.write(record, acknowledgeTo, sink);
      return true;
    }
    const job = record.spec.id;
    const isBeingWritten = [...this.#writing.values()].some((w) => w.record.spec.id === job);
    if (acknowledgeTo !== null && !isBeingWritten) acknowledge(record, acknowledgeTo, sink);
    return false;
  }

  /** Puts the record on disk; returns the token of the write. */
  write(record: JobRecord, acknowledgeTo: NodeId | null, sink: EffectSink): number {
    const token = sink.token();
    this.#writing.set(token, { record, acknowledgeTo });
    sink.push({ kind: "persist-record", token, record });
    return token;
  }

  onPersisted(token: number, sink: EffectSink): void {
    const written = this.#writing.get(token);
    this.#writing.delete(token);
    if (written === undefined || written.acknowledgeTo === null) return;
    acknowledge(written.record, written.acknowledgeTo, sink);
  }
}

function acknowledge(record: JobRecord, to: NodeId, sink: EffectSink): void {
  const { epoch, revision, spec } = record;
  sink.send(to, { kind: "recorded", epoch, job: spec.id, revision });
}
