/**
 * For tests of the sending side: a destination and a manager over real HTTP that do as a test tells them, and a node between them.
 *
 * Nothing of them is durable; what they were sent is counted by id.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BmcEvent, Severity } from "../../../bmc/bmc.ts";
import { realCrypto } from "../../../bmc/ipmi/io/crypto.ts";
import type { Identity } from "../../identity/identity.ts";
import { openLocalIdentity } from "../../identity/io/open-identity.ts";
import type { NodeId } from "../../membership/membership.ts";
import { ndjsonResponse } from "../../net/io/ndjson.ts";
import { realClock } from "../../runtime/io/clock.ts";
import { folderDisk } from "../../runtime/io/disk.ts";
import type { Log } from "../../runtime/log.ts";
import type { ClusterChange, ClusterStatus, ClusterWatch } from "../cluster.ts";
import { hookEvent, RecentHooks, readHookFields } from "../hook-fields.ts";
import { verifyParcel } from "../parcel-check.ts";
import type { WayAnswer } from "../peers.ts";
import {
  DIGEST_PATH,
  type DigestAnswer,
  PARCELS_PATH,
  type Parcel,
  type ParcelResult,
  type ParcelsAnswer,
  parcelSchema,
  RECEIPTS_PATH,
  type Receipt,
  type ReceiptLine,
} from "../protocol.ts";
import { type EventKeeper, openEventKeeper } from "./event-keeper.ts";
import { HostWatch } from "./host-watch.ts";
import { openStores } from "./open-stores.ts";
import { Outgoing } from "./outgoing.ts";
import type { Caller } from "./parcels-client.ts";
import { relayRoutes } from "./relay-routes.ts";

const BEAT_MS = 200;

export async function until(what: string, isTrue: () => boolean, withinMs = 15_000): Promise<void> {
  const giveUpMs = performance.now() + withinMs;
  while (!isTrue()) {
    if (performance.now() > giveUpMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await Bun.sleep(2);
  }
}

/** What a test may put in the place of an answer; null: as usual. */
export type Instead = (parcels: readonly Parcel[]) => Promise<Response | null> | Response | null;

async function parcelsOf(request: Request): Promise<readonly Parcel[]> {
  const { parcels } = (await request.json()) as { readonly parcels: readonly unknown[] };
  return parcels.map((parcel) => parcelSchema.parse(parcel));
}

export class FakeDestination {
  readonly tickets: Map<string, Receipt> = new Map();
  /** By id, how often it was sent. */
  readonly sent: Map<string, number> = new Map();
  readonly parcels: Parcel[] = [];
  readonly #identity: Identity;
  readonly #server: Bun.Server<undefined>;
  instead: Instead = () => null;
  digestCount = 0;

