/**
 * What Prometheus is told: `GET /metrics`, in its text format.
 *
 * Counters and histograms are fed where things happen; gauges are read when somebody asks, from what is at hand. Labels come from
 * closed lists only: nothing that a node says becomes a label, so the number of series is bounded.
 */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { EventState, NodeState, Summary } from "../api.ts";
import type { Tally } from "./lists.ts";

const PREFIX = "holdfast_manager_";
const STORE_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5];
const LAG_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600, 3_600];

/** What is read when somebody asks; null: the store cannot be read. */
export interface Reading {
  readonly summary: Summary;
  readonly tallies: readonly Tally[];
  readonly oldestKeptMs: number | null;
  readonly nowMs: number;
  readonly held: number;
  readonly receiptStreams: number;
  readonly liveClients: number;
  readonly pending: number;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #gauges = new Map<string, Gauge>();
  readonly parcels: Counter;
  readonly relayed: Counter;
  readonly lag: Histogram;
  readonly store: Histogram;
  readonly storeFailures: Counter;

  constructor(version: string) {
    const registers = [this.#registry];
    this.parcels = new Counter({
      name: `${PREFIX}parcels_total`,
      help: "Parcels that were answered, by result: kept (R1), delivered (R2, known), refused.",
      labelNames: ["result"],
      registers,
    });
    this.relayed = new Counter({
      name: `${PREFIX}relayed_total`,
      help: "Events that were settled by this manager's relay, by outcome.",
      labelNames: ["outcome"],
      registers,
    });
    this.lag = new Histogram({
      name: `${PREFIX}relay_lag_seconds`,
      help: "From R1 to R2.",
      buckets: LAG_SECONDS,
      registers,
    });
    this.store = new Histogram({
      name: `${PREFIX}store_seconds`,
      help: "Time that calls of the store took, flush to disk included.",
      labelNames: ["call"],
      buckets: STORE_SECONDS,
      registers,
    });
    this.storeFailures = new Counter({
      name: `${PREFIX}store_failures_total`,
      help: "Calls of the store that failed, by kind.",
      labelNames: ["kind"],
      registers,
    });
    for (const result of ["kept", "delivered", "refused"]) this.parcels.inc({ result }, 0);
    for (const outcome of ["delivered", "not-relayed"]) this.relayed.inc({ outcome }, 0);
    for (const kind of ["full", "away", "locked", "damaged", "too-new"]) {
      this.storeFailures.inc({ kind }, 0);
    }
    this.#gauge("info", "Version of this manager.", ["version"]).set({ version }, 1);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(reading: Reading | null): Promise<string> {
    this.#gauge("store_up", "Whether the last call of the store succeeded.").set(
      reading?.summary.store.isUp === true ? 1 : 0,
    );
    if (reading !== null) this.#read(reading);
    this.#readProcess();
    return await this.#registry.metrics();
  }

  #read({ summary, tallies, oldestKeptMs, nowMs, ...counts }: Reading): void {
    const events = this.#gauge("events", "Events in the store.", ["state", "severity"]);
    events.reset();
    for (const { state, severity, count } of tallies) events.set({ state, severity }, count);
    const queued: EventState = "kept";
    this.#gauge("queue_events", "Events that wait to be relayed.").set(summary.events[queued]);
    this.#gauge("queue_oldest_seconds", "Age of the oldest event that waits; 0: none does.").set(
      oldestKeptMs === null ? 0 : Math.max(0, nowMs - oldestKeptMs) / 1000,
    );
    this.#gauge("can_relay", "Whether the destination answers.").set(
      summary.destination.canRelay ? 1 : 0,
    );
    const nodes = this.#gauge("nodes", "Nodes, by how they stand.", ["state"]);
    for (const [state, count] of Object.entries(summary.nodes)) {
      nodes.set({ state: state as NodeState }, count);
    }
    this.#gauge("open_tickets", "Tickets that are open.").set(summary.openTickets);
    this.#gauge("held_events", "Events that this manager holds for relay.").set(counts.held);
    this.#gauge("receipt_streams", "Streams of receipts that are open.").set(counts.receiptStreams);
    this.#gauge("live_clients", "Streams of live updates that are open.").set(counts.liveClients);
    this.#gauge("pending_parcels", "Parcels that wait for the store.").set(counts.pending);
  }

  #readProcess(): void {
    const { user, system } = process.cpuUsage();
    this.#gauge("process_cpu_seconds", "Processor time of this process.").set(
      (user + system) / 1e6,
    );
    this.#gauge("process_resident_memory_bytes", "Resident memory of this process.").set(
      process.memoryUsage.rss(),
    );
  }

  #gauge(name: string, help: string, labelNames: readonly string[] = []): Gauge {
    const known = this.#gauges.get(name);
    if (known !== undefined) return known;
    const registers = [this.#registry];
    const made = new Gauge({ name: `${PREFIX}${name}`, help, labelNames, registers });
    this.#gauges.set(name, made);
    return made;
  }
}
