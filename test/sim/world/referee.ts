/**
 * Watches a simulated cluster after every step and throws a `Violation` as soon as something is wrong.
 *
 * This file receives what happens and keeps the views, epochs and acts of nodes; what is known about jobs and their states is
 * in `job-referee.ts`. It knows the truth of the whole cluster, which no node does, and it never tells anybody.
 */

import type { Version } from "../../../agent/checkpoint/checkpoint.ts";
import type { NodeEffect, NodeEvent } from "../../../agent/job/node-events.ts";
import type { NodeId, View } from "../../../agent/membership/membership.ts";
import type { Cluster } from "./cluster.ts";
import { JobReferee, type ProgramStep } from "./job-referee.ts";
import type { DecisionMachine } from "./machine.ts";
import type { SimNode } from "./node.ts";
import type { Assignment } from "./proxy.ts";
import type { Shard } from "./store.ts";
import { holds } from "./violation.ts";

/** Effects of one step. A view change on 7 nodes with several jobs stays far below. */
const EFFECTS_MAX = 1_000;
const LINK_QUEUE_SEEN_MAX = 5_000;
const DISK_PENDING_MAX = 200;
const PROCESSES_MAX = 24;

interface NodeFacts {
  /** Newest epoch that this data folder has acted under. */
  epoch: number;
  disks: number;
  view: View | null;
}

export class Referee {
  readonly jobs: JobReferee;
  readonly #cluster: Cluster;
  readonly #views = new Map<number, { readonly text: string; readonly node: NodeId }>();
  readonly #facts = new Map<NodeId, NodeFacts>();
  #newestEpoch = 0;
  #viewChanges = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.jobs = new JobReferee(cluster);
  }

  newestEpoch(): number {
    return this.#newestEpoch;
  }

  viewChanges(): number {
    return this.#viewChanges;
  }

  beforeEffects(node: SimNode, _event: NodeEvent, effects: readonly NodeEffect[]): void {
    if (effects.length === 0) return;
    holds(
      effects.length <= EFFECTS_MAX,
      "effects of one step",
      () => `${node.id} asks for ${effects.length} things in one step`,
    );
    let isFrozen = node.frozen;
    for (const effect of effects) {
      if (effect.kind === "membership") {
        if (effect.effect.kind === "frozen") isFrozen = true;
        else if (effect.effect.kind === "thawed") isFrozen = false;
        continue;
      }
      if (effect.kind === "persist-record") this.jobs.onRecord(node, effect.record);
      const act = actOf(effect);
      if (act === null) continue;
      holds(!isFrozen, "frozen node acts", () => `${node.id} is frozen, and yet it ${act}`);
      this.jobs.onAct(node, effect);
    }
  }

  afterStep(node: SimNode, machine: DecisionMachine): void {
    const view = machine.view();
    if (view === null) return;
    let facts = this.#facts.get(node.id);
    if (facts === undefined || facts.disks !== node.disks) {
      facts = { epoch: 0, disks: node.disks, view: null };
      this.#facts.set(node.id, facts);
    }
    if (facts.view === view) return;
    facts.view = view;
    this.#onView(node, facts, view);
  }

  /** Once a while: what grows must have a bound. */
  checkBounds(): void {
    const { links, nodes } = this.#cluster;
    holds(
      links.longestQueue() <= LINK_QUEUE_SEEN_MAX,
      "link queue",
      () => `${links.longestQueue()} messages waited on one link`,
    );
    for (const node of nodes) {
      holds(
        node.disk.pendingCount() <= DISK_PENDING_MAX,
        "disk queue",
        () => `${node.disk.pendingCount()} writes wait for the disk of ${node.id}`,
      );
      if (!node.isUp) continue;
      holds(
        node.host.processCount() <= PROCESSES_MAX,
        "processes",
        () => `${node.host.processCount()} processes live on ${node.id}`,
      );
      this.jobs.checkHoldings(node);
    }
  }

  onWiped(node: NodeId): void {
    this.#facts.delete(node);
  }

  onEnded(_node: SimNode): void {
    // What a node knew ends with it; the referee's knowledge of the data folder stays.
  }

  onDurable(node: NodeId, shard: Shard): void {
    this.jobs.onDurable(node, shard);
  }

  onSealed(node: NodeId, shard: Shard): void {
    this.jobs.onSealed(node, shard);
  }

  onSelected(node: SimNode, assignment: Assignment, version: Version | null): void {
    this.jobs.onSelected(node, assignment, version);
  }

  onResumed(node: SimNode, assignment: Assignment, version: Version): void {
    this.jobs.onResumed(node, assignment, version);
  }

  onStep(node: SimNode, step: ProgramStep): void {
    this.jobs.onStep(node, step);
  }

  #onView(node: SimNode, facts: NodeFacts, view: View): void {
    const { epoch } = view;
    this.#viewChanges++;
    holds(
      epoch >= facts.epoch,
      "epoch goes back",
      () => `${node.id} was under epoch ${facts.epoch} and is now under ${epoch}`,
    );
    facts.epoch = epoch;
    const text = view.members
      .map((m) => `${m.id} ${m.instance} ${m.incarnation} ${m.address}:${m.port} ${m.role}`)
      .sort()
      .join(", ");
    const known = this.#views.get(epoch);
    if (known === undefined) this.#views.set(epoch, { text, node: node.id });
    else {
      holds(
        known.text === text,
        "two views of one epoch",
        () => `epoch ${epoch}: ${known.node} has ${known.text}; ${node.id} has ${text}`,
      );
    }
    if (epoch > this.#newestEpoch) this.#newestEpoch = epoch;
  }
}

/** What a node without a quorum must not do. */
function actOf(effect: NodeEffect): string | null {
  if (effect.kind === "start-program") return `starts rank ${effect.rank}`;
  if (effect.kind === "tell-proxy") {
    const { kind } = effect.message;
    return kind === "assign" || kind === "resume" ? `tells its proxy to ${kind}` : null;
  }
  if (effect.kind === "store") {
    const { kind } = effect.command;
    return kind === "collect" ? null : `asks its store to ${kind}`;
  }
  if (effect.kind === "send-job-message") {
    const { kind } = effect.message;
    return kind === "assign" || kind === "resume" || kind === "seal" ? `sends ${kind}` : null;
  }
  return null;
}
