/**
 * A whole destination in this process, on a free port of loopback, with the faults that others are tested against.
 *
 *   const support = await TestDestination.start();               // cluster local: whoever signs is taken
 *   const support = await TestDestination.start({ identity });   // TLS, and only events of its cluster
 *   support.fail({ kind: "slow", ms: 5_000 });                   // for each request to /v1/callhome/ until `fail(null)`
 *   support.fail({ kind: "status", status: 500 }, 2);            // for the next two
 *   support.fail({ kind: "drop-answer" });                       // kept, then the connection is cut before the answer
 *   await support.stop();
 *
 * `restart()` is the same destination after a crash: same port, same folder.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Hono } from "hono";
import { PARCELS_PATH } from "../../callhome/protocol.ts";
import type { Identity } from "../../identity/identity.ts";
import { openLocalIdentity } from "../../identity/io/open-identity.ts";
import { schemeOf, secureFetch } from "../../net/io/secure.ts";
import { problemResponse } from "../../net/problem.ts";
import type { Log } from "../../runtime/log.ts";
import type { TicketChange } from "../adapter.ts";
import type { Adapter } from "../io/adapter.ts";
import { type BundleDoor, openBundleDoor } from "../io/bundle-door.ts";
import { type Destination, openDestination } from "../io/open-destination.ts";
import type { StoreLimits } from "../io/store.ts";
import { readTrusted } from "../io/trusted.ts";
import type { Ticket } from "../ticket.ts";

export type Fault =
  /** Answers, but late. */
  | { readonly kind: "slow"; readonly ms: number }
  /** Keeps nothing. */
  | { readonly kind: "status"; readonly status: number; readonly retryAfterS?: number }
  /** Keeps it, then the connection breaks. */
  | { readonly kind: "drop-answer" }
  /** The connection breaks before anything is kept. */
  | { readonly kind: "drop-request" }
  /** Takes what it is given twice, as if a proxy had repeated the request; the second answer is the one that is heard. */
  | { readonly kind: "twice" }
  /** Never answers while it holds. */
  | { readonly kind: "hang" };

export interface TestDestinationOptions {
  /** Default: one of cluster `local`. */
  readonly identity?: Identity;
  /** Default: in the clear, whoever signs. */
  readonly takesLocal?: boolean;
  readonly adapters?: readonly Adapter[];
  readonly address?: string;
  readonly port?: number;
  readonly limits?: Partial<StoreLimits>;
  readonly trust?: readonly string[];
  readonly nowMs?: () => number;
  /** Its lines; default: kept in `lines` only. */
  readonly log?: Log;
}

/** What of a request came, whatever became of it. */
export interface SeenRequest {
  readonly path: string;
  readonly parcelCount: number;
}

export class TestDestination {
  readonly folder: string = mkdtempSync(join(tmpdir(), "holdfast-destination-"));
  readonly identity: Identity;
  readonly changes: TicketChange[] = [];
  readonly lines: string[] = [];
  readonly requests: SeenRequest[] = [];
  readonly #options: TestDestinationOptions;
  #destination: Destination | null = null;
  readonly #log: Log;
  #fault: Fault | null = null;
  #faultsLeft = 0;
  #port: number;
  #gone: AbortController = new AbortController();

