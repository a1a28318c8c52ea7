/**
 * Session sequence numbers of a BMC's packets: each counts once (IPMI 2.0 §13.28.4 and §6.12.13).
 *
 * Asked only about packets whose code is right. Where a BMC begins is its own affair: the first number sets the window. A
 * number ahead of all seen moves the window, however far (what lies between was lost on the way); one behind counts when it
 * is within the window and new. Numbers wrap, FFFFFFFFh is followed by 1; 0 never occurs in a session.
 */
const WINDOW = 32;

export class SequenceWindow {
  #highest = 0;
  /** Bit n: `highest − n` was seen. */
  #seen = 0;

  /** Whether a packet with this number is new; it is not from then on. */
  accept(sequence: number): boolean {
    if (sequence === 0) return false;
    if (this.#highest === 0) {
      this.#highest = sequence;
      this.#seen = 1;
      return true;
    }
    const ahead = (sequence - this.#highest) | 0;
    if (ahead > 0) {
      this.#seen = ahead >= WINDOW ? 1 : (this.#seen << ahead) | 1;
      this.#highest = sequence;
      return true;
    }
    const behind = -ahead;
    if (behind >= WINDOW) return false;
    const bit = 1 << behind;
    if ((this.#seen & bit) !== 0) return false;
    this.#seen |= bit;
    return true;
  }
}

/** Outbound numbers: 1, 2, 3 …, never 0. */
export function nextSequence(sequence: number): number {
  return sequence === 0xffffffff ? 1 : sequence + 1;
}
