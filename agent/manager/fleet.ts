/**
 * The nodes as their reports say: rows for the API, jobs with their versions, views of the cluster, inventory.
 *
 * Decides which of two reports is newer, how a node stands, which job record wins, what must be written to the store. Bounded:
 * `NODES_MAX` nodes, `JOBS_MAX` jobs, `VIEWS_MAX` views. Of the members in a report only those that it says are gone are kept,
 * and one list of members a view: a thousand reports of a thousand members would not fit otherwise.
 */
import type { Severity } from "../../bmc/bmc.ts";
import type { NodeReport, ReportedInventory } from "../callhome/report.ts";
import type { InventoryRow, JobRow, NodeBmcRow, NodeRow } from "./api.ts";
import { type JobSource, jobRows } from "./job-rows.ts";
import { type NodeStanding, standingOf } from "./node-standing.ts";
import type { View } from "./views.ts";

export const NODES_MAX = 10_000;
export const JOBS_MAX = 10_000;
export const VIEWS_MAX = 1_000;

/** A report without what is kept elsewhere. */
export type KeptReport = Omit<NodeReport, "inventory" | "status"> & {
  readonly status: Omit<NodeReport["status"], "members">;
  readonly gone: readonly { readonly id: string; readonly reason: string }[];
};

export interface FleetNode {
  readonly id: string;
  report: KeptReport | null;
  reportedMs: number | null;
  seenMs: number | null;
  streams: number;
  inventory: ReportedInventory | null;
  inventoryDigest: string | null;
  events: number;
}

export interface OpenTickets {
  readonly count: number;
  readonly worst: Severity;
}

export type Reported =
  | { readonly kind: "taken"; readonly wantsInventory: boolean }
  /** An older one came later. */
  | { readonly kind: "older"; readonly wantsInventory: boolean }
  | { readonly kind: "full" };

export interface Dirty {
  readonly nodes: readonly FleetNode[];
  readonly jobs: readonly JobRow[];
  readonly views: readonly View[];
}

function isNewer(report: NodeReport, known: KeptReport | null): boolean {
  if (known === null) return true;
  if (report.run === known.run) return report.seq > known.seq;
  const rank = report.status.incarnation - known.status.incarnation;
  return rank === 0 ? report.startedMs >= known.startedMs : rank > 0;
}

function kept(report: NodeReport): KeptReport {
  const { inventory: _, status, ...rest } = report;
  const { members, ...own } = status;
  const gone = members
    .filter(
      ({ standing, inView }) => standing === "dead" || (standing === "unreachable" && !inView),
    )
    .map(({ id, reason }) => ({ id, reason }));
  return { ...rest, status: own, gone };
}

export class Fleet {
  readonly #nodes = new Map<string, FleetNode>();
  readonly #jobs = new Map<string, JobRow>();
  readonly #views = new Map<number, View>();
  readonly #accused = new Map<string, { node: string; atMs: number; reason: string }>();
  readonly #dirtyNodes = new Set<string>();
  readonly #dirtyJobs = new Set<string>();
  readonly #dirtyViews = new Set<number>();

  get size(): number {
    return this.#nodes.size;
  }

  report(report: NodeReport, nowMs: number): Reported {
    const node = this.#nodeOf(report.node);
    if (node === null) return { kind: "full" };
    node.seenMs = nowMs;
    const wantsInventory = (): boolean => node.inventoryDigest !== report.inventoryDigest;
    if (!isNewer(report, node.report)) return { kind: "older", wantsInventory: wantsInventory() };
    node.report = kept(report);
    node.reportedMs = nowMs;
    if (report.inventory !== null) {
      node.inventory = report.inventory;
      node.inventoryDigest = report.inventoryDigest;
    }
    this.#dirtyNodes.add(node.id);
    for (const { id, reason } of node.report.gone) {
      this.#accused.set(id, { node: node.id, atMs: nowMs, reason });
    }
    this.#noteView(report, nowMs);
    this.#noteJobs(node.report, nowMs);
    return { kind: "taken", wantsInventory: wantsInventory() };
  }

