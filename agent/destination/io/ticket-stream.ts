/**
 * Changes of tickets as Server-Sent Events, to whoever listens now.
 *
 * Not a queue: a reader that falls behind by `BEHIND_MAX` is cut off and comes again; what it missed it asks for as tickets. The
 * id of each event is the change's key.
 */
import { STREAM_BEAT_MS } from "../../net/io/server.ts";
import type { Told } from "./intake.ts";

export const READERS_MAX = 256;
const BEHIND_MAX = 1_024;

interface Reader {
  readonly send: (text: string) => void;
  readonly end: () => void;
}

export class TicketStream {
  readonly #readers = new Set<Reader>();

  get readerCount(): number {
    return this.#readers.size;
  }

  tell(told: readonly Told[]): void {
    if (this.#readers.size === 0) return;
    const text = told
      .map(({ change }) => `id: ${change.key}\nevent: change\ndata: ${JSON.stringify(change)}\n\n`)
      .join("");
    for (const reader of [...this.#readers]) reader.send(text);
  }

  open(): Response {
    if (this.#readers.size >= READERS_MAX) {
      return new Response("too many listen already\n", { status: 503 });
    }
    let reader: Reader | null = null;
    const body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          reader = this.#add(controller);
        },
        cancel: () => reader?.end(),
      },
      { highWaterMark: BEHIND_MAX },
    );
    const headers = { "content-type": "text/event-stream", "cache-control": "no-cache" };
    return new Response(body, { headers });
  }

  close(): void {
    for (const reader of [...this.#readers]) reader.end();
  }

  #add(controller: ReadableStreamDefaultController<Uint8Array>): Reader {
    const encoder = new TextEncoder();
    const write = (text: string): void => {
      if ((controller.desiredSize ?? 0) <= 0) reader.end();
      else controller.enqueue(encoder.encode(text));
    };
    const beat = setInterval(() => write(": beat\n\n"), STREAM_BEAT_MS);
    const reader: Reader = {
      send: write,
      end: () => {
        clearInterval(beat);
        if (!this.#readers.delete(reader)) return;
        try {
          controller.close();
        } catch {
          // The reader has gone already.
        }
      },
    };
    this.#readers.add(reader);
    // The first bytes at once: a client waits for the head of an answer until its body begins.
    write(": tickets\n\n");
    return reader;
  }
}
