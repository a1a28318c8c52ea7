/**
 * Programs of a node without a quorum: they are paused, and go on only when it is certain that they still should.
 *
 * Under the view it froze with, a node goes on where it was. Under a later one the others may have gone on without it, so its
 * programs wait until the lead has said what becomes of them.
 */
import type { Epoch } from "../membership/membership.ts";
import type { EffectSink } from "./effects.ts";
import type { Programs } from "./programs.ts";

export class Pausing {
  readonly #programs: Programs;
  /** The epoch at which they were paused; null: they are not. */
  #sinceEpoch: Epoch | null = null;

  constructor(programs: Programs) {
    this.#programs = programs;
  }

  onFrozen(sink: EffectSink): void {
    this.#sinceEpoch ??= sink.epoch;
    for (const { job, rank } of this.#programs.all()) {
      sink.push({ kind: "pause-program", job, rank });
    }
  }

  onThawed(sink: EffectSink): void {
    if (this.#sinceEpoch === sink.epoch) this.onSettled(sink);
  }

  /** Whatever is left here by now is to go on. */
  onSettled(sink: EffectSink): void {
    if (this.#sinceEpoch === null) return;
    this.#sinceEpoch = null;
    for (const { job, rank } of this.#programs.all()) {
      sink.push({ kind: "continue-program", job, rank });
    }
  }

  /** The old proxy is ended, so they can only run into their next call, and idle there. */
  onAssigned(job: string, sink: EffectSink): void {
    if (this.#sinceEpoch === null) return;
    for (const { rank } of this.#programs.of(job)) {
      sink.push({ kind: "continue-program", job, rank });
    }
  }
}
