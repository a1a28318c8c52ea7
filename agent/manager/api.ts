/**
 * The contract of the manager's API: what its lists and its live updates say, as the page and scripts read it.
 *
 * Types only; their zod schemas are `api-schemas.ts`. Times are milliseconds since 1970. Lists come in pages, newest or alphabetically
 * first as said there; `next` is given back as `cursor`. Members are only ever added: who reads must pass over what it does
 * not know. What agents send is not here: events are `agent/callhome/protocol.ts`, reports are `agent/callhome/report.ts`.
 */
import type { EventWay, Severity } from "../../bmc/bmc.ts";
import type { ReportedBmc, ReportedPath, ReportedRollback } from "../callhome/report.ts";

export const SUMMARY_PATH = "/v1/summary";
export const NODES_PATH = "/v1/nodes";
export const EVENTS_PATH = "/v1/events";
export const TICKETS_PATH = "/v1/tickets";
export const DELIVERIES_PATH = "/v1/deliveries";
export const JOBS_PATH = "/v1/jobs";
export const EPOCHS_PATH = "/v1/epochs";
export const INVENTORY_PATH = "/v1/inventory";
export const STREAM_PATH = "/v1/stream";

/** Rows of one page of a list. */
export const PAGE_ROWS_MAX = 500;
export const PAGE_ROWS_DEFAULT = 100;

export interface Page<Row> {
  readonly rows: readonly Row[];
  /** null: that was the last one. */
  readonly next: string | null;
}

/** How a node stands, as the manager sees it. */
export type NodeState =
  /** Its stream is open, or it reported within the last seconds. */
  | "alive"
  /** Neither, but not for long. */
  | "late"
  /** Silent for long. */
  | "silent"
  /** Other members say that it is dead. */
  | "dead";

export interface NodeBmcRow extends ReportedBmc {
  /** From its inventory; null: not read yet. */
  readonly product: string | null;
  readonly serial: string | null;
  readonly firmware: string | null;
}

export interface NodeOutboxRow {
  /** Events that are not delivered yet. */
  readonly queued: number;
  readonly oldestMs: number | null;
}

/** Sorted by id. */
export interface NodeRow {
  readonly id: string;
  /** `worker` or `witness`; null: it has not reported. */
  readonly role: string | null;
  readonly address: string | null;
  readonly state: NodeState;
  /** Why it stands so, in a line. */
  readonly why: string;
  readonly isStreaming: boolean;
  /** Last sign of life; null: never. */
  readonly seenMs: number | null;
  readonly reportedMs: number | null;
  /** Number of the view that it is in. */
  readonly epoch: number | null;
  readonly members: readonly string[];
  /** Whether it leads its view. */
  readonly isLead: boolean;
  readonly version: string | null;
  readonly bmcs: readonly NodeBmcRow[];
  readonly outbox: NodeOutboxRow | null;
  /** By which it can call home, best first. */
  readonly paths: readonly ReportedPath[];
  /** The gravest of its open tickets' events. */
  readonly worst: Severity | null;
  readonly openTickets: number;
  readonly events: number;
}

/** Where an event has got to. */
export type EventState =
  /** The manager has it durably and it is not at the destination yet. */
  | "kept"
  | "delivered"
  /** The destination will not have it, or the manager gave up: its node takes another path. */
  | "not-relayed";

/** By which path it reached the destination. */
export type DeliveryPath = "manager" | "direct" | "peer" | "stand-in";

export type StepKind =
  /** Seen and signed by its node. */
  | "queued"
  /** R1: durably at a manager. */
  | "R1"
  /** R2: the destination has it. */
  | "R2"
  /** Sent by the node itself. */
  | "direct"
  /** Sent through another node. */
  | "peer"
  /** A try that failed. */
  | "failed"
  | "not-relayed";

export interface EventStep {
  readonly kind: StepKind;
  readonly atMs: number;
  /** Who did it: a node, a manager, a destination. */
  readonly by: string | null;
  readonly note: string | null;
}

/** Newest first. */
export interface EventRow {
  /** The manager's own number: rises with each event that it gets to know. */
  readonly seq: number;
  readonly id: string;
  /** Who signed it. */
  readonly node: string;
  readonly system: string;
  readonly severity: Severity;
  readonly category: string;
  readonly subject: string;
  readonly text: string;
  readonly isAssertion: boolean;
  /** By which way its node saw it. */
  readonly seenBy: EventWay;
  readonly whenMs: number | null;
  readonly seenMs: number;
  readonly signedMs: number;
  /** When the manager got to know it. */
  readonly arrivedMs: number;
  readonly state: EventState;
  /** null: not delivered, or not known how. */
  readonly path: DeliveryPath | null;
  readonly ticket: string | null;
  /** Its whole way, oldest first. */
  readonly steps: readonly EventStep[];
  /** false: the manager knows of it from the node's report only, and has no signature. */
  readonly isSigned: boolean;
}

