/**
 * The agent's one TCP port: HTTP for everybody, a WebSocket for peers.
 *
 * Bodies are bounded by `BODY_BYTES_MAX` except under the routes named in `large`, which bound themselves while they read. A
 * request that breaks anything ends in a problem response; the agent lives on.
 */
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { err, ok, type Result } from "../../../core/result.ts";
import { type BindError, bindError } from "../../runtime/io/datagrams.ts";
import { FRAME_BYTES_MAX } from "../frames.ts";
import { problemResponse } from "../problem.ts";
import type { Connection } from "./connection.ts";
import type { Inbound } from "./conversation.ts";
import { PEER_PATH, UNSENT_BYTES_MAX } from "./peer-links.ts";

/** A job's command line and environment fit many times over. */
export const BODY_BYTES_MAX: number = 1024 * 1024;

/** Quiet streams (a job that prints nothing) must not be cut: they send a line at least this often. */
export const STREAM_BEAT_MS = 5_000;
const IDLE_SECONDS = 30;

export interface ServerOptions {
  readonly address: string;
  readonly port: number;
  /** Routes by path prefix, such as `/v1/shards`; these take bodies of any size. */
  readonly large: ReadonlyMap<string, Hono>;
  readonly routes: Hono;
  readonly accept: (connection: Connection) => Inbound;
  readonly onDefect: (detail: string) => void;
}

export interface Server {
  readonly port: number;
  /** Ends every connection. */
  stop(): Promise<void>;
}

interface SocketData {
  inbound: Inbound | null;
  readonly from: string;
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
  const limit = bodyLimit({
    maxSize: BODY_BYTES_MAX,
    onError: () =>
      problemResponse({ kind: "too-large", detail: `a body may have ${BODY_BYTES_MAX} bytes` }),
  });
  const large = [...options.large.keys()];
  app.use((context, next) =>
    large.some((prefix) => context.req.path.startsWith(`${prefix}/`))
      ? next()
      : limit(context, next),
  );
  for (const [prefix, routes] of options.large) app.route(prefix, routes);
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

export function startServer(options: ServerOptions): Result<Server, BindError> {
  const app = appOf(options);
  try {
    const server = Bun.serve<SocketData, never>({
      hostname: options.address,
      port: options.port,
      idleTimeout: IDLE_SECONDS,
      // Bounded by the middleware above and by the large routes themselves.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      fetch: (request, bun) => {
        if (new URL(request.url).pathname === PEER_PATH) {
          const peer = bun.requestIP(request);
          const from = peer === null ? "a peer" : `${peer.address}:${peer.port}`;
          if (bun.upgrade(request, { data: { inbound: null, from } })) return undefined;
          return problemResponse({ kind: "bad-request", detail: `${PEER_PATH} is for agents` });
        }
        // Routes that wait for a slow disk lift the idle timeout of their request through the server.
        return app.fetch(request, bun);
      },
      websocket: {
        maxPayloadLength: FRAME_BYTES_MAX,
        // Above it frames would be dropped in silence; `PeerLinks` cuts the link long before.
        backpressureLimit: UNSENT_BYTES_MAX * 2,
        open: (socket) => {
          socket.data.inbound = options.accept(connectionOf(socket));
        },
        message: (socket, message) => {
          const bytes = typeof message === "string" ? Buffer.from(message) : message;
          socket.data.inbound?.onFrame(bytes);
        },
        close: (socket, code, reason) => socket.data.inbound?.onClose(code, reason),
      },
    });
    return ok({ port: server.port ?? options.port, stop: () => server.stop(true) });
  } catch (cause) {
    return err(bindError(cause));
  }
}
