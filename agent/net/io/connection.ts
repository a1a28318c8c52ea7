/**
 * One WebSocket, whichever side dialled it: frames out, frames in, one close.
 */
import type { DialTls } from "./secure.ts";

export interface Connection {
  /** By this side. */
  readonly isDialled: boolean;
  /** For people: where it comes from. */
  readonly from: string;
  send(frame: Uint8Array): void;
  /** Bytes accepted by `send` and not yet taken by the kernel. */
  unsentBytes(): number;
  close(code: number, reason: string): void;
}

export interface ConnectionHandler {
  onOpen(): void;
  onFrame(bytes: Uint8Array): void;
  /** Exactly once. Of a dial that failed, `reason` is the system's error code where it has one. */
  onClose(code: number, reason: string): void;
}

/** A host that is cut off does not answer at all; the kernel would try for minutes. */
const DIAL_WITHIN_MS = 1_000;

/** With TLS: the certificates, and what proves who dials. */
export interface DialCredentials {
  readonly tls: DialTls;
  readonly authorization: string;
}

/** The second argument of Bun's `WebSocket` may be this, which the standard's types do not know. */
function socketOf(url: string, credentials: DialCredentials | null): WebSocket {
  // Between nodes no proxy is used, whatever the environment says.
  const direct = { proxy: false };
  if (credentials === null) return new WebSocket(url, direct as unknown as string[]);
  const { tls, authorization } = credentials;
  const options = { ...direct, tls, headers: { authorization } };
  return new WebSocket(url, options as unknown as string[]);
}

/** Who failed to prove itself is told apart from who is not there: `ERR_TLS_…` and the like come as `reason`. */
export function dial(
  url: string,
  credentials: DialCredentials | null,
  handler: ConnectionHandler,
): Connection {
  const socket = socketOf(url, credentials);
  socket.binaryType = "arraybuffer";
  let failure = "";
  let isOver = false;
  const over = (code: number, reason: string): void => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    handler.onClose(code, reason);
  };
  const timer = setTimeout(() => {
    socket.close();
    over(1006, "no answer in time");
  }, DIAL_WITHIN_MS);
  socket.onopen = () => {
    clearTimeout(timer);
    if (!isOver) handler.onOpen();
  };
  socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
    if (isOver) return;
    const bytes =
      typeof event.data === "string" ? Buffer.from(event.data) : new Uint8Array(event.data);
    handler.onFrame(bytes);
  };
  socket.onerror = (event) => {
    const { error, message } = event as ErrorEvent;
    failure = (error as { code?: string } | null)?.code ?? message ?? "";
  };
  socket.onclose = (event) => over(event.code, event.reason === "" ? failure : event.reason);
  return {
    isDialled: true,
    from: url,
    send: (frame) => {
      if (socket.readyState === WebSocket.OPEN) socket.send(frame);
    },
    unsentBytes: () => socket.bufferedAmount,
    close: (code, reason) => {
      // Closing waits for the other side, which may be gone: for us it is over now.
      socket.close(code, reason.slice(0, 100));
      queueMicrotask(() => over(code, reason));
    },
  };
}
