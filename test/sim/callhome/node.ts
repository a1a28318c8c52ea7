/**
 * A simulated agent around the real delivery machine: an outbox that forgets what was not on disk, streams from managers, and
 * the effects done over the simulated network. It is also a peer to others, passing on what it is given at once.
 */
import type {
  DeliveryEffect,
  DeliveryEvent,
  DeliveryMachine,
  Path,
  QueuedEvent,
  Raised,
  Urgency,
} from "../../../agent/callhome/delivery-events.ts";
import type { DigestAnswer, ReceiptLine } from "../../../agent/callhome/protocol.ts";
import type { Timer } from "../../../agent/runtime/clock.ts";
import type { Prng } from "../../../agent/runtime/prng.ts";
import { SimClock, type SimTime } from "../../../agent/runtime/sim/sim-clock.ts";
import type { SimDestination, TakeAnswer } from "./destination.ts";
import type { SimManager } from "./manager.ts";
import type { Referee } from "./referee.ts";
import { Party, type Wire } from "./wire.ts";

const FSYNC_MS = 2;
const DISK_AGAIN_MS = 1_000;
/** Numbers of clocks that run at different rates do not meet exactly. */
const TICK_MS_MIN = 0.01;
const STREAM_AGAIN_MS = 1_000;
const STREAM_SILENT_MS = 3_000;
const PEER_LIMIT_MS = 5_000;
const EVENT_BYTES = 1_500;

export interface NodeWorld {
  readonly time: SimTime;
  readonly wire: Wire;
  readonly random: Prng;
  readonly referee: Referee;
  readonly managers: readonly SimManager[];
  readonly destination: SimDestination;
  readonly peers: () => readonly SimNode[];
  readonly make: (random: Prng) => DeliveryMachine;
  readonly streamAgainMs?: number;
}

interface Stored {
  readonly id: string;
  readonly urgency: Urgency;
  readonly isByEveryPath: boolean;
  readonly queuedTrueMs: number;
}

export interface NodeOptions {
  readonly name: string;
  readonly hasDirect: boolean;
  readonly managers: readonly string[];
  readonly rate: number;
}

export class SimNode {
  readonly party: Party;
  readonly options: NodeOptions;
  readonly #world: NodeWorld;
  #clock: SimClock;
  #machine: DeliveryMachine;
  /** On disk. */
  readonly #outbox = new Map<string, Stored>();
  readonly #afterSeq = new Map<string, number>();
  readonly #heardMs = new Map<string, number>();
  #timer: Timer | null = null;
  #serial = 0;
  isDiskFull = false;
  steps = 0;
  raised: Raised[] = [];

  constructor(options: NodeOptions, world: NodeWorld) {
    this.options = options;
    this.party = new Party(options.name);
    this.#world = world;
    this.#clock = this.#newClock();
    this.#machine = world.make(world.random.fork("machine 1"));
  }

  get openCount(): number {
    return this.#outbox.size;
  }

