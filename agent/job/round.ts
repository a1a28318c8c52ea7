/**
 * One job's recovery as the lead sees it: who has which part of the assignment done.
 *
 * Decides when all are ready with the same selection, and when too little happens for too long. It holds for one epoch;
 * whatever goes wrong ends it by a higher one.
 */
import type { Selection } from "../checkpoint/checkpoint.ts";
import type { NodeId } from "../membership/membership.ts";
import type { AssignMessage, JobRecord, ReadyMessage, RecoveryStage } from "./job.ts";
import { nodesOf } from "./records.ts";

/** Restoring moves data: a floor of 100 MB/s for a terabyte. Other stages are bounded by the node's `phaseWithinMs`. */
const RESTORE_WITHIN_MS = 3 * 3_600_000;

export type RoundOutcome =
  | { readonly kind: "waiting" }
  | { readonly kind: "agreed"; readonly selection: Selection }
  | { readonly kind: "failed"; readonly why: string };

export class Round {
  readonly assign: AssignMessage;
  readonly nodes: readonly NodeId[];
  readonly #ready = new Map<NodeId, ReadyMessage>();
  readonly #stages = new Map<NodeId, RecoveryStage>();
  readonly resumed: Set<NodeId> = new Set();
  /** The record that says so, once all may go on. */
  record: JobRecord | null = null;
  #progressAtMs: number;

  constructor(assign: AssignMessage, nowMs: number) {
    this.assign = assign;
    this.nodes = nodesOf(assign.record);
    this.#progressAtMs = nowMs;
  }

  onStage(node: NodeId, stage: RecoveryStage, nowMs: number): void {
    if (this.#stages.get(node) === stage) return;
    this.#stages.set(node, stage);
    this.#progressAtMs = nowMs;
  }

  onReady(node: NodeId, message: ReadyMessage, nowMs: number): RoundOutcome {
    if (!this.nodes.includes(node)) return { kind: "waiting" };
    this.onStage(node, "restored", nowMs);
    this.#ready.set(node, message);
    if (message.failure !== null) return { kind: "failed", why: message.failure };
    const { selection } = message;
    for (const [other, { selection: theirs }] of this.#ready) {
      if (theirs.version !== selection.version || theirs.inputDigest !== selection.inputDigest) {
        const why = `${node} selected ${selection.version}, ${other} selected ${theirs.version}`;
        return { kind: "failed", why };
      }
    }
    if (this.#ready.size < this.nodes.length) return { kind: "waiting" };
    return { kind: "agreed", selection };
  }

  isReady(node: NodeId): boolean {
    return this.#ready.has(node);
  }

  get isDone(): boolean {
    return this.record !== null && this.nodes.every((node) => this.resumed.has(node));
  }

  deadlineMs(phaseWithinMs: number): number {
    const restoring = [...this.#stages.values()].includes("restoring");
    return this.#progressAtMs + (restoring ? RESTORE_WITHIN_MS : phaseWithinMs);
  }

  /** `n2 idle, n4 assigned`: who keeps the others waiting. */
  laggards(): string {
    return this.nodes
      .filter((node) => (this.record === null ? !this.#ready.has(node) : !this.resumed.has(node)))
      .map((node) => `${node} ${this.#stages.get(node) ?? "silent"}`)
      .join(", ");
  }
}
