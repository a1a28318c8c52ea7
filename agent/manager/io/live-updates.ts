/**
 * Live updates for people: `GET /v1/stream`, Server-Sent Events that can be resumed.
 *
 * The number of a message is the store's clock, so `Last-Event-ID` holds over restarts and with any manager of the same store;
 * it is given with the last row of a look at the store, so a stream that breaks within one is told the whole again. What changes
 * is told at most each `TELL_MS`; more than `ROWS_MAX` rows at a time is `reset`: read the lists anew. A client that does not
 * read is cut off, and resumes.
 */
import type { LiveMessage, NodeRow, Summary } from "../api.ts";

export const CLIENTS_MAX = 256;
const TELL_MS = 100;
const SUMMARY_MS = 1_000;
const BEAT_MS = 5_000;
/** Of one kind, in one look. */
export const ROWS_MAX = 500;
/** Messages that a client has not read. */
const UNREAD_MAX = 4_096;

const encoder = new TextEncoder();

interface Client {
  readonly send: (text: string) => void;
  readonly close: () => void;
  /** Told up to here; -1: not welcomed yet. */
  toldTo: number;
}

/** What the updates are made of. */
export interface LiveSource {
  /** Rows that changed after that number; null: cannot be read now. */
  changes(
    after: number,
  ): Promise<{ readonly upTo: number; readonly messages: readonly LiveMessage[] | null } | null>;
  summary(): Promise<Summary | null>;
  /** Of all nodes; which changed is found out by comparing. */
  nodes(): readonly NodeRow[];
}

function frame(message: LiveMessage, number: number | null): string {
  const id = number === null ? "" : `id: ${number}\n`;
  return `event: ${message.kind}\n${id}data: ${JSON.stringify(message)}\n\n`;
}

/** Of a node what is worth telling: that it was seen again is not. */
function nodeKey(row: NodeRow): string {
  return JSON.stringify({
    ...row,
    seenMs: 0,
    reportedMs: 0,
    why: row.state === "late" ? "" : row.why,
  });
}

export class LiveUpdates {
  readonly #source: LiveSource;
  readonly #onDefect: (detail: string) => void;
  readonly #clients = new Set<Client>();
  readonly #nodeKeys = new Map<string, string>();
  readonly #beat: ReturnType<typeof setInterval>;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isTelling = false;
  #isWanted = false;
  #summary = "";
  #summaryMs = Number.NEGATIVE_INFINITY;

  constructor(source: LiveSource, onDefect: (detail: string) => void) {
    this.#source = source;
    this.#onDefect = onDefect;
    this.#beat = setInterval(() => this.#sayBeat(), BEAT_MS);
  }

  get clientCount(): number {
    return this.#clients.size;
  }

  /** Something may have changed. */
  look(): void {
    this.#isWanted = true;
    if (this.#clients.size === 0 || this.#timer !== null || this.#isTelling) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#tell().catch((cause: unknown) => this.#onDefect(String(cause)));
    }, TELL_MS);
  }

  /** null: there are too many clients. `lastId` is what a browser gives as `Last-Event-ID`. */
  open(lastId: number | null): Response | null {
    if (this.#clients.size >= CLIENTS_MAX) return null;
    let client: Client | null = null;
    const leave = (): void => {
      if (client !== null) this.#clients.delete(client);
    };
    const stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          const close = (): void => {
            leave();
            try {
              controller.close();
            } catch {
              // The other side was quicker.
            }
          };
          const send = (text: string): void => {
            if (client === null || !this.#clients.has(client)) return;
            if ((controller.desiredSize ?? 0) <= 0) close();
            else controller.enqueue(encoder.encode(text));
          };
          client = { send, close, toldTo: -1 };
          this.#clients.add(client);
          // The head of the answer at once, and how soon to come back.
          send("retry: 1000\n: holdfast\n\n");
          void this.#welcome(client, lastId).catch((cause: unknown) => {
            this.#onDefect(String(cause));
            close();
          });
        },
        cancel: leave,
      },
      { highWaterMark: UNREAD_MAX },
    );
    return new Response(stream, {
      headers: {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
      },
    });
  }

  stop(): void {
    clearInterval(this.#beat);
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const client of this.#clients) client.close();
  }

  async #welcome(client: Client, lastId: number | null): Promise<void> {
    const summary = await this.#source.summary();
    const missed = await this.#source.changes(lastId ?? Number.MAX_SAFE_INTEGER);
    if (summary === null || missed === null) {
      // It comes back, as a browser does, when the store is there again.
      client.close();
      return;
    }
    client.send(frame({ kind: "hello", summary }, lastId === null ? missed.upTo : null));
    client.toldTo = missed.upTo;
    if (lastId === null) return;
    // A number that is still to come is of another store.
    const isResumed = lastId <= missed.upTo && missed.messages !== null;
    this.#send(client, isResumed ? (missed.messages ?? []) : [{ kind: "reset" }], missed.upTo);
    if (isResumed) this.#send(client, this.#nodeMessages(this.#source.nodes()), null);
    this.look();
  }

  #nodeMessages(rows: readonly NodeRow[]): readonly LiveMessage[] {
    if (rows.length > ROWS_MAX) return [{ kind: "reset" }];
    return rows.map((row) => ({ kind: "node", row }));
  }

  #send(client: Client, messages: readonly LiveMessage[], number: number | null): void {
    messages.forEach((message, index) => {
      client.send(frame(message, index === messages.length - 1 ? number : null));
    });
  }

  async #tell(): Promise<void> {
    this.#isTelling = true;
    this.#isWanted = false;
    try {
      await this.#tellRows();
      this.#tellNodes();
      await this.#tellSummary();
    } finally {
      this.#isTelling = false;
      if (this.#isWanted) this.look();
    }
  }

  async #tellRows(): Promise<void> {
    let after = Number.POSITIVE_INFINITY;
    for (const { toldTo } of this.#clients) if (toldTo >= 0) after = Math.min(after, toldTo);
    if (after === Number.POSITIVE_INFINITY) return;
    const changed = await this.#source.changes(after);
    if (changed === null || changed.upTo <= after) return;
    const messages = changed.messages ?? [{ kind: "reset" as const }];
    for (const client of this.#clients) {
      if (client.toldTo < 0 || client.toldTo >= changed.upTo) continue;
      client.toldTo = changed.upTo;
      this.#send(client, messages, changed.upTo);
    }
  }

  #tellNodes(): void {
    const changed = this.#source.nodes().filter((row) => {
      const key = nodeKey(row);
      if (this.#nodeKeys.get(row.id) === key) return false;
      this.#nodeKeys.set(row.id, key);
      return true;
    });
    const messages = this.#nodeMessages(changed);
    for (const client of this.#clients) this.#send(client, messages, null);
  }

  async #tellSummary(): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.#summaryMs < SUMMARY_MS) {
      this.#isWanted = true;
      return;
    }
    this.#summaryMs = nowMs;
    const summary = await this.#source.summary();
    if (summary === null) return;
    const key = JSON.stringify({ ...summary, nowMs: 0 });
    if (key === this.#summary) return;
    this.#summary = key;
    for (const client of this.#clients) client.send(frame({ kind: "summary", summary }, null));
  }

  #sayBeat(): void {
    for (const { send } of this.#clients) send(": beat\n\n");
    this.look();
  }
}
