/**
 * Tells a manager that is back what reached the destination without it, so that it knows every event and relays none twice.
 *
 * For people's sake, hence in memory only and bounded: the newest `AROUND_MAX` of each manager. What an event's way was stands
 * in the ledger in any case.
 */
import type { Clock } from "../../runtime/clock.ts";
import { PARCELS_BYTES_MAX, PARCELS_MAX, type Parcel } from "../protocol.ts";
import { type Caller, postParcels } from "./parcels-client.ts";

const AROUND_MAX = 1_000;
const AT_ONCE: number = PARCELS_MAX / 4;
const ANSWER_WITHIN_MS = 5_000;
/** A manager that did not take them is not asked at each of its beats. */
const AGAIN_MS = 10_000;

interface Line {
  pending: Parcel[];
  isSending: boolean;
  notBeforeMs: number;
}

export class AroundTeller {
  readonly #caller: Caller;
  readonly #clock: Clock;
  readonly #lines: Map<string, Line>;

  constructor(managers: readonly string[], caller: Caller, clock: Clock) {
    this.#caller = caller;
    this.#clock = clock;
    this.#lines = new Map(
      managers.map((name) => [name, { pending: [], isSending: false, notBeforeMs: 0 }]),
    );
  }

  /** Delivered by another way than a manager. */
  add(parcel: Parcel): void {
    for (const line of this.#lines.values()) {
      line.pending.push(parcel);
      if (line.pending.length > AROUND_MAX) line.pending = line.pending.slice(-AROUND_MAX);
    }
  }

  /** It lives. */
  onBeat(manager: string): void {
    const line = this.#lines.get(manager);
    if (line === undefined || line.isSending || line.pending.length === 0) return;
    if (this.#clock.nowMs() < line.notBeforeMs) return;
    line.isSending = true;
    void this.#send(manager, line).then(() => {
      line.isSending = false;
    });
  }

  async #send(manager: string, line: Line): Promise<void> {
    while (line.pending.length > 0) {
      const chunk: Parcel[] = [];
      let characters = 0;
      for (const parcel of line.pending.slice(0, AT_ONCE)) {
        characters += parcel.envelope.payload.length * 2;
        if (chunk.length > 0 && characters > PARCELS_BYTES_MAX / 2) break;
        chunk.push(parcel);
      }
      const target = { role: "manager", url: manager } as const;
      const answer = await postParcels(this.#caller, target, chunk, ANSWER_WITHIN_MS);
      if (!answer.ok) {
        line.notBeforeMs = this.#clock.nowMs() + AGAIN_MS;
        return;
      }
      const told = new Set(chunk);
      line.pending = line.pending.filter((parcel) => !told.has(parcel));
    }
  }
}
