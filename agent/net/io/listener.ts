/**
 * A TCP port with TLS whose certificates change under it: no connection is refused or cut because of that.
 *
 * Bun takes certificates only when a server is made (`reload` leaves them). So a change makes a second server on the same port
 * (SO_REUSEPORT); the first one stops listening and serves on whoever is connected, until it ends by itself. Between the two the
 * kernel would deal new connections to both, and those in the queue of the one that closes would be reset: a program of one
 * instruction tells it that the newer one gets them all, and the older one has time to take what is in its queue. What this
 * does not hold for: a handshake of TCP that was begun before the change and takes longer than `DRAIN_MS` is reset, and its
 * client tries again. A change that comes while one is taken waits for it, at most as long.
 *
 * SO_REUSEPORT also lets two processes of one user share a port unnoticed, so whether it is free is found out first, without.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { ffiBuffer } from "../../../core/io/native.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Identity } from "../../identity/identity.ts";
import { type BindError, bindError } from "../../runtime/io/datagrams.ts";
import { libc } from "../../runtime/io/ffi.ts";
import { isSecure, type ServeTls, serveTls } from "./secure.ts";

/** In two halves: however long the event loop was held up, it takes what is in the old queue between them. */
const DRAIN_MS = 500;

export interface ListenAt {
  readonly hostname: string;
  readonly port: number;
}

/** Goes into `Bun.serve` as it is. */
export interface ListenOptions extends ListenAt {
  readonly reusePort: boolean;
  readonly tls?: ServeTls;
}

interface ServerHandle {
  readonly port?: number | undefined;
  stop(closesConnections?: boolean): Promise<void>;
}

export interface Listener {
  readonly port: number;
  /** Ends every connection. */
  stop(): Promise<void>;
}

export interface ListenerOptions {
  readonly at: ListenAt;
  /** null, or one without certificates: in the clear. */
  readonly identity: Identity | null;
  /** Calls `Bun.serve` with what it is given; again after each change of the certificates. */
  readonly serve: (options: ListenOptions) => ServerHandle;
  /** New certificates could not be taken: the old ones stay. One line. */
  readonly onComplaint: (detail: string) => void;
}

const SOL_SOCKET = 1;
const SO_ATTACH_REUSEPORT_CBPF = 51;
const BPF_RETURN_CONSTANT = 0x06;
/** State "listen" in /proc/net/tcp. */
const TCP_LISTEN = "0A";

/** Inodes of the sockets that listen on the port, of any process. */
function listeningInodes(port: number): ReadonlySet<string> {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const lines = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((path) =>
    readFileSync(path, "latin1").split("\n"),
  );
  const fields = lines.map((line) => line.trim().split(/\s+/));
  const found = fields.filter(
    ([, local, , state]) => state === TCP_LISTEN && local?.endsWith(`:${hex}`) === true,
  );
  return new Set(found.map((columns) => columns[9] ?? ""));
}

function ownListeners(port: number): readonly number[] {
  const inodes = listeningInodes(port);
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1];
      return inode !== undefined && inodes.has(inode) ? [Number(fd)] : [];
    } catch {
      // The handle that this loop itself reads by.
      return [];
    }
  });
}

/**
 * The second listener of a group gets every new connection; a single one gets them too, since the kernel then finds no second
 * one. Without it everything works, but for the few connections that a change may reset.
 */
export function preferNewest(port: number): boolean {
  try {
    const instruction = ffiBuffer(8);
    instruction.view.setUint16(0, BPF_RETURN_CONSTANT, true);
    instruction.view.setUint32(4, 1, true);
    const program = ffiBuffer(16);
    program.view.setUint16(0, 1, true);
    program.view.setBigUint64(8, BigInt(instruction.pointer), true);
    const attach = (fd: number): boolean =>
      libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program.pointer, 16) === 0;
    return ownListeners(port).some(attach);
  } catch {
    return false;
  }
}

/** null: nobody listens there, and this process may. */
function whyTaken({ hostname, port }: ListenAt): BindError | null {
  if (port === 0) return null;
  try {
    Bun.listen({ hostname, port, socket: { data: () => undefined } }).stop(true);
    return null;
  } catch (cause) {
    return bindError(cause);
  }
}

class SecureListener implements Listener {
  readonly port: number;
  readonly #options: ListenerOptions;
  readonly #forget: () => void;
  #current: ServerHandle;
  /** What `#current` was made with. */
  #made: string;
  readonly #older = new Set<ServerHandle>();
  readonly #drains = new Set<ReturnType<typeof setTimeout>>();

  constructor(options: ListenerOptions, identity: Identity) {
    this.#options = options;
    const tls = serveTls(identity);
    this.#made = JSON.stringify(tls);
    this.#current = this.#serve(options.at.port, tls);
    this.port = this.#current.port ?? options.at.port;
    preferNewest(this.port);
    this.#forget = identity.onChange(() => this.#renew(identity));
  }

  async stop(): Promise<void> {
    this.#forget();
    for (const drain of this.#drains) clearTimeout(drain);
    await Promise.all([this.#current, ...this.#older].map((server) => server.stop(true)));
  }

  #serve(port: number, tls: ServeTls | undefined): ServerHandle {
    const { hostname } = this.#options.at;
    return this.#options.serve({
      ...{ hostname, port, reusePort: true },
      ...(tls === undefined ? {} : { tls }),
    });
  }

  #renew(identity: Identity): void {
    const tls = serveTls(identity);
    const made = JSON.stringify(tls);
    // A rotation of the cluster key, or somebody else's news.
    if (made === this.#made) return;
    // Of three listeners the second would get the connections, which is not the newest: the change is looked at once more after the drain.
    if (this.#drains.size > 0) return;
    try {
      if (tls === undefined) throw new Error("there are none any more");
      const older = this.#current;
      this.#current = this.#serve(this.port, tls);
      this.#made = made;
      this.#retire(older, identity);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      this.#options.onComplaint(
        `the new certificates cannot be used on port ${this.port} (${why}): the old ones stay`,
      );
    }
  }

  #retire(server: ServerHandle, identity: Identity): void {
    this.#older.add(server);
    this.#afterHalf(() =>
      this.#afterHalf(() => {
        void server.stop(false).then(() => this.#older.delete(server));
        this.#renew(identity);
      }),
    );
  }

  #afterHalf(then: () => void): void {
    const drain = setTimeout(() => {
      this.#drains.delete(drain);
      then();
    }, DRAIN_MS / 2);
    this.#drains.add(drain);
  }
}

export function openListener(options: ListenerOptions): Result<Listener, BindError> {
  const { identity, at } = options;
  try {
    if (!isSecure(identity)) {
      const server = options.serve({ ...at, reusePort: false });
      return ok({ port: server.port ?? at.port, stop: () => server.stop(true) });
    }
    const taken = whyTaken(at);
    return taken === null ? ok(new SecureListener(options, identity)) : err(taken);
  } catch (cause) {
    return err(bindError(cause));
  }
}
