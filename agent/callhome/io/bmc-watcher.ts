/**
 * The agent's watch of one BMC: opened, opened again after a failure, its events kept, its memory kept after them.
 *
 * The memory says which events were told. It is written only when they are on disk, so a crash in between tells some of them
 * again, which the book knows, and forgets none. Opening again waits a second at first, a minute at most; a watch that runs
 * looks after itself.
 */
import type { Bmc, BmcEvent, PushDoor, WatchMemory, WatchNotice } from "../../../bmc/bmc.ts";
import type { BmcError } from "../../../bmc/bmc-error.ts";
import { BMC_ERRORS } from "../../../bmc/bmc-error.ts";
import type { Result } from "../../../core/result.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Disk } from "../../runtime/disk.ts";
import type { Log } from "../../runtime/log.ts";
import { describeNotice, isFault } from "../notices.ts";
import type { EventKeeper } from "./event-keeper.ts";

const REOPEN_MS_MIN = 1_000;
const REOPEN_MS_MAX = 60_000;

export interface WatcherParts {
  /** Its URL as it may be printed. */
  readonly name: string;
  readonly pollMs: number;
  readonly open: () => Promise<Result<Bmc, BmcError>>;
  readonly keeper: EventKeeper;
  readonly door: PushDoor | null;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  /** What another node's watch of this BMC told last: this one goes on from there, under the same ids. */
  readonly inherited?: Inherited | null;
  /** Node whose machine it is, where that is another one: said with each event. */
  readonly ofNode?: string | null;
  /** The state, the system or the memory has changed. */
  readonly onChange?: () => void;
}

export interface Inherited {
  readonly guid: string | null;
  readonly memory: WatchMemory | null;
}

export interface WatcherState {
  readonly state: "connecting" | "watched" | "lost";
  /** One line. */
  readonly detail: string;
  /** Since 1970. */
  readonly sinceMs: number;
}

interface Saved {
  readonly url: string;
  readonly guid: string | null;
  readonly memory: WatchMemory | null;
}

function documentOf(name: string): string {
  return `watch/${Bun.hash.xxHash3(name).toString(16).padStart(16, "0")}`;
}

export class BmcWatcher {
  readonly #parts: WatcherParts;
  readonly #document: string;
  #guid: string | null = null;
  #memory: WatchMemory | null = null;
  #isStopped = false;
  #timer: Timer | null = null;
  #wake: (() => void) | null = null;
  #running: Promise<void> = Promise.resolve();
  #saidFailure: string | null = null;
  #state: WatcherState;
  #bmc: Bmc | null = null;

  constructor(parts: WatcherParts) {
    this.#parts = parts;
    this.#document = documentOf(parts.name);
    const sinceMs = parts.clock.wallMs();
    this.#state = { state: "connecting", detail: "not reached yet", sinceMs };
    const read = parts.disk.read(this.#document);
    const saved = read.kind === "document" ? (read.document as Saved) : null;
    if (read.kind === "damaged") {
      parts.log.say("fault", `what was told of ${parts.name} is forgotten (${read.detail})`);
    }
    if (saved?.url === parts.name) {
      this.#guid = saved.guid;
      this.#memory = saved.memory;
    }
    const { inherited = null } = parts;
    if (inherited === null) return;
    this.#guid = inherited.guid ?? this.#guid;
    this.#memory = inherited.memory ?? this.#memory;
  }

  /** Of the system that this BMC looks after; null before it was reached for the first time. */
  get guid(): string | null {
    return this.#guid;
  }

  get name(): string {
    return this.#parts.name;
  }

  get state(): WatcherState {
    return this.#state;
  }

  /** Covers events that are on disk. */
  get memory(): WatchMemory | null {
    return this.#memory;
  }

  /** While it is open; whoever asks it something bears that it ends at any time. */
  get bmc(): Bmc | null {
    return this.#bmc;
  }

  begin(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.end();
    this.#wake?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    let waitMs = REOPEN_MS_MIN;
    while (!this.#isStopped) {
      const opened = await this.#parts.open();
      if (opened.ok) {
        await this.#watch(opened.value);
        return;
      }
      this.#sayFailure(opened.error);
      if (this.#isStopped) return;
      await this.#pause(waitMs);
      waitMs = Math.min(REOPEN_MS_MAX, waitMs * 2);
    }
  }

  /** Until it is stopped. */
  async #watch(bmc: Bmc): Promise<void> {
    const { keeper, door, pollMs, log, name } = this.#parts;
    if (!this.#isStopped) await this.#learnGuid(bmc);
    this.#bmc = bmc;
    let isBegun = false;
    // Only once it is known what stood in the log before: an error that is raised from then on is told.
    const begin = (): void => {
      if (isBegun) return;
      isBegun = true;
      this.#become("watched", "its event log is watched");
      log.say("event", `bmc ${name}: watched`);
    };
    const watch = bmc.watch(
      { pollMs, memory: this.#memory, tellsOld: false, push: door },
      {
        onEvent: (event) => void keeper.take(this.#ofNode(event)),
        onMemory: (memory) => {
          void this.#keep(memory);
          begin();
        },
        onNotice: (notice) => this.#sayNotice(notice),
      },
    );
    if (!this.#isStopped) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#bmc = null;
    await watch.stop();
    await bmc.close();
  }

  /** Nothing that its id is made of. */
  #ofNode(event: BmcEvent): BmcEvent {
    const { ofNode = null } = this.#parts;
    return ofNode === null ? event : { ...event, extra: { ...event.extra, node: ofNode } };
  }

  async #learnGuid(bmc: Bmc): Promise<void> {
    const identity = await bmc.identity();
    if (!identity.ok || identity.value.guid === null || identity.value.guid === this.#guid) return;
    this.#guid = identity.value.guid;
    this.#save();
    this.#parts.onChange?.();
  }

  async #keep(memory: WatchMemory): Promise<void> {
    const failure = await this.#parts.keeper.settled();
    // Told already by the keeper; the next memory covers this one.
    if (failure !== null) return;
    this.#memory = memory;
    this.#save();
    this.#parts.onChange?.();
  }

  #save(): void {
    const saved: Saved = { url: this.#parts.name, guid: this.#guid, memory: this.#memory };
    this.#parts.disk.write(this.#document, saved, (failure) => {
      if (failure === null) return;
      const what = `what was told of ${this.#parts.name} cannot be kept: ${failure.detail}`;
      this.#parts.log.say("fault", what);
    });
  }

  #become(state: WatcherState["state"], detail: string): void {
    const isNew = state !== this.#state.state;
    const sinceMs = isNew ? this.#parts.clock.wallMs() : this.#state.sinceMs;
    this.#state = { state, detail, sinceMs };
    if (isNew) this.#parts.onChange?.();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = this.#parts.clock.after(ms, resolve);
    });
  }

  /** Once for each kind, not at every attempt. */
  #sayFailure({ kind, detail }: BmcError): void {
    this.#become("connecting", `${BMC_ERRORS[kind].title}: ${detail}`);
    if (this.#saidFailure === kind) return;
    this.#saidFailure = kind;
    const what = `bmc ${this.#parts.name}: ${BMC_ERRORS[kind].title}: ${detail}; trying again`;
    this.#parts.log.say("fault", what);
  }

  #sayNotice(notice: WatchNotice): void {
    if (notice.kind === "lost") this.#become("lost", describeNotice(notice));
    if (notice.kind === "back") this.#become("watched", "its event log is watched");
    const what = `bmc ${this.#parts.name}: ${describeNotice(notice)}`;
    this.#parts.log.say(isFault(notice) ? "fault" : "event", what);
  }
}
