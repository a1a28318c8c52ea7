/**
 * Serial Terminal Mode (IPMI 2.0 §14.7): characters of a line in, whole messages and texts out, and back. The same class reads
 * as a console and as a BMC; the BMC's side edits and echoes lines.
 *
 * Decides where a message begins and ends and whether it is hex or text; not what it means. Terminal Mode has no checksums: only
 * the shape tells noise from messages, so the shape is judged strictly.
 *
 *   [18 00 22]       a message: hex pairs, a space before each or not, either case
 *   [SYS PWD -N x]   a text: begins with SYS, OK or ERR
 *   [SYS]            the BMC has room for another message (handshake)
 *   \ newline        inside a message: it goes on in the next line
 *   ESC              throws away what has begun
 *
 * A BMC takes a line when its newline comes: before that the line can be edited. A console takes it at the bracket, since a BMC
 * may be set to send no newline at all (§25.2, parameter 29); CR, LF, CR LF, LF CR and NUL between messages are all the same to it.
 * Invariants: any split of the same bytes gives the same frames; `[` begins anew wherever it comes; no more than `charsMax`
 * characters are kept; 1Bh is never put on the line.
 *
 *   message   byte 0 netFn << 2 | LUN   byte 1 seq << 2 | bridge   byte 2 command   then data (of a reply: completion code first)
 */
import { assert } from "../../core/assert.ts";
import { err, ok, type Result } from "../../core/result.ts";
import { type DecodeError, tooShort } from "../ipmi/decode.ts";

/** 80 characters must be accepted by everyone (§14.7.2): what is longer is continued with `\`. */
export const TERMINAL_LINE_CHARS_MAX = 80;
/** Of a whole message with its continuations: 255 bytes, each with a space, and some room. */
export const TERMINAL_MESSAGE_CHARS_MAX = 800;

export type TerminalFrame =
  | { readonly kind: "message"; readonly bytes: Uint8Array }
  /** Without brackets, such as `OK TMODE`, `ERR C1`, `SYS PWD -X`. */
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "handshake" };

export interface TerminalMessage {
  readonly netFn: number;
  readonly lun: number;
  /** 0..63 */
  readonly sequence: number;
  /** 0 the BMC itself, 1 a late reply of a bridged request. */
  readonly bridge: number;
  readonly command: number;
  /** Of a reply: the completion code, then its data. */
  readonly data: Uint8Array;
}

export interface TerminalCounts {
  messages: number;
  texts: number;
  handshakes: number;
  /** Bytes outside of messages other than newlines and spaces. */
  noiseBytes: number;
  /** Neither hex pairs nor a text. */
  malformed: number;
  /** A character that may not stand in a message. */
  illegal: number;
  tooLong: number;
  /** Begun, then `[`, ESC or a newline came. */
  cutShort: number;
}

export interface TerminalOptions {
  /** Who reads: the console at the bracket, the BMC at the newline. */
  readonly side: "console" | "bmc";
  readonly charsMax?: number;
  /** The rest is of the BMC's side only (§25.2, parameter 29). Both default to on, as the standard's factory settings. */
  readonly hasLineEditing?: boolean;
  readonly hasEcho?: boolean;
  /** What is echoed where a character was deleted: `bksp-sp-bksp` by default. */
  readonly deleteStyle?: "del" | "bksp-sp-bksp";
  /** What is echoed at the end of a line. */
  readonly newline?: string;
}

const CHAR = { nul: 0x00, bksp: 0x08, lf: 0x0a, cr: 0x0d, esc: 0x1b, space: 0x20 } as const;
const DEL = 0x7f;
const OPEN = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE = 0x5d;

const ASCII = new TextEncoder();
const HEX_PAIRS = /^(?: *[0-9A-Fa-f]{2})+ *$/;
const TEXT = /^(?:SYS|OK|ERR)(?: |$)/;
const ERROR_TEXT = /^ERR(?: ([0-9A-Fa-f]{2}))?/;

export function encodeTerminalMessage(message: TerminalMessage): Uint8Array {
  const bytes = new Uint8Array(3 + message.data.byteLength);
  bytes[0] = (message.netFn << 2) | message.lun;
  bytes[1] = (message.sequence << 2) | message.bridge;
  bytes[2] = message.command;
  bytes.set(message.data, 3);
  return bytes;
}

export function decodeTerminalMessage(bytes: Uint8Array): Result<TerminalMessage, DecodeError> {
  const [first, second, command] = bytes;
  if (first === undefined || second === undefined || command === undefined) {
    return err(tooShort("a Terminal Mode message", 3, bytes.byteLength));
  }
  return ok({
    netFn: first >> 2,
    lun: first & 3,
    sequence: second >> 2,
    bridge: second & 3,
    command,
    data: bytes.subarray(3),
  });
}

/** How a message is written; the standard's default newline of a console is CR, of a BMC CR LF. */
export interface TerminalStyle {
  readonly newline: string;
  readonly isSpaced?: boolean;
  readonly lineCharsMax?: number;
}

/** Hex between brackets, continued where a line would become too long. */
export function encodeTerminalFrame(message: Uint8Array, style: TerminalStyle): Uint8Array {
  const { newline, isSpaced = false, lineCharsMax = TERMINAL_LINE_CHARS_MAX } = style;
  const lines: string[] = [];
  let line = "[";
  for (const [index, byte] of message.entries()) {
    const pair = `${isSpaced && index > 0 ? " " : ""}${byte.toString(16).padStart(2, "0").toUpperCase()}`;
    // One character stays free, for the bracket or the backslash.
    if (line.length + pair.length + 1 > lineCharsMax) {
      lines.push(`${line}\\`);
      line = pair;
    } else line += pair;
  }
  lines.push(`${line}]`);
  return ASCII.encode(`${lines.join(newline)}${newline}`);
}

