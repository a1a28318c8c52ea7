/**
 * The agent's one TCP port: HTTP for everybody, a WebSocket for peers.
 *
 * Who may ask what, how often and with how large a body is said by a table of routes; what is not in it is not there. With an
 * identity the port is TLS and only certificates of the cluster get so far. A request that breaks anything ends in a problem
 * response; the agent lives on.
 */
import { Hono } from "hono";
import type { Result } from "../../../core/result.ts";
import type { Identity } from "../../identity/identity.ts";
import type { BindError } from "../../runtime/io/datagrams.ts";
import { FRAME_BYTES_MAX } from "../frames.ts";
import { problemResponse } from "../problem.ts";
import type { RouteAccess } from "../route-access.ts";
import { TokenBuckets } from "../token-bucket.ts";
import { guardRoutes, mayAsk, whoAsks } from "./access.ts";
import type { Connection } from "./connection.ts";
import type { Inbound } from "./conversation.ts";
import { type Listener, type ListenOptions, openListener } from "./listener.ts";
import { PEER_PATH, UNSENT_BYTES_MAX } from "./peer-links.ts";
import { endRefused } from "./refused-body.ts";

/** Quiet streams (a job that prints nothing) must not be cut: they send a line at least this often. */
export const STREAM_BEAT_MS = 5_000;
const IDLE_SECONDS = 30;

export interface ServerOptions {
  readonly address: string;
  readonly port: number;
  /** null, or one without certificates: in the clear. */
  readonly identity: Identity | null;
  readonly access: readonly RouteAccess[];
  readonly routes: Hono;
  /** Whether agents make links here. */
  readonly isLinked: boolean;
  /** `from`: by TLS and its token it is that agent. */
  readonly accept: (connection: Connection, from: string) => Inbound;
  readonly onDefect: (detail: string) => void;
}

/** Links are made when agents start and when one was lost. */
const PEER_RATE = { perSecond: 20, burst: 100 } as const;

interface SocketData {
  inbound: Inbound | null;
  readonly from: string;
  readonly peer: string;
}

function connectionOf(socket: Bun.ServerWebSocket<SocketData>): Connection {
  return {
    isDialled: false,
    from: socket.data.from,
    send: (frame) => {
      socket.send(frame);
    },
    unsentBytes: () => socket.getBufferedAmount(),
    close: (code, reason) => socket.close(code, reason.slice(0, 100)),
  };
}

function appOf(options: ServerOptions): Hono {
  const app = new Hono();
  app.use(guardRoutes(options.identity, options.access));
  app.route("/", options.routes);
  app.notFound((context) =>
    problemResponse({ kind: "not-found", detail: `no such path: ${context.req.path}` }),
  );
  app.onError((error) => {
    options.onDefect(error.stack ?? error.message);
    return problemResponse({ kind: "internal", detail: error.message });
  });
  return app;
}

/** Upgrades who is an agent; else says why not. */
function upgraderOf({ identity }: ServerOptions) {
  const buckets = new TokenBuckets(PEER_RATE);
  return (request: Request, bun: Bun.Server<SocketData>): Response | undefined => {
    const who = whoAsks(identity, request.headers.get("authorization"));
    if (!who.ok) return problemResponse(who.error);
    const refused = mayAsk(who.value, ["agent"]);
    if (refused !== null) return problemResponse(refused);
    const at = bun.requestIP(request);
    const peer = who.value.name;
    if (buckets.take(`${peer} ${at?.address}`, performance.now()) > 0) {
      return problemResponse({ kind: "busy", detail: `${peer} makes too many links` });
    }
    const from = at === null ? "a peer" : `${at.address}:${at.port}`;
    if (bun.upgrade(request, { data: { inbound: null, from, peer } })) return undefined;
    return problemResponse({ kind: "bad-request", detail: `${PEER_PATH} is for agents` });
  };
}

export function startServer(options: ServerOptions): Result<Listener, BindError> {
  const app = appOf(options);
  const upgrade = upgraderOf(options);
  const serve = (at: ListenOptions) =>
    Bun.serve<SocketData, never>({
      ...at,
      idleTimeout: IDLE_SECONDS,
      // Bounded by the table of routes, and by those that take shards themselves.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      fetch: endRefused((request, bun: Bun.Server<SocketData>) =>
        options.isLinked && new URL(request.url).pathname === PEER_PATH
          ? upgrade(request, bun)
          : // Routes that wait for a slow disk lift the idle timeout of their request through the server.
            app.fetch(request, bun),
      ),
      websocket: {
        maxPayloadLength: FRAME_BYTES_MAX,
        // Above it frames would be dropped in silence; `PeerLinks` cuts the link long before.
        backpressureLimit: UNSENT_BYTES_MAX * 2,
        open: (socket) => {
          socket.data.inbound = options.accept(connectionOf(socket), socket.data.peer);
        },
        message: (socket, message) => {
          const bytes = typeof message === "string" ? Buffer.from(message) : message;
          socket.data.inbound?.onFrame(bytes);
        },
        close: (socket, code, reason) => socket.data.inbound?.onClose(code, reason),
      },
    });
  const { address, port, identity, onDefect } = options;
  return openListener({ at: { hostname: address, port }, identity, serve, onComplaint: onDefect });
}