/** Newest first. */
export interface TicketRow {
  readonly id: string;
  readonly destination: string;
  readonly node: string;
  readonly system: string;
  readonly category: string;
  readonly subject: string;
  readonly severity: Severity;
  readonly text: string;
  /** As far as the manager sees: closed by a deassertion, or as the destination says. */
  readonly isOpen: boolean;
  readonly openedMs: number;
  readonly changedMs: number;
  readonly events: number;
}

/** One step of one event, newest first: `EventStep` with whose it is. */
export interface DeliveryRow extends EventStep {
  readonly seq: number;
  readonly event: string;
  readonly node: string;
  readonly severity: Severity;
  readonly subject: string;
  readonly text: string;
}

/** A sealed state of a job. */
export interface JobVersionRow {
  readonly version: number;
  /** Nodes that hold shards of it. */
  readonly nodes: readonly string[];
  /** Ranks of which somebody holds it; all of them: the job can go on from here. */
  readonly ranks: number;
}

/** Sorted by id. */
export interface JobRow {
  readonly id: string;
  readonly state: "starting" | "running" | "recovering" | "ended" | "lost";
  readonly epoch: number;
  readonly revision: number;
  readonly ranks: number;
  /** Node of each rank. */
  readonly placement: readonly string[];
  /** Newest sealed version; 0 for none. */
  readonly sealed: number;
  /** Newest first, 64 at most. */
  readonly versions: readonly JobVersionRow[];
  /** Where it went back to, oldest first; not told by agents of before. */
  readonly rollbacks?: readonly ReportedRollback[] | undefined;
  readonly exitCode: number | null;
  readonly verdict: string | null;
  readonly argv: readonly string[];
  readonly reportedBy: string;
  readonly reportedMs: number;
}

/** A view of the cluster, newest first. */
export interface EpochRow {
  readonly epoch: number;
  readonly members: readonly string[];
  readonly joined: readonly string[];
  readonly left: readonly string[];
  /** When the manager first heard of it. */
  readonly atMs: number;
}

/** What is built in, by node and BMC. */
export interface InventoryRow {
  readonly node: string;
  readonly bmc: string;
  readonly guid: string | null;
  readonly device: string;
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly readMs: number;
}

export interface Summary {
  /** Name of this manager. */
  readonly name: string;
  readonly cluster: string;
  /** Changes with each start. */
  readonly epoch: string;
  readonly version: string;
  readonly startedMs: number;
  readonly nowMs: number;
  readonly store: { readonly kind: "sqlite" | "postgres"; readonly isUp: boolean };
  readonly destination: {
    /** null: none is set; then events wait here. */
    readonly url: string | null;
    readonly name: string | null;
    readonly canRelay: boolean;
    /** One line: since when, and why not. */
    readonly why: string;
    readonly lastAnswerMs: number | null;
  };
  readonly events: { readonly [state in EventState]: number };
  readonly nodes: { readonly [state in NodeState]: number };
  readonly openTickets: number;
  /** Of the cluster's newest view that was heard of; null: none. */
  readonly clusterEpoch: number | null;
}

/**
 * A message of `GET /v1/stream` (Server-Sent Events): `event:` is its kind, `id:` its number, `data:` this as JSON. A browser
 * that reconnects gives `Last-Event-ID` and gets what it missed, or `reset` where that is too long ago. Rows replace those
 * with the same id. A comment comes every few seconds where there is nothing to say.
 */
export type LiveMessage =
  /** First of each connection. */
  | { readonly kind: "hello"; readonly summary: Summary }
  /** Read the lists anew. */
  | { readonly kind: "reset" }
  | { readonly kind: "summary"; readonly summary: Summary }
  | { readonly kind: "node"; readonly row: NodeRow }
  | { readonly kind: "event"; readonly row: EventRow }
  | { readonly kind: "ticket"; readonly row: TicketRow }
  | { readonly kind: "job"; readonly row: JobRow }
  | { readonly kind: "epoch"; readonly row: EpochRow };
