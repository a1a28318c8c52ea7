/**
 * What one agent decides: membership and jobs composed into one synchronous machine.
 *
 * `step(event, nowMs) → effects` is all there is: the agent's shell and the simulator drive this very class. It reads no
 * clock, no randomness and nothing of the world. Messages to the own node are handled within the step.
 */
import { assert, unreachable } from "../../core/assert.ts";
import type { Holding, Version } from "../checkpoint/checkpoint.ts";
import type { NodeId, View } from "../membership/membership.ts";
import type { MembershipEffect, MembershipEvent } from "../membership/membership-events.ts";
import type { Membership } from "../membership/membership-machine.ts";
import { EffectSink } from "./effects.ts";
import type { JobMessage, JobRecord, RunningRank } from "./job.ts";
import { JobLead } from "./lead.ts";
import { JobMember } from "./member.ts";
import type { NodeConfig, NodeEffect, NodeEvent } from "./node-events.ts";
import { LocalShards, type NodeParts } from "./parts.ts";
import type { CandidateOrder } from "./placement.ts";
import { Programs } from "./programs.ts";
import { ProxyPool } from "./proxy-pool.ts";
import { RecordBook } from "./records.ts";
import { Requests } from "./requests.ts";

/** Messages of a view that has not reached this node yet; the newest are kept. */
const EARLY_MESSAGES_MAX = 256;

/** report → assign → ready → resume → resumed → settled, a few times over: more is an echo. */
const LOOP_ROUNDS_MAX = 100;

export interface NodeMachineOptions {
  readonly config: NodeConfig;
  readonly membership: Membership;
  readonly savedRecords: readonly JobRecord[];
  readonly holdings: readonly Holding[];
  /** `orderByCore(createCore())`, or the simulator's. */
  readonly order: CandidateOrder;
}

export class NodeMachine {
  readonly #config: NodeConfig;
  readonly #membership: Membership;
  readonly #parts: NodeParts;
  readonly #sink: EffectSink;
  readonly #member: JobMember;
  readonly #lead: JobLead;
  readonly #requests = new Requests();
  /** What the world said while this node must not act; heard in order once it may. */
  #held: NodeEvent[] = [];
  #early: { readonly from: NodeId; readonly message: JobMessage }[] = [];

