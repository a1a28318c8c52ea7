/**
 * The stream of live messages, kept up: it is opened again by itself, later each time it fails, and says how it stands.
 *
 * Silence counts as a fault: the manager says something every few seconds, so what says nothing for long is cut and made anew.
 * A page that comes back to the front, or a machine that is online again, tries at once.
 */
import { type LiveMessage, STREAM_PATH } from "../api.ts";
import { headers, whyRefused } from "./api-client.ts";
import { SseParser } from "./sse.ts";

export type Link =
  | { readonly kind: "connecting"; readonly sinceMs: number; readonly why: string }
  | { readonly kind: "live"; readonly sinceMs: number }
  | {
      readonly kind: "waiting";
      readonly sinceMs: number;
      readonly why: string;
      readonly retryAtMs: number;
    };

export interface ConnectionHandlers {
  onMessage(message: LiveMessage): void;
  onLink(link: Link): void;
}

const SILENCE_MS_MAX = 20_000;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 5_000;

/** Each try later than the one before, at random within its bound, so that a thousand pages do not return at once. */
function retryMs(tries: number): number {
  const most = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** Math.min(tries, 10));
  return most / 2 + (Math.random() * most) / 2;
}

export class Connection {
  readonly #handlers: ConnectionHandlers;
  readonly #parser = new SseParser();
  #tries = 0;
  #downSinceMs = Date.now();
  #wake: (() => void) | null = null;

  constructor(handlers: ConnectionHandlers) {
    this.#handlers = handlers;
    window.addEventListener("online", () => this.retryNow());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.retryNow();
    });
  }

  retryNow(): void {
    this.#wake?.();
  }

  /** Never ends. */
  async run(): Promise<never> {
    for (let why = "not asked yet"; ; ) {
      this.#handlers.onLink({ kind: "connecting", sinceMs: this.#downSinceMs, why });
      const wasLive = await this.#once().then(
        (reason) => reason,
        (error: unknown) => reasonOf(error),
      );
      why = wasLive;
      const waitMs = retryMs(this.#tries++);
      const retryAtMs = Date.now() + waitMs;
      this.#handlers.onLink({ kind: "waiting", sinceMs: this.#downSinceMs, why, retryAtMs });
      await this.#sleep(waitMs);
    }
  }

  async #sleep(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }

  /** One connection, from its first byte to its end; gives why it ended. */
  async #once(): Promise<string> {
    const stop = new AbortController();
    let timer = setTimeout(() => stop.abort(new Error("it says nothing any more")), SILENCE_MS_MAX);
    const alive = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(new Error("it says nothing any more")), SILENCE_MS_MAX);
    };
    try {
      const { lastId } = this.#parser;
      const answer = await fetch(STREAM_PATH, {
        headers: headers({
          accept: "text/event-stream",
          ...(lastId === "" ? {} : { "last-event-id": lastId }),
        }),
        cache: "no-store",
        signal: stop.signal,
      });
      if (!answer.ok || answer.body === null) return await whyRefused(answer);
      this.#parser.restart();
      await this.#read(answer.body, alive);
      return "it closed the connection";
    } finally {
      clearTimeout(timer);
      stop.abort();
    }
  }

  async #read(body: ReadableStream<Uint8Array>, alive: () => void): Promise<void> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let isLive = false;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      alive();
      if (!isLive) {
        isLive = true;
        this.#tries = 0;
        this.#handlers.onLink({ kind: "live", sinceMs: Date.now() });
      }
      this.#downSinceMs = Date.now();
      for (const { data } of this.#parser.push(decoder.decode(value, { stream: true }))) {
        const message = parsed(data);
        if (message !== null) this.#handlers.onMessage(message);
      }
    }
  }
}

function parsed(data: string): LiveMessage | null {
  try {
    const message: unknown = JSON.parse(data);
    return typeof message === "object" && message !== null && "kind" in message
      ? (message as LiveMessage)
      : null;
  } catch {
    return null;
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof TypeError) return "it cannot be reached";
  return error instanceof Error ? error.message : String(error);
}