  constructor(identity: Identity, port = 0) {
    this.#identity = identity;
    this.#server = Bun.serve({
      port,
      hostname: "127.0.0.1",
      idleTimeout: 60,
      fetch: (request) => this.#answer(request),
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  get port(): number {
    return this.#server.port ?? 0;
  }

  take(parcels: readonly Parcel[]): readonly ParcelResult[] {
    return parcels.map((parcel): ParcelResult => {
      const { id } = parcel;
      const verified = verifyParcel(parcel, this.#identity.verifier);
      if (!verified.ok) return { id, kind: "refused", reason: verified.error, isPermanent: true };
      this.parcels.push(parcel);
      this.sent.set(id, (this.sent.get(id) ?? 0) + 1);
      const known = this.tickets.get(id);
      if (known !== undefined) return { id, kind: "delivered", receipt: known, isDuplicate: true };
      const ticket = `T-${this.tickets.size + 1}`;
      const receipt: Receipt = {
        id,
        destination: "d",
        ticket,
        receivedMs: Date.now(),
        proof: null,
      };
      this.tickets.set(id, receipt);
      return { id, kind: "delivered", receipt, isDuplicate: false };
    });
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (pathname === DIGEST_PATH) {
      this.digestCount++;
      return Response.json(digestOf(await request.json(), this.tickets));
    }
    const parcels = await parcelsOf(request);
    const instead = await this.instead(parcels);
    if (instead !== null) return instead;
    const results = this.take(parcels);
    return Response.json({ name: "d", epoch: "1", results } satisfies ParcelsAnswer);
  }
}

function digestOf(asked: unknown, tickets: ReadonlyMap<string, Receipt>): DigestAnswer {
  const { ids } = asked as { readonly ids: readonly string[] };
  return {
    states: ids.map((id) => {
      const receipt = tickets.get(id) ?? null;
      return { id, state: receipt === null ? "unknown" : "delivered", receipt };
    }),
  };
}

export class FakeManager {
  readonly kept: Map<string, Parcel> = new Map();
  readonly around: Parcel[] = [];
  readonly reports: unknown[] = [];
  readonly #destination: FakeDestination;
  readonly #receipts: Receipt[] = [];
  readonly #server: Bun.Server<undefined>;
  readonly #listeners: Set<() => void> = new Set();
  instead: Instead = () => null;
  relays = true;
  canRelay = true;
  beats = true;
  epoch = "m1";

  constructor(destination: FakeDestination, port = 0) {
    this.#destination = destination;
    this.#server = Bun.serve({
      port,
      hostname: "127.0.0.1",
      idleTimeout: 60,
      fetch: (request) => this.#answer(request),
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  get port(): number {
    return this.#server.port ?? 0;
  }

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === RECEIPTS_PATH) return this.#stream(Number(searchParams.get("after") ?? 0));
    if (pathname === DIGEST_PATH) {
      const known = this.#destination.tickets;
      const mine = new Map([...known].filter(([id]) => this.kept.has(id)));
      return Response.json(digestOf(await request.json(), mine));
    }
    if (pathname !== PARCELS_PATH) return new Response("", { status: 404 });
    const parcels = await parcelsOf(request);
    const instead = await this.instead(parcels);
    if (instead !== null) return instead;
    const results = parcels.map((parcel): ParcelResult => {
      const { id, around } = parcel;
      if (around !== undefined) {
        this.around.push(parcel);
        return { id, kind: "delivered", receipt: around.receipt, isDuplicate: true };
      }
      this.kept.set(id, parcel);
      if (this.relays) setTimeout(() => this.#relay(parcel), 1);
      return { id, kind: "kept" };
    });
    return Response.json({ name: "m", epoch: this.epoch, results } satisfies ParcelsAnswer);
  }

  #relay(parcel: Parcel): void {
    const [result] = this.#destination.take([parcel]);
    if (result?.kind === "delivered") this.#receipts.push(result.receipt);
    for (const wake of this.#listeners) wake();
  }

  #stream(after: number): Response {
    return ndjsonResponse(
      async (sink) => {
        let seq = after;
        while (!sink.signal.aborted) {
          for (; seq < this.#receipts.length; seq++) {
            const receipt = this.#receipts[seq];
            if (receipt === undefined) break;
            sink.push({ kind: "receipt", seq: seq + 1, receipt } satisfies ReceiptLine);
          }
          const { canRelay, epoch } = this;
          const line: ReceiptLine = { kind: "beat", epoch, seq: this.#receipts.length, canRelay };
          if (this.beats) sink.push(line);
          await new Promise<void>((resolve) => {
            const wake = (): void => {
              clearTimeout(timer);
              this.#listeners.delete(wake);
              resolve();
            };
            const timer = setTimeout(wake, BEAT_MS);
            this.#listeners.add(wake);
          });
        }
      },
      () => undefined,
    );
  }
}

export function eventOf(key: string, severity: Severity = "critical"): BmcEvent {
  const fields = readHookFields({ text: `event ${key}`, key, severity });
  if (!fields.ok) throw new Error(fields.error);
  const nowMs = Date.now();
  const setting = { system: "s", nowMs, sha256: realCrypto.sha256, recent: new RecentHooks() };
  return hookEvent(fields.value, setting);
}

/** A cluster of one, which a test may change. */
export class FakeCluster implements ClusterWatch {
  readonly #callbacks: Set<(change: ClusterChange) => void> = new Set();
  members: ClusterStatus["members"] = [];
  readonly #id: string;

  constructor(id: string) {
    this.#id = id;
  }

  status(): ClusterStatus {
    const load = { cores: 1, freeMemoryBytes: 1, loadAverage: 0 };
    return {
      ...{ id: this.#id, address: "127.0.0.1", port: 1, state: "alive", reason: null },
      ...{ role: "worker", instance: "i", incarnation: 1, epoch: 1, lead: this.#id, pid: 1 },
      ...{ version: "test", ranks: [], holds: [], members: this.members, load },
    };
  }

  records(): readonly [] {
    return [];
  }

  onChange(callback: (change: ClusterChange) => void): () => void {
    this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
  }

  tell(change: ClusterChange): void {
    for (const callback of this.#callbacks) callback(change);
  }
}

export interface NodeOptions {
  readonly managers?: readonly string[];
  readonly destination?: string | null;
  readonly least?: Severity;
  readonly caller?: Caller;
}

export const plainCaller: Caller = (_role, url, init) => fetch(url, init);

/** The sending side of one node, on a folder that outlives it. */
export class TestNode {
  readonly said: string[] = [];
  readonly cluster: FakeCluster = new FakeCluster("n1");
  readonly #folder: string;
  readonly identity: Identity;
  keeper: EventKeeper | null = null;
  outgoing: Outgoing | null = null;
  #host: HostWatch | null = null;

  constructor(folder: string) {
    this.#folder = folder;
    mkdirSync(join(folder, "state"), { recursive: true });
    this.identity = openLocalIdentity(join(folder, "identity"), "agent", "n1");
  }

  async start(options: NodeOptions): Promise<void> {
    const log: Log = { say: (level, text) => this.said.push(`${level} ${text}`) };
    const { cluster, identity } = this;
    const clock = realClock();
    const disk = folderDisk(join(this.#folder, "state"));
    const keeper = await openEventKeeper(this.#folder, log);
    const host = new HostWatch({
      ...{ cluster: "local", node: "n1", dataFolder: this.#folder, watch: cluster },
      ...{ keeper, clock, log, freeBytes: () => null },
    });
    const { managers = [], destination = null, least = "warning" } = options;
    this.outgoing = await Outgoing.open({
      node: "n1",
      settings: { managers, destination, least, heartbeatMs: null },
      ...{ identity, keeper, host, cluster, disk, clock, log },
      receiptVerifier: identity.verifier,
      caller: options.caller ?? plainCaller,
      openStores: (handlers) =>
        openStores(join(this.#folder, "callhome"), { handlers, signer: identity.signer, log }),
      agentUrl: ({ port }) => `http://127.0.0.1:${port}`,
      order: (candidates) => candidates,
      bmcs: () => [],
      onChange: () => undefined,
      onDefect: (detail) => this.said.push(`defect ${detail}`),
    });
    this.keeper = keeper;
    this.#host = host;
    host.begin();
    this.outgoing.begin();
  }

  async take(event: BmcEvent): Promise<string> {
    const taken = await this.keeper?.take(event);
    if (taken?.ok !== true) throw new Error("not kept");
    return taken.value.id;
  }

  async stop(): Promise<void> {
    await this.#host?.stop();
    await this.outgoing?.stop();
    await this.keeper?.close();
  }
}

/** A peer that passes on what it is given, and says that it has a way. */
export class FakePeer {
  readonly #server: Bun.Server<undefined>;

  constructor(id: string, destination: string | null, identity: Identity) {
    const way = (): Pick<WayAnswer, "direct" | "waiting" | "standsInFor"> => {
      return { direct: "works", waiting: 0, standsInFor: [] };
    };
    const routes = relayRoutes({
      ...{ node: id, destination, caller: plainCaller, verifier: identity.verifier },
      ...{ clock: realClock(), epoch: "p", way, bmcs: () => [] },
    });
    this.#server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: routes.fetch });
    this.member = {
      ...{ id: id as NodeId, address: "127.0.0.1", port: this.#server.port ?? 0, role: "worker" },
      ...{ incarnation: 1, standing: "alive", reason: "", inView: true },
    };
  }

  readonly member: ClusterStatus["members"][number];

  async stop(): Promise<void> {
    await this.#server.stop(true);
  }
}

export class TestFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), "holdfast-away-"));

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
