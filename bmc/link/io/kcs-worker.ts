/**
 * The thread that waits at the system interface: it sits in poll(2), takes what the driver has, and posts it.
 *
 * Why a thread: Bun's streams read a descriptor, and this device has no read; it has messages, fetched by ioctl. Instead of a
 * thread the driver could send SIGIO, but a signal belongs to the whole process: it would end one that has lost
 * its handler, and a library may not take it from its user. A timer that looks every millisecond costs as much processor time idle
 * as this costs busy.
 *
 * An entry of its own in the compiled binary (`*-worker.ts`). It does not come back to its event loop before it is told to
 * end through the waker; a process that ends without that is held up for `WAIT_MS` at most, since a thread can be ended
 * between two calls only.
 */
import type { DecodeError } from "../../ipmi/decode.ts";
import type { DriverMessage } from "../kcs-message.ts";
import { IpmiDevice } from "./ipmi-device.ts";

export interface ToKcsWorker {
  readonly fd: number;
  readonly waker: number;
}

export type FromKcsWorker =
  | { readonly kind: "message"; readonly message: DriverMessage }
  | { readonly kind: "unreadable"; readonly error: DecodeError }
  /** The last one that is posted. `errno` is null when it was told to end. */
  | { readonly kind: "ended"; readonly errno: number | null };

declare const self: Worker;

const WAIT_MS = 250;

/** Everything that is there; the number of the error that ends the work, or null. */
function drain(device: IpmiDevice): number | null {
  for (;;) {
    const received = device.receive();
    if (received.kind === "nothing") return null;
    if (received.kind === "failed") return received.errno;
    const { message } = received;
    const posted: FromKcsWorker = message.ok
      ? { kind: "message", message: message.value }
      : { kind: "unreadable", error: message.error };
    self.postMessage(posted);
  }
}

function work(device: IpmiDevice, waker: number): number | null {
  for (;;) {
    const waited = device.wait(waker, WAIT_MS);
    if (waited.kind === "woken") return null;
    if (waited.kind === "failed") return waited.errno;
    const errno = waited.kind === "readable" ? drain(device) : null;
    if (errno !== null) return errno;
  }
}

self.onmessage = (event: MessageEvent<ToKcsWorker>) => {
  const device = new IpmiDevice(event.data.fd);
  const errno = work(device, event.data.waker);
  self.postMessage({ kind: "ended", errno } satisfies FromKcsWorker);
};
