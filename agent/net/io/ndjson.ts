/**
 * Streams of JSON lines over HTTP, written and read.
 *
 * A writer that is not read fast enough is asked to wait (`push` gives false): it then reads on from its own cursor later, so
 * nothing piles up here. Empty lines are a beat that shows that the stream lives; a reader never sees them.
 */
import { LineSplitter } from "../../runtime/io/lines.ts";
import { STREAM_BEAT_MS } from "./server.ts";

export const NDJSON_TYPE = "application/x-ndjson";

/** A job's record with its whole history fits. */
const JSON_LINE_CHARACTERS_MAX = 16 * 1024 * 1024;

export interface LineSink {
  push(value: unknown): void;
  /** Resolves when the reader has taken what was pushed. */
  ready(): Promise<void>;
  readonly signal: AbortSignal;
}

/** `produce` runs until the stream ends; its `signal` is raised when the reader has gone. If it throws, the stream breaks. */
export function ndjsonResponse(
  produce: (sink: LineSink) => Promise<void>,
  onDefect: (detail: string) => void,
): Response {
  const gone = new AbortController();
  const encoder = new TextEncoder();
  let wake: (() => void) | null = null;
  const stream = new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        const write = (text: string): void => {
          if (!gone.signal.aborted) controller.enqueue(encoder.encode(text));
        };
        const beat = setInterval(() => write("\n"), STREAM_BEAT_MS);
        const ready = async (): Promise<void> => {
          if ((controller.desiredSize ?? 1) > 0 || gone.signal.aborted) return;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        };
        const sink: LineSink = {
          push: (value) => write(`${JSON.stringify(value)}\n`),
          ready,
          signal: gone.signal,
        };
        // The first bytes at once: a client waits for the head of an answer until its body begins.
        write("\n");
        void produce(sink).then(
          () => {
            clearInterval(beat);
            if (!gone.signal.aborted) controller.close();
            gone.abort();
          },
          (cause: unknown) => {
            clearInterval(beat);
            if (!gone.signal.aborted) {
              onDefect(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause));
              controller.error(cause);
            }
            gone.abort();
          },
        );
      },
      pull: () => {
        wake?.();
        wake = null;
      },
      cancel: () => {
        gone.abort();
        wake?.();
      },
    },
    { highWaterMark: 256 },
  );
  return new Response(stream, { headers: { "content-type": NDJSON_TYPE } });
}

/** Values until the stream ends. Throws when the connection breaks or a line is no JSON. */
export async function* readNdjson(response: Response): AsyncGenerator<unknown> {
  let lines: string[] = [];
  const splitter = new LineSplitter((line) => {
    if (line !== "") lines.push(line);
  }, JSON_LINE_CHARACTERS_MAX);
  for await (const chunk of response.body ?? []) {
    splitter.push(chunk);
    for (const line of lines) yield JSON.parse(line);
    lines = [];
  }
  splitter.end();
  for (const line of lines) yield JSON.parse(line);
}
