/**
 * The watch of a BMC that speaks IPMI: carries out what `../../ipmi/event/watch-machine.ts` decides.
 *
 * Opens connections, runs looks at the log, sets one timer, and hands events to whoever watches. Decides nothing but two things
 * that need a connection: how the system is called (its GUID, else its address), and that events may be told without names
 * when the names are not known within NAMES_MS. Never throws or rejects; ends within the connection's own limits.
 */
import { ok, type Result } from "../../../core/result.ts";
import type { BmcEvent, Watch, WatchHandlers, WatchOptions } from "../../bmc.ts";
import type { BmcError } from "../../bmc-error.ts";
import { readGuid } from "../../ipmi/app/read-identity.ts";
import { ask } from "../../ipmi/ask.ts";
import { eventOf, type Sha256 } from "../../ipmi/event/event-identity.ts";
import { type NameOf, noNames } from "../../ipmi/event/event-text.ts";
import { pollSel } from "../../ipmi/event/sel-poll.ts";
import type { SelTracker } from "../../ipmi/event/sel-tracker.ts";
import {
  type MachineEffect,
  type MachineEvent,
  type ToldRecord,
  WatchMachine,
} from "../../ipmi/event/watch-machine.ts";
import type { ReadSel } from "../../ipmi/sel/sel-read.ts";
import { decodeSelRecord } from "../../ipmi/sel/sel-record.ts";
import { getSelTimeUtcOffset } from "../../ipmi/sel/sel-time.ts";
import type { IpmiConnection } from "./connection.ts";
import { runSteps } from "./run-steps.ts";

export interface WatchLink {
  /** Safe to print; names the system where it has no GUID. */
  readonly url: string;
  /** A new connection, each time. */
  open(): Promise<Result<IpmiConnection, BmcError>>;
  readonly readSel: ReadSel;
  readonly sha256: Sha256;
  /** Names of the sensors; asked until there are some. null: they could not be read. */
  readonly namesOf?: (connection: IpmiConnection) => Promise<NameOf | null>;
}

/** The first look waits this long for names, so that what is told at once has them where they are quick to read. */
const NAMES_MS = 1_500;
const POLL_MS_MIN = 10;
/** What a timer takes at most; a later due time is looked at again then. */
const TIMER_MS_MAX = 60_000;

export function watchIpmi(link: WatchLink, options: WatchOptions, handlers: WatchHandlers): Watch {
  const watch = new IpmiWatch(link, options, handlers);
  watch.start();
  return watch;
}

class IpmiWatch implements Watch {
  readonly #link: WatchLink;
  readonly #handlers: WatchHandlers;
  readonly #machine: WatchMachine;
  #connection: IpmiConnection | null = null;
  /** Work that `stop` waits for: openings, looks, closings. */
  readonly #work: Set<Promise<void>> = new Set();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isStopped = false;
  #names: NameOf = noNames;
  #naming: Promise<void> | null = null;
  #utcOffsetMinutes: number | null = null;

  constructor(link: WatchLink, options: WatchOptions, handlers: WatchHandlers) {
    this.#link = link;
    this.#handlers = handlers;
    const { memory, tellsOld } = options;
    const pollMs = Math.max(options.pollMs, POLL_MS_MIN);
    this.#machine = new WatchMachine({ pollMs, memory, tellsOld });
  }

  start(): void {
    this.#happen({ kind: "start" });
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    await this.#close();
    while (this.#work.size > 0) await Promise.all(this.#work);
    await this.#close();
  }

  #happen(event: MachineEvent): void {
    if (this.#isStopped) return;
    for (const effect of this.#machine.step(event, performance.now())) this.#carryOut(effect);
    this.#setTimer();
  }

  #setTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const dueMs = this.#machine.dueMs();
    if (dueMs === null || this.#isStopped) return;
    const waitMs = Math.min(Math.max(0, dueMs - performance.now()), TIMER_MS_MAX);
    this.#timer = setTimeout(() => this.#happen({ kind: "tick" }), Math.ceil(waitMs));
  }

  #carryOut(effect: MachineEffect): void {
    switch (effect.kind) {
      case "open":
        this.#begin(this.#open());
        break;
      case "close":
        this.#begin(this.#close());
        break;
      case "look":
        this.#begin(this.#look(effect.tracker));
        break;
      case "tell":
        this.#tell(effect.record, effect.system);
        break;
      case "remember":
        this.#handlers.onMemory(this.#machine.memory());
        break;
      case "notice":
        this.#handlers.onNotice(effect.notice);
        break;
    }
  }

  #begin(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => this.#work.delete(tracked));
    this.#work.add(tracked);
  }

  async #close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    await connection?.close();
  }

  async #open(): Promise<void> {
    // An older connection may still be closing: a BMC has few sessions, a device file one user.
    await this.#close();
    const opened = await this.#link.open();
    if (!opened.ok) return this.#happen({ kind: "lost", error: opened.error });
    const connection = opened.value;
    this.#connection = connection;
    connection.onUnsolicited((message) => {
      if (message.kind === "event" && this.#connection === connection) {
        this.#happen({ kind: "pushed", record: message.record });
      }
    });
    const system = await this.#systemOf(connection);
    const pushes = system.ok ? await connection.enableEvents() : system;
    if (!system.ok || !pushes.ok) {
      await this.#close();
      const error = !system.ok ? system.error : !pushes.ok ? pushes.error : null;
      if (error !== null) this.#happen({ kind: "lost", error });
      return;
    }
    const offset = await runSteps(connection, ask(getSelTimeUtcOffset, undefined));
    this.#utcOffsetMinutes = offset.ok ? offset.value : null;
    await this.#learnNames(connection);
    this.#happen({ kind: "opened", system: system.value, pushes: pushes.value });
  }

  /** As the contract's log says it, so that both tell one id. */
  async #systemOf(connection: IpmiConnection): Promise<Result<string, BmcError>> {
    const guid = await runSteps(connection, readGuid(), { isStopped: () => this.#isStopped });
    return guid.ok ? ok(guid.value ?? this.#link.url) : guid;
  }

  async #learnNames(connection: IpmiConnection): Promise<void> {
    const { namesOf } = this.#link;
    if (namesOf === undefined) return;
    this.#naming ??= namesOf(connection).then((names) => {
      if (names === null) this.#naming = null;
      else this.#names = names;
    });
    await Promise.race([this.#naming, Bun.sleep(NAMES_MS)]);
  }

  async #look(tracker: SelTracker): Promise<void> {
    const connection = this.#connection;
    if (connection === null) return;
    const look = await runSteps(connection, pollSel(tracker, this.#link.readSel), {
      isStopped: () => this.#isStopped,
    });
    if (look.ok) this.#happen({ kind: "looked", look: look.value });
    else this.#happen({ kind: "look-failed", error: look.error });
  }

  #tell(told: ToldRecord, system: string): void {
    const record = decodeSelRecord(told.bytes);
    if (!record.ok) return;
    const { bytes, epoch, nth, way } = told;
    const seenMs = Date.now();
    const utcOffsetMinutes = this.#utcOffsetMinutes;
    const event: BmcEvent = eventOf(
      { system, epoch, nth, way, seenMs, bytes, record: record.value, utcOffsetMinutes },
      this.#link.sha256,
      this.#names,
    );
    this.#handlers.onEvent(event);
  }
}
