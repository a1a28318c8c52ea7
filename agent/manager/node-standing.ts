/**
 * How a node stands: from its own signs of life, and from what others say of it.
 *
 * Its own word counts more than that of others: who still speaks to the manager is not dead, whatever a cut-off neighbour
 * thinks. Others are believed only by reports that are newer than its last sign of life.
 */

import { REPORT_EVERY_MS } from "../callhome/report.ts";
import type { NodeState } from "./api.ts";

/** One report may be missed. */
export const LATE_AFTER_MS: number = REPORT_EVERY_MS * 1.5;
/** Three were missed. */
export const SILENT_AFTER_MS: number = REPORT_EVERY_MS * 3;

export interface Signs {
  readonly isStreaming: boolean;
  /** Last sign of life of its own; null: none. */
  readonly seenMs: number | null;
  /** The newest report by another node that says it is gone; null: none. */
  readonly accusedBy: {
    readonly node: string;
    readonly atMs: number;
    readonly reason: string;
  } | null;
  /** What it said of itself. */
  readonly ownState: "alive" | "frozen" | "joining" | null;
  readonly ownReason: string | null;
}

export interface NodeStanding {
  readonly state: NodeState;
  readonly why: string;
}

function secondsAgo(thenMs: number, nowMs: number): string {
  return `${Math.max(0, Math.round((nowMs - thenMs) / 1000))} s ago`;
}

function aliveWhy({ isStreaming, ownState, ownReason }: Signs): string {
  if (ownState === null || ownState === "alive") {
    return isStreaming ? "its stream is open" : "it reports";
  }
  return ownReason === null ? ownState : `${ownState}: ${ownReason}`;
}

export function standingOf(signs: Signs, nowMs: number): NodeStanding {
  const { isStreaming, seenMs, accusedBy } = signs;
  if (isStreaming) return { state: "alive", why: aliveWhy(signs) };
  if (accusedBy !== null && accusedBy.atMs > (seenMs ?? 0)) {
    return { state: "dead", why: `${accusedBy.node} says: ${accusedBy.reason || "gone"}` };
  }
  if (seenMs === null) return { state: "silent", why: "it was never heard by this manager" };
  const quietMs = nowMs - seenMs;
  if (quietMs <= LATE_AFTER_MS) return { state: "alive", why: aliveWhy(signs) };
  const why = `last heard ${secondsAgo(seenMs, nowMs)}`;
  return { state: quietMs <= SILENT_AFTER_MS ? "late" : "silent", why };
}