  /** Of the store: what an earlier run, or another manager, had. */
  restore(saved: Omit<FleetNode, "streams">): void {
    const node = this.#nodeOf(saved.id);
    if (node === null) return;
    node.events = saved.events;
    if ((saved.reportedMs ?? 0) <= (node.reportedMs ?? 0) && node.report !== null) return;
    Object.assign(node, { ...saved, events: saved.events });
    for (const { id, reason } of saved.report?.gone ?? []) {
      this.#accused.set(id, { node: saved.id, atMs: saved.reportedMs ?? 0, reason });
    }
  }

  restoreJob(job: JobRow): void {
    const known = this.#jobs.get(job.id);
    if (known === undefined || isNewerJob(job, known)) this.#setJob(job);
  }

  restoreView(view: View): void {
    if (!this.#views.has(view.epoch)) this.#setView(view);
  }

  isReportKnown(id: string, reportedMs: number | null): boolean {
    const node = this.#nodes.get(id);
    return node !== undefined && (node.reportedMs ?? 0) >= (reportedMs ?? 0);
  }

  setEvents(id: string, events: number): void {
    const node = this.#nodeOf(id);
    if (node !== null) node.events = events;
  }

  streamOpened(id: string, nowMs: number): void {
    const node = this.#nodeOf(id);
    if (node === null) return;
    node.streams++;
    node.seenMs = nowMs;
  }

  streamClosed(id: string, nowMs: number): void {
    const node = this.#nodes.get(id);
    if (node === undefined) return;
    node.streams = Math.max(0, node.streams - 1);
    node.seenMs = nowMs;
  }

  /** Sorted by id. */
  rows(tickets: ReadonlyMap<string, OpenTickets>, nowMs: number): readonly NodeRow[] {
    const ids = [...this.#nodes.keys()].sort();
    return ids.flatMap((id) => this.row(id, tickets, nowMs) ?? []);
  }

  row(id: string, tickets: ReadonlyMap<string, OpenTickets>, nowMs: number): NodeRow | null {
    const node = this.#nodes.get(id);
    if (node === undefined) return null;
    const { report } = node;
    const epoch = report?.status.epoch ?? null;
    const open = tickets.get(id);
    return {
      id,
      role: report?.status.role ?? null,
      address: report === null ? null : `${report.status.address}:${report.status.port}`,
      ...this.#standing(node, nowMs),
      isStreaming: node.streams > 0,
      seenMs: node.seenMs,
      reportedMs: node.reportedMs,
      epoch,
      members: epoch === null ? [] : (this.#views.get(epoch)?.members ?? []),
      isLead: report?.status.lead === id,
      version: report?.status.version ?? null,
      bmcs: bmcRows(node),
      outbox:
        report === null
          ? null
          : { queued: report.callhome.waiting, oldestMs: report.callhome.oldestWaitingMs },
      paths: report?.callhome.paths ?? [],
      worst: open?.worst ?? null,
      openTickets: open?.count ?? 0,
      events: node.events,
    };
  }

  inventory(nodeId: string | null): readonly InventoryRow[] {
    const ids = nodeId === null ? [...this.#nodes.keys()].sort() : [nodeId];
    return ids.flatMap((id) => {
      const node = this.#nodes.get(id);
      return node === undefined ? [] : inventoryRows(node);
    });
  }

  jobs(): readonly JobRow[] {
    return [...this.#jobs.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  newestEpoch(): number | null {
    let newest: number | null = null;
    for (const epoch of this.#views.keys()) if (newest === null || epoch > newest) newest = epoch;
    return newest;
  }

  view(epoch: number): View | null {
    return this.#views.get(epoch) ?? null;
  }

  /** The newest view below it that is known. */
  viewBefore(epoch: number): View | null {
    let found: View | null = null;
    for (const view of this.#views.values()) {
      if (view.epoch < epoch && (found === null || view.epoch > found.epoch)) found = view;
    }
    return found;
  }

  /** What changed since this was asked last. `redo` gives it back when it could not be written. */
  takeDirty(): Dirty {
    const dirty: Dirty = {
      nodes: [...this.#dirtyNodes].flatMap((id) => this.#nodes.get(id) ?? []),
      jobs: [...this.#dirtyJobs].flatMap((id) => this.#jobs.get(id) ?? []),
      views: [...this.#dirtyViews].flatMap((epoch) => this.#views.get(epoch) ?? []),
    };
    this.#dirtyNodes.clear();
    this.#dirtyJobs.clear();
    this.#dirtyViews.clear();
    return dirty;
  }

  redo({ nodes, jobs, views }: Dirty): void {
    for (const { id } of nodes) this.#dirtyNodes.add(id);
    for (const { id } of jobs) this.#dirtyJobs.add(id);
    for (const { epoch } of views) this.#dirtyViews.add(epoch);
  }

  #nodeOf(id: string): FleetNode | null {
    const known = this.#nodes.get(id);
    if (known !== undefined) return known;
    if (this.#nodes.size >= NODES_MAX) return null;
    const node: FleetNode = {
      id,
      report: null,
      reportedMs: null,
      seenMs: null,
      streams: 0,
      inventory: null,
      inventoryDigest: null,
      events: 0,
    };
    this.#nodes.set(id, node);
    return node;
  }

  #standing(node: FleetNode, nowMs: number): NodeStanding {
    const signs = {
      isStreaming: node.streams > 0,
      seenMs: node.seenMs,
      accusedBy: this.#accused.get(node.id) ?? null,
      ownState: node.report?.status.state ?? null,
      ownReason: node.report?.status.reason ?? null,
    };
    return standingOf(signs, nowMs);
  }

  #noteView({ status }: NodeReport, nowMs: number): void {
    const { epoch, members } = status;
    if (epoch === 0 || this.#views.has(epoch)) return;
    const inView = members.filter((member) => member.inView).map(({ id }) => id);
    this.#setView({ epoch, members: inView.sort(), atMs: nowMs });
    this.#dirtyViews.add(epoch);
  }

  #setView(view: View): void {
    this.#views.set(view.epoch, view);
    if (this.#views.size <= VIEWS_MAX) return;
    this.#views.delete(Math.min(...this.#views.keys()));
  }

  #noteJobs(report: KeptReport, nowMs: number): void {
    if (report.jobs.length === 0) return;
    const sources: JobSource[] = [];
    for (const { id, report: other } of this.#nodes.values()) {
      if (other !== null) sources.push({ node: id, ...other.status });
    }
    for (const job of jobRows(report, sources, nowMs)) {
      const known = this.#jobs.get(job.id);
      if (known !== undefined && isNewerJob(known, job)) continue;
      if (known !== undefined && isSameJob(known, job)) continue;
      this.#setJob(job);
      this.#dirtyJobs.add(job.id);
    }
  }

  #setJob(job: JobRow): void {
    if (this.#jobs.size >= JOBS_MAX && !this.#jobs.has(job.id)) {
      const ended = [...this.#jobs.values()].find(({ state }) => state === "ended");
      const oldest = ended?.id ?? this.#jobs.keys().next().value;
      if (oldest !== undefined) this.#jobs.delete(oldest);
    }
    this.#jobs.set(job.id, job);
  }
}

function isNewerJob(a: JobRow, b: JobRow): boolean {
  return a.epoch === b.epoch ? a.revision > b.revision : a.epoch > b.epoch;
}

function isSameJob(a: JobRow, b: JobRow): boolean {
  const plain = (job: JobRow): string => JSON.stringify({ ...job, reportedBy: "", reportedMs: 0 });
  return plain(a) === plain(b);
}

function bmcRows({ report, inventory }: FleetNode): readonly NodeBmcRow[] {
  return (report?.bmcs ?? []).map((bmc) => {
    const identity = inventory?.bmcs.find(({ url }) => url === bmc.url)?.identity ?? null;
    return {
      ...bmc,
      product: identity?.productName ?? null,
      serial: identity?.serial ?? null,
      firmware: identity?.firmware ?? null,
    };
  });
}

function inventoryRows({ id, inventory }: FleetNode): readonly InventoryRow[] {
  return (inventory?.bmcs ?? []).flatMap(({ url, identity, fru, readMs }) =>
    fru.map(({ name, fields }) => ({
      ...{ node: id, bmc: url, guid: identity?.guid ?? null },
      ...{ device: name, fields, readMs },
    })),
  );
}
