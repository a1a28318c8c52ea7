/**
 * What the matching and collective code sees of the wire: memory, frames out, frames in. Implemented over TCP in `io/`, and in
 * memory by tests.
 *
 * Frames between two ranks arrive in the order they were sent, each once, or not at all (the connection died; then a
 * recovery follows and nothing that was under way counts).
 */
import type { FrameHeader } from "./frame.ts";

/** Memory with an address that native code may use; `pointer` is that of its first byte (0 where nothing native reads it). */
export interface Memory {
  readonly u8: Uint8Array;
  readonly pointer: number;
}

export interface Span {
  readonly memory: Memory;
  readonly offset: number;
  readonly bytes: number;
}

export interface OutFrame {
  readonly header: FrameHeader;
  /** Null: no payload. Stays untouched until `onWritten`. */
  readonly payload: Span | null;
  readonly onWritten: (() => void) | null;
}

export interface Transport {
  /** To the proxy that serves `header.destination`. */
  send(frame: OutFrame): void;
}

/** The receiving side of one local rank. */
export interface FrameSink {
  /** Where this frame's payload belongs; null: somewhere, it will be handed over with `onFrame`. */
  spanFor(header: FrameHeader): Span | null;
  /** The payload is in the span that `spanFor` gave, or in `payload`, which the callee then owns. */
  onFrame(header: FrameHeader, payload: Span | null): void;
}

export function spanBytes(span: Span): Uint8Array {
  return span.memory.u8.subarray(span.offset, span.offset + span.bytes);
}

export function subSpan(span: Span, offset: number, bytes: number): Span {
  return { memory: span.memory, offset: span.offset + offset, bytes };
}
