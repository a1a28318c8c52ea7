/**
 * The manager without its sockets: store, intake, relay, streams, nodes, metrics, put together.
 *
 * Everything that its routes need is asked here. Invariants: what was acknowledged is in the store; a defect in one part is a
 * line in the log and does not end the others; after `stop` nothing runs any more.
 */
import { ok, type Result } from "../../../core/result.ts";
import type { Caller } from "../../callhome/io/parcels-client.ts";
import type { DigestAnswer, ParcelsAnswer } from "../../callhome/protocol.ts";
import type { NodeReport, ReportAnswer } from "../../callhome/report.ts";
import type { Identity, Principal, Verifier } from "../../identity/identity.ts";
import type { Problem } from "../../net/problem.ts";
import type { Clock } from "../../runtime/clock.ts";
import { randomHex, randomSeed } from "../../runtime/io/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { prng } from "../../runtime/prng.ts";
import type { NodeRow, Summary } from "../api.ts";
import type { OpenTickets } from "../fleet.ts";
import type { StoreFailure } from "./database.ts";
import { FleetKeeper } from "./fleet-keeper.ts";
import { Intake, type RelayTaker, storeProblem } from "./intake.ts";
import type { Tally } from "./lists.ts";
import { LiveUpdates } from "./live-updates.ts";
import { Metrics } from "./metrics.ts";
import { ReceiptStreams } from "./receipt-streams.ts";
import { leaseMsOf, RelayRunner } from "./relay-runner.ts";
import { PRUNE_SLICE } from "./retention.ts";
import type { Store, StoreWatch } from "./store.ts";
import { Sums } from "./sums.ts";
import { TicketWatch } from "./ticket-watch.ts";

export interface ManagerSettings {
  readonly identity: Identity;
  readonly version: string;
  /** null: none; events wait here until one is given. */
  readonly destination: string | null;
  readonly caller: Caller;
  /** Of who gives receipts, perhaps of another cluster. */
  readonly receiptVerifier: Verifier;
  readonly clock: Clock;
  readonly log: Log;
  readonly retentionDays: number;
  /** Settled events that are kept at most. */
  readonly settledMax: number;
  /** Events that wait at most. */
  readonly keptMax: number;
}

export const SETTLED_MAX = 1_000_000;
export const KEPT_MAX = 500_000;
/** Other managers' changes are looked for so often, where the store is shared. */
const LOOK_MS = 250;
const PRUNE_MS = 60_000;
const DAY_MS = 24 * 3_600_000;
const HISTORY_MAX = 1_000;

const NO_RELAY: RelayTaker = {
  room: () => 0,
  take: () => undefined,
  more: () => undefined,
  withdraw: () => undefined,
};

/** What the store says of itself is heard before the manager is there. */
export class StoreEar implements StoreWatch {
  metrics: Metrics | null = null;
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  readonly onUse = (call: string, tookMs: number, failure: StoreFailure | null): void => {
    this.metrics?.store.observe({ call }, tookMs / 1000);
    if (failure !== null) this.metrics?.storeFailures.inc({ kind: failure.kind });
  };

  readonly onFailure = (failure: StoreFailure | null): void => {
    if (failure === null) this.#log.say("event", "the store works again");
    else {
      const remedy = failure.kind === "full" ? "make room" : "nodes go around meanwhile";
      const what = failure.kind === "full" ? "is full" : "cannot be used";
      this.#log.say("fault", `the store ${what}: ${failure.detail}: ${remedy}`);
    }
  };
}

export class Manager {
  readonly settings: ManagerSettings;
  readonly store: Store;
  /** Of this start. */
  readonly epoch: string = randomHex(8);
  readonly metrics: Metrics;
  readonly receipts: ReceiptStreams;
  readonly live: LiveUpdates;
  readonly fleet: FleetKeeper;
  readonly #startedMs: number;
  readonly #intake: Intake;
  readonly #relay: RelayRunner | null;
  /** null: there is no destination to ask. */
  readonly tickets: TicketWatch | null;
  readonly #sums: Sums;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  #canRelay = false;
  #why: string;
  #destinationName: string | null = null;
  #lastAnswerMs: number | null = null;
  #isPruning = false;

