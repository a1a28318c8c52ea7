/**
 * The connection to a BMC over LAN: `lan://user@host`.
 *
 * Decides nothing of the protocol: `LanSession` does. Here a name is looked up, datagrams go to and fro over one connected UDP
 * socket (so that only the BMC's own are received, and "nobody listens there" is reported by the kernel), and time is
 * told. One BMC has one session: whoever asks at once shares it.
 */
import { lookup } from "node:dns/promises";
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { PRIVILEGES } from "../../ipmi/app/set-session-privilege-level.ts";
import { realCrypto } from "../../ipmi/io/crypto.ts";
import type { IpmiReply, IpmiRequest } from "../../ipmi/ipmi.ts";
import { CIPHER_SUITES, type CipherSuiteId } from "../../ipmi/rmcp/cipher-suite.ts";
import { PASSWORD_BYTES_MAX } from "../../ipmi/rmcp/session-keys.ts";
import {
  LAN_WINDOW_MAX,
  type LanEffect,
  type LanEvent,
  LanSession,
} from "../../ipmi/session/lan-session.ts";
import type { LanAddress } from "../bmc-url.ts";
import type { IpmiConnection } from "./connection.ts";

export interface LanSecrets {
  readonly password: string;
  /** The BMC's own key, where it has one. */
  readonly kg: Uint8Array | null;
}

/** A message of a session carries far more, but BMCs' buffers do not (§6.8.2 wants 45 bytes at least for a whole packet). */
const REQUEST_BYTES_MAX = 200;
const REPLY_BYTES_MAX = 200;
const LOOKUP_WITHIN_MS = 5_000;

interface Place {
  readonly ip: string;
  readonly isV6: boolean;
}

async function placeOf(address: LanAddress): Promise<Result<Place, BmcError>> {
  const timer = Promise.withResolvers<null>();
  const timeout = setTimeout(() => timer.resolve(null), LOOKUP_WITHIN_MS);
  try {
    const found = await Promise.race([lookup(address.host), timer.promise]);
    if (found === null) {
      const detail = `${address.url}: the name ${address.host} is not resolved in ${LOOKUP_WITHIN_MS / 1000} s`;
      return err(bmcError("unreachable", `${detail}: see the resolver, or give an address`));
    }
    return ok({ ip: found.address, isV6: found.family === 6 });
  } catch {
    const detail = `${address.url}: there is no host named ${address.host}`;
    return err(bmcError("unreachable", `${detail}: check the name, or give an address`));
  } finally {
    clearTimeout(timeout);
  }
}

function networkError(address: LanAddress, error: unknown): BmcError {
  const code = (error as { code?: unknown }).code;
  const what =
    code === "ECONNREFUSED"
      ? `nobody listens on UDP port ${address.port}: is IPMI over LAN enabled, is the port right?`
      : code === "ENETUNREACH" || code === "EHOSTUNREACH"
        ? "there is no way to it: see address and route"
        : error instanceof Error
          ? error.message
          : String(error);
  return bmcError("unreachable", `${address.url}: ${what}`);
}

/** Opens the session too: a wrong password is told here. */
export async function openLan(
  address: LanAddress,
  secrets: LanSecrets,
): Promise<Result<LanConnection, BmcError>> {
  const password = new TextEncoder().encode(secrets.password);
  if (password.byteLength > PASSWORD_BYTES_MAX) {
    const detail = `the password has more than the ${PASSWORD_BYTES_MAX} bytes that IPMI can have`;
    return err(bmcError("wrong-password", `${address.url}: ${detail}`));
  }
  const place = await placeOf(address);
  if (!place.ok) return place;
  const session = new LanSession(realCrypto, {
    name: address.url,
    user: new TextEncoder().encode(address.user),
    password,
    kg: secrets.kg,
    suites: CIPHER_SUITES.filter(({ id }) => address.cipher === null || id === address.cipher),
    privilege: PRIVILEGES[address.privilege],
  });
  const connection = new LanConnection(address, session);
  const bound = await connection.bind(place.value);
  const opened = bound.ok ? await connection.open() : bound;
  if (opened.ok) return ok(connection);
  await connection.close();
  return opened;
}

type Settle = (result: Result<IpmiReply, BmcError>) => void;
type Socket = Bun.udp.ConnectedSocket<"buffer">;

