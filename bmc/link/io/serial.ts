/**
 * The connection to a BMC over a serial line: `serial:/dev/ttyS1?baud=115200&mode=basic`.
 *
 * Decides nothing of the protocol: `SerialSession` does. Here a port is opened by `@serialport/stream` over our own binding, bytes
 * go to and fro, and time is told. A line that hangs up ends the connection with `disconnected`; opening it again is for
 * whoever watches, since a USB adapter may come back under another name.
 */
import { SerialPortStream } from "@serialport/stream";
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { realCrypto } from "../../ipmi/io/crypto.ts";
import type { IpmiReply, IpmiRequest } from "../../ipmi/ipmi.ts";
import { type LinuxBinding, linuxBinding } from "../../serial/io/linux-binding.ts";
import { PortError } from "../../serial/io/port-error.ts";
import {
  SERIAL_REPLY_BYTES_MAX,
  SERIAL_REQUEST_BYTES_MAX,
  type SerialLine,
  type SerialMode,
  serialLine,
} from "../../serial/serial-line.ts";
import { type SerialEffect, type SerialEvent, SerialSession } from "../../serial/serial-session.ts";
import type { IpmiConnection, Unsolicited } from "./connection.ts";

/** What the URL says. */
export interface SerialPlace {
  readonly devicePath: string;
  readonly baudRate: number;
  readonly mode: SerialMode;
  /** Null or empty: the BMC's user without a name. */
  readonly userName: string | null;
}

export interface SerialOptions {
  /** Which way bytes are read: see `bmc/serial/io/fd-reader.ts`. */
  readonly way?: "stream" | "worker";
  /** What ends a line in Terminal Mode; CR by default, NUL for a BMC that was set so. */
  readonly newline?: "\r" | "\0";
  readonly triesMax?: number;
  readonly firstTimeoutMs?: number;
  /** Where lock files are; by default where the system has them. */
  readonly lockFolder?: string;
}

type Port = SerialPortStream<LinuxBinding>;

const TRIES_MAX = 4;
const FIRST_TIMEOUT_MS = 1_000;

/** What is in the buffers of a stream; a reply has a hundredth of it. */
const STREAM_BYTES = 16_384;

function openStream(place: SerialPlace, options: SerialOptions): Promise<Result<Port, BmcError>> {
  const { devicePath, baudRate } = place;
  const stream = new SerialPortStream<LinuxBinding>({
    binding: linuxBinding,
    path: devicePath,
    // Both modes are 8N1 always (§14.4.1, §14.7); flow control is the handshake's.
    baudRate,
    autoOpen: false,
    highWaterMark: STREAM_BYTES,
    way: options.way ?? "stream",
    lockFolder: options.lockFolder ?? null,
  });
  return new Promise((resolve) => {
    stream.open((error) => {
      if (error === null || error === undefined) resolve(ok(stream));
      else resolve(err(bmcErrorOf(devicePath, error)));
    });
  });
}

function bmcErrorOf(devicePath: string, error: Error): BmcError {
  if (error instanceof PortError) return error.toBmcError();
  return bmcError("disconnected", `${devicePath}: ${error.message}`);
}

export function serialUrl(place: SerialPlace): string {
  return `serial:${place.devicePath}?baud=${place.baudRate}&mode=${place.mode}`;
}

/** With a password the user of `place` is logged in; without one nothing is activated. */
export async function openSerial(
  place: SerialPlace,
  password: string | null,
  options: SerialOptions = {},
): Promise<Result<IpmiConnection, BmcError>> {
  if (password === null && place.userName !== null && place.userName !== "") {
    return err(bmcError("no-password", `${serialUrl(place)}: user ${place.userName} needs one`));
  }
  const opened = await openStream(place, options);
  if (!opened.ok) return opened;
  const connection = new SerialConnection(opened.value, place, password, options);
  const loggedIn = await connection.login();
  return loggedIn.ok ? ok(connection) : loggedIn;
}

type Settle = (result: Result<IpmiReply, BmcError>) => void;

class SerialConnection implements IpmiConnection {
  readonly url: string;
  readonly requestBytesMax = SERIAL_REQUEST_BYTES_MAX;
  readonly replyBytesMax = SERIAL_REPLY_BYTES_MAX;
  readonly windowMax: number;

  readonly #place: SerialPlace;
  readonly #port: Port;
  readonly #line: SerialLine;
  readonly #session: SerialSession;
  readonly #asks = new Map<number, Settle>();
  readonly #handlers: ((message: Unsolicited) => void)[] = [];
  readonly #opened = Promise.withResolvers<Result<null, BmcError>>();
  readonly #sessionEnded = Promise.withResolvers<void>();
  #askId = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #timerMs = Number.POSITIVE_INFINITY;
  /** Written in this turn of the event loop; they go out as one at its end. */
  #unsent: Uint8Array[] = [];
  #closing: Promise<void> | null = null;

