/**
 * The sending side of call home, put together: book → outbox → delivery machine → managers, the destination, peers.
 *
 * Opened where a manager or a destination is named. Everything durable is given (`stores`), so that tests can look at it; what
 * is decided is decided in `delivery.ts`, what is done for it in `sender.ts`.
 */
import type { Hono } from "hono";
import type { Severity } from "../../../bmc/bmc.ts";
import type { Identity, Verifier } from "../../identity/identity.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Disk } from "../../runtime/disk.ts";
import { randomHex, randomSeed } from "../../runtime/io/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { prng } from "../../runtime/prng.ts";
import type { ClusterWatch } from "../cluster.ts";
import { Delivery } from "../delivery.ts";
import { DEFAULT_TIMING, type PathReport, type Raised } from "../delivery-events.ts";
import type { OutboxDamage, OutboxHandlers } from "../outbox.ts";
import type { PeerOrder } from "../peers.ts";
import { eventStatementSchema, type Parcel, type Receipt } from "../protocol.ts";
import { heartbeatOf, incidentOfDamage, incidentOfFolded, textOfSilence } from "../raised.ts";
import { faultOfReceipt } from "../receipt-check.ts";
import type { ReportedBmc, ReportedCallhome, ReportedPath } from "../report.ts";
import { AroundTeller } from "./around-teller.ts";
import { deliveryRoutes } from "./delivery-routes.ts";
import type { EventKeeper } from "./event-keeper.ts";
import type { HostWatch } from "./host-watch.ts";
import type { Stores } from "./open-stores.ts";
import type { Caller } from "./parcels-client.ts";
import { type HopLine, PathTest, type PathTestEnd } from "./path-test.ts";
import { type Peer, PeersFinder } from "./peers-finder.ts";
import { ReceiptStream } from "./receipt-stream.ts";
import { parcelOf, queuedEventOf, Sender } from "./sender.ts";
import { SenderIntake } from "./sender-intake.ts";

const STREAMS_DOCUMENT = "callhome-receipts";
const STREAMS_SAVED_EVERY_MS = 5_000;
const FOLDS_EVERY_MS = 30_000;
const STOP_WITHIN_MS = 2_000;

export interface OutgoingSettings {
  /** URLs, in order of preference. */
  readonly managers: readonly string[];
  readonly destination: string | null;
  readonly least: Severity;
  /** null: none. */
  readonly heartbeatMs: number | null;
}

export interface OutgoingParts {
  readonly node: string;
  readonly settings: OutgoingSettings;
  readonly identity: Identity;
  /** Knows whoever may be the destination. */
  readonly receiptVerifier: Verifier;
  readonly caller: Caller;
  readonly keeper: EventKeeper;
  readonly openStores: (handlers: OutboxHandlers) => Promise<Stores>;
  readonly host: HostWatch;
  readonly cluster: ClusterWatch;
  readonly agentUrl: (member: { readonly address: string; readonly port: number }) => string;
  readonly order: PeerOrder;
  readonly bmcs: () => readonly ReportedBmc[];
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  /** Paths or counts have changed. */
  readonly onChange: () => void;
  readonly onDefect: (detail: string) => void;
}

export class Outgoing {
  readonly routes: Hono;
  readonly #parts: OutgoingParts;
  readonly #stores: Stores;
  readonly #machine: Delivery;
  readonly #sender: Sender;
  readonly #intake: SenderIntake;
  readonly #finder: PeersFinder;
  readonly #around: AroundTeller;
  readonly #streams: readonly ReceiptStream[];
  readonly #pathsSince: Map<string, { readonly state: string; readonly sinceMs: number }> =
    new Map();
  #timers: Timer[] = [];
  #savedStreams = "";