export class LanConnection implements IpmiConnection {
  readonly url: string;
  readonly requestBytesMax: number = REQUEST_BYTES_MAX;
  readonly replyBytesMax: number = REPLY_BYTES_MAX;
  readonly windowMax: number = LAN_WINDOW_MAX;

  readonly #address: LanAddress;
  readonly #session: LanSession;
  readonly #asks = new Map<number, Settle>();
  #nextId = 0;
  #socket: Socket | null = null;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #timerDueMs = 0;
  #onClosed: (() => void) | null = null;

  constructor(address: LanAddress, session: LanSession) {
    this.url = address.url;
    this.#address = address;
    this.#session = session;
  }

  /** Of the session as it stands; null: there is none. */
  get suite(): CipherSuiteId | null {
    return this.#session.suite;
  }

  async bind(place: Place): Promise<Result<null, BmcError>> {
    // Bun's types name the socket as first argument of `error`; it gives the error alone.
    const onError = (...given: readonly unknown[]): void => {
      this.#step({ kind: "unreachable", error: networkError(this.#address, given.at(-1)) });
    };
    try {
      this.#socket = await Bun.udpSocket({
        hostname: place.isV6 ? "::" : "0.0.0.0",
        connect: { hostname: place.ip, port: this.#address.port },
        socket: {
          // A copy, and no Buffer: its `slice`, by which decoders copy, would be a view.
          data: (_socket, bytes) => this.#step({ kind: "datagram", bytes: new Uint8Array(bytes) }),
          error: onError,
        },
      });
      return ok(null);
    } catch (error) {
      return err(networkError(this.#address, error));
    }
  }

  open(): Promise<Result<IpmiReply, BmcError>> {
    return this.#ask((id) => ({ kind: "open", id }));
  }

  request(request: IpmiRequest): Promise<Result<IpmiReply, BmcError>> {
    if (request.data.byteLength > REQUEST_BYTES_MAX) {
      const detail = `a request has at most ${REQUEST_BYTES_MAX} bytes of data`;
      return Promise.resolve(err(bmcError("bad-request", `${this.url}: ${detail}`)));
    }
    return this.#ask((id) => ({ kind: "ask", id, request }));
  }

  enableEvents(): Promise<Result<boolean, BmcError>> {
    return Promise.resolve(ok(false));
  }

  /** Over LAN a BMC sends nothing on its own account: traps come to another port. */
  onUnsolicited(): void {}

  async close(): Promise<void> {
    if (this.#socket === null) return;
    await new Promise<void>((resolve) => {
      this.#onClosed = resolve;
      this.#step({ kind: "close" });
      if (this.#session.phase === "closed") resolve();
    });
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#socket.close();
    this.#socket = null;
  }

  #ask(eventOf: (id: number) => LanEvent): Promise<Result<IpmiReply, BmcError>> {
    return new Promise((resolve) => {
      const id = this.#nextId++;
      this.#asks.set(id, resolve);
      this.#step(eventOf(id));
    });
  }

  #step(event: LanEvent): void {
    const effects = this.#session.step(event, performance.now());
    for (const effect of effects) this.#carryOut(effect);
    this.#armTimer();
  }

  #carryOut(effect: LanEffect): void {
    switch (effect.kind) {
      case "datagram":
        this.#send(effect.bytes);
        break;
      case "done": {
        const settle = this.#asks.get(effect.id);
        this.#asks.delete(effect.id);
        settle?.(effect.result);
        break;
      }
      case "closed":
        this.#onClosed?.();
        break;
    }
  }

  #send(bytes: Uint8Array): void {
    try {
      // A full buffer loses it, as a network may: it is sent again like any other.
      this.#socket?.send(bytes);
    } catch (error) {
      // Not from within a step: what this ends is decided in one of its own.
      const cause = networkError(this.#address, error);
      queueMicrotask(() => this.#step({ kind: "unreachable", error: cause }));
    }
  }

  /** Set only when it is due earlier than it stands: most answers move the time back, and it then looks again. */
  #armTimer(): void {
    const { wakeMs } = this.#session;
    if (wakeMs === null || this.#socket === null) return;
    if (this.#timer !== null && this.#timerDueMs <= wakeMs) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerDueMs = wakeMs;
    // Rounded up: a timer that rings early would find nothing due, and ring again.
    const delayMs = Math.max(0, Math.ceil(wakeMs - performance.now()));
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#step({ kind: "tick" });
    }, delayMs);
  }
}
