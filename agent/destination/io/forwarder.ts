/**
 * Tells adapters what waits for them in the outbox, for as long as it takes.
 *
 * One line of work an adapter: what one cannot take holds up no other, and what concerns one ticket (it was refused) holds up no
 * other ticket. A far end that cannot be reached is asked with one change at a time, after a back-off with jitter. A change is marked as
 * tried on disk before it is given, and removed after it was taken; a crash in between tells it again under the same key.
 */
import type { DiskFailure } from "../../runtime/disk.ts";
import type { Log } from "../../runtime/log.ts";
import { ADAPTER_WITHIN_MS, type AdapterFailure, type TicketChange } from "../adapter.ts";
import { concernsAll, retryMs } from "../forwarding.ts";
import type { Adapter } from "./adapter.ts";
import type { WaitingChange } from "./outbox-table.ts";
import type { Store } from "./store.ts";

export interface ForwarderSetting {
  readonly store: Store;
  readonly log: Log;
  /** Where people look at a ticket, without its id; null: nowhere public. */
  readonly link: string | null;
  readonly nowMs: () => number;
  readonly random: () => number;
  /** For tests; else `ADAPTER_WITHIN_MS` and some. */
  readonly withinMs?: number;
}

export interface AdapterReport {
  readonly name: string;
  readonly waiting: number;
  readonly refused: number;
  readonly deliveredCount: number;
  readonly failedCount: number;
  /** What it said last, while it cannot be told; null: it takes what it is told. */
  readonly failure: string | null;
  readonly lastDeliveredMs: number | null;
}

/** A look at the table at least so often, whatever timers did. */
const LOOK_MS = 15_000;

class Line {
  readonly #adapter: Adapter;
  readonly #setting: ForwarderSetting;
  readonly #busy = new Set<number>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #pausedUntilMs = 0;
  #failuresInRow = 0;
  #isStopped = false;
  failure: string | null = null;
  deliveredCount = 0;
  failedCount = 0;
  lastDeliveredMs: number | null = null;

  constructor(adapter: Adapter, setting: ForwarderSetting) {
    this.#adapter = adapter;
    this.#setting = setting;
  }

  get name(): string {
    return this.#adapter.name;
  }

  /** Something may be due. */
  look(): void {
    if (this.#isStopped) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const nowMs = this.#setting.nowMs();
    if (nowMs >= this.#pausedUntilMs) this.#start(nowMs);
    this.#sleep(nowMs);
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  get isIdle(): boolean {
    return this.#busy.size === 0;
  }

  #start(nowMs: number): void {
    // After a failure of the far end one change is its trial.
    const atOnce = this.#failuresInRow > 0 ? 1 : (this.#adapter.concurrency ?? 1);
    const free = atOnce - this.#busy.size;
    if (free <= 0) return;
    const due = this.#setting.store.outbox.due(this.name, nowMs, free + this.#busy.size);
    for (const one of due.filter(({ number }) => !this.#busy.has(number)).slice(0, free)) {
      this.#busy.add(one.number);
      void this.#tell(one);
    }
  }

  #sleep(nowMs: number): void {
    const next = this.#setting.store.outbox.nextDueMs(this.name);
    const isWaitingForOthers = this.#busy.size > 0;
    if (next === null && !isWaitingForOthers) return;
    const dueMs = Math.max(next ?? nowMs + LOOK_MS, this.#pausedUntilMs, nowMs + 1);
    const delayMs = isWaitingForOthers ? LOOK_MS : Math.min(dueMs - nowMs, LOOK_MS);
    this.#timer = setTimeout(() => this.look(), delayMs);
  }

  async #tell(one: WaitingChange): Promise<void> {
    const { store, link } = this.#setting;
    const begun = store.transact(() => store.outbox.begin(one.seq));
    if (begun.ok) {
      const change: TicketChange = {
        ...one.change,
        link: link === null ? null : `${link}${one.change.ticket}`,
        externalId: store.outbox.externalId(this.name, one.number),
      };
      const result = await this.#deliver(change);
      if (result.ok) this.#delivered(one, result.value.externalId);
      else this.#failed(one, result.error);
    } else this.#cannotNote(begun.error);
    this.#busy.delete(one.number);
    this.look();
  }

  async #deliver(change: TicketChange): ReturnType<Adapter["deliver"]> {
    const withinMs = this.#setting.withinMs ?? ADAPTER_WITHIN_MS + 5_000;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<Awaited<ReturnType<Adapter["deliver"]>>>((resolve) => {
      const detail = `${this.name} has not answered within ${withinMs} ms`;
      const error: AdapterFailure = {
        kind: "unreachable",
        detail,
        isPermanent: false,
        retryAfterMs: null,
      };
      timer = setTimeout(() => resolve({ ok: false, error }), withinMs);
    });
    try {
      return await Promise.race([this.#adapter.deliver(change), late]);
    } catch (cause) {
      const detail = `${this.name} has a defect: ${cause instanceof Error ? cause.message : String(cause)}`;
      return {
        ok: false,
        error: { kind: "refused", detail, isPermanent: false, retryAfterMs: null },
      };
    } finally {
      clearTimeout(timer);
    }
  }

  #delivered(one: WaitingChange, externalId: string | null): void {
    const { store, log, nowMs } = this.#setting;
    this.#failuresInRow = 0;
    this.deliveredCount++;
    this.lastDeliveredMs = nowMs();
    if (this.failure !== null) log.say("event", `adapter ${this.name} takes tickets again`);
    this.failure = null;
    const { ticket, kind } = one.change;
    log.say("detail", `${ticket} ${kind}: told to ${this.name}`);
    const noted = store.transact(() => store.outbox.done(one, externalId));
    if (!noted.ok) this.#cannotNote(noted.error);
  }

