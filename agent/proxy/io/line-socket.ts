/**
 * JSON messages, one a line, over a Unix socket: agent and proxy, program and proxy.
 *
 * Bounded: a line longer than LINE_LENGTH_MAX ends the connection, and so does a peer that does not read what it is told.
 */
import { ffiBuffer } from "../../../core/io/native.ts";
import { libc } from "../../runtime/io/ffi.ts";
import { type Poller, READABLE, WRITABLE } from "./poller.ts";
import { MSG_DONTWAIT, MSG_NOSIGNAL, wouldBlock } from "./socket.ts";

/** An assignment lists every shard that every node holds: 64 versions × ranks × copies at about 100 bytes. */
const LINE_LENGTH_MAX = 67_108_864;
const OUT_BYTES_MAX = 67_108_864;
const CHUNK_BYTES = 65_536;

export interface LineHandler {
  onMessage(message: unknown): void;
  /** Exactly once, unless closed from this side. */
  onClose(reason: string): void;
}

export class LineSocket {
  readonly fd: number;
  readonly #poller: Poller;
  readonly #handler: LineHandler;
  readonly #chunk = ffiBuffer(CHUNK_BYTES);
  readonly #decoder = new TextDecoder();
  /** What came since the last end of a line; joined once the line is whole. */
  #parts: string[] = [];
  #partsLength = 0;
  #out: Uint8Array[] = [];
  #outBytes = 0;
  #isOpen = true;

  constructor(fd: number, poller: Poller, handler: LineHandler) {
    this.fd = fd;
    this.#poller = poller;
    this.#handler = handler;
    poller.add(fd, READABLE, (isReadable, isWritable) => {
      if (isWritable) this.#flush();
      if (isReadable && this.#isOpen) this.#read();
    });
  }

  send(message: unknown): void {
    if (!this.#isOpen) return;
    const bytes = new TextEncoder().encode(`${JSON.stringify(message)}\n`);
    this.#out.push(bytes);
    this.#outBytes += bytes.byteLength;
    if (this.#outBytes > OUT_BYTES_MAX) this.#fail("does not read what it is told");
    else this.#flush();
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#poller.remove(this.fd);
    libc.close(this.fd);
  }

  #fail(reason: string): void {
    if (!this.#isOpen) return;
    this.close();
    this.#handler.onClose(reason);
  }

  #flush(): void {
    while (this.#isOpen && this.#out.length > 0) {
      const first = this.#out[0] as Uint8Array;
      const bytes = Math.min(first.byteLength, CHUNK_BYTES);
      this.#chunk.u8.set(first.subarray(0, bytes));
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      const sent = libc.send(this.fd, this.#chunk.pointer, bytes, flags);
      if (sent < 0) {
        if (!wouldBlock()) this.#fail("connection lost");
        break;
      }
      this.#outBytes -= sent;
      if (sent === first.byteLength) this.#out.shift();
      else this.#out[0] = first.subarray(sent);
    }
    if (!this.#isOpen) return;
    this.#poller.change(this.fd, this.#out.length > 0 ? READABLE | WRITABLE : READABLE);
  }

  #read(): void {
    const got = libc.recv(this.fd, this.#chunk.pointer, CHUNK_BYTES, MSG_DONTWAIT);
    if (got < 0 && wouldBlock()) return;
    if (got <= 0) {
      this.#fail("connection closed");
      return;
    }
    const text = this.#decoder.decode(this.#chunk.u8.subarray(0, got), { stream: true });
    let from = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", from)) {
      const line = this.#parts.join("") + text.slice(from, end);
      this.#parts = [];
      this.#partsLength = 0;
      from = end + 1;
      if (!this.#take(line)) return;
    }
    if (from < text.length) this.#parts.push(text.slice(from));
    this.#partsLength += text.length - from;
    if (this.#partsLength > LINE_LENGTH_MAX) this.#fail("sends a line without an end");
  }

  /** False: the connection is over. */
  #take(line: string): boolean {
    let message: unknown;
    try {
      message = JSON.parse(line);
    } catch {
      this.#fail("sends a line that is not JSON");
      return false;
    }
    this.#handler.onMessage(message);
    return this.#isOpen;
  }
}
