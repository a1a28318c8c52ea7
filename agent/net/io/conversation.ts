/**
 * A connection from its first frame to its close: both sides say who they are, then frames flow.
 *
 * Does not choose between connections (`link-choice.ts`) nor decode messages. A side that says nothing, or anything but a
 * hello, is cut off with one line.
 */
import { decodeHello, FRAME_BYTES_MAX, type Hello } from "../frames.ts";
import { CLOSE, type Refusal } from "../link-choice.ts";
import type { Connection } from "./connection.ts";

/** A connection that does not say who it is within this time is closed. */
const HELLO_WITHIN_MS = 2_000;

/** What the WebSocket layer calls. */
export interface Inbound {
  onFrame(bytes: Uint8Array): void;
  onClose(code: number, reason: string): void;
}

export interface ConversationHandler {
  /** null: go on. */
  onHello(hello: Hello): Refusal | null;
  /** A returned line says what is wrong with the frame, and ends the conversation. */
  onFrame(bytes: Uint8Array): string | null;
  onClose(code: number, reason: string): void;
  onComplaint(detail: string): void;
}

export function converse(
  connection: Connection,
  helloFrame: Uint8Array,
  handler: ConversationHandler,
): Inbound {
  let isGreeted = false;
  let isCut = false;
  const cut = (code: number, detail: string): void => {
    isCut = true;
    if (code === CLOSE.garbage) handler.onComplaint(`${connection.from}: ${detail}; link closed`);
    connection.close(code, detail);
  };
  const timer = setTimeout(() => cut(CLOSE.garbage, "it does not say who it is"), HELLO_WITHIN_MS);
  const greet = (bytes: Uint8Array): void => {
    clearTimeout(timer);
    const hello = decodeHello(bytes);
    const refusal = hello.ok ? handler.onHello(hello.value) : null;
    if (!hello.ok) cut(CLOSE.garbage, hello.error);
    else if (refusal !== null) cut(refusal.code, refusal.detail);
    else isGreeted = true;
  };
  connection.send(helloFrame);
  return {
    onFrame: (bytes) => {
      if (isCut) return;
      if (isGreeted) {
        const complaint = handler.onFrame(bytes);
        if (complaint !== null) cut(CLOSE.garbage, complaint);
      } else greet(bytes);
    },
    onClose: (code, reason) => {
      clearTimeout(timer);
      if (!isCut && reason.toLowerCase().includes("too big")) {
        handler.onComplaint(
          `${connection.from}: a frame of more than ${FRAME_BYTES_MAX} bytes; link closed`,
        );
      }
      handler.onClose(code, reason === "" ? `code ${code}` : reason);
    },
  };
}
