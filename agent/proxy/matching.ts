/**
 * Which receive gets which message? One matcher a rank.
 *
 * A receive names a source and a tag, either may be ANY. Of the messages that fit it takes the one that arrived first; of
 * the receives that fit a message takes the one posted first. So messages of one sender that fit the same receives never
 * overtake one another, as MPI wants it.
 * Invariant: no posted receive fits a message in the unexpected queue. Both queues are scanned: O(length), and both are
 * bounded by their owners (open requests; eager credit).
 */
import { ANY } from "./segment-layout.ts";

export interface Wanted {
  readonly source: number;
  readonly tag: number;
}

export interface Labelled {
  readonly source: number;
  readonly tag: number;
}

function fits(wanted: Wanted, message: Labelled): boolean {
  return (
    (wanted.source === ANY || wanted.source === message.source) &&
    (wanted.tag === ANY || wanted.tag === message.tag)
  );
}

export class Matcher<R extends Wanted, M extends Labelled> {
  readonly #posted: R[] = [];
  readonly #unexpected: M[] = [];

  /** A receive is posted: the message it takes, or null and it waits. */
  post(receive: R): M | null {
    const index = this.#unexpected.findIndex((message) => fits(receive, message));
    if (index < 0) {
      this.#posted.push(receive);
      return null;
    }
    return this.#unexpected.splice(index, 1)[0] ?? null;
  }

  /** A message's label arrived: the receive that takes it, or null and it is for the caller to `keep` it. */
  match(message: Labelled): R | null {
    const index = this.#posted.findIndex((receive) => fits(receive, message));
    return index < 0 ? null : (this.#posted.splice(index, 1)[0] ?? null);
  }

  /** Queues a message that `match` found no receive for. */
  keep(message: M): void {
    this.#unexpected.push(message);
  }

  /** Puts messages of an earlier life in front of all that came since. */
  keepInFront(messages: readonly M[]): void {
    this.#unexpected.unshift(...messages);
  }

  get postedCount(): number {
    return this.#posted.length;
  }

  /** In order of arrival. */
  unexpected(): readonly M[] {
    return this.#unexpected;
  }
}
