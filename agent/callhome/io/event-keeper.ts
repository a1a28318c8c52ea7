/**
 * Takes events from every way, keeps them, and gives them to whoever reads: the book, its journal, and those who wait.
 *
 * Invariant: nobody is told of an event before it is on disk; so a number that a reader has seen is never given to another
 * event, whenever the agent is killed.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { BmcEvent } from "../../../bmc/bmc.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { DiskFailure } from "../../runtime/disk.ts";
import type { Log } from "../../runtime/log.ts";
import { Waiters } from "../../runtime/waiters.ts";
import { type BookLine, EVENTS_MAX, EventBook } from "../event-book.ts";
import { type EventJournal, openJournal } from "./event-journal.ts";

export interface Taken {
  /** The event's id in the book, the same for every sighting of it. */
  readonly id: string;
  readonly isNew: boolean;
}

const FOLDER = "events";
const JOURNAL = "journal";

export class EventKeeper {
  readonly #book: EventBook;
  readonly #journal: EventJournal;
  readonly #log: Log;
  #durableSeq: number;
  readonly #waiters = new Waiters();
  #failure: DiskFailure | null = null;

  constructor(book: EventBook, journal: EventJournal, log: Log) {
    this.#book = book;
    this.#journal = journal;
    this.#log = log;
    this.#durableSeq = book.lastSeq;
  }

  /** Resolves when the event is kept. After a failure the same event may be given again. */
  async take(event: BmcEvent): Promise<Result<Taken, DiskFailure>> {
    const { id, line } = this.#book.sight(event);
    if (line !== null) this.#journal.add(line);
    const failure = await this.settled();
    return failure === null ? ok({ id, isNew: line?.kind === "event" }) : err(failure);
  }

  /** Resolves when everything that was taken before is on disk, or with why not. */
  async settled(): Promise<DiskFailure | null> {
    const { lastSeq } = this.#book;
    if (this.#durableSeq >= lastSeq) return null;
    const failure = await this.#journal.flush();
    this.#note(failure);
    if (failure === null) this.#advance(lastSeq);
    return failure;
  }

  /** At most `countMax` lines above `seq`, all of them on disk. */
  after(seq: number, countMax: number): readonly BookLine[] {
    return this.#book.after(seq, countMax, this.#durableSeq);
  }

  get lastSeq(): number {
    return this.#durableSeq;
  }

  /** Resolves at the next event, or when `signal` is raised. */
  changed(signal: AbortSignal): Promise<void> {
    return this.#waiters.changed(signal);
  }

  async close(): Promise<void> {
    await this.#journal.flush();
  }

  #advance(seq: number): void {
    if (seq <= this.#durableSeq) return;
    for (const line of this.#book.after(this.#durableSeq, seq - this.#durableSeq, seq)) {
      this.#tell(line);
    }
    this.#durableSeq = seq;
    this.#waiters.wake();
    const lines = this.#book.lines();
    if (this.#journal.isWasteful(lines.length)) {
      void this.#journal.rewrite(lines).then((failure) => this.#note(failure));
    }
  }

  #tell(line: BookLine): void {
    if (line.kind === "way") {
      this.#log.say("detail", `event ${line.id.slice(0, 12)} was seen by ${line.event.way} too`);
      return;
    }
    const { id, severity, category, subject, text, way, system } = line.event;
    const level = severity === "critical" || severity === "non-recoverable" ? "fault" : "event";
    const what = subject === "" || text.includes(subject) ? text : `${subject}: ${text}`;
    const from = `${system}, by ${way}, ${id.slice(0, 12)}`;
    this.#log.say(level, `${severity} ${category}: ${what} (${from})`);
  }

  /** Said once when it begins and once when it ends, however many events meet it. */
  #note(failure: DiskFailure | null): void {
    if (failure !== null && this.#failure === null) {
      this.#log.say(
        "fault",
        `events cannot be kept: ${failure.detail}: make room in the data folder`,
      );
    }
    if (failure === null && this.#failure !== null) this.#log.say("event", "events are kept again");
    this.#failure = failure;
  }
}

/** In the agent's data folder. Throws what the file system throws. */
export async function openEventKeeper(
  dataFolder: string,
  log: Log,
  eventsMax: number = EVENTS_MAX,
): Promise<EventKeeper> {
  const folder = join(dataFolder, FOLDER);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { journal, lines, complaint } = await openJournal(join(folder, JOURNAL));
  if (complaint !== null) log.say("fault", complaint);
  return new EventKeeper(new EventBook(lines, eventsMax), journal, log);
}
