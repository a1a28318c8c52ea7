/**
 * When the next message may go onto a serial line, so that a BMC with one buffer loses none.
 *
 * The handshake says that the BMC has room for another message (§14.4.5). As long as nothing is lost, messages are sent without
 * waiting for it: many a BMC has buffers enough, and some give the handshake only with the reply. Once one was lost, for a
 * while each message waits for the handshake of the one before; where the BMC gives none, for its reply; and never longer than
 * both take. A loss is known by a resend, and sooner by replies to what was sent later: a BMC takes messages in their order.
 *
 * Decides the order and the moment; what is sent and sent again is `Transactor`'s.
 */

/** Besides the time on the line: a BMC gives the handshake about a millisecond after it has room. */
export const HANDSHAKE_MS = 100;
/** Replies to later messages that show that one was lost; one alone may be a BMC that took a quick request first. */
const OVERTAKEN_MAX = 2;
/** For how many replies a loss is remembered; four times as many with each further one, since then it is no accident. */
const PACED_REPLIES = 256;
/**
 * A message that waited longer than this is not sent any more. It will be sent again if it may be; and if it may not, it must not
 * go out after its asker was told that it failed, which is `UNREPEATABLE_MS_MIN` later at the earliest.
 */
const WAITED_MS_MAX = 3_000;
export const UNREPEATABLE_MS_MIN = 5_000;

/**
 * How long a message waits for others to go out with, while more are under way than wait. A call of the system for each would be most
 * of the cost of reading a log at the speed of a pseudo-terminal; at the speed of a line, half of what is under way is enough to keep
 * a BMC busy for longer than this.
 */
const GATHER_MS = 2;

interface Waiting {
  readonly bytes: Uint8Array;
  readonly sequence: number;
  readonly sinceMs: number;
}

interface Unanswered {
  readonly sequence: number;
  overtakenCount: number;
}

/** No message's: what is under way when the first loss is noticed may still bring handshakes, which open nothing. */
const PAUSE = -1;

export class SendGate {
  readonly #baudRate: number;
  #waiting: Waiting[] = [];
  /** Sent and not answered, in the order of their last sending; one at most for each sequence number. */
  #unanswered: Unanswered[] = [];
  #pacedLeft = 0;
  #pacedNext = PACED_REPLIES;
  #hasHandshakes = false;
  /** What holds the next back; null: the gate is open. */
  #heldBy: number | null = null;
  #heldUntilMs = 0;

  constructor(baudRate: number) {
    this.#baudRate = baudRate;
  }

  get isPaced(): boolean {
    return this.#pacedLeft > 0;
  }

  get wakeMs(): number | null {
    const [first] = this.#waiting;
    if (first === undefined) return null;
    return this.#heldBy === null ? first.sinceMs + GATHER_MS : this.#heldUntilMs;
  }

  /** A message of the same number that still waits is replaced: it would be the same question twice. */
  add(bytes: Uint8Array, sequence: number, isResend: boolean, nowMs: number): void {
    if (isResend) {
      this.#pace(nowMs);
      this.#waiting = this.#waiting.filter((one) => one.sequence !== sequence);
    }
    this.#waiting.push({ bytes, sequence, sinceMs: nowMs });
  }

  noteHandshake(): void {
    this.#hasHandshakes = true;
    if (this.#heldBy !== PAUSE) this.#heldBy = null;
  }

  noteReply(sequence: number, nowMs: number): void {
    if (this.#heldBy === sequence && !this.#hasHandshakes) this.#heldBy = null;
    const index = this.#unanswered.findIndex((one) => one.sequence === sequence);
    if (index < 0) return;
    if (this.#pacedLeft > 0) this.#pacedLeft--;
    if (index === 0) this.#unanswered.shift();
    else this.#unanswered.splice(index, 1);
    for (let earlier = 0; earlier < index; earlier++) {
      const one = this.#unanswered[earlier];
      if (one !== undefined && ++one.overtakenCount === OVERTAKEN_MAX) this.#pace(nowMs);
    }
  }

  /** What goes onto the line now. */
  take(nowMs: number): readonly Uint8Array[] {
    const taken: Uint8Array[] = [];
    if (this.#heldBy !== null && this.#heldUntilMs <= nowMs) {
      // It gave one once and now none: then replies are what there is to go by, until the next one is heard.
      if (this.#heldBy !== PAUSE) this.#hasHandshakes = false;
      this.#heldBy = null;
    }
    const first = this.#waiting[0];
    const isGathering =
      first !== undefined &&
      this.#unanswered.length > this.#waiting.length &&
      nowMs - first.sinceMs < GATHER_MS;
    while (this.#heldBy === null && !(isGathering && !this.isPaced)) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      if (nowMs - next.sinceMs > WAITED_MS_MAX) continue;
      taken.push(next.bytes);
      this.#note(next, nowMs);
    }
    return taken;
  }

  clear(): void {
    this.#waiting = [];
    this.#unanswered = [];
    this.#heldBy = null;
  }

  #note({ sequence, bytes }: Waiting, nowMs: number): void {
    const earlier = this.#unanswered.findIndex((one) => one.sequence === sequence);
    if (earlier >= 0) this.#unanswered.splice(earlier, 1);
    this.#unanswered.push({ sequence, overtakenCount: 0 });
    if (!this.isPaced) return;
    this.#heldBy = sequence;
    this.#heldUntilMs = nowMs + (bytes.byteLength * 10_000) / this.#baudRate + HANDSHAKE_MS;
  }

  #pace(nowMs: number): void {
    if (this.#pacedLeft > 0) return;
    this.#pacedLeft = this.#pacedNext;
    this.#pacedNext *= 4;
    this.#heldBy = PAUSE;
    this.#heldUntilMs = nowMs + HANDSHAKE_MS;
  }
}
