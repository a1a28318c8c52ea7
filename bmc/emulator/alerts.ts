/**
 * Sending alerts: goes through a policy's destinations step by step, repeats what must be acknowledged, and keeps the sequence
 * number over all repetitions (IPMI 2.0 §17.11, §17.14).
 *
 * Decides what is sent when. The bytes are made by whoever gives `trapOf`. Invariant: a job waits at most
 * `(retries + 1) · timeoutMs` at one destination, so every job ends.
 */
import type { TrapDestination } from "./config.ts";
import type { PolicyEntry } from "./pef.ts";

/** More waiting alerts than this are dropped, oldest last: a BMC has little memory. */
const JOBS_MAX = 64;

export interface TrapToSend {
  readonly address: string;
  readonly port: number;
  readonly packet: Uint8Array;
}

interface Job {
  readonly sequence: number;
  readonly packet: Uint8Array;
  readonly entries: readonly PolicyEntry[];
  index: number;
  hasSucceeded: boolean;
  succeededChannel: number;
  /** Of the destination that is waited for; null: go on at once. */
  dueMs: number | null;
  retriesLeft: number;
}

export class Alerts {
  #destinations: (TrapDestination | undefined)[];
  #jobs: Job[] = [];
  #sequence: number;

  /** Destinations are numbered from 1; 0 is the volatile one. */
  constructor(destinations: readonly TrapDestination[], firstSequence: number) {
    this.#destinations = [undefined, ...destinations];
    this.#sequence = firstSequence & 0xffff;
  }

  destination(number: number): TrapDestination | null {
    return this.#destinations[number] ?? null;
  }

  setDestination(number: number, destination: TrapDestination): void {
    this.#destinations[number] = destination;
  }

  get destinationCount(): number {
    return this.#destinations.length - 1;
  }

  /** False: there are too many, this one is dropped. */
  start(entries: readonly PolicyEntry[], packetOf: (sequence: number) => Uint8Array): boolean {
    if (entries.length === 0 || this.#jobs.length >= JOBS_MAX) return false;
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#jobs.push({
      sequence: this.#sequence,
      packet: packetOf(this.#sequence),
      entries,
      index: -1,
      hasSucceeded: false,
      succeededChannel: -1,
      dueMs: null,
      retriesLeft: 0,
    });
    return true;
  }

  /** Whether an alert of this sequence number was waited for. */
  acknowledge(sequence: number): boolean {
    const job = this.#jobs.find((one) => one.sequence === sequence && one.dueMs !== null);
    if (job === undefined) return false;
    this.#succeed(job);
    return true;
  }

  #succeed(job: Job): void {
    job.hasSucceeded = true;
    job.succeededChannel = job.entries[job.index]?.channel ?? -1;
    job.dueMs = null;
  }

  dueMs(): number | null {
    const due = this.#jobs.map((job) => job.dueMs ?? Number.NEGATIVE_INFINITY);
    return due.length === 0 ? null : Math.min(...due);
  }

  tick(nowMs: number): readonly TrapToSend[] {
    const traps = this.#jobs.flatMap((job) => this.#advance(job, nowMs));
    this.#jobs = this.#jobs.filter((job) => job.index < job.entries.length);
    return traps;
  }

  /** Sends again where it is time, else goes on through the entries until one has to be waited for. */
  #advance(job: Job, nowMs: number): readonly TrapToSend[] {
    if (job.dueMs !== null && nowMs < job.dueMs) return [];
    if (job.dueMs !== null && job.retriesLeft > 0) {
      job.retriesLeft -= 1;
      return this.#send(job, nowMs);
    }
    const traps: TrapToSend[] = [];
    do {
      job.dueMs = null;
      if (!this.#next(job)) break;
      job.retriesLeft = this.#destinationOf(job)?.retries ?? 0;
      traps.push(...this.#send(job, nowMs));
    } while (job.dueMs === null);
    return traps;
  }

  #destinationOf(job: Job): TrapDestination | null {
    return this.destination(job.entries[job.index]?.destination ?? 0);
  }

  #send(job: Job, nowMs: number): readonly TrapToSend[] {
    const destination = this.#destinationOf(job);
    if (destination === null) return [];
    const { address, port, isAcknowledged, timeoutMs } = destination;
    if (isAcknowledged) job.dueMs = nowMs + Math.max(1, timeoutMs);
    else this.#succeed(job);
    return [{ address, port, packet: job.packet }];
  }

  /** To the next entry that its step lets through; false: the job is done. */
  #next(job: Job): boolean {
    for (job.index++; job.index < job.entries.length; job.index++) {
      const entry = job.entries[job.index];
      if (entry === undefined || !job.hasSucceeded || entry.step === 0) return true;
      if (entry.step === 2) break;
      if (entry.step === 3 && entry.channel !== job.succeededChannel) return true;
      // Step 4, another type of destination: all of ours are PET, so there is none.
    }
    job.index = job.entries.length;
    return false;
  }
}
