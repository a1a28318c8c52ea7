/**
 * What becomes of a bundle of this node: which states follow which, when it is tried again, which are removed to make room.
 *
 * Decides only; `io/bundle-shelf.ts` writes it down. A bundle that waits for review leaves for nobody; one that a manager or a peer has
 * kept is asked after until the destination has it, and sent anew where it was forgotten.
 */
import type { BundleRecord, BundleState } from "./bundle.ts";

export interface ShelfEntry extends BundleRecord {
  readonly system: string;
  /** As `componentOf` has it: known again after a restart. */
  readonly component: string;
  /** Name of who keeps it; null: nobody yet. */
  readonly keptBy: string | null;
  readonly tries: number;
  /** Not tried before. */
  readonly nextMs: number;
}

const FIRST_WAIT_MS = 5_000;
const WAIT_MS_MAX: number = 15 * 60_000;
/** How often whoever keeps it is asked whether the destination has it. */
export const ASK_EVERY_MS = 60_000;
export const GIVE_UP_MS: number = 7 * 24 * 3_600_000;

export const ENTRIES_MAX = 24;
export const SHELF_BYTES_MAX: number = 512 * 1024 * 1024;

/** Exponential, with full jitter: `random` is in 0..1. */
export function waitMs(tries: number, random: number): number {
  const most = Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** Math.min(tries, 20));
  return Math.round(most * (0.1 + 0.9 * random));
}

export type ReviewRefusal = "unknown" | "not-waiting" | "already-left";

/** Approving is for those that wait; discarding for all that have not left. */
export function whyNot(verb: "approve" | "discard", state: BundleState): ReviewRefusal | null {
  if (verb === "approve") return state === "waiting-for-review" ? null : "not-waiting";
  return state === "kept" || state === "delivered" ? "already-left" : null;
}

function isOver(state: BundleState): boolean {
  return state === "delivered" || state === "discarded" || state === "failed";
}

/**
 * Which go to make room, by id: the oldest of those that are over, then the oldest of all but the newest. What is being gathered
 * stays.
 */
export function toRemove(entries: readonly ShelfEntry[]): readonly string[] {
  const oldest = [...entries]
    .filter(({ state }) => state !== "gathering")
    .sort((a, b) => Number(isOver(b.state)) - Number(isOver(a.state)) || a.begunMs - b.begunMs);
  let count = entries.length;
  let bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  const removed: string[] = [];
  for (const entry of oldest.slice(0, -1)) {
    if (count <= ENTRIES_MAX && bytes <= SHELF_BYTES_MAX) break;
    removed.push(entry.id);
    count--;
    bytes -= entry.bytes;
  }
  return removed;
}
