/**
 * The connection to a BMC over its host's system interface, through Linux' driver: `kcs:/dev/ipmi0`.
 *
 * Requests go to the driver from here; replies and events are fetched by a thread (`kcs-worker.ts`) and posted. What is asked
 * again and when it is given up, `KcsQueue` decides. Events are pushed: the driver fetches them from the BMC when
 * it raises its attention flag, and no log is looked at. That needs a BMC with an event message buffer (§22.8), and the
 * driver's interrupt or its own timer.
 */

import { workerUrl } from "../../../core/io/worker-url.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { malformed } from "../../ipmi/decode.ts";
import { type IpmiReply, type IpmiRequest, NET_FN } from "../../ipmi/ipmi.ts";
import { kcsLost, kcsOpenError, kcsSendError } from "../kcs-error.ts";
import { REPLY_BYTES_MAX, REQUEST_BYTES_MAX } from "../kcs-message.ts";
import { type KcsEffect, type KcsEvent, KcsQueue, WINDOW_MAX } from "../kcs-queue.ts";
import type { IpmiConnection, Unsolicited } from "./connection.ts";
import { closeDescriptor, IpmiDevice, openDescriptor, openWaker, wake } from "./ipmi-device.ts";
import type { FromKcsWorker, ToKcsWorker } from "./kcs-worker.ts";

export interface KcsOptions {
  /**
   * For one request, from when the driver has it. The default is longer than the five seconds that the interface itself gives
   * a BMC for one byte (§9.15), so that the driver's own answer comes first.
   */
  readonly limitMs?: number;
}

const LIMIT_MS = 10_000;
const CLOSE_WITHIN_MS = 1_000;

/** §22.2: the driver switches the buffer on at its start, if the BMC has one. */
const GET_BMC_GLOBAL_ENABLES = 0x2f;
const EVENT_MESSAGE_BUFFER = 0x04;

export async function openKcs(
  devicePath: string,
  options: KcsOptions = {},
): Promise<Result<IpmiConnection, BmcError>> {
  const fd = openDescriptor(devicePath);
  if (fd < 0) return err(kcsOpenError(devicePath, -fd));
  const device = new IpmiDevice(fd);
  const probed = device.probe();
  const waker = probed < 0 ? probed : openWaker();
  if (waker < 0) {
    closeDescriptor(fd);
    return err(kcsOpenError(devicePath, -waker));
  }
  return ok(new KcsConnection(devicePath, device, waker, options.limitMs ?? LIMIT_MS));
}

type Settle = (result: Result<IpmiReply, BmcError>) => void;

class KcsConnection implements IpmiConnection {
  readonly url: string;
  readonly requestBytesMax = REQUEST_BYTES_MAX;
  readonly replyBytesMax = REPLY_BYTES_MAX;
  readonly windowMax = WINDOW_MAX;

  readonly #path: string;
  readonly #device: IpmiDevice;
  readonly #waker: number;
  readonly #worker: Worker;
  readonly #queue: KcsQueue;
  readonly #asks = new Map<number, Settle>();
  readonly #handlers: ((message: Unsolicited) => void)[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #takesEvents = false;
  #askId = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #closing: Promise<void> | null = null;