  static async open(parts: OutgoingParts): Promise<Outgoing> {
    // The outbox speaks before what hears it is there: what it says then is said to the machine at its start.
    const early: (() => void)[] = [];
    let made: Outgoing | null = null;
    const later = (run: (outgoing: Outgoing) => void): void => {
      if (made !== null) run(made);
      else early.push(() => made !== null && run(made));
    };
    const stores = await parts.openStores({
      onFolded: (id) => later((outgoing) => outgoing.#onFolded(id)),
      onFull: (isFull) => later((outgoing) => outgoing.#onFull(isFull)),
      onDamage: (damage) => later((outgoing) => outgoing.#onDamage(damage)),
      onFailure: (failure) => later((outgoing) => outgoing.#onFailure(failure?.detail ?? null)),
    });
    const sender: { current: Sender | null } = { current: null };
    const intake = await SenderIntake.open({
      ...{ keeper: parts.keeper, outbox: stores.outbox, signer: parts.identity.signer },
      ...{ disk: parts.disk, clock: parts.clock, log: parts.log },
      policy: { floor: parts.settings.least },
      tell: (event) => sender.current?.tell(event),
    });
    made = new Outgoing(parts, stores, intake);
    sender.current = made.#sender;
    for (const run of early) run();
    return made;
  }

  private constructor(parts: OutgoingParts, stores: Stores, intake: SenderIntake) {
    const { node, settings, caller, clock, log, host } = parts;
    const { managers, destination, heartbeatMs } = settings;
    this.#parts = parts;
    this.#stores = stores;
    this.#intake = intake;
    const heartbeatAgoMs = host.heartbeatAgoMs() ?? DEFAULT_TIMING.heartbeatAgoMs;
    const timing = { ...DEFAULT_TIMING, heartbeatMs, heartbeatAgoMs };
    this.#machine = new Delivery(prng(randomSeed()), timing);
    this.#around = new AroundTeller(managers, caller, clock);
    this.#finder = new PeersFinder({
      ...{ caller, clock, order: parts.order },
      peers: () => this.#peers(),
      onFound: (names) => this.#sender.tell({ kind: "peers", names }),
    });
    this.#sender = new Sender({
      ...{ node, caller, clock, log, destination, machine: this.#machine },
      ...{ outbox: stores.outbox, ledger: stores.ledger },
      faultOf: (receipt) => this.#faultOf(receipt),
      peerUrl: (name) => this.#peers().find((peer) => peer.node === name)?.url ?? null,
      onRaised: (raised) => this.#onRaised(raised),
      onFindPeers: () => this.#finder.find(),
      onStepped: parts.onChange,
      onDelivered: (id, receipt, path) => {
        if (path?.kind !== "manager") this.#tellManagers(id, receipt, path?.kind ?? "direct");
      },
    });
    this.#streams = managers.map((manager) => this.#streamOf(manager));
    this.routes = this.#makeRoutes();
  }

  begin(): void {
    const { settings, clock, cluster } = this.#parts;
    const { managers, destination } = settings;
    this.#sender.tell({ kind: "paths", managers, hasDirect: destination !== null });
    const restored = this.#stores.outbox.open().map((entry) => queuedEventOf(entry, clock));
    if (restored.length > 0) this.#sender.tell({ kind: "restored", events: restored });
    for (const stream of this.#streams) stream.begin();
    this.#intake.begin();
    for (const damage of this.#stores.damages) this.#onDamage(damage);
    cluster.onChange((change) => {
      if (change.kind === "thawed") {
        this.#sender.tell({ kind: "try-now", why: "a majority of the nodes is heard again" });
      }
    });
    this.#every(STREAMS_SAVED_EVERY_MS, () => this.#saveStreams());
    this.#every(FOLDS_EVERY_MS, () => void this.#tellFolded());
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) timer.end();
    this.#timers = [];
    await this.#intake.stop();
    await Promise.all(this.#streams.map((stream) => stream.stop()));
    await this.#sender.stop(STOP_WITHIN_MS);
    this.#saveStreams();
    await this.#stores.stop();
  }

  report(): ReportedCallhome {
    const { clock } = this.#parts;
    const { paths, deliveredCount, refusedCount } = this.#machine.report(clock.nowMs());
    const { openCount } = this.#stores.outbox.report();
    const [oldest] = openCount > 0 ? this.#stores.outbox.open() : [];
    return {
      waiting: openCount,
      delivered: deliveredCount,
      refused: refusedCount,
      oldestWaitingMs: oldest?.queuedWallMs ?? null,
      paths: paths.map((path) => this.#reported(path)),
    };
  }

  /** What its own direct way last did; how much waits. */
  way(): { readonly direct: "unknown" | "works" | "broken"; readonly waiting: number } {
    const { paths } = this.#machine.report(this.#parts.clock.nowMs());
    const state = paths.find(({ path }) => path.kind === "direct")?.state ?? "unknown";
    const direct = state === "unknown" ? "unknown" : state === "up" ? "works" : "broken";
    return { direct, waiting: this.#stores.outbox.report().openCount };
  }

  #reported({ path, state, why }: PathReport): ReportedPath {
    const name = path.kind === "direct" ? (this.#parts.settings.destination ?? "-") : path.name;
    const key = `${path.kind} ${path.name}`;
    const before = this.#pathsSince.get(key);
    const since = before?.state === state ? before : { state, sinceMs: this.#parts.clock.wallMs() };
    this.#pathsSince.set(key, since);
    const told = state === "unknown" ? "unknown" : state === "up" ? "works" : "broken";
    return {
      kind: path.kind,
      name,
      state: told,
      detail: why.slice(0, 2_000),
      sinceMs: since.sinceMs,
    };
  }

  #faultOf(receipt: Receipt): string | null {
    const { identity, receiptVerifier } = this.#parts;
    return faultOfReceipt(receipt, receiptVerifier, identity.principal.cluster);
  }

  #peers(): readonly Peer[] {
    const { cluster, node, agentUrl } = this.#parts;
    return cluster
      .status()
      .members.filter(({ id, standing }) => id !== node && standing === "alive")
      .map((member) => ({ node: member.id, url: agentUrl(member) }));
  }

  #streamOf(manager: string): ReceiptStream {
    const { caller, clock, disk } = this.#parts;
    const random = prng(randomSeed());
    const read = disk.read(STREAMS_DOCUMENT);
    const kept = read.kind === "document" ? (read.document as Record<string, unknown>) : {};
    const seq = kept[manager];
    return new ReceiptStream({
      ...{ manager, caller, clock },
      seq: typeof seq === "number" && Number.isSafeInteger(seq) && seq >= 0 ? seq : 0,
      unit: () => random.unit(),
      onLine: (line) => {
        this.#sender.hear(manager, line);
        if (line.kind === "beat") this.#around.onBeat(manager);
      },
      onLost: (detail) => this.#sender.tell({ kind: "manager-lost", manager, detail }),
    });
  }

  /** Behind what was heard: after a crash some receipts come again, and close nothing twice. */
  #saveStreams(): void {
    const { settings, disk } = this.#parts;
    const entries = settings.managers.map((name, index) => [name, this.#streams[index]?.seq ?? 0]);
    const document = Object.fromEntries(entries) as Record<string, number>;
    const text = JSON.stringify(document);
    if (text === this.#savedStreams) return;
    this.#savedStreams = text;
    disk.write(STREAMS_DOCUMENT, document, () => undefined);
  }

  #tellManagers(id: string, receipt: Receipt, path: "direct" | "peer"): void {
    if (this.#parts.settings.managers.length === 0) return;
    const { node, clock } = this.#parts;
    this.#stores.outbox.read([id], (found) => {
      const trail = [{ kind: "origin", name: node, atMs: clock.wallMs() }] as const;
      const parcel = parcelOf(id, found.get(id), trail);
      if (parcel === null) return;
      const way = isOfAnother(parcel, node) ? "stand-in" : path;
      this.#around.add({ ...parcel, around: { path: way, receipt } });
    });
  }

  #onRaised(raised: Raised): void {
    const { host, node, settings, clock } = this.#parts;
    if (raised.what === "cannot-call-home") {
      host.condition("cannot-call-home", textOfSilence(node, raised));
    } else if (raised.what === "calls-home-again") {
      host.condition("cannot-call-home", null);
    } else {
      host.tell(heartbeatOf(node, raised, settings.heartbeatMs ?? 0, clock.wallMs()));
    }
  }

  #onFolded(id: string): void {
    const reason = "no room in the outbox: counted with others of its component";
    this.#sender.tell({ kind: "withdrawn", id, reason });
  }

  #onDamage(damage: OutboxDamage): void {
    const { host, log, clock } = this.#parts;
    log.say("fault", `outbox: ${damage.detail}`);
    host.tell(incidentOfDamage(damage, clock.wallMs()));
  }

