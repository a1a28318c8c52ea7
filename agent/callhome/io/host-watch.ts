/**
 * Lets `HostEvents` see this node and its cluster, and puts what it says into the book.
 *
 * An event that the disk does not take now (that it is full may be the very event) is held and given again until it is taken.
 * The data folder's room is looked at now and then, so that a disk that fills up is told while an event still fits.
 */
import { statfsSync } from "node:fs";
import type { BmcEvent } from "../../../bmc/bmc.ts";
import { realCrypto } from "../../../bmc/ipmi/io/crypto.ts";
import type { Member } from "../../membership/membership.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { ClusterChange, ClusterWatch } from "../cluster.ts";
import { type Condition, HostEvents, type Incident } from "../host-events.ts";
import type { EventKeeper } from "./event-keeper.ts";

const DISK_EVERY_MS = 15_000;
const RETRY_MS = 1_000;
const HELD_MAX = 256;
const BOOK_AT_ONCE = 1_000;
const MIB = 1_048_576;
/** Below the first it is told, above the second it is over. */
const ROOM_BYTES_MIN: number = 64 * MIB;
const ROOM_BYTES_AGAIN: number = 96 * MIB;

export interface HostWatchParts {
  readonly cluster: string;
  readonly node: string;
  readonly dataFolder: string;
  readonly watch: ClusterWatch;
  readonly keeper: EventKeeper;
  readonly clock: Clock;
  readonly log: Log;
  /** Free bytes for this user, by default of the data folder's file system; null: not known. */
  readonly freeBytes?: () => number | null;
}

export class HostWatch {
  readonly #parts: HostWatchParts;
  readonly #events: HostEvents;
  #held: BmcEvent[] = [];
  #isGiving = false;
  #isStopped = false;
  #timers: Timer[] = [];
  #dueTimer: Timer | null = null;
  #unsubscribe: () => void = () => undefined;
  #lastHeartbeatMs: number | null = null;

  constructor(parts: HostWatchParts) {
    this.#parts = parts;
    const { cluster, node, keeper } = parts;
    this.#events = new HostEvents({ cluster, node, sha256: realCrypto.sha256 });
    this.#events.remember(this.#hostEventsOf(keeper));
  }

  /** Milliseconds since the last sign of life; null: there was none. */
  heartbeatAgoMs(): number | null {
    const last = this.#lastHeartbeatMs;
    return last === null ? null : Math.max(0, this.#parts.clock.wallMs() - last);
  }

  begin(): void {
    this.#unsubscribe = this.#parts.watch.onChange((change) => this.#onChange(change));
    this.#lookAtDisk();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#unsubscribe();
    this.#dueTimer?.end();
    for (const timer of this.#timers) timer.end();
    // Once more: what cannot be kept now is seen again after the next start, or was never acknowledged to anybody.
    for (const event of this.#held) await this.#parts.keeper.take(event);
  }

  /** `detail` null: it is over. */
  condition(what: Condition, detail: string | null): void {
    this.#give(this.#events.condition(what, detail, this.#parts.clock.wallMs()));
  }

  incident(incident: Incident): BmcEvent {
    return this.#events.incident(incident, this.#parts.clock.wallMs());
  }

  tell(incident: Incident): void {
    this.#give([this.incident(incident)]);
  }

  *#hostEventsOf(keeper: EventKeeper): Generator<BmcEvent> {
    for (let seq = 0; ; ) {
      const lines = keeper.after(seq, BOOK_AT_ONCE);
      for (const line of lines) {
        if (line.kind !== "event" || line.event.way !== "host") continue;
        if (line.event.category === "heartbeat") this.#lastHeartbeatMs = line.event.seenMs;
        yield line.event;
      }
      const last = lines.at(-1);
      if (last === undefined) return;
      seq = last.seq;
    }
  }

  #onChange(change: ClusterChange): void {
    const { watch, clock } = this.#parts;
    const hasLeft = (member: Member): boolean =>
      watch.status().members.some(({ id, standing }) => id === member.id && standing === "left");
    this.#give(this.#events.onChange(change, hasLeft, clock.wallMs()));
    this.#arm();
  }

  #arm(): void {
    this.#dueTimer?.end();
    this.#dueTimer = null;
    const dueMs = this.#events.dueMs();
    if (dueMs === Number.POSITIVE_INFINITY || this.#isStopped) return;
    const { clock } = this.#parts;
    this.#dueTimer = clock.after(Math.max(1, dueMs - clock.wallMs()), () => {
      this.#give(this.#events.tick(clock.wallMs()));
      this.#arm();
    });
  }

  #lookAtDisk(): void {
    if (this.#isStopped) return;
    const free = (this.#parts.freeBytes ?? (() => freeBytesOf(this.#parts.dataFolder)))();
    if (free !== null && free < ROOM_BYTES_MIN) {
      const left = `${Math.floor(free / MIB)} MiB are left in ${this.#parts.dataFolder}`;
      this.condition("disk-full", `node ${this.#parts.node}: ${left}: make room there`);
    }
    if (free !== null && free > ROOM_BYTES_AGAIN) this.condition("disk-full", null);
    this.#timers = [this.#parts.clock.after(DISK_EVERY_MS, () => this.#lookAtDisk())];
  }

  #give(events: readonly BmcEvent[]): void {
    if (events.length === 0) return;
    this.#held = [...this.#held, ...events].slice(-HELD_MAX);
    void this.#giveAll();
  }

  async #giveAll(): Promise<void> {
    if (this.#isGiving) return;
    this.#isGiving = true;
    while (this.#held.length > 0 && !this.#isStopped) {
      const [first] = this.#held;
      if (first === undefined) break;
      const taken = await this.#parts.keeper.take(first);
      if (taken.ok) this.#held = this.#held.filter((event) => event !== first);
      else await this.#pause();
    }
    this.#isGiving = false;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.clock.after(RETRY_MS, resolve);
    });
  }
}

function freeBytesOf(folder: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return null;
  }
}