  constructor(settings: ManagerSettings, store: Store, ear: StoreEar) {
    const { identity, clock, log, destination } = settings;
    this.settings = settings;
    this.store = store;
    this.#startedMs = clock.wallMs();
    this.#why = destination === null ? "no destination is set" : "it was not asked yet";
    this.metrics = new Metrics(settings.version);
    ear.metrics = this.metrics;
    const onDefect = (detail: string): void => log.say("fault", `defect: ${detail}`);
    this.#sums = new Sums(store);
    this.fleet = new FleetKeeper({ store, clock, log, onChange: () => this.live.look() });
    this.receipts = new ReceiptStreams({
      store,
      epoch: this.epoch,
      canRelay: () => this.#canRelay,
      onOpened: (node) => this.fleet.streamOpened(node),
      onClosed: (node) => this.fleet.streamClosed(node),
      onDefect,
    });
    this.live = new LiveUpdates(
      {
        changes: (after) => this.fleet.changes(after),
        summary: () => this.summary(),
        nodes: () => this.nodes(),
      },
      onDefect,
    );
    this.#relay = destination === null ? null : this.#relayTo(destination);
    this.tickets = destination === null ? null : this.#ticketsOf(destination);
    this.#intake = new Intake({
      store,
      verifier: identity.verifier,
      receiptVerifier: settings.receiptVerifier,
      principal: identity.principal,
      relay: this.#relay ?? NO_RELAY,
      nowMs: () => clock.wallMs(),
      owner: this.#owner,
      leaseMs: leaseMsOf(store),
      keptCount: () => this.#sums.keptCount,
      keptMax: settings.keptMax,
      onChange: () => this.#changed(),
      onTaken: (result) => this.metrics.parcels.inc({ result }),
    });
  }

  /** What an earlier run left is taken up. */
  async begin(): Promise<void> {
    const { store } = this;
    // Of an earlier start of this manager, which is dead.
    const name = this.settings.identity.principal.name;
    await store.releaseOwner(store.kind === "sqlite" ? "" : `${name}/`);
    await this.fleet.begin();
    await this.#sums.refresh();
    this.#relay?.begin();
    this.tickets?.begin();
    if (store.kind === "postgres") {
      this.#timers.push(setInterval(() => this.#changed(), LOOK_MS));
    }
    this.#timers.push(setInterval(() => void this.prune(), PRUNE_MS));
    void this.prune();
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.live.stop();
    this.receipts.stop();
    this.tickets?.stop();
    await this.#relay?.stop();
    await this.fleet.stop();
    await this.store.close();
  }

  get principal(): Principal {
    return this.settings.identity.principal;
  }

  async take(body: unknown, caller: Principal): Promise<Result<ParcelsAnswer, Problem>> {
    const taken = await this.#intake.take(body, caller);
    if (!taken.ok) return taken;
    return ok({ name: this.principal.name, epoch: this.epoch, results: taken.value });
  }

  async digest(ids: readonly string[]): Promise<Result<DigestAnswer, Problem>> {
    const states = await this.store.states(ids);
    if (!states.ok) return { ok: false, error: storeProblem(states.error) };
    return ok({
      states: ids.map((id) => {
        const known = states.value.get(id);
        if (known === undefined) return { id, state: "unknown", receipt: null };
        const state = known.state === "not-relayed" ? "refused" : known.state;
        return { id, state, receipt: known.receipt };
      }),
    });
  }

  report(report: NodeReport): Result<ReportAnswer, Problem> {
    const taken = this.fleet.report(report);
    if (taken.kind === "full") {
      return {
        ok: false,
        error: { kind: "busy", detail: "this manager has as many nodes as it can have" },
      };
    }
    const { wantsInventory } = taken;
    return ok({ name: this.principal.name, epoch: this.epoch, wantsInventory });
  }

  nodes(): readonly NodeRow[] {
    return this.fleet.rows(this.#sums.openByNode());
  }

  node(id: string): NodeRow | null {
    return this.fleet.row(id, this.#sums.openByNode());
  }

  openTickets(): ReadonlyMap<string, OpenTickets> {
    return this.#sums.openByNode();
  }

  /** null: the store cannot be read, and was not read before. */
  async summary(): Promise<Summary | null> {
    const sums = await this.#sums.current();
    await this.fleet.refresh();
    const nodes = { alive: 0, late: 0, silent: 0, dead: 0 };
    for (const { state } of this.nodes()) nodes[state]++;
    const { clock, version, destination } = this.settings;
    const { name, cluster } = this.principal;
    return {
      name,
      cluster,
      epoch: this.epoch,
      version,
      startedMs: this.#startedMs,
      nowMs: clock.wallMs(),
      store: { kind: this.store.kind, isUp: this.store.isUp },
      destination: {
        url: destination,
        name: this.#destinationName,
        canRelay: this.#canRelay,
        why: this.#why,
        lastAnswerMs: this.#lastAnswerMs,
      },
      events: sums.events,
      nodes,
      openTickets: sums.openTickets,
      clusterEpoch: this.fleet.newestEpoch(),
    };
  }

  async metricsText(): Promise<string> {
    const summary = await this.summary();
    const tallies: readonly Tally[] = this.#sums.tallies;
    return await this.metrics.text(
      summary === null
        ? null
        : {
            summary,
            tallies,
            oldestKeptMs: this.#sums.oldestKeptMs,
            nowMs: this.settings.clock.wallMs(),
            held: this.#relay?.report().held ?? 0,
            receiptStreams: this.receipts.count,
            liveClients: this.live.clientCount,
            pending: this.#intake.pendingCount,
          },
    );
  }

  /** Lets go of what is old; says how many events went. */
  async prune(): Promise<number> {
    if (this.#isPruning) return 0;
    this.#isPruning = true;
    const { retentionDays, settledMax, clock, log } = this.settings;
    let gone = 0;
    try {
      for (;;) {
        const beforeMs = clock.wallMs() - retentionDays * DAY_MS;
        const slice = await this.store.prune({ beforeMs, settledMax, historyMax: HISTORY_MAX });
        if (!slice.ok) break;
        gone += slice.value;
        if (slice.value < PRUNE_SLICE) break;
        // Others want the store too.
        await Bun.sleep(20);
      }
    } finally {
      this.#isPruning = false;
    }
    if (gone > 0) log.say("detail", `${gone} settled events were let go by retention`);
    return gone;
  }

  get #owner(): string {
    return `${this.principal.name}/${this.epoch}`;
  }

  #relayTo(url: string): RelayRunner {
    const { identity, caller, receiptVerifier, clock, log } = this.settings;
    return new RelayRunner({
      store: this.store,
      caller,
      destination: { role: "destination", url },
      verifier: receiptVerifier,
      principal: identity.principal,
      owner: this.#owner,
      clock,
      log,
      random: prng(randomSeed()),
      onChange: () => this.#changed(),
      onCanRelay: (canRelay, why) => {
        this.#canRelay = canRelay;
        this.#why = why;
        this.receipts.sayBeats();
        this.live.look();
      },
      onAnswer: (name) => {
        this.#destinationName = name;
        this.#lastAnswerMs = clock.wallMs();
      },
      onRelayed: (outcome, lagMs) => {
        this.metrics.relayed.inc({ outcome });
        if (lagMs !== null && outcome === "delivered") {
          this.metrics.lag.observe(Math.max(0, lagMs) / 1000);
        }
      },
    });
  }

  #ticketsOf(url: string): TicketWatch {
    return new TicketWatch({
      store: this.store,
      caller: this.settings.caller,
      target: { role: "destination", url },
      cluster: this.principal.cluster,
      canAsk: () => this.#canRelay && this.#sums.hasTickets,
      onChange: () => this.#changed(),
    });
  }

  #changed(): void {
    this.#sums.stale();
    this.receipts.look();
    this.live.look();
  }
}
