/**
 * Own health, as Lifeguard has it (Dadgar, Phillips, Currey: arXiv 1707.00788): 0 is good. Failed probes, nacks that did
 * not come, having to refute and being held up raise it; a probe that succeeds lowers it. Own probe intervals and
 * timeouts are stretched by `factor()`, so a node that is itself slow accuses late or never.
 */
import { assert } from "../../core/assert.ts";

export const AWARENESS_MAX = 8;

export class Awareness {
  #score = 0;

  raise(by: number): void {
    assert(by >= 0, "own health is raised, never lowered, by a failure");
    this.#score = Math.min(AWARENESS_MAX, this.#score + by);
  }

  lower(): void {
    if (this.#score > 0) this.#score--;
  }

  score(): number {
    return this.#score;
  }

  factor(): number {
    return this.#score + 1;
  }
}