  #onFull(isFull: boolean): void {
    const { host, node } = this.#parts;
    const text = `the outbox of node ${node} is full: the graver events are kept, others are counted`;
    host.condition("outbox-full", isFull ? text : null);
    if (!isFull) void this.#tellFolded();
  }

  #onFailure(detail: string | null): void {
    const { log } = this.#parts;
    if (detail === null) log.say("event", "the outbox takes events again");
    else log.say("fault", `the outbox takes no events: ${detail}: make room in the data folder`);
  }

  /** Counts become events once there is room for them. */
  async #tellFolded(): Promise<void> {
    const { outbox } = this.#stores;
    if (outbox.report().failure !== null) return;
    for (const folded of outbox.folded()) {
      const taken = await this.#parts.keeper.take(
        this.#parts.host.incident(incidentOfFolded(folded)),
      );
      if (!taken.ok) return;
      outbox.takeFolded([folded]);
    }
  }

  #every(ms: number, run: () => void): void {
    const again = (): void => {
      this.#timers = this.#timers.filter((one) => one !== timer);
      run();
      this.#every(ms, run);
    };
    const timer = this.#parts.clock.after(ms, again);
    this.#timers.push(timer);
  }

  #makeRoutes(): Hono {
    const { outbox, ledger } = this.#stores;
    const { keeper, node, identity, settings, clock, bmcs, onDefect } = this.#parts;
    return deliveryRoutes({
      ...{ keeper, outbox, ledger, onDefect },
      summary: () => ({
        node,
        cluster: identity.principal.cluster,
        managers: settings.managers,
        destination: settings.destination,
        delivery: this.#machine.report(clock.nowMs()),
        outbox: outbox.report(),
        bmcs: bmcs(),
      }),
      explain: (id) => this.#machine.explain(id, clock.nowMs()),
      retry: (id) => this.#retry(id),
      test: (tell) => this.#test(tell),
    });
  }

  #retry(id: string): boolean {
    const { outbox } = this.#stores;
    const entry = outbox.refused().find((one) => one.id === id);
    if (entry === undefined || !outbox.reopen(id)) return false;
    this.#sender.tell({ kind: "retry", event: queuedEventOf(entry, this.#parts.clock) });
    return true;
  }

  #test(tell: (line: HopLine) => void): Promise<PathTestEnd> {
    const { node, settings, caller, identity, clock, host } = this.#parts;
    const { managers, destination } = settings;
    const key = randomHex(8);
    const test = new PathTest(
      {
        ...{ node, managers, destination, caller, clock, signer: identity.signer },
        finder: this.#finder,
        peers: () => this.#peers(),
        faultOf: (receipt) => this.#faultOf(receipt),
      },
      tell,
    );
    const text = `a test of calling home from node ${node}: nothing is wrong`;
    const subject = `test ${key}`;
    return test.run(host.incident({ what: "test", key, severity: "information", subject, text }));
  }
}

/** Seen at the BMC of a dead node, for which this one stands in. */
function isOfAnother({ envelope }: Parcel, node: string): boolean {
  const said = eventStatementSchema.safeParse(
    JSON.parse(Buffer.from(envelope.payload, "base64").toString("utf8")),
  );
  if (!said.success || said.data.event.way === "host") return false;
  const of = said.data.event.extra["node"];
  return of !== undefined && of !== node;
}