  constructor(path: string, device: IpmiDevice, waker: number, limitMs: number) {
    this.url = `kcs:${path}`;
    this.#path = path;
    this.#device = device;
    this.#waker = waker;
    this.#queue = new KcsQueue(limitMs);
    this.#worker = new Worker(workerUrl("bmc/link/io/kcs-worker.ts"), { smol: true });
    this.#worker.onmessage = (event: MessageEvent<FromKcsWorker>) => this.#onPosted(event.data);
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#onEnded(bmcError("disconnected", `${path}: its thread ended: ${event.message}`));
    };
    this.#worker.postMessage({ fd: device.fd, waker } satisfies ToKcsWorker);
  }

  request(request: IpmiRequest): Promise<Result<IpmiReply, BmcError>> {
    if (request.data.byteLength > REQUEST_BYTES_MAX) {
      const detail = `${this.#path}: ${request.data.byteLength} bytes of data, at most ${REQUEST_BYTES_MAX} fit`;
      return Promise.resolve(err(bmcError("bad-request", detail)));
    }
    const { promise, resolve } = Promise.withResolvers<Result<IpmiReply, BmcError>>();
    const askId = ++this.#askId;
    this.#asks.set(askId, resolve);
    this.#step({ kind: "ask", askId, request });
    return promise;
  }

  /**
   * The driver keeps up to 25 events that nobody took, and gives these first: they may be days old, and are in the log.
   * It gives messages in order, so what comes before the answer to a request made afterwards is dropped.
   */
  async enableEvents(): Promise<Result<boolean, BmcError>> {
    if (this.#takesEvents) return ok(true);
    if (this.#closing !== null) return err(closedError(this.#path));
    const given = this.#device.setGetsEvents(true);
    if (given < 0) return err(kcsLost(this.#path, -given));
    const answer = await this.request({
      netFn: NET_FN.app,
      lun: 0,
      command: GET_BMC_GLOBAL_ENABLES,
      data: new Uint8Array(),
    });
    if (!answer.ok) return answer;
    const enables = answer.value.completionCode === 0 ? (answer.value.data[0] ?? 0) : 0;
    // Without the buffer the driver takes the wish all the same, and never has anything to give.
    this.#takesEvents = (enables & EVENT_MESSAGE_BUFFER) !== 0;
    return ok(this.#takesEvents);
  }

  onUnsolicited(handler: (message: Unsolicited) => void): void {
    this.#handlers.push(handler);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#step({ kind: "lost", error: closedError(this.#path) });
    wake(this.#waker);
    const hasEnded = await Promise.race([
      this.#ended.promise.then(() => true),
      Bun.sleep(CLOSE_WITHIN_MS).then(() => false),
    ]);
    this.#worker.terminate();
    // A thread that is stuck in the driver still holds the descriptors: their numbers must not come to mean something else.
    if (!hasEnded) return;
    closeDescriptor(this.#waker);
    closeDescriptor(this.#device.fd);
  }

  #onPosted(posted: FromKcsWorker): void {
    switch (posted.kind) {
      case "message":
        this.#step({ kind: "message", message: posted.message });
        return;
      case "unreadable":
        // Whose reply it was is not known, and the driver has never been seen to do this: nothing here is sure any more.
        this.#step({ kind: "lost", error: malformed(posted.error) });
        return;
      case "ended":
        this.#onEnded(posted.errno === null ? null : kcsLost(this.#path, posted.errno));
        return;
    }
  }

  #onEnded(error: BmcError | null): void {
    this.#ended.resolve();
    if (error !== null) this.#step({ kind: "lost", error });
  }

  #step(event: KcsEvent): void {
    for (const effect of this.#queue.step(event, performance.now())) this.#perform(effect);
    this.#arm();
  }

  #perform(effect: KcsEffect): void {
    switch (effect.kind) {
      case "send": {
        const given = this.#device.send(effect.request, effect.messageId);
        if (given >= 0) return;
        const error = kcsSendError(this.#path, -given);
        this.#step({ kind: "refused", messageId: effect.messageId, error });
        return;
      }
      case "settle": {
        const settle = this.#asks.get(effect.askId);
        this.#asks.delete(effect.askId);
        settle?.(effect.result);
        return;
      }
      case "event":
        if (!this.#takesEvents) return;
        for (const handler of this.#handlers) handler({ kind: "event", record: effect.record });
        return;
    }
  }

  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const dueMs = this.#queue.wakeMs;
    const tick = (): void => this.#step({ kind: "tick" });
    this.#timer =
      dueMs === null ? null : setTimeout(tick, Math.max(0, Math.ceil(dueMs - performance.now())));
  }
}

function closedError(path: string): BmcError {
  return bmcError("disconnected", `${path} was closed`);
}
