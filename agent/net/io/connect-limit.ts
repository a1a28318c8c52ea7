/**
 * A limit for connecting, apart from that for an answer: `fetch` has none, so a host whose packets vanish costs as long as one that
 * thinks hard, and other ways are tried that much later.
 *
 * A request that is not answered soon is watched by a connection of its own to the same host: when not even that stands in time,
 * the request is given up. Where it stands, or is refused, the request goes on and ends by itself. The request may have been sent all
 * the same, over a connection from before; so whoever gave it must not take it as not heard.
 */
export const CONNECT_MS = 3_000;
/** Most answers have come by then, and nothing is watched. */
const WATCH_AFTER_MS = 500;

export const CONNECT_LIMIT_CODE = "HOLDFAST_CONNECT_LIMIT";

export interface ConnectLimits {
  readonly watchAfterMs: number;
  readonly connectMs: number;
}

const LIMITS: ConnectLimits = { watchAfterMs: WATCH_AFTER_MS, connectMs: CONNECT_MS };

function portOf({ port, protocol }: URL): number {
  if (port !== "") return Number(port);
  return protocol === "https:" ? 443 : 80;
}

/** Whether packets come back from there, be it to say no; false: not within that time. */
export function isReached(url: URL, withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    let isOver = false;
    const over = (reached: boolean): void => {
      isOver = true;
      clearTimeout(timer);
      resolve(reached);
    };
    const timer = setTimeout(() => over(false), withinMs);
    Bun.connect({
      hostname: url.hostname.replace(/^\[|\]$/g, ""),
      port: portOf(url),
      socket: {
        open: (socket) => {
          socket.terminate();
          if (!isOver) over(true);
        },
        data: () => undefined,
      },
      // What else fails at once, fails for the request too, which says it better.
    }).catch(() => over(true));
  });
}

function connectLimitError(url: URL, connectMs: number): Error {
  const error = new Error(`${url.host} takes no connection within ${connectMs} ms`);
  return Object.assign(error, { code: CONNECT_LIMIT_CODE });
}

/** `dialled`: URL of the host that is connected to, such as a proxy's. */
export async function withConnectLimit(
  dialled: string,
  signal: AbortSignal | null | undefined,
  ask: (signal: AbortSignal) => Promise<Response>,
  { watchAfterMs, connectMs }: ConnectLimits = LIMITS,
): Promise<Response> {
  const url = new URL(dialled);
  const given = new AbortController();
  let isOver = false;
  const watch = async (): Promise<void> => {
    const reached = await isReached(url, connectMs - watchAfterMs);
    // The body of an answer that came meanwhile is still read under this signal.
    if (!reached && !isOver) given.abort(connectLimitError(url, connectMs));
  };
  const timer = setTimeout(() => void watch(), watchAfterMs);
  try {
    return await ask(AbortSignal.any([given.signal, ...(signal == null ? [] : [signal])]));
  } finally {
    isOver = true;
    clearTimeout(timer);
  }
}
