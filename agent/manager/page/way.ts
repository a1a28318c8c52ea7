/**
 * The way of one event as a picture: which stations it passed, which legs it took, what failed, and how long each took.
 * Decides what is drawn; `way-view.ts` draws it. The steps come from the node's report and the manager's own books.
 *
 *   BMC ──seen── node ──R1── manager ──R2── support
 *                  ├────────── direct ─────────┤
 *                  └─────────── peer ──────────┘
 */
import type { EventRow, EventStep } from "../api.ts";
import { duration } from "./format.ts";

export type LegState =
  /** Gone, and it worked. */
  | "done"
  /** Under way or to be tried. */
  | "waiting"
  | "failed"
  /** Not needed. */
  | "unused";

export interface Leg {
  readonly state: LegState;
  /** When its far end had the event; null: it has not, or nobody knows when. */
  readonly atMs: number | null;
  /** What went wrong. */
  readonly note: string | null;
}

export interface Way {
  readonly node: string;
  readonly manager: string | null;
  /** When the manager was told of what had gone around it; null: it was not, or it had it before. */
  readonly toldMs: number | null;
  readonly peer: string | null;
  readonly destination: string | null;
  readonly toNode: Leg;
  readonly toManager: Leg;
  readonly relayed: Leg;
  readonly direct: Leg;
  readonly throughPeer: Leg;
  readonly startMs: number;
  /** When the destination had it. */
  readonly endMs: number | null;
  readonly ticket: string | null;
  /** The whole in one sentence. */
  readonly sentence: string;
}

const UNUSED: Leg = { state: "unused", atMs: null, note: null };

function done(step: EventStep | undefined): Leg {
  return { state: "done", atMs: step?.atMs ?? null, note: step?.note ?? null };
}

function waiting(note: string | null = null): Leg {
  return { state: "waiting", atMs: null, note };
}

function failed(note: string | null): Leg {
  return { state: "failed", atMs: null, note };
}

interface Seen {
  readonly row: EventRow;
  /** R1, unless it came after the event was at the destination already: then the manager was only told. */
  readonly kept: EventStep | undefined;
  readonly first: (kind: EventStep["kind"]) => EventStep | undefined;
  readonly last: (kind: EventStep["kind"]) => EventStep | undefined;
  readonly isAround: boolean;
}

function managerLeg({ row, kept, last, isAround }: Seen): Leg {
  // A receipt that was relayed proves that the manager had it, also where the step itself was not told.
  if (kept !== undefined || row.path === "manager") return done(kept);
  if (isAround) return failed(last("failed")?.note ?? "the manager did not answer in time");
  return waiting(last("failed")?.note ?? null);
}

function relayLeg({ row, kept, first, last, isAround }: Seen): Leg {
  if (row.path === "manager") return done(first("R2"));
  const refusal = last("not-relayed");
  if (refusal !== undefined || row.state === "not-relayed") return failed(refusal?.note ?? null);
  if (kept === undefined) return isAround ? UNUSED : waiting();
  if (isAround) return failed("support's receipt did not come in time");
  return row.state === "delivered" ? done(first("R2")) : waiting();
}

function aroundLeg(seen: Seen, path: "direct" | "peer"): Leg {
  const { row, first } = seen;
  const isTaken = row.path === path || (path === "direct" && row.path === "stand-in");
  if (isTaken) return done(first("R2") ?? first(path));
  const tried = first(path);
  if (tried === undefined) return UNUSED;
  return row.state === "delivered" ? { ...UNUSED, note: tried.note } : waiting(tried.note);
}

const PATH_TEXTS = {
  manager: "through the manager",
  direct: "around the manager, directly",
  peer: "around the manager, through a peer",
  "stand-in": "by another node that reads this BMC",
} as const;

function sentenceOf({ row, kept, first }: Seen, endMs: number | null): string {
  if (row.state === "delivered") {
    const how = row.path === null ? "" : ` ${PATH_TEXTS[row.path]}`;
    const after = endMs === null ? "" : `, ${duration(endMs - row.seenMs)} after it was seen`;
    return `Support has it${how}${after}.`;
  }
  if (row.state === "not-relayed") {
    return "The manager could not hand it on; its node takes another path.";
  }
  if (first("direct") !== undefined) return "Sent around the manager; waiting for support.";
  if (first("peer") !== undefined) return "Sent through a peer; waiting for support.";
  if (kept !== undefined) return "The manager has it; support does not have it yet.";
  return "Kept by its node; nobody else has it yet.";
}

export function wayOf(row: EventRow): Way {
  const first = (kind: EventStep["kind"]) => row.steps.find((step) => step.kind === kind);
  const last = (kind: EventStep["kind"]) => row.steps.findLast((step) => step.kind === kind);
  const isAround =
    (row.path !== null && row.path !== "manager") ||
    first("direct") !== undefined ||
    first("peer") !== undefined;
  const endMs = row.state === "delivered" ? (first("R2")?.atMs ?? null) : null;
  const r1 = first("R1");
  const isTold = isAround && r1 !== undefined && endMs !== null && r1.atMs >= endMs;
  const seen: Seen = { row, kept: isTold ? undefined : r1, first, last, isAround };
  return {
    node: row.node,
    manager: r1?.by ?? null,
    toldMs: isTold ? r1.atMs : null,
    peer: first("peer")?.by ?? null,
    destination: first("R2")?.by ?? null,
    toNode: { state: "done", atMs: row.seenMs, note: null },
    toManager: managerLeg(seen),
    relayed: relayLeg(seen),
    direct: aroundLeg(seen, "direct"),
    throughPeer: aroundLeg(seen, "peer"),
    startMs: row.seenMs,
    endMs,
    ticket: row.ticket,
    sentence: sentenceOf(seen, endMs),
  };
}