  private constructor(options: TestDestinationOptions) {
    this.#options = options;
    this.identity =
      options.identity ??
      openLocalIdentity(join(this.folder, "identity"), "destination", "support");
    this.#port = options.port ?? 0;
    this.#log = options.log ?? {
      say: (level, text) => void this.lines.push(`${level} ${text}`),
    };
  }

  static async start(options: TestDestinationOptions = {}): Promise<TestDestination> {
    const one = new TestDestination(options);
    await one.#openAll();
    return one;
  }

  get port(): number {
    return this.#port;
  }

  /** Origin, without a slash at the end. */
  get url(): string {
    return `${schemeOf(this.identity)}://${this.#options.address ?? "127.0.0.1"}:${this.#port}`;
  }

  get destination(): Destination {
    if (this.#destination === null) throw new Error("the test destination is stopped");
    return this.#destination;
  }

  /** For the next `count` requests of call home; null ends it. */
  fail(fault: Fault | null, count: number = Number.POSITIVE_INFINITY): void {
    this.#fault = fault;
    this.#faultsLeft = count;
    this.#gone.abort();
    this.#gone = new AbortController();
  }

  tickets(): readonly Ticket[] {
    const filter = {
      state: "any",
      node: null,
      cluster: null,
      before: null,
      countMax: 1_000,
    } as const;
    return this.destination.store.tickets.list(filter);
  }

  /** Ends it as a crash would, as far as that goes within one process, and starts it again. */
  async restart(): Promise<void> {
    await this.pause();
    await this.#openAll();
  }

  /** Nothing listens until `resume`. */
  async pause(): Promise<void> {
    this.#gone.abort();
    this.#gone = new AbortController();
    await this.#destination?.stop();
    this.#destination = null;
  }

  async resume(): Promise<void> {
    if (this.#destination === null) await this.#openAll();
  }

  async stop(): Promise<void> {
    await this.pause();
    if (this.#options.identity === undefined) this.identity.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #openAll(): Promise<void> {
    const bundles = await openBundleDoor({
      folder: join(this.folder, "bundles"),
      identity: this.identity,
      log: this.#log,
      nowMs: this.#options.nowMs ?? Date.now,
    });
    this.#open(bundles);
  }

  #open(bundles: BundleDoor): void {
    const {
      takesLocal = true,
      adapters = [],
      address = "127.0.0.1",
      limits,
      trust = [],
    } = this.#options;
    const { nowMs } = this.#options;
    const trusted = readTrusted(trust, this.identity.principal.cluster);
    if (!trusted.ok) throw new Error(trusted.error);
    const opened = openDestination({
      identity: this.identity,
      address,
      port: this.#port,
      dataFolder: this.folder,
      version: "test",
      trusted: trusted.value,
      takesLocal,
      adapters,
      publicUrl: null,
      log: this.#log,
      bundles,
      onTold: (told) => this.changes.push(...told.map(({ change }) => change)),
      before: this.#faulty(),
      ...(limits === undefined ? {} : { limits }),
      ...(nowMs === undefined ? {} : { nowMs }),
    });
    if (!opened.ok) throw new Error(opened.error);
    this.#destination = opened.value;
    this.#port = opened.value.port;
  }

  #take(): Fault | null {
    if (this.#fault === null || this.#faultsLeft <= 0) return null;
    this.#faultsLeft--;
    return this.#fault;
  }

  #faulty(): Hono {
    const app = new Hono();
    app.use("/v1/callhome/*", async (context, next) => {
      // Pieces of service data are large, and no JSON.
      const isParcels = context.req.path === PARCELS_PATH;
      const copy = isParcels ? await context.req.raw.clone().text() : "";
      const body = readJson(copy);
      this.requests.push({ path: context.req.path, parcelCount: body?.parcels?.length ?? 0 });
      const fault = this.#take();
      if (fault === null) return next();
      switch (fault.kind) {
        case "slow":
          await this.#wait(fault.ms);
          return next();
        case "hang":
          await this.#wait(600_000);
          return broken();
        case "status": {
          const response = problemResponse({ kind: "internal", detail: "a fault of the test" });
          const headers = new Headers(response.headers);
          if (fault.retryAfterS !== undefined)
            headers.set("retry-after", String(fault.retryAfterS));
          return new Response(response.body, { status: fault.status, headers });
        }
        case "drop-request":
          return broken();
        case "drop-answer":
          await next();
          context.res = broken();
          return;
        case "twice":
          await next();
          context.res = await this.#again(context.req.path, body);
          return;
      }
    });
    return app;
  }

  async #again(path: string, body: unknown): Promise<Response> {
    this.#fault = null;
    const init = { method: "POST", body: JSON.stringify(body) };
    const second = await secureFetch(this.identity, "destination")(`${this.url}${path}`, init);
    return new Response(await second.text(), { status: second.status, headers: second.headers });
  }

  #wait(ms: number): Promise<void> {
    const { signal } = this.#gone;
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function readJson(text: string): { readonly parcels?: readonly unknown[] } | null {
  try {
    return JSON.parse(text) as { readonly parcels?: readonly unknown[] } | null;
  } catch {
    return null;
  }
}

/** A body that errors: the client sees the connection end in the middle of the answer. */
function broken(): Response {
  const body = new ReadableStream({
    start: (controller) => {
      controller.enqueue(new TextEncoder().encode('{"name":'));
      setTimeout(() => controller.error(new Error("cut by the test")), 1);
    },
  });
  return new Response(body, { headers: { "content-type": "application/json" } });
}
