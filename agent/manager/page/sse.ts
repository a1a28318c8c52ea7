/**
 * Server-Sent Events taken apart: text in whatever pieces it arrives, messages out (HTML standard, §9.2.6).
 *
 * The browser's own `EventSource` tells neither that a connection is silent, nor when it will try again, nor why it does not
 * come up; the page has to say all three. What is too long is an error and not a growing buffer.
 */
export interface SseMessage {
  readonly kind: string;
  readonly data: string;
}

/** A row with its longest texts fits many times over. */
export const MESSAGE_CHARS_MAX = 4_000_000;

export class SseParser {
  #rest = "";
  #kind = "";
  #data: string[] = [];
  #dataChars = 0;
  #lastId = "";

  /** What to give as `Last-Event-ID` when the connection is made anew. */
  get lastId(): string {
    return this.#lastId;
  }

  /** Of a new connection: an unfinished message of the old one is none, the last id stays. */
  restart(): void {
    this.#rest = "";
    this.#clear();
  }

  /** O(length). Throws a RangeError where a message exceeds its bound. */
  push(text: string): readonly SseMessage[] {
    const all = this.#rest + text;
    // A carriage return at the very end may be half of CRLF: it waits for what follows.
    const end = all.endsWith("\r") ? all.length - 1 : all.length;
    const lines = all.slice(0, end).split(/\r\n|\n|\r/);
    this.#rest = (lines.pop() ?? "") + all.slice(end);
    const messages: SseMessage[] = [];
    for (const line of lines) this.#take(line, messages);
    if (this.#rest.length + this.#dataChars > MESSAGE_CHARS_MAX) {
      throw new RangeError(`a message of more than ${MESSAGE_CHARS_MAX} characters`);
    }
    return messages;
  }

  #take(line: string, messages: SseMessage[]): void {
    if (line === "") {
      if (this.#data.length > 0) {
        messages.push({ kind: this.#kind || "message", data: this.#data.join("\n") });
      }
      this.#clear();
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#kind = value;
    else if (field === "id" && !value.includes("\0")) this.#lastId = value;
    else if (field === "data") {
      this.#data.push(value);
      this.#dataChars += value.length + 1;
    }
  }

  #clear(): void {
    this.#kind = "";
    this.#data = [];
    this.#dataChars = 0;
  }
}