/** Whether `text` can be sent between brackets: printable ASCII without brackets or backslash. */
export function isTerminalText(text: string): boolean {
  return /^[\x20-\x5a\x5e-\x7e]*$/.test(text) && text.length <= TERMINAL_LINE_CHARS_MAX - 2;
}

export function encodeTerminalText(text: string, newline: string): Uint8Array {
  assert(isTerminalText(text), "a text is printable and has no brackets");
  return ASCII.encode(`[${text}]${newline}`);
}

/** The completion code of `ERR CC`; 0xff of an ERR without one; null of other texts. */
export function errorCodeOf(text: string): number | null {
  const found = ERROR_TEXT.exec(text);
  return found === null ? null : Number.parseInt(found[1] ?? "ff", 16);
}

/** `outside` a message, `inside`, behind a `backslash`, in the newlines of a `continuation`, `closed` and waiting for a newline. */
type TerminalState = "outside" | "inside" | "backslash" | "continuation" | "closed";

export class TerminalModeFramer {
  readonly counts: TerminalCounts = {
    messages: 0,
    texts: 0,
    handshakes: 0,
    noiseBytes: 0,
    malformed: 0,
    illegal: 0,
    tooLong: 0,
    cutShort: 0,
  };
  readonly #options: Required<TerminalOptions>;
  #state: TerminalState = "outside";
  #text = "";
  #echo = "";

  constructor(options: TerminalOptions) {
    this.#options = {
      charsMax: TERMINAL_MESSAGE_CHARS_MAX,
      hasLineEditing: true,
      hasEcho: options.side === "bmc",
      deleteStyle: "bksp-sp-bksp",
      newline: "\r\n",
      ...options,
    };
  }

  get isInside(): boolean {
    return this.#state !== "outside";
  }

  push(chunk: Uint8Array): readonly TerminalFrame[] {
    const frames: TerminalFrame[] = [];
    for (const byte of chunk) {
      if (this.#options.side === "bmc" && this.#edit(byte)) continue;
      this.#take(byte, frames);
    }
    return frames;
  }

  /** What a BMC sends back for what was pushed since the last call; empty without echo. */
  takeEcho(): Uint8Array {
    const echo = ASCII.encode(this.#echo);
    this.#echo = "";
    return echo;
  }

  reset(): void {
    this.#state = "outside";
    this.#text = "";
    this.#echo = "";
  }

  /** The BMC's side of a keyboard: true when the byte was for the editor alone. */
  #edit(byte: number): boolean {
    const { hasLineEditing, hasEcho, newline } = this.#options;
    if (hasLineEditing && (byte === CHAR.bksp || byte === DEL)) {
      this.#deleteOne();
      return true;
    }
    if (hasEcho) {
      if (byte === CHAR.cr || byte === CHAR.nul) this.#echo += newline;
      else if (byte >= CHAR.space && byte < DEL) this.#echo += String.fromCharCode(byte);
    }
    return false;
  }

  #deleteOne(): void {
    if (this.#state === "outside") return;
    // Going back over a bracket, a backslash or a character; over the end of a line one cannot go.
    if (this.#state === "closed" || this.#state === "backslash") this.#state = "inside";
    else if (this.#text.length > 0) this.#text = this.#text.slice(0, -1);
    else this.#state = "outside";
    if (this.#options.hasEcho) this.#echo += this.#options.deleteStyle === "del" ? "\x7f" : "\b \b";
  }

  #take(byte: number, frames: TerminalFrame[]): void {
    if (byte === OPEN) this.#open();
    else if (byte === CHAR.esc) this.#cutShort();
    else if (byte === CHAR.cr || byte === CHAR.lf || byte === CHAR.nul) this.#newline(frames);
    else if (this.#state === "outside") {
      if (byte !== CHAR.space) this.counts.noiseBytes++;
    } else this.#inside(byte, frames);
  }

  #open(): void {
    this.#cutShort();
    this.#state = "inside";
  }

  #cutShort(): void {
    if (this.#state !== "outside") this.counts.cutShort++;
    this.#state = "outside";
    this.#text = "";
  }

  #newline(frames: TerminalFrame[]): void {
    if (this.#state === "backslash") this.#state = "continuation";
    else if (this.#state === "closed") this.#finish(frames);
    else if (this.#state === "inside") this.#cutShort();
  }

  #inside(byte: number, frames: TerminalFrame[]): void {
    if (this.#state === "closed" || this.#state === "backslash") {
      // Only a newline may follow there; a BMC drops the line silently.
      this.#drop("illegal");
    } else if (byte === CLOSE) {
      if (this.#options.side === "bmc") this.#state = "closed";
      else this.#finish(frames);
    } else if (byte === BACKSLASH) this.#state = "backslash";
    else if (byte < CHAR.space || byte >= DEL) this.#drop("illegal");
    else if (this.#text.length === this.#options.charsMax) this.#drop("tooLong");
    else {
      this.#state = "inside";
      this.#text += String.fromCharCode(byte);
    }
  }

  #drop(why: "illegal" | "tooLong"): void {
    this.counts[why]++;
    this.#state = "outside";
    this.#text = "";
  }

  #finish(frames: TerminalFrame[]): void {
    const text = this.#text;
    this.#state = "outside";
    this.#text = "";
    if (HEX_PAIRS.test(text)) {
      this.counts.messages++;
      frames.push({ kind: "message", bytes: Uint8Array.fromHex(text.replaceAll(" ", "")) });
    } else if (text === "SYS") {
      this.counts.handshakes++;
      frames.push({ kind: "handshake" });
    } else if (TEXT.test(text)) {
      this.counts.texts++;
      frames.push({ kind: "text", text });
    } else this.counts.malformed++;
  }
}