  #failed(one: WaitingChange, failure: AdapterFailure): void {
    const { store, log, nowMs, random } = this.#setting;
    this.failedCount++;
    const { ticket, kind } = one.change;
    if (failure.isPermanent) {
      const what = `${ticket} ${kind}: adapter ${this.name} refuses it for good: ${failure.detail}`;
      log.say("fault", `${what}; it is set aside, what follows goes on`);
      const noted = store.transact(() => store.outbox.refuse(one.seq, failure.detail));
      if (!noted.ok) this.#cannotNote(noted.error);
      return;
    }
    const ofAll = concernsAll(failure);
    if (ofAll) this.#failuresInRow++;
    const attempts = ofAll ? this.#failuresInRow : one.attempts + 1;
    const waitMs = retryMs(failure, attempts, random());
    const atMs = nowMs() + waitMs;
    if (ofAll) this.#pausedUntilMs = atMs;
    if (this.failure === null) {
      log.say(
        "fault",
        `adapter ${this.name} cannot be told of ${ticket}: ${failure.detail}; tried again until it can`,
      );
    }
    this.failure = failure.detail;
    const noted = store.transact(() => store.outbox.later(one.seq, atMs, failure.detail));
    if (!noted.ok) this.#cannotNote(noted.error);
  }

  #cannotNote(failure: DiskFailure): void {
    this.#pausedUntilMs = this.#setting.nowMs() + 1_000;
    this.failure = `its state cannot be written: ${failure.detail}`;
  }
}

export class Forwarder {
  readonly #lines: readonly Line[];
  readonly #adapters: readonly Adapter[];
  readonly #setting: ForwarderSetting;

  constructor(adapters: readonly Adapter[], setting: ForwarderSetting) {
    this.#adapters = adapters;
    this.#setting = setting;
    this.#lines = adapters.map((adapter) => new Line(adapter, setting));
  }

  get names(): readonly string[] {
    return this.#adapters.map(({ name }) => name);
  }

  look(): void {
    for (const line of this.#lines) line.look();
  }

  /** Those that are configured, and those of which something is left. */
  reports(): readonly AdapterReport[] {
    const counts = new Map(this.#setting.store.outbox.counts().map((one) => [one.adapter, one]));
    const configured = this.#lines.map((line): AdapterReport => {
      const { name, deliveredCount, failedCount, failure, lastDeliveredMs } = line;
      const { waiting = 0, refused = 0 } = counts.get(name) ?? {};
      counts.delete(name);
      return { name, waiting, refused, deliveredCount, failedCount, failure, lastDeliveredMs };
    });
    const left = [...counts.values()].map(({ adapter, waiting, refused }) => ({
      name: adapter,
      waiting,
      refused,
      deliveredCount: 0,
      failedCount: 0,
      failure: "no longer configured: what waits for it is told when it is again",
      lastDeliveredMs: null,
    }));
    return [...configured, ...left];
  }

  /** What is under way may end, at most `withinMs`. */
  async stop(withinMs = 2_000): Promise<void> {
    for (const line of this.#lines) line.stop();
    const untilMs = performance.now() + withinMs;
    while (this.#lines.some((line) => !line.isIdle) && performance.now() < untilMs) {
      await Bun.sleep(10);
    }
    await Promise.all(this.#adapters.map(async (adapter) => await adapter.close?.()));
  }
}
