/**
 * Server-sent events out of a stream of bytes (WHATWG HTML §9.2.6), however the bytes are cut into chunks.
 *
 * Lines end in CR LF, LF or CR; a line that begins with a colon is a comment, which services send to keep a connection alive;
 * an event without data is none, but its id counts. UTF-8 is decoded across chunks. Bounded: an event whose data grows
 * beyond the limit is dropped whole and counted, and the stream goes on. Invariant: every split of the same bytes gives the same events.
 */
export interface SseEvent {
  /** Last id that the stream has stated up to here; null before the first. */
  readonly id: string | null;
  readonly name: string;
  readonly data: string;
}

/** Data of one event. A batch of Redfish events is some tens of kilobytes. */
export const SSE_DATA_CHARS_MAX = 1_048_576;

/** Of a name and of an id, with the field that it stands in. */
const NAME_CHARS_MAX = 256;
const FIELD_CHARS_MAX = 512;

const CR = "\r";
const LF = "\n";

export class SseParser {
  readonly #charsMax: number;
  readonly #decoder: TextDecoder = new TextDecoder("utf-8");
  /** Of a line that has not ended. */
  #rest = "";
  /** The last chunk ended in CR: a LF that follows belongs to it. */
  #wasCr = false;
  #data: string[] = [];
  #dataChars = 0;
  #name = "";
  #id: string | null = null;
  #isTooLong = false;
  #dropped = 0;
  #retryMs: number | null = null;
  #comments = 0;

  constructor(charsMax: number = SSE_DATA_CHARS_MAX) {
    this.#charsMax = charsMax;
  }

  /** To be sent as `Last-Event-ID` when the stream is opened again. */
  get lastId(): string | null {
    return this.#id;
  }

  /** Milliseconds that the service asks to wait before the stream is opened again. */
  get retryMs(): number | null {
    return this.#retryMs;
  }

  /** Events that were too long, so lost: the log has to be read. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Signs of life without meaning. */
  get comments(): number {
    return this.#comments;
  }

  push(chunk: Uint8Array): readonly SseEvent[] {
    const events: SseEvent[] = [];
    let text = this.#decoder.decode(chunk, { stream: true });
    if (text === "") return events;
    if (this.#wasCr && text.startsWith(LF)) text = text.slice(1);
    this.#wasCr = text === "" ? false : text.endsWith(CR);
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() ?? "";
    this.#boundRest();
    for (const line of lines) {
      const event = this.#line(line);
      if (event !== null) events.push(event);
    }
    return events;
  }

  /** What is cut off makes no difference to how the line is read when it ends, so that splits of the stream do not matter. */
  #boundRest(): void {
    if (this.#rest.length <= this.#charsMax + FIELD_CHARS_MAX) return;
    if (this.#rest.startsWith("data")) this.#isTooLong = true;
    this.#rest = this.#rest.slice(0, FIELD_CHARS_MAX);
  }

  #line(line: string): SseEvent | null {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) {
      this.#comments++;
      return null;
    }
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    this.#field(field, value);
    return null;
  }

  #field(field: string, value: string): void {
    if (field === "data") this.#addData(value);
    else if (field === "event") this.#name = value.slice(0, NAME_CHARS_MAX);
    else if (field === "id" && !value.includes("\0")) this.#id = value.slice(0, NAME_CHARS_MAX);
    else if (field === "retry" && /^\d{1,9}$/.test(value)) this.#retryMs = Number(value);
  }

  #addData(value: string): void {
    this.#dataChars += value.length + 1;
    if (this.#dataChars > this.#charsMax) {
      this.#isTooLong = true;
      this.#data = [];
    } else if (!this.#isTooLong) this.#data.push(value);
  }

  #dispatch(): SseEvent | null {
    const hasData = this.#data.length > 0;
    const event = { id: this.#id, name: this.#name || "message", data: this.#data.join(LF) };
    if (this.#isTooLong) this.#dropped++;
    const isLost = this.#isTooLong;
    this.#data = [];
    this.#dataChars = 0;
    this.#name = "";
    this.#isTooLong = false;
    return hasData && !isLost ? event : null;
  }
}
