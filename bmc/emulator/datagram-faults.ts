/**
 * What a bad network and a bad sender do to datagrams: lost, late, twice, overtaken, garbage between them.
 *
 * Decides by the seeded sequence; sending and waiting are for whoever is given the list. Without a fault that is on, a list
 * comes back as it was.
 */
import type { FaultTable } from "./faults.ts";
import type { Prng } from "./prng.ts";

export interface Peer {
  readonly address: string;
  readonly port: number;
}

export interface Datagram {
  readonly peer: Peer;
  readonly bytes: Uint8Array;
  /** From now; 0: at once. */
  readonly delayMs: number;
}

/** Long enough that the next answer of a pipelined reader is faster. */
const OVERTAKEN_MS = 8;
const REPEAT_MS = 3;
/** Answers within so much time count as having come together, and at most so many. */
const TOGETHER_MS = 5;
const TOGETHER_MAX = 16;
const GARBAGE_BYTES_MAX = 96;
/** One in so many is late. */
const LATE_ONE_IN = 4;

export class DatagramFaults {
  readonly #faults: FaultTable;
  readonly #prng: Prng;
  #togetherSinceMs = Number.NEGATIVE_INFINITY;
  #togetherCount = 0;

  constructor(faults: FaultTable, prng: Prng) {
    this.#faults = faults;
    this.#prng = prng;
  }

  #happens(name: "drop" | "duplicate" | "reorder" | "garbage"): boolean {
    const percent = this.#faults.valueOf(name);
    return percent !== null && this.#prng.hasPercent(percent);
  }

  isLostOnTheWayIn(): boolean {
    return this.#happens("drop");
  }

  onTheWayOut(datagrams: readonly Datagram[], nowMs: number): readonly Datagram[] {
    if (datagrams.length === 0 || this.#faults.list().length === 0) return datagrams;
    return datagrams.flatMap((datagram) => this.#disturb(datagram, nowMs));
  }

  #disturb(datagram: Datagram, nowMs: number): readonly Datagram[] {
    const out: Datagram[] = [];
    if (this.#happens("garbage")) {
      const bytes = this.#prng.bytes(1 + this.#prng.below(GARBAGE_BYTES_MAX));
      out.push({ ...datagram, bytes });
    }
    if (this.#happens("drop")) return out;
    const delayMs = datagram.delayMs + this.#delayMs(nowMs);
    out.push({ ...datagram, delayMs });
    if (this.#happens("duplicate")) out.push({ ...datagram, delayMs: delayMs + REPEAT_MS });
    return out;
  }

  #delayMs(nowMs: number): number {
    let delayMs = this.#faults.valueOf("delay") ?? 0;
    const lateMs = this.#faults.valueOf("late");
    if (lateMs !== null && this.#prng.below(LATE_ONE_IN) === 0) delayMs += lateMs;
    if (this.#happens("reorder")) delayMs += OVERTAKEN_MS;
    return this.#faults.isOn("out-of-order") ? delayMs + this.#backwardsMs(nowMs) : delayMs;
  }

  /** The later in a group, the sooner it leaves. */
  #backwardsMs(nowMs: number): number {
    const isNewGroup =
      nowMs - this.#togetherSinceMs > TOGETHER_MS || this.#togetherCount >= TOGETHER_MAX;
    if (isNewGroup) {
      this.#togetherSinceMs = nowMs;
      this.#togetherCount = 0;
    }
    this.#togetherCount += 1;
    const leavesMs = this.#togetherSinceMs + TOGETHER_MS + TOGETHER_MAX - this.#togetherCount;
    return Math.max(0, leavesMs - nowMs);
  }
}
