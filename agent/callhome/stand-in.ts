/**
 * For which dead nodes this one reads the BMC: when a node leaves the view by death, the lowest living node that reaches its BMC
 * watches it until the node is back.
 *
 * Decides when this node begins and ends such a watch. The n-th living node waits n × STAGGER_MS, then asks those before it
 * whether one of them has the BMC; it begins only when none has, and ends when one has. Two that watch at a time do no harm:
 * what they see has the same ids. So nothing is agreed upon, and a node cut off from the others does its best alone.
 * Invariant: of a node that is in the view, or that left in good order, no BMC is watched. Bounds: DEAD_MAX nodes.
 */
import { compareNodeIds, type NodeId } from "../membership/membership.ts";

/** To open a session and read a log of some thousand records takes about so long. */
export const STAGGER_MS = 10_000;
export const ASK_EVERY_MS = 10_000;
/** A view change settles, an agent that was only stopped comes back. */
export const BEGIN_AFTER_MS = 1_000;
export const DEAD_MAX = 256;

export type StandInEvent =
  /** Living members, this node among them; and those that are gone by death since. */
  | {
      readonly kind: "members";
      readonly living: readonly NodeId[];
      readonly dead: readonly NodeId[];
    }
  /** How a dead node's BMC is reached is known, or not. */
  | { readonly kind: "known"; readonly node: NodeId; readonly isKnown: boolean }
  /** Who of those that were asked has the BMC of `node`; empty: nobody. */
  | { readonly kind: "watchers"; readonly node: NodeId; readonly by: readonly NodeId[] }
  | { readonly kind: "tick" };

export type StandInEffect =
  | { readonly kind: "watch"; readonly node: NodeId }
  | { readonly kind: "unwatch"; readonly node: NodeId; readonly why: string }
  /** Answered by `watchers`. */
  | { readonly kind: "ask"; readonly node: NodeId; readonly peers: readonly NodeId[] };

interface Dead {
  isKnown: boolean;
  isWatched: boolean;
  /** When to ask next, or to begin. */
  dueMs: number;
}

export class StandIn {
  readonly #self: NodeId;
  readonly #dead: Map<NodeId, Dead> = new Map();
  #living: readonly NodeId[] = [];

  constructor(self: NodeId) {
    this.#self = self;
  }

  /** Nodes whose BMC this one watches. */
  watched(): readonly NodeId[] {
    return [...this.#dead].flatMap(([node, { isWatched }]) => (isWatched ? [node] : []));
  }

  dueMs(): number {
    let due = Number.POSITIVE_INFINITY;
    for (const { isKnown, dueMs } of this.#dead.values()) if (isKnown) due = Math.min(due, dueMs);
    return due;
  }

  step(event: StandInEvent, nowMs: number): readonly StandInEffect[] {
    switch (event.kind) {
      case "members":
        return this.#onMembers(event.living, event.dead, nowMs);
      case "known": {
        const dead = this.#dead.get(event.node);
        if (dead !== undefined) dead.isKnown = event.isKnown;
        return this.#look(nowMs);
      }
      case "watchers":
        return this.#onWatchers(event.node, event.by, nowMs);
      case "tick":
        return this.#look(nowMs);
    }
  }

  #onMembers(
    living: readonly NodeId[],
    dead: readonly NodeId[],
    nowMs: number,
  ): readonly StandInEffect[] {
    this.#living = [...living].sort(compareNodeIds);
    const effects: StandInEffect[] = [];
    for (const [node, { isWatched }] of this.#dead) {
      if (!living.includes(node)) continue;
      this.#dead.delete(node);
      if (isWatched) effects.push({ kind: "unwatch", node, why: "it is back" });
    }
    for (const node of dead) {
      if (node === this.#self || living.includes(node) || this.#dead.has(node)) continue;
      if (this.#dead.size >= DEAD_MAX) break;
      const dueMs = nowMs + BEGIN_AFTER_MS + this.#place() * STAGGER_MS;
      this.#dead.set(node, { isKnown: false, isWatched: false, dueMs });
    }
    // Whoever has a lower one before it now asks whether that one has the BMC.
    if (this.#place() > 0) {
      for (const dead of this.#dead.values()) {
        dead.dueMs = Math.min(dead.dueMs, nowMs + ASK_EVERY_MS + this.#place() * STAGGER_MS);
      }
    }
    return [...effects, ...this.#look(nowMs)];
  }

  /** Of this node among the living: 0 is the lowest. */
  #place(): number {
    return Math.max(0, this.#living.indexOf(this.#self));
  }

  #before(): readonly NodeId[] {
    return this.#living.slice(0, this.#place());
  }

  #look(nowMs: number): readonly StandInEffect[] {
    const effects: StandInEffect[] = [];
    for (const [node, dead] of this.#dead) {
      if (!dead.isKnown || nowMs < dead.dueMs) continue;
      const peers = this.#before();
      dead.dueMs = peers.length === 0 ? Number.POSITIVE_INFINITY : nowMs + ASK_EVERY_MS;
      if (peers.length > 0) effects.push({ kind: "ask", node, peers });
      else if (!dead.isWatched) effects.push(this.#begin(node, dead));
    }
    return effects;
  }

  #begin(node: NodeId, dead: Dead): StandInEffect {
    dead.isWatched = true;
    return { kind: "watch", node };
  }

  #onWatchers(node: NodeId, by: readonly NodeId[], nowMs: number): readonly StandInEffect[] {
    const dead = this.#dead.get(node);
    if (dead === undefined) return [];
    dead.dueMs = nowMs + ASK_EVERY_MS;
    const [first] = by;
    if (first === undefined) return dead.isWatched ? [] : [this.#begin(node, dead)];
    if (!dead.isWatched) return [];
    dead.isWatched = false;
    return [{ kind: "unwatch", node, why: `${first} has it` }];
  }
}
