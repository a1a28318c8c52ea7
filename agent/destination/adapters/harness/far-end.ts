/**
 * A far end on a free port of the loopback address: keeps what it is sent and answers as it is told.
 */
export interface Heard {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Headers;
  readonly text: string;
  /** null where it is no JSON. */
  readonly body: Record<string, unknown> | null;
}

export interface FarEnd {
  readonly url: string;
  readonly port: number;
  readonly heard: readonly Heard[];
  stop(): Promise<void>;
}

export interface FarEndOptions {
  readonly answer: (heard: Heard, nth: number) => Response | Promise<Response>;
  readonly tls?: { readonly cert: string; readonly key: string };
}

export function farEnd(options: FarEndOptions): FarEnd {
  const heard: Heard[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    fetch: async (request) => {
      const url = new URL(request.url);
      const text = await request.text();
      let body: Record<string, unknown> | null = null;
      try {
        body = text === "" ? null : (JSON.parse(text) as Record<string, unknown>);
      } catch {
        // Kept as text.
      }
      const query = Object.fromEntries(url.searchParams);
      const one = { method: request.method, path: url.pathname, query, text, body };
      heard.push({ ...one, headers: request.headers });
      return options.answer({ ...one, headers: request.headers }, heard.length);
    },
  });
  const scheme = options.tls === undefined ? "http" : "https";
  const port = server.port ?? 0;
  return {
    url: `${scheme}://127.0.0.1:${port}`,
    port,
    heard,
    stop: () => server.stop(true),
  };
}
