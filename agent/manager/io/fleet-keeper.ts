/**
 * Keeps the fleet in step with the store: what nodes reported is written now and then, what other managers wrote is read.
 *
 * Reports are not acknowledged as durable, so a crash costs at most what came within `WRITE_MS`, and nodes report again.
 */

import type { NodeReport, ReportedInventory } from "../../callhome/report.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type { EpochRow, InventoryRow, JobRow, LiveMessage, NodeRow } from "../api.ts";
import {
  Fleet,
  type FleetNode,
  type KeptReport,
  NODES_MAX,
  type OpenTickets,
  type Reported,
} from "../fleet.ts";
import { withDifference } from "../views.ts";
import type { SavedFleet, SavedNode } from "./fleet-tables.ts";
import { ROWS_MAX } from "./live-updates.ts";
import type { Store } from "./store.ts";

const WRITE_MS = 1_000;
const FRESH_MS = 500;

export interface FleetKeeperParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  readonly onChange: () => void;
}

function parsed<T>(text: string | null): T | null {
  if (text === null) return null;
  try {
    return JSON.parse(text) as T;
  } catch {
    return null;
  }
}

function savedNode(node: FleetNode): SavedNode {
  const { id, report, inventory, inventoryDigest, seenMs, reportedMs } = node;
  return {
    id,
    report: report === null ? null : JSON.stringify(report),
    inventory: inventory === null ? null : JSON.stringify(inventory),
    inventoryDigest,
    seenMs: seenMs ?? 0,
    reportedMs,
  };
}

export class FleetKeeper {
  readonly #parts: FleetKeeperParts;
  readonly #fleet = new Fleet();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isWriting = false;
  #isStopped = false;
  /** Of the store's clock: rows below it were read. */
  #readTo = 0;
  #refreshedMs = Number.NEGATIVE_INFINITY;
  /** Reading, one at a time. */
  #reading: Promise<unknown> = Promise.resolve();

  constructor(parts: FleetKeeperParts) {
    this.#parts = parts;
  }

  /** What an earlier run kept. */
  async begin(): Promise<void> {
    const clock = await this.#parts.store.clock();
    if (clock.ok) await this.#readOn(clock.value);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#write();
  }

  /** What was written since, by this manager or another, at most each `FRESH_MS`. */
  async refresh(): Promise<void> {
    const nowMs = this.#parts.clock.nowMs();
    if (nowMs - this.#refreshedMs < FRESH_MS) return;
    this.#refreshedMs = nowMs;
    await this.begin();
  }

  report(report: NodeReport): Reported {
    const reported = this.#fleet.report(report, this.#parts.clock.wallMs());
    this.#writeSoon();
    this.#parts.onChange();
    return reported;
  }

  streamOpened(node: string): void {
    this.#fleet.streamOpened(node, this.#parts.clock.wallMs());
    this.#parts.onChange();
  }

  streamClosed(node: string): void {
    this.#fleet.streamClosed(node, this.#parts.clock.wallMs());
    this.#parts.onChange();
  }

  rows(tickets: ReadonlyMap<string, OpenTickets>): readonly NodeRow[] {
    return this.#fleet.rows(tickets, this.#parts.clock.wallMs());
  }

  row(id: string, tickets: ReadonlyMap<string, OpenTickets>): NodeRow | null {
    return this.#fleet.row(id, tickets, this.#parts.clock.wallMs());
  }

  jobs(): readonly JobRow[] {
    return this.#fleet.jobs();
  }

  inventory(node: string | null): readonly InventoryRow[] {
    return this.#fleet.inventory(node);
  }

  newestEpoch(): number | null {
    return this.#fleet.newestEpoch();
  }

  /** For live updates; null: the store cannot be read now. */
  async changes(
    after: number,
  ): Promise<{ readonly upTo: number; readonly messages: readonly LiveMessage[] | null } | null> {
    const changed = await this.#parts.store.changes(after, ROWS_MAX);
    if (!changed.ok) return null;
    const { upTo, changes } = changed.value;
    if (upTo > this.#readTo) await this.#readOn(upTo);
    if (changes === null) return { upTo, messages: null };
    if (upTo <= after) return { upTo, messages: [] };
    const fleet = await this.#parts.store.fleet(after, ROWS_MAX + 1);
    if (!fleet.ok) return null;
    const { jobs, epochs } = fleet.value;
    if (jobs.length > ROWS_MAX || epochs.length > ROWS_MAX) return { upTo, messages: null };
    return {
      upTo,
      messages: [
        ...changes.events.map((row): LiveMessage => ({ kind: "event", row })),
        ...changes.tickets.map((row): LiveMessage => ({ kind: "ticket", row })),
        ...jobs.map((row): LiveMessage => ({ kind: "job", row })),
        ...epochs.map((view): LiveMessage => ({ kind: "epoch", row: this.#epochRow(view) })),
      ],
    };
  }

  #epochRow(view: Omit<EpochRow, "joined" | "left">): EpochRow {
    return withDifference(view, this.#fleet.viewBefore(view.epoch));
  }

  #readOn(upTo: number): Promise<unknown> {
    this.#reading = this.#reading.then(async () => {
      if (upTo <= this.#readTo) return;
      const saved = await this.#parts.store.fleet(this.#readTo, NODES_MAX);
      if (!saved.ok) return;
      this.#take(saved.value);
      this.#readTo = upTo;
    });
    return this.#reading;
  }

  #take({ nodes, jobs, epochs }: SavedFleet): void {
    for (const node of nodes) {
      // Our own, coming back.
      if (this.#fleet.isReportKnown(node.id, node.reportedMs)) {
        this.#fleet.setEvents(node.id, node.events);
        continue;
      }
      this.#fleet.restore({
        id: node.id,
        report: parsed<KeptReport>(node.report),
        reportedMs: node.reportedMs,
        seenMs: node.seenMs,
        inventory: parsed<ReportedInventory>(node.inventory),
        inventoryDigest: node.inventoryDigest,
        events: node.events,
      });
    }
    for (const job of jobs) this.#fleet.restoreJob(job);
    for (const view of epochs) this.#fleet.restoreView(view);
  }

  #writeSoon(): void {
    if (this.#timer !== null || this.#isWriting || this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      void this.#write().catch((cause: unknown) =>
        this.#parts.log.say("fault", `defect: reports cannot be written: ${cause}`),
      );
    }, WRITE_MS);
  }

  async #write(): Promise<void> {
    if (this.#isWriting) return;
    this.#isWriting = true;
    const dirty = this.#fleet.takeDirty();
    try {
      const { nodes, jobs, views } = dirty;
      if (nodes.length + jobs.length + views.length === 0) return;
      const saved = { nodes: nodes.map(savedNode), jobs, epochs: views };
      const written = await this.#parts.store.saveFleet(saved);
      if (!written.ok) {
        this.#fleet.redo(dirty);
        this.#isWriting = false;
        this.#writeSoon();
        return;
      }
      this.#parts.onChange();
    } finally {
      this.#isWriting = false;
    }
  }
}