  constructor(port: Port, place: SerialPlace, password: string | null, options: SerialOptions) {
    this.url = serialUrl(place);
    this.#place = place;
    this.#port = port;
    this.#line = serialLine(place.mode, options.newline);
    this.windowMax = this.#line.windowMax;
    this.#session = new SerialSession({
      line: this.#line,
      baudRate: place.baudRate,
      credentials: password === null ? null : { userName: place.userName ?? "", password },
      crypto: realCrypto,
      triesMax: options.triesMax ?? TRIES_MAX,
      firstTimeoutMs: options.firstTimeoutMs ?? FIRST_TIMEOUT_MS,
    });
    port.on("data", (bytes: Buffer) => this.#step({ kind: "bytes", bytes }));
    port.on("close", () => this.#lost("hung up: is the cable in, the adapter there?"));
    port.on("error", (error: Error) => this.#lost(`failed: ${error.message}`));
  }

  /** Once; closes everything where it fails. */
  async login(): Promise<Result<null, BmcError>> {
    this.#step({ kind: "open" });
    const result = await this.#opened.promise;
    if (result.ok) return result;
    await this.close();
    return err({ ...result.error, detail: `${this.url}: ${this.#explained(result.error)}` });
  }

  request(request: IpmiRequest): Promise<Result<IpmiReply, BmcError>> {
    const { promise, resolve } = Promise.withResolvers<Result<IpmiReply, BmcError>>();
    const id = ++this.#askId;
    this.#asks.set(id, resolve);
    this.#step({ kind: "ask", id, request });
    return promise;
  }

  /** A serial line pushes no events. */
  enableEvents(): Promise<Result<boolean, BmcError>> {
    return Promise.resolve(ok(false));
  }

  onUnsolicited(handler: (message: Unsolicited) => void): void {
    this.#handlers.push(handler);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#step({ kind: "close" });
    await this.#sessionEnded.promise;
    if (this.#port.isOpen) {
      await new Promise<void>((resolve) => this.#port.close(() => resolve()));
    }
    this.#port.destroy();
  }

  #step(event: SerialEvent): void {
    for (const effect of this.#session.step(event, performance.now())) this.#perform(effect);
    this.#arm();
  }

  #perform(effect: SerialEffect): void {
    switch (effect.kind) {
      case "write":
        if (this.#unsent.length === 0) queueMicrotask(() => this.#send());
        this.#unsent.push(effect.bytes);
        return;
      case "opened":
        this.#opened.resolve(ok(null));
        return;
      case "refused":
        this.#opened.resolve(err(effect.error));
        return;
      case "done": {
        const settle = this.#asks.get(effect.id);
        this.#asks.delete(effect.id);
        settle?.(effect.result);
        return;
      }
      case "ping":
        for (const handler of this.#handlers) {
          handler({ kind: "ping", sessionState: effect.sessionState });
        }
        return;
      case "closed":
        this.#sessionEnded.resolve();
        return;
    }
  }

  #lost(how: string): void {
    const error = bmcError("disconnected", `${this.#place.devicePath} ${how}`);
    this.#opened.resolve(err(error));
    this.#step({ kind: "lost", error });
  }

  /** What the line has seen says why there was no answer. */
  #explained(error: BmcError): string {
    if (error.kind !== "timeout") return error.detail;
    const { messages, noiseBytes, badFrames, echoes } = this.#line.counts;
    if (echoes > 0 && messages === echoes) {
      return `${error.detail}; all that came back is what was sent: the line is a loop`;
    }
    if (noiseBytes + badFrames > 0) {
      return `${error.detail}; ${noiseBytes} other bytes and ${badFrames} broken messages came: is it the right rate and mode, and has the BMC the line?`;
    }
    return `${error.detail}; nothing came at all: is the BMC behind this port, at this rate and in this mode?`;
  }

  #send(): void {
    const bytes = Buffer.concat(this.#unsent.splice(0));
    // Whether it worked is told by `error` and `close`.
    if (this.#port.isOpen) this.#port.write(bytes, () => undefined);
  }

  /** A timer that comes too early only looks again, which is cheaper than a new one for every message. */
  #arm(): void {
    const { wakeMs } = this.#session;
    if (this.#timer !== null) {
      if (wakeMs !== null && this.#timerMs <= wakeMs) return;
      clearTimeout(this.#timer);
      this.#timer = null;
    }
    if (wakeMs === null) return;
    this.#timerMs = wakeMs;
    const tick = (): void => {
      this.#timer = null;
      this.#step({ kind: "tick" });
    };
    this.#timer = setTimeout(tick, Math.max(0, Math.ceil(wakeMs - performance.now())));
  }
}
