/**
 * Serves the emulated Redfish service over HTTPS or HTTP, delivers to its subscribers, and holds its streams open.
 *
 * Nothing is decided here. A second front of a running emulator: what it changes in the model the emulator hears by `touched`,
 * and what any front changes is heard here by `onModel`. Everything started is ended by `stop`; `pause` and `resume` take the
 * service off its port and bring it back, as a restart of a BMC's web server does.
 */
import type { ModelEffect } from "../bmc-state.ts";
import type { BmcModel } from "../model.ts";
import { RedfishService, type RedfishSetting } from "../redfish.ts";
import { STREAM_PATH } from "../redfish-event-service.ts";
import type { Delivery } from "../redfish-events.ts";
import type { HttpAsk } from "../redfish-http.ts";
import { makeSelfSigned } from "./self-signed.ts";

/** What a running emulator offers to another front. */
export interface EmulatorFront {
  readonly model: BmcModel;
  /** The model was used: due times may have changed. */
  touched(): void;
  onModel(handler: (effect: ModelEffect) => void): void;
}

export interface RedfishServerOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly isTls: boolean;
  readonly setting?: Partial<RedfishSetting>;
  /** Of the certificate that is made at the start; by default for some years. */
  readonly notAfterMs?: number;
  /** A comment on every stream this often. */
  readonly keepAliveMs?: number;
}

const BODY_BYTES_MAX = 1_048_576;
const DELIVERY_TIMEOUT_MS = 5_000;
const KEEP_ALIVE_MS = 30_000;
const DAY_MS = 86_400_000;
const VALID_DAYS = 3_650;

type Stream = ReadableStreamDefaultController<Uint8Array>;

export class RedfishServer {
  readonly service: RedfishService;
  readonly #options: RedfishServerOptions;
  readonly #front: EmulatorFront;
  readonly #tls: { readonly cert: string; readonly key: string } | null;
  /** null without TLS. */
  readonly fingerprint: string | null;
  readonly certificate: string | null;
  #server: Bun.Server<undefined> | null = null;
  #port: number;
  readonly #streams: Set<Stream> = new Set<Stream>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #keepAlive: ReturnType<typeof setInterval> | null = null;
  #isStopped = false;
  /** Last-Event-ID of each stream that was opened; null: it had none. */
  readonly resumedFrom: (string | null)[] = [];

  constructor(front: EmulatorFront, options: RedfishServerOptions) {
    this.#front = front;
    this.#options = options;
    this.#port = options.port;
    const nowMs = Date.now();
    const made = options.isTls
      ? makeSelfSigned({
          hosts: [
            "localhost",
            "127.0.0.1",
            ...(options.host === "127.0.0.1" ? [] : [options.host]),
          ],
          notBeforeMs: Math.min(nowMs, options.notAfterMs ?? nowMs) - DAY_MS,
          notAfterMs: options.notAfterMs ?? nowMs + VALID_DAYS * DAY_MS,
        })
      : null;
    this.#tls = made === null ? null : { cert: made.certificate, key: made.key };
    this.fingerprint = made?.fingerprint ?? null;
    this.certificate = made?.certificate ?? null;
    this.service = new RedfishService(front.model, options.setting ?? {}, () =>
      crypto.randomUUID().replaceAll("-", ""),
    );
    front.onModel((effect) => {
      this.service.onModel(effect);
      this.flush();
    });
    this.#keepAlive = setInterval(
      () => this.#send(": keep-alive\n\n"),
      options.keepAliveMs ?? KEEP_ALIVE_MS,
    );
    this.resume();
  }

  get port(): number {
    return this.#port;
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  resume(): void {
    if (this.#server !== null || this.#isStopped) return;
    this.#server = Bun.serve({
      hostname: this.#options.host,
      port: this.#port,
      idleTimeout: 0,
      maxRequestBodySize: BODY_BYTES_MAX,
      ...(this.#tls === null ? {} : { tls: this.#tls }),
      fetch: (request) => this.#answer(request),
    });
    this.#port = this.#server.port ?? this.#port;
  }

  /** Connections are cut, and new ones refused. */
  async pause(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    this.cutStreams();
    await server?.stop(true);
  }

  cutStreams(): void {
    for (const stream of this.#streams) {
      try {
        stream.close();
      } catch {}
    }
    this.#streams.clear();
  }

  async #answer(request: Request): Promise<Response> {
    const ask = await askOf(request);
    const { faults } = this.service;
    if (faults.delayMs > 0) await Bun.sleep(faults.delayMs);
    if (ask.path === STREAM_PATH && ask.method === "GET" && this.service.setting.hasStream) {
      return this.#openStream(request, ask);
    }
    const { status, body, headers } = this.service.handle(ask, Date.now());
    this.#front.touched();
    this.flush();
    const init = { status, headers: { ...headers, "OData-Version": "4.0" } };
    return body === null ? new Response(null, init) : Response.json(body, init);
  }

  #openStream(request: Request, ask: HttpAsk): Response {
    if (this.service.userOf(ask) === null) return new Response(null, { status: 401 });
    this.resumedFrom.push(request.headers.get("last-event-id"));
    let own: Stream | null = null;
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        own = controller;
        this.#streams.add(controller);
        // Headers go out with the first byte.
        controller.enqueue(new TextEncoder().encode(": welcome\n\n"));
      },
      cancel: () => {
        if (own !== null) this.#streams.delete(own);
      },
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }

  #send(text: string): void {
    const bytes = new TextEncoder().encode(text);
    for (const stream of this.#streams) {
      try {
        stream.enqueue(bytes);
      } catch {
        this.#streams.delete(stream);
      }
    }
  }

  /** Sends what has become due. */
  flush(): void {
    if (this.#isStopped) return;
    for (const effect of this.service.takeEffects()) {
      if (effect.kind === "frame") this.#send(effect.frame.text);
      else this.cutStreams();
    }
    // A BMC whose web server is away sends nothing either.
    if (this.#server === null) return;
    const { events } = this.service;
    for (const delivery of events.takeDeliveries(Date.now())) void this.#deliver(delivery);
    const dueMs = events.dueMs();
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer =
      dueMs === null ? null : setTimeout(() => this.flush(), Math.max(1, dueMs - Date.now()));
  }

  async #deliver({ subscription, destination, body }: Delivery): Promise<void> {
    let isTaken = false;
    try {
      const response = await fetch(destination, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body,
        signal: AbortSignal.timeout(DELIVERY_TIMEOUT_MS),
      });
      isTaken = response.ok;
    } catch {}
    this.service.events.delivered(subscription, isTaken, Date.now());
    this.flush();
  }

  async stop(): Promise<void> {
    await this.pause();
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#keepAlive !== null) clearInterval(this.#keepAlive);
  }
}

function basicOf(header: string | null): HttpAsk["basic"] {
  const encoded = /^Basic ([A-Za-z0-9+/=]+)$/.exec(header ?? "")?.[1];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon < 0 ? null : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

async function askOf(request: Request): Promise<HttpAsk> {
  const url = new URL(request.url);
  const text = request.method === "GET" ? "" : await request.text();
  let body: unknown = null;
  try {
    body = text === "" ? null : JSON.parse(text);
  } catch {}
  return {
    method: request.method,
    path: url.pathname.replace(/\/+$/, ""),
    query: url.searchParams,
    token: request.headers.get("x-auth-token"),
    basic: basicOf(request.headers.get("authorization")),
    body,
  };
}