  get machine(): DeliveryMachine {
    return this.#machine;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  begin(): void {
    const { managers, hasDirect } = this.options;
    this.#world.referee.nodeStarted(this.party.name, managers);
    this.step({ kind: "paths", managers, hasDirect });
    this.#tellPeers();
    const stored = [...this.#outbox.values()];
    if (stored.length > 0) {
      this.step({ kind: "restored", events: stored.map((each) => this.#queued(each)) });
    }
    for (const name of managers) this.#stream(name);
  }

  /** Durable after a moment, unless the disk is full or the node is killed first; then it was never acknowledged. */
  raise(
    urgency: Urgency,
    isByEveryPath = false,
    poison: "none" | "refused" | "unreadable" = "none",
  ): void {
    const id = `${this.party.name}-${++this.#serial}-${this.party.incarnation}`;
    if (poison === "refused") this.#world.destination.poison.add(id);
    if (poison === "unreadable") this.#world.destination.unreadable.add(id);
    if (this.isDiskFull) return;
    this.#later(FSYNC_MS, () => {
      const stored = { id, urgency, isByEveryPath, queuedTrueMs: this.#world.time.nowMs() };
      this.#outbox.set(id, stored);
      this.#world.referee.acknowledged(id, this.party.name, isByEveryPath);
      this.step({ kind: "queued", events: [this.#queued(stored)] });
    });
  }

  kill(): void {
    this.party.kill();
    this.#timer?.end();
    this.#world.referee.nodeDied(this.party.name);
  }

  restart(): void {
    if (this.party.life !== "killed") return;
    this.party.rise();
    this.#clock = this.#newClock();
    this.#heardMs.clear();
    this.#machine = this.#world.make(this.#world.random.fork(`machine ${this.party.incarnation}`));
    this.begin();
  }

  step(event: DeliveryEvent): void {
    if (this.party.life === "killed") return;
    this.steps++;
    const effects = this.#machine.step(event, this.#clock.nowMs());
    this.#world.referee.stepped(this, event, effects);
    for (const effect of effects) this.#perform(effect);
    this.#setTimer();
  }

  /** What another node gives it to pass on. */
  passOn(ids: readonly string[], reply: (answer: TakeAnswer) => void): void {
    if (!this.options.hasDirect) {
      reply({ kind: "busy" });
      return;
    }
    const { destination, wire } = this.#world;
    wire.call<TakeAnswer>({
      from: this.party,
      to: destination.party,
      limitMs: PEER_LIMIT_MS,
      serve: (back) => destination.take(ids, back),
      onAnswer: reply,
      onFailure: () => reply({ kind: "busy" }),
    });
  }

  #newClock(): SimClock {
    // Monotonic time begins anew with each process, somewhere.
    const startMs = this.#world.random.unit() * 1e6 - this.#world.time.nowMs() * this.options.rate;
    return new SimClock(this.#world.time, { startMs, rate: this.options.rate, wallStartMs: 0 });
  }

  #queued({ id, urgency, isByEveryPath, queuedTrueMs }: Stored): QueuedEvent {
    const queuedMs = this.#clock.nowMs() - (this.#world.time.nowMs() - queuedTrueMs);
    return { id, urgency, queuedMs, bytes: EVENT_BYTES, isByEveryPath };
  }

  #later(delayMs: number, action: () => void): void {
    const { incarnation } = this.party;
    this.#world.time.after(delayMs, () => {
      if (this.party.incarnation === incarnation) this.party.run(action);
    });
  }

  #setTimer(): void {
    this.#timer?.end();
    this.#timer = null;
    const due = this.#machine.dueMs();
    if (due === Number.POSITIVE_INFINITY) return;
    const { incarnation } = this.party;
    const waitMs = Math.max(TICK_MS_MIN, due - this.#clock.nowMs());
    this.#timer = this.#clock.after(waitMs, () => {
      if (this.party.incarnation !== incarnation) return;
      this.party.run(() => this.step({ kind: "tick" }));
    });
  }

