/**
 * One connection to a BMC for all who want one: commands and a watch at once.
 *
 * A BMC has few sessions and a serial line has one user, so whoever opens gets a lease on the same connection; it is closed with
 * the last lease. A wire that broke is not leased again: the next who opens gets a new one, the others learn it by their next
 * request. Links whose connection mends itself (LAN) say so, and are kept.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { IpmiReply, IpmiRequest } from "../../ipmi/ipmi.ts";
import type { IpmiConnection, Unsolicited } from "./connection.ts";

export type OpenConnection = () => Promise<Result<IpmiConnection, BmcError>>;

interface Wire {
  readonly connection: IpmiConnection;
  readonly handlers: Set<(message: Unsolicited) => void>;
  leases: number;
  isBroken: boolean;
}

export class SharedConnection {
  readonly #openWire: OpenConnection;
  readonly #mendsItself: boolean;
  #wire: Promise<Result<Wire, BmcError>> | null = null;

  constructor(open: OpenConnection, options: { readonly mendsItself: boolean }) {
    this.#openWire = open;
    this.#mendsItself = options.mendsItself;
  }

  /** Who asks while it is being opened waits for the same opening. */
  async open(): Promise<Result<IpmiConnection, BmcError>> {
    this.#wire ??= this.#newWire();
    const opening = this.#wire;
    const wire = await opening;
    if (!wire.ok) {
      if (this.#wire === opening) this.#wire = null;
      return wire;
    }
    if (wire.value.isBroken) {
      // Closed before another is opened: a serial line has one user.
      if (this.#wire === opening) {
        this.#wire = null;
        await wire.value.connection.close();
      }
      return await this.open();
    }
    wire.value.leases++;
    return ok(new Lease(wire.value, this.#mendsItself, () => this.#giveBack(wire.value, opening)));
  }

  async #newWire(): Promise<Result<Wire, BmcError>> {
    const opened = await this.#openWire();
    if (!opened.ok) return opened;
    const handlers = new Set<(message: Unsolicited) => void>();
    opened.value.onUnsolicited((message) => {
      for (const handler of handlers) handler(message);
    });
    return ok({ connection: opened.value, handlers, leases: 0, isBroken: false });
  }

  async #giveBack(wire: Wire, opening: Promise<Result<Wire, BmcError>>): Promise<void> {
    wire.leases--;
    if (wire.leases > 0) return;
    if (this.#wire === opening) this.#wire = null;
    await wire.connection.close();
  }
}

class Lease implements IpmiConnection {
  readonly url: string;
  readonly requestBytesMax: number;
  readonly replyBytesMax: number;
  readonly windowMax: number;
  readonly #wire: Wire;
  readonly #mendsItself: boolean;
  readonly #onClose: () => Promise<void>;
  #handler: ((message: Unsolicited) => void) | null = null;
  #closing: Promise<void> | null = null;

  constructor(wire: Wire, mendsItself: boolean, onClose: () => Promise<void>) {
    const { connection } = wire;
    this.url = connection.url;
    this.requestBytesMax = connection.requestBytesMax;
    this.replyBytesMax = connection.replyBytesMax;
    this.windowMax = connection.windowMax;
    this.#wire = wire;
    this.#mendsItself = mendsItself;
    this.#onClose = onClose;
  }

  async request(request: IpmiRequest): Promise<Result<IpmiReply, BmcError>> {
    if (this.#closing !== null) return err(bmcError("disconnected", `${this.url}: it is closed`));
    const result = await this.#wire.connection.request(request);
    if (!result.ok && result.error.kind === "disconnected" && !this.#mendsItself) {
      this.#wire.isBroken = true;
    }
    return result;
  }

  enableEvents(): Promise<Result<boolean, BmcError>> {
    return this.#wire.connection.enableEvents();
  }

  onUnsolicited(handler: (message: Unsolicited) => void): void {
    if (this.#handler !== null) this.#wire.handlers.delete(this.#handler);
    this.#handler = handler;
    this.#wire.handlers.add(handler);
  }

  close(): Promise<void> {
    if (this.#handler !== null) this.#wire.handlers.delete(this.#handler);
    this.#closing ??= this.#onClose();
    return this.#closing;
  }
}
