/**
 * The streams on which nodes hear of their receipts: `GET /v1/callhome/receipts`.
 *
 * Invariants: the lines of a node come in the order of their numbers and none is left out, whichever manager wrote them, since
 * each stream reads the store from its own cursor; what is new is pushed at once. A beat each `BEAT_MS` says that the manager
 * lives and whether it can relay; while the store cannot be read it says that it cannot.
 */
import { BEAT_MS } from "../../callhome/protocol.ts";
import { type LineSink, ndjsonResponse } from "../../net/io/ndjson.ts";
import { Waiters } from "../../runtime/waiters.ts";
import type { Notice } from "./relay-tables.ts";
import type { Store } from "./store.ts";

/** Of all nodes, and of one: agents open one each, and a second while the first dies. */
const STREAMS_MAX = 8_192;
const STREAMS_OF_NODE_MAX = 4;
const PAGE = 256;
const POLL_MAX = 1_024;
/** Lines pushed before it is made sure that they are read. */
const UNREAD_MAX = 256;

export interface ReceiptStreamsParts {
  readonly store: Store;
  readonly epoch: string;
  readonly canRelay: () => boolean;
  readonly onOpened: (node: string) => void;
  readonly onClosed: (node: string) => void;
  readonly onDefect: (detail: string) => void;
}

interface Stream {
  readonly sink: LineSink;
  cursor: number;
  /** Has read all that there was: what comes is pushed. */
  isLive: boolean;
  /** Something came while it read. */
  hasMissed: boolean;
  /** Lines since its reader was last known to keep up. */
  pushed: number;
  readonly waiters: Waiters;
}

function lineOf({ seq, line }: Notice): unknown {
  return { ...(JSON.parse(line) as object), seq };
}

export class ReceiptStreams {
  readonly #parts: ReceiptStreamsParts;
  readonly #streams = new Map<string, Set<Stream>>();
  readonly #stopped = new AbortController();
  #count = 0;
  /** Newest number that was looked at; null: nothing yet. */
  #seen: number | null = null;
  #polling: Promise<void> | null = null;
  #isPollWanted = false;
  readonly #beat: ReturnType<typeof setInterval>;

  constructor(parts: ReceiptStreamsParts) {
    this.#parts = parts;
    this.#beat = setInterval(() => this.#sayBeats(), BEAT_MS);
  }

  get count(): number {
    return this.#count;
  }

  /** null: there are too many. */
  open(node: string, after: number): Response | null {
    const own = this.#streams.get(node) ?? new Set<Stream>();
    if (this.#count >= STREAMS_MAX || own.size >= STREAMS_OF_NODE_MAX) return null;
    return ndjsonResponse((sink) => this.#serve(node, after, sink), this.#parts.onDefect);
  }

  /** Something was settled, here or perhaps elsewhere. */
  look(): void {
    this.#isPollWanted = true;
    if (this.#count === 0) return;
    this.#polling ??= this.#poll()
      .catch((cause: unknown) => this.#parts.onDefect(String(cause)))
      .finally(() => {
        this.#polling = null;
      });
  }

  /** At once, when it changes. */
  sayBeats(): void {
    this.#sayBeats();
  }

  stop(): void {
    clearInterval(this.#beat);
    this.#stopped.abort();
    for (const streams of this.#streams.values()) {
      for (const { waiters } of streams) waiters.wake();
    }
  }

  async #serve(node: string, after: number, sink: LineSink): Promise<void> {
    const stream: Stream = {
      ...{ sink, cursor: after, isLive: false, hasMissed: false, pushed: 0 },
      waiters: new Waiters(),
    };
    const own = this.#streams.get(node) ?? new Set<Stream>();
    this.#streams.set(node, own);
    own.add(stream);
    // Nobody looked while there was no stream.
    if (this.#count === 0) this.#seen = null;
    this.#count++;
    this.#parts.onOpened(node);
    try {
      await this.#settleCursor(stream);
      while (!sink.signal.aborted && !this.#stopped.signal.aborted) {
        const changed = stream.waiters.changed(sink.signal);
        if (!stream.isLive && !(await this.#catchUp(node, stream))) {
          // The store cannot be read; the beat says that nothing can be relayed.
          this.#sayBeat(stream);
          await Bun.sleep(BEAT_MS);
          continue;
        }
        await changed;
      }
    } finally {
      own.delete(stream);
      if (own.size === 0) this.#streams.delete(node);
      this.#count--;
      this.#parts.onClosed(node);
    }
  }

  /** A number above all of the store's is of another store: everything is told. */
  async #settleCursor(stream: Stream): Promise<void> {
    const clock = await this.#parts.store.clock();
    if (clock.ok && stream.cursor > clock.value) stream.cursor = 0;
  }

  /** Until it is live. False: the store cannot be read. */
  async #catchUp(node: string, stream: Stream): Promise<boolean> {
    while (!stream.sink.signal.aborted) {
      stream.hasMissed = false;
      const page = await this.#parts.store.noticesOfNode(node, stream.cursor, PAGE);
      if (!page.ok) return false;
      for (const notice of page.value) this.#push(stream, notice);
      await stream.sink.ready();
      stream.pushed = 0;
      if (page.value.length === PAGE || stream.hasMissed) continue;
      stream.isLive = true;
      this.#sayBeat(stream);
      return true;
    }
    return true;
  }

  #push(stream: Stream, notice: Notice): void {
    if (notice.seq <= stream.cursor) return;
    stream.cursor = notice.seq;
    stream.sink.push(lineOf(notice));
    this.#counted(stream);
  }

  /** A reader that may have stopped reads on from its cursor, once it reads. */
  #counted(stream: Stream): void {
    stream.pushed++;
    if (stream.pushed < UNREAD_MAX || !stream.isLive) return;
    stream.isLive = false;
    stream.waiters.wake();
  }

  async #poll(): Promise<void> {
    while (this.#isPollWanted && !this.#stopped.signal.aborted) {
      this.#isPollWanted = false;
      const isRead = this.#seen === null ? await this.#begin() : await this.#readOn(this.#seen);
      if (isRead) continue;
      this.#rereadAll();
      return;
    }
  }

  /** False: the store cannot be read. */
  async #begin(): Promise<boolean> {
    const newest = await this.#parts.store.newestNotice(null);
    if (!newest.ok) return false;
    this.#seen = newest.value;
    // What came before this look is read by each stream for itself.
    this.#rereadAll();
    return true;
  }

  async #readOn(seen: number): Promise<boolean> {
    const page = await this.#parts.store.noticesAfter(seen, POLL_MAX);
    if (!page.ok) return false;
    for (const notice of page.value) {
      this.#seen = notice.seq;
      for (const stream of this.#streams.get(notice.node) ?? []) this.#tell(stream, notice);
    }
    if (page.value.length === POLL_MAX) this.#isPollWanted = true;
    return true;
  }

  #tell(stream: Stream, notice: Notice): void {
    if (stream.isLive) this.#push(stream, notice);
    else stream.hasMissed = true;
  }

  #rereadAll(): void {
    for (const streams of this.#streams.values()) {
      for (const stream of streams) {
        stream.isLive = false;
        stream.waiters.wake();
      }
    }
  }

  #sayBeats(): void {
    for (const streams of this.#streams.values()) {
      for (const stream of streams) if (stream.isLive) this.#sayBeat(stream);
    }
  }

  #sayBeat(stream: Stream): void {
    const { epoch, canRelay, store } = this.#parts;
    const isUp = canRelay() && store.isUp;
    stream.sink.push({ kind: "beat", epoch, seq: stream.cursor, canRelay: isUp });
    this.#counted(stream);
  }
}