  #perform(effect: DeliveryEffect): void {
    switch (effect.kind) {
      case "send":
        this.#send(effect.request, effect.path, effect.ids, effect.timeoutMs);
        return;
      case "ask-digest":
        this.#ask(effect.request, effect.path, effect.ids, effect.timeoutMs);
        return;
      case "close": {
        this.#close(effect.id);
        return;
      }
      case "raise":
        this.raised.push(effect.raised);
        if (effect.raised.what === "cannot-call-home") this.raise(1, true);
        return;
      case "find-peers":
        this.#later(1, () => this.#tellPeers());
        return;
      case "record":
      case "say":
    }
  }

  /** Durable once the disk has room. */
  #close(id: string): void {
    this.#later(this.isDiskFull ? DISK_AGAIN_MS : FSYNC_MS, () => {
      if (this.isDiskFull) this.#close(id);
      else this.#outbox.delete(id);
    });
  }

  #tellPeers(): void {
    const names = this.#world.peers().filter((peer) => peer !== this && peer.options.hasDirect);
    this.step({ kind: "peers", names: names.map(({ party }) => party.name) });
  }

  #send(request: number, path: Path, ids: readonly string[], limitMs: number): void {
    const target = this.#targetOf(path);
    this.#world.wire.call<TakeAnswer>({
      from: this.party,
      to: target.party,
      limitMs: limitMs / this.options.rate,
      serve: (reply) => target.take(ids, reply),
      onAnswer: (answer) => this.#onTaken(request, answer),
      onFailure: (failure) => {
        this.step({ kind: "failed", request, failure, detail: "", retryAfterMs: null });
      },
    });
  }

  #onTaken(request: number, answer: TakeAnswer): void {
    if (answer.kind === "results") {
      this.step({ kind: "answered", request, epoch: answer.epoch, results: answer.results });
      return;
    }
    const { kind } = answer;
    this.step({ kind: "failed", request, failure: kind, detail: "", retryAfterMs: null });
  }

  #ask(request: number, path: Path, ids: readonly string[], limitMs: number): void {
    const target = this.#targetOf(path);
    this.#world.wire.call<DigestAnswer>({
      from: this.party,
      to: target.party,
      limitMs: limitMs / this.options.rate,
      serve: (reply) => target.digest(ids, reply),
      onAnswer: ({ states }) => this.step({ kind: "digest", request, states }),
      onFailure: (failure) => {
        this.step({ kind: "failed", request, failure, detail: "", retryAfterMs: null });
      },
    });
  }

  #targetOf({ kind, name }: Path): {
    readonly party: Party;
    take(ids: readonly string[], reply: (answer: TakeAnswer) => void): void;
    digest(ids: readonly string[], reply: (answer: DigestAnswer) => void): void;
  } {
    const { destination, managers, peers } = this.#world;
    if (kind === "direct") return destination;
    if (kind === "manager") {
      const manager = managers.find(({ party }) => party.name === name);
      if (manager === undefined) throw new Error(`there is no manager ${name}`);
      return {
        party: manager.party,
        take: (ids, reply) => manager.take(this.party.name, ids, reply),
        digest: (ids, reply) => manager.digest(ids, reply),
      };
    }
    const peer = peers().find(({ party }) => party.name === name);
    if (peer === undefined) throw new Error(`there is no peer ${name}`);
    return {
      party: peer.party,
      take: (ids, reply) => peer.passOn(ids, reply),
      digest: () => undefined,
    };
  }

  /** Opens the stream of a manager, and again whenever it breaks or falls silent. */
  #stream(name: string): void {
    const manager = this.#world.managers.find(({ party }) => party.name === name);
    if (manager === undefined) return;
    const again = (why: string): void => {
      this.step({ kind: "manager-lost", manager: name, detail: why });
      this.#later(this.#world.streamAgainMs ?? STREAM_AGAIN_MS, () => this.#stream(name));
    };
    this.#world.wire.call<null>({
      from: this.party,
      to: manager.party,
      limitMs: STREAM_SILENT_MS,
      serve: (reply) => {
        const { incarnation } = this.party;
        const hear = (line: ReceiptLine): void => this.#hear(name, line);
        const node = this.party;
        manager.listen({ node, incarnation, hear }, this.#afterSeq.get(name) ?? 0);
        reply(null);
      },
      onAnswer: () => {
        this.#heardMs.set(name, this.#world.time.nowMs());
        this.#watchStream(name, manager, manager.party.incarnation, again);
      },
      onFailure: (failure) => again(failure),
    });
  }

  #watchStream(
    name: string,
    manager: SimManager,
    incarnation: number,
    again: (why: string) => void,
  ): void {
    this.#later(250, () => {
      const silentMs = this.#world.time.nowMs() - (this.#heardMs.get(name) ?? 0);
      const isBroken = manager.party.incarnation !== incarnation;
      const isOpen = this.#world.wire.isOpen(manager.party, this.party);
      if (isBroken && isOpen) again("its stream ended");
      else if (silentMs > STREAM_SILENT_MS) again("its stream is silent");
      else this.#watchStream(name, manager, incarnation, again);
    });
  }

  #hear(name: string, line: ReceiptLine): void {
    this.#heardMs.set(name, this.#world.time.nowMs());
    this.#world.referee.heard(this.party.name, name, line);
    if (line.kind === "beat") {
      this.step({ kind: "beat", manager: name, epoch: line.epoch, canRelay: line.canRelay });
    } else if (line.kind === "receipt") {
      this.#afterSeq.set(name, Math.max(line.seq, this.#afterSeq.get(name) ?? 0));
      this.step({ kind: "receipt", manager: name, receipt: line.receipt });
    } else {
      const { id, reason, isPermanent = false } = line;
      this.step({ kind: "not-relayed", manager: name, id, reason, isPermanent });
    }
  }
}