  constructor(options: NodeMachineOptions) {
    this.#config = options.config;
    this.#membership = options.membership;
    this.#parts = {
      config: options.config,
      book: new RecordBook(options.savedRecords),
      pool: new ProxyPool(options.config.id, options.config.address),
      programs: new Programs(options.config),
      shards: new LocalShards(options.holdings),
    };
    this.#sink = new EffectSink(options.config);
    this.#member = new JobMember(this.#parts);
    this.#lead = new JobLead(this.#parts, this.#member, options.order);
  }

  step(event: NodeEvent, nowMs: number): readonly NodeEffect[] {
    const sink = this.#sink;
    sink.nowMs = nowMs;
    this.#handle(event);
    this.#settle();
    return sink.takeEffects();
  }

  dueMs(): number {
    const always = Math.min(this.#membership.dueMs(), this.#requests.dueMs);
    return this.frozen() === null ? Math.min(always, this.#member.dueMs, this.#lead.dueMs) : always;
  }

  view(): View | null {
    return this.#sink.view;
  }

  frozen(): string | null {
    return this.#membership.frozen();
  }

  lead(): NodeId | null {
    return this.#sink.view?.members[0]?.id ?? null;
  }

  membership(): Membership {
    return this.#membership;
  }

  records(): readonly JobRecord[] {
    return this.#parts.book.all();
  }

  running(): readonly RunningRank[] {
    return this.#member.running();
  }

  holdings(): readonly Holding[] {
    return this.#parts.shards.all();
  }

  sealedVersions(job: string): readonly Version[] {
    return this.#parts.shards.sealed(job, this.#parts.book.get(job)?.lineage ?? []);
  }

  #handle(event: NodeEvent): void {
    const sink = this.#sink;
    if (isForActing(event) && this.frozen() !== null) {
      this.#held.push(event);
      return;
    }
    switch (event.kind) {
      case "membership":
        this.#stepMembership(event.event);
        break;
      case "job-message":
        this.#onJobMessage(event.from, event.message);
        break;
      case "tick":
        if (sink.nowMs >= this.#membership.dueMs()) this.#stepMembership({ kind: "tick" });
        if (this.frozen() === null) {
          this.#member.onTick(sink);
          this.#lead.onTick(sink);
        }
        this.#requests.onTick(this.frozen(), sink);
        break;
      case "record-persisted":
        this.#member.onRecordPersisted(event.token, sink);
        break;
      case "proxy-says":
        this.#member.onProxySays(event.proxy, event.message, sink);
        break;
      case "proxy-exited":
        this.#member.onProxyExited(event.proxy, event.detail, sink);
        break;
      case "program-started":
        this.#member.onProgramStarted(event.job, event.rank, event.pid);
        break;
      case "program-exited":
        this.#member.onProgramExited(event, sink);
        break;
      case "store":
        this.#member.onStore(event.event, sink);
        break;
      case "load":
        this.#member.setLoad(event.load);
        break;
      case "request":
        this.#requests.ask(event.token, event.request, this.frozen(), sink);
        break;
      default:
        unreachable(event, "event of a node");
    }
  }

  /** Until nothing more follows within this step. Bounded: a looped message never asks the same of the node again. */
  #settle(): void {
    const sink = this.#sink;
    for (let round = 0; ; round++) {
      assert(round < LOOP_ROUNDS_MAX, "messages to the own node follow each other without end");
      const looped = sink.takeLooped();
      const wanted = sink.takeWantedEpochs();
      if (looped.length === 0 && wanted.length === 0) return;
      for (const message of looped) this.#onJobMessage(this.#config.id, message);
      for (const reason of wanted) this.#stepMembership({ kind: "want-epoch", reason });
    }
  }

  #stepMembership(event: MembershipEvent): void {
    for (const effect of this.#membership.step(event, this.#sink.nowMs)) this.#onMembership(effect);
    this.#catchUp();
  }

  /** What came too early for the view, or while this node must not act. */
  #catchUp(): void {
    if (this.frozen() !== null) return;
    const { epoch } = this.#sink;
    const early = this.#early.filter(({ message }) => message.epoch <= epoch);
    if (early.length > 0) {
      this.#early = this.#early.filter(({ message }) => message.epoch > epoch);
      for (const { from, message } of early) this.#onJobMessage(from, message);
    }
    if (this.#held.length === 0) return;
    const held = this.#held;
    this.#held = [];
    for (const late of held) this.#handle(late);
  }

  #onMembership(effect: MembershipEffect): void {
    const sink = this.#sink;
    sink.push({ kind: "membership", effect });
    if (effect.kind === "view") {
      this.#onView(effect.view);
    } else if (effect.kind === "frozen") {
      sink.decide("frozen", null, effect.reason);
      this.#member.onFrozen(sink);
    } else if (effect.kind === "thawed") {
      sink.decide("frozen", null, "in a view with a quorum: this node acts");
      this.#member.onThawed(sink);
    } else if (effect.kind === "standing") {
      if (effect.standing !== "alive") {
        sink.decide("suspect", null, `${effect.member.id} ${effect.standing}: ${effect.reason}`);
      }
    }
  }

  #onView(view: View): void {
    const sink = this.#sink;
    sink.setView(view);
    const members = view.members.map((member) => member.id).join(", ");
    sink.decide("view", null, `epoch ${view.epoch}: ${members} (${view.reason})`);
    if (!view.members.some((member) => member.id === this.#config.id)) {
      this.#member.onExpelled(sink);
      return;
    }
    this.#lead.onView(view, sink);
    this.#member.onView(sink);
  }

  #onJobMessage(from: NodeId, message: JobMessage): void {
    const sink = this.#sink;
    const view = sink.view;
    if (message.epoch > sink.epoch) {
      this.#early = [...this.#early, { from, message }].slice(-EARLY_MESSAGES_MAX);
      return;
    }
    // Whoever said it says it again: nothing is answered by a node that must not act.
    if (this.frozen() !== null) return;
    // Whoever is not in the view has no say, however it came to talk to us.
    if (view === null || !view.members.some((member) => member.id === from)) return;
    if (message.kind === "submitted") {
      this.#requests.onSubmitted(message.token, message.refused, sink);
      return;
    }
    this.#lead.onMessage(from, message, sink);
    this.#member.onMessage(from, message, sink);
  }
}

/**
 * What its own processes and its store tell a node, since a job may be moved on by it. Bounded: a frozen node starts nothing,
 * so no more can come than was under way.
 */
function isForActing(event: NodeEvent): boolean {
  switch (event.kind) {
    case "proxy-says":
      return event.message.kind !== "listening";
    case "store":
      return event.event.kind !== "holdings";
    case "record-persisted":
    case "proxy-exited":
    case "program-exited":
      return true;
    default:
      return false;
  }
}
