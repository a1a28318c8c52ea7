/**
 * Persist before it counts: what depends on a change waits here until the world says that the change is on disk.
 *
 * All changes of one step go out as one write of the whole (small) state. Continuations run in the order they were given.
 */
import type { SavedMembership } from "./membership-events.ts";
import type { Outbox } from "./outbox.ts";

interface Waiting {
  readonly token: number;
  readonly then: () => void;
}

export class Journal {
  readonly #outbox: Outbox;
  readonly #waiting: Waiting[] = [];
  #token = 0;
  #isDirty = false;

  constructor(outbox: Outbox) {
    this.#outbox = outbox;
  }

  /** The state changed; `then` once it is on disk. */
  write(then: () => void): void {
    if (!this.#isDirty) {
      this.#isDirty = true;
      this.#token++;
    }
    this.#waiting.push({ token: this.#token, then });
  }

  /** Nothing new to write, yet it depends on what was written: at once when that is on disk. */
  afterWrites(then: () => void): void {
    if (this.#waiting.length === 0) then();
    else this.#waiting.push({ token: this.#token, then });
  }

  /** At the end of a step. */
  flush(state: () => SavedMembership): void {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    this.#outbox.push({ kind: "persist", token: this.#token, state: state() });
  }

  persisted(token: number): void {
    while (this.#waiting.length > 0 && (this.#waiting[0] as Waiting).token <= token) {
      (this.#waiting.shift() as Waiting).then();
    }
  }
}
