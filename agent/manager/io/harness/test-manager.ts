/**
 * A whole manager for tests, in this process: real sockets, real certificates, a store in a temporary folder, and a
 * destination that does as it is told.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DIGEST_PATH,
  PARCELS_PATH,
  type Parcel,
  type ParcelResult,
  type Receipt,
} from "../../../callhome/protocol.ts";
import { type TestIdentities, testIdentities } from "../../../identity/harness/test-authority.ts";
import type { Identity } from "../../../identity/identity.ts";
import { openListener } from "../../../net/io/listener.ts";
import { secureFetch } from "../../../net/io/secure.ts";
import { removeFolder } from "../../../runtime/io/remove-folder.ts";
import type { Log } from "../../../runtime/log.ts";
import { type OpenManager, type OpenManagerSettings, openManager } from "../open-manager.ts";
import { receiptOf } from "./signed-events.ts";

/** Waits for a condition, with a limit. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: string,
  ms = 10_000,
): Promise<void> {
  const endMs = Date.now() + ms;
  while (!(await isSo())) {
    if (Date.now() > endMs) throw new Error(`not within ${ms} ms: ${what}`);
    await Bun.sleep(25);
  }
}

export type Mood = "fine" | "broken" | "silent" | "forges" | "deaf";

/** Takes parcels as a destination does, one ticket an event, and counts what came how often. */
export class TestDestination {
  mood: Mood = "fine";
  readonly came: Map<string, number> = new Map();
  readonly receipts: Map<string, Receipt> = new Map();
  /** Ids that it will not have. */
  readonly refuses: Map<string, string> = new Map();
  readonly asked: string[][] = [];
  readonly #identity: Identity;
  readonly #stranger: Identity;
  #server: { readonly port: number; stop(): Promise<void> };

  constructor(identity: Identity, stranger: Identity) {
    this.#identity = identity;
    this.#stranger = stranger;
    this.#server = this.#listen(0);
  }

  get url(): string {
    return `https://127.0.0.1:${this.#server.port}`;
  }

  async stop(): Promise<void> {
    await this.#server.stop();
  }

  /** On the same port. */
  start(): void {
    this.#server = this.#listen(this.#server.port);
  }

  /** As if the event had come another way. */
  has(id: string): Receipt {
    const known = this.receipts.get(id);
    if (known !== undefined) return known;
    const receipt = receiptOf(id, `T-${this.receipts.size + 1}`, this.#identity.signer);
    this.receipts.set(id, receipt);
    return receipt;
  }

  #listen(port: number): { readonly port: number; stop(): Promise<void> } {
    const opened = openListener({
      at: { hostname: "127.0.0.1", port },
      identity: this.#identity,
      serve: (options) => Bun.serve({ ...options, fetch: (request) => this.#answer(request) }),
      onComplaint: () => undefined,
    });
    if (!opened.ok) throw new Error(opened.error.kind);
    return opened.value;
  }

  async #answer(request: Request): Promise<Response> {
    if (this.mood === "broken") return new Response("no", { status: 500 });
    if (this.mood === "silent") await Bun.sleep(60_000);
    if (request.method !== "POST") return new Response("no", { status: 404 });
    const { pathname } = new URL(request.url);
    const body = (await request.json()) as { ids: string[]; parcels: Parcel[] };
    if (pathname === DIGEST_PATH) {
      this.asked.push(body.ids);
      const states = body.ids.map((id) => {
        const receipt = this.receipts.get(id) ?? null;
        return { id, state: receipt === null ? "unknown" : "delivered", receipt };
      });
      return Response.json({ states });
    }
    if (pathname !== PARCELS_PATH) return new Response("no", { status: 404 });
    const results = body.parcels.map((parcel) => this.#take(parcel));
    // Taken, and the answer is lost.
    if (this.mood === "deaf") return new Response("no", { status: 500 });
    return Response.json({ name: "d1", epoch: "e", results });
  }

  #take({ id }: Parcel): ParcelResult {
    const count = (this.came.get(id) ?? 0) + 1;
    this.came.set(id, count);
    const reason = this.refuses.get(id);
    if (reason !== undefined) return { id, kind: "refused", reason, isPermanent: true };
    if (this.mood === "forges") {
      const receipt = receiptOf(id, "T-0", this.#stranger.signer);
      return { id, kind: "delivered", receipt, isDuplicate: false };
    }
    return { id, kind: "delivered", receipt: this.has(id), isDuplicate: count > 1 };
  }
}

export class TestManager {
  readonly ids: TestIdentities;
  readonly destination: TestDestination;
  readonly folder: string = mkdtempSync(join(tmpdir(), "holdfast-manager-"));
  readonly said: string[] = [];
  readonly #identity: Identity;
  #opened: OpenManager | null = null;

  constructor(ids: TestIdentities, identity: Identity, destination: TestDestination) {
    this.ids = ids;
    this.#identity = identity;
    this.destination = destination;
  }

  async start(over: Partial<OpenManagerSettings> = {}): Promise<OpenManager> {
    const log: Log = { say: (level, text) => this.said.push(`${level} ${text}`) };
    const identity = this.#identity;
    const opened = await openManager({
      identity,
      service: null,
      listen: { address: "127.0.0.1", port: 0 },
      pageListen: { address: "127.0.0.1", port: 0 },
      dataFolder: this.folder,
      store: null,
      destination: this.destination.url,
      caller: (role, url, init) => secureFetch(identity, role)(url, init),
      retentionDays: 90,
      version: "test",
      page: null,
      log,
      ...over,
    });
    if (!opened.ok) throw new Error(opened.error);
    this.#opened = opened.value;
    return opened.value;
  }

  get open(): OpenManager {
    if (this.#opened === null) throw new Error("the manager was not started");
    return this.#opened;
  }

  get url(): string {
    return `https://127.0.0.1:${this.open.port}`;
  }

  get pageUrl(): string {
    return `http://127.0.0.1:${this.open.pagePort}`;
  }

  async agent(name: string): Promise<TestAgent> {
    return new TestAgent(await this.ids.of("agent", name), this);
  }

  async stop(): Promise<void> {
    await this.#opened?.stop();
    this.#opened = null;
  }

  async remove(): Promise<void> {
    await this.stop();
    await this.destination.stop();
    await removeFolder(this.folder);
  }
}

export class TestAgent {
  readonly identity: Identity;
  readonly #manager: TestManager;

  constructor(identity: Identity, manager: TestManager) {
    this.identity = identity;
    this.#manager = manager;
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return secureFetch(this.identity, "manager")(`${this.#manager.url}${path}`, init);
  }

  postJson(path: string, body: unknown, method = "POST"): Promise<Response> {
    const headers = { "content-type": "application/json" };
    return this.fetch(path, { method, headers, body: JSON.stringify(body) });
  }

  async give(...parcels: readonly Parcel[]): Promise<readonly ParcelResult[]> {
    const response = await this.postJson(PARCELS_PATH, { parcels });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    return ((await response.json()) as { results: readonly ParcelResult[] }).results;
  }
}

export async function testManager(): Promise<TestManager> {
  const ids = await testIdentities("c1");
  const others = await testIdentities("c1");
  const destination = new TestDestination(
    await ids.of("destination", "d1"),
    await others.of("destination", "d1"),
  );
  return new TestManager(ids, await ids.of("manager", "m1"), destination);
}
