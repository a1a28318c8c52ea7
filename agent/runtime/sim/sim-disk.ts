/**
 * A node's disk as the simulator sees it: writes take time, and a crash decides what became of those not yet acknowledged.
 *
 * On `powerLost` each pending write is lost, or turns out to have reached the disk, or is torn: its temporary file is left
 * over and the old document stays, as with write-sync-rename. A later write to the same name never survives an earlier one
 * that was lost. A document may also be damaged at rest; it is then reported when read.
 */
import { assert } from "../../../core/assert.ts";
import type { Disk, DiskFailure, DiskRead } from "../disk.ts";
import type { Prng } from "../prng.ts";
import type { SimTime } from "./sim-clock.ts";

/** Requests that may wait; a machine that asks for more never waits for an answer. */
const PENDING_MAX = 1_000;

interface Pending {
  readonly name: string;
  /** undefined: removal. */
  readonly document: unknown;
  readonly done: (failure: DiskFailure | null) => void;
  cancelled: boolean;
}

export interface SimDiskOptions {
  readonly latencyMsMin: number;
  readonly latencyMsMax: number;
}

export class SimDisk implements Disk {
  readonly #time: SimTime;
  readonly #prng: Prng;
  readonly #options: SimDiskOptions;
  readonly #documents = new Map<string, unknown>();
  readonly #damaged = new Set<string>();
  #pending: Pending[] = [];
  #torn = 0;
  #busyUntilMs = 0;
  #full = false;

  constructor(time: SimTime, prng: Prng, options: SimDiskOptions) {
    this.#time = time;
    this.#prng = prng;
    this.#options = options;
  }

  write(name: string, document: unknown, done: (failure: DiskFailure | null) => void): void {
    assert(document !== undefined, "a document is a value");
    this.#enqueue({ name, document, done, cancelled: false });
  }

  remove(name: string, done: (failure: DiskFailure | null) => void): void {
    this.#enqueue({ name, document: undefined, done, cancelled: false });
  }

  read(name: string): DiskRead {
    if (this.#damaged.has(name)) return { kind: "damaged", detail: `${name} does not match` };
    if (!this.#documents.has(name)) return { kind: "absent" };
    return { kind: "document", document: this.#documents.get(name) };
  }

  list(prefix: string): readonly string[] {
    return [...this.#documents.keys()].filter((name) => name.startsWith(prefix)).sort();
  }

  pendingCount(): number {
    return this.#pending.length;
  }

  /** Temporary files that torn writes left behind. */
  tornCount(): number {
    return this.#torn;
  }

  setFull(full: boolean): void {
    this.#full = full;
  }

  damage(name: string): void {
    if (this.#documents.has(name)) this.#damaged.add(name);
  }

  /** The process died but the machine lives: what was handed to the kernel arrives, nobody is told. */
  processDied(): void {
    for (const write of this.#pending) {
      write.cancelled = true;
      // Half of them had not been handed over yet; in order, so the first one that was not ends it.
      if (this.#prng.below(2) === 0) break;
      this.#apply(write);
    }
    this.#forgetPending();
  }

  /** Un-acknowledged writes are lost, kept or torn, each name in order. */
  powerLost(): void {
    const stuck = new Set<string>();
    for (const write of this.#pending) {
      write.cancelled = true;
      if (stuck.has(write.name)) continue;
      const fate = this.#prng.below(3);
      if (fate === 0) this.#apply(write);
      else stuck.add(write.name);
      if (fate === 1) this.#torn++;
    }
    this.#forgetPending();
  }

  /** Another disk in its place. */
  wipe(): void {
    assert(this.#pending.length === 0, "only a stopped node's disk is replaced");
    this.#documents.clear();
    this.#damaged.clear();
    this.#torn = 0;
    this.#full = false;
  }

  #forgetPending(): void {
    for (const write of this.#pending) write.cancelled = true;
    this.#pending = [];
    this.#busyUntilMs = 0;
  }

  #enqueue(write: Pending): void {
    assert(this.#pending.length < PENDING_MAX, `over ${PENDING_MAX} writes wait for one disk`);
    this.#pending.push(write);
    const { latencyMsMin, latencyMsMax } = this.#options;
    const takesMs = latencyMsMin + this.#prng.unit() * (latencyMsMax - latencyMsMin);
    this.#busyUntilMs = Math.max(this.#busyUntilMs, this.#time.nowMs()) + takesMs;
    this.#time.at(this.#busyUntilMs, () => this.#finish(write));
  }

  #finish(write: Pending): void {
    if (write.cancelled) return;
    assert(this.#pending[0] === write, "writes finish in order");
    this.#pending.shift();
    if (this.#full && write.document !== undefined) {
      write.done({ kind: "no-space", detail: `no space left for ${write.name}` });
      return;
    }
    this.#apply(write);
    write.done(null);
  }

  #apply(write: Pending): void {
    this.#damaged.delete(write.name);
    if (write.document === undefined) this.#documents.delete(write.name);
    else this.#documents.set(write.name, write.document);
  }
}
