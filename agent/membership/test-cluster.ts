/**
 * A cluster of membership machines in one process, for the tests of this room: virtual clock, lossy network, one-way
 * partitions, stopped and killed nodes, disks that lose what was not synced. Deterministic by its seed.
 *
 * Checks after every effect: one view an epoch, epochs of a data folder never go back, a view reaches the world only after
 * it is on disk. Violations are collected in `violations`.
 */
import { type Prng, prng } from "../runtime/prng.ts";
import type { NodeId, Role, Standing, View } from "./membership.ts";
import type { MembershipEffect, MembershipEvent, SavedMembership } from "./membership-events.ts";
import { Membership } from "./membership-machine.ts";
import type { Endpoint, Packet } from "./packet.ts";
import { Timers } from "./test-timers.ts";
import type { MembershipTiming } from "./timing.ts";
import type { ViewMessage } from "./view-message.ts";

export interface TestClusterOptions {
  readonly seed: number;
  readonly nodes: number;
  /** The last node is a witness. */
  readonly witness?: boolean;
  /** 0 … 1, of packets; links lose a tenth of it, TCP checks all of it. */
  readonly loss?: number;
  readonly delayMs?: number;
  readonly diskMs?: number;
  readonly timing?: MembershipTiming;
  /** Makes a machine; for seeded defects. */
  readonly make?: (...args: ConstructorParameters<typeof Membership>) => Membership;
  /** Sees each message over a link and may drop it. */
  readonly filter?: (from: string, to: string, message: ViewMessage) => boolean;
}

export interface Accusation {
  readonly by: string;
  readonly of: string;
  readonly standing: Standing;
  readonly atMs: number;
  readonly reason: string;
}

interface TestNode {
  readonly id: NodeId;
  readonly role: Role;
  readonly endpoint: Endpoint;
  machine: Membership | null;
  run: number;
  folders: number;
  disk: SavedMembership | null;
  /** Events that wait while the process is stopped. */
  stopped: MembershipEvent[] | null;
  tickMs: number;
  highestEpoch: number;
  view: View | null;
  frozen: string | null;
  hasLeft: boolean;
}

/** So many steps in one instant are a machine that asks for ticks without end. */
const STEPS_AT_ONCE_MAX = 20_000;

export class TestCluster {
  nowMs = 1000;
  readonly violations: string[] = [];
  readonly accusations: Accusation[] = [];
  readonly views: { readonly by: string; readonly view: View; readonly atMs: number }[] = [];
  packetCount = 0;
  stepCount = 0;
  loss: number;
  readonly #options: TestClusterOptions;
  readonly #prng: Prng;
  readonly #nodes: Map<string, TestNode> = new Map();
  readonly #byPort: Map<number, TestNode> = new Map();
  readonly #cut: Set<string> = new Set();
  #newest: View | null = null;
  readonly #epochs: Map<number, string> = new Map();
  /** When the last message of each stream arrives. */
  readonly #streams: Map<string, number> = new Map();
  readonly #timers: Timers = new Timers();
  #atOnce = 0;

  constructor(options: TestClusterOptions) {
    this.#options = options;
    this.loss = options.loss ?? 0;
    this.#prng = prng(options.seed);
    for (let i = 1; i <= options.nodes; i++) {
      const role = options.witness === true && i === options.nodes ? "witness" : "worker";
      this.#addNode(`n${i}`, role);
    }
  }

  #addNode(id: string, role: Role): TestNode {
    const port = 7000 + this.#nodes.size;
    const node: TestNode = {
      id: id as NodeId,
      role,
      endpoint: { address: "10.0.0.1", port },
      machine: null,
      run: 0,
      folders: 1,
      disk: null,
      stopped: null,
      tickMs: Number.POSITIVE_INFINITY,
      highestEpoch: 0,
      view: null,
      frozen: null,
      hasLeft: false,
    };
    this.#nodes.set(id, node);
    this.#byPort.set(port, node);
    return node;
  }

  // What a test does.

  /** All nodes, n1 founds; runs until all are in one view. */
  boot(): this {
    for (const id of this.ids()) this.start(id);
    this.until(() => this.agreed(this.ids()), 20_000, "all nodes in one view");
    return this;
  }

  add(id: string, role: Role = "worker"): void {
    this.#addNode(id, role);
  }

  start(id: string): void {
    this.startAs(id, id);
  }

  /** Under another name than its own, as a wrong configuration would. */
  startAs(id: string, name: string): void {
    const node = this.#node(id);
    node.run++;
    node.view = null;
    node.frozen = "not started";
    node.hasLeft = false;
    const { address, port } = node.endpoint;
    const instance = `${id}-folder-${node.folders}`;
    const found = id === "n1" && node.folders === 1;
    const config = { id: name as NodeId, instance, address, port, role: node.role, found };
    const { timing } = this.#options;
    const full = timing === undefined ? config : { ...config, timing };
    const random = this.#prng.fork(`${id} ${node.run}`);
    node.machine = (this.#options.make ?? ((...args) => new Membership(...args)))(
      full,
      node.disk,
      random,
    );
    const seeds = id === "n1" ? [] : [this.#node("n1").endpoint, this.#node("n2").endpoint];
    const more = node.folders > 1 && id === "n1" ? [this.#node("n2").endpoint] : [];
    this.#give(node, { kind: "start", seeds: [...seeds, ...more] });
    for (const other of this.#nodes.values()) {
      if (other !== node && other.machine !== null) {
        this.#later(1, () => this.#giveIf(other, { kind: "link-opened", peer: node.id }));
      }
    }
  }

  /** SIGKILL: connections close, the port refuses. */
  kill(id: string): void {
    const node = this.#node(id);
    this.#drop(node);
    for (const other of this.#nodes.values()) {
      if (other === node || other.machine === null || !this.#passes(node, other)) continue;
      const run = node.run;
      this.#later(0.2 + this.#prng.unit(), () =>
        this.#giveIf(other, { kind: "link-closed", peer: node.id }),
      );
      this.#later(1.5 + this.#prng.unit(), () => {
        if (node.machine === null && node.run === run && this.#passes(other, node)) {
          this.#giveIf(other, { kind: "link-refused", peer: node.id });
        }
      });
    }
  }

  #drop(node: TestNode): void {
    node.machine = null;
    node.stopped = null;
    node.tickMs = Number.POSITIVE_INFINITY;
    node.run++;
  }

  wipe(id: string): void {
    const node = this.#node(id);
    node.disk = null;
    node.folders++;
    node.highestEpoch = 0;
  }

  /** Changes what lies on the disk of a node that is down. */
  spoil(id: string, change: (saved: SavedMembership) => SavedMembership): void {
    const node = this.#node(id);
    if (node.disk !== null) node.disk = change(node.disk);
  }

  /** SIGSTOP: the kernel still takes packets and connections. */
  stop(id: string): void {
    const node = this.#node(id);
    node.stopped ??= [];
  }

  /** SIGCONT: a timer fires first, as it does in an event loop, then the socket is read. */
  resume(id: string): void {
    const node = this.#node(id);
    const queue = node.stopped ?? [];
    node.stopped = null;
    this.#give(node, { kind: "tick" });
    for (const event of queue) this.#giveIf(node, event);
  }

  /** Nothing passes from one to the other. */
  cutOneWay(from: string, to: string): void {
    this.#cut.add(`${from}>${to}`);
  }

  cut(a: string, b: string): void {
    this.cutOneWay(a, b);
    this.cutOneWay(b, a);
  }

  isolate(id: string): void {
    for (const other of this.#nodes.keys()) if (other !== id) this.cut(id, other);
  }

  split(left: readonly string[], right: readonly string[]): void {
    for (const a of left) for (const b of right) this.cut(a, b);
  }

  heal(): void {
    this.#cut.clear();
  }

  give(id: string, event: MembershipEvent): void {
    this.#give(this.#node(id), event);
  }

  // What a test asks.

  ids(): string[] {
    return [...this.#nodes.keys()];
  }

  machine(id: string): Membership {
    return this.#node(id).machine as Membership;
  }

  newestView(): View {
    let newest = this.#newest;
    for (const { disk } of this.#nodes.values()) {
      const view = disk?.accepted?.view ?? disk?.view ?? null;
      if (view !== null && (newest === null || view.epoch > newest.epoch)) newest = view;
    }
    if (newest === null) throw new Error("no view yet");
    return newest;
  }

  saved(id: string): SavedMembership | null {
    return this.#node(id).disk;
  }

  isUp(id: string): boolean {
    return this.#node(id).machine !== null;
  }

  viewOf(id: string): View | null {
    return this.#node(id).view;
  }

  memberIds(id: string): string {
    return (this.viewOf(id)?.members ?? []).map((member) => member.id).join(" ");
  }

  frozen(id: string): string | null {
    return this.#node(id).frozen;
  }

  hasLeft(id: string): boolean {
    return this.#node(id).hasLeft;
  }

  standing(by: string, of: string): Standing | undefined {
    return this.machine(by)
      .members()
      .find((one) => one.member.id === of)?.standing;
  }

  /** These nodes are exactly the members of one newest view, under their present runs, and none is frozen. */
  agreed(ids: readonly string[]): boolean {
    const first = this.viewOf(ids[0] as string);
    if (first === null || first.members.length !== ids.length) return false;
    return ids.every((id) => {
      const node = this.#node(id);
      if (node.machine === null || node.view?.epoch !== first.epoch) return false;
      const own = node.machine.self();
      return (
        node.frozen === null &&
        first.members.some(
          (one) => one.instance === own.instance && one.incarnation === own.incarnation,
        )
      );
    });
  }

  verdictsSince(ms: number): Accusation[] {
    return this.accusations.filter((one) => one.atMs >= ms && one.standing === "unreachable");
  }

  // Time.

  run(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.#advance(endMs)) {
      // Each call does one thing that is due.
    }
    this.nowMs = endMs;
  }

  /** Virtual milliseconds it took. */
  until(condition: () => boolean, limitMs: number, what: string): number {
    const startMs = this.nowMs;
    while (!condition()) {
      if (!this.#advance(startMs + limitMs)) {
        throw new Error(
          `seed ${this.#options.seed}: not within ${limitMs} ms: ${what}${this.#story()}`,
        );
      }
    }
    return this.nowMs - startMs;
  }

  #story(): string {
    const lines = [...this.#nodes.values()].slice(0, 8).map((node) => {
      const members = node.view?.members.map((one) => `${one.id}/${one.incarnation}`).join(" ");
      const state = node.machine === null ? "down" : (node.frozen ?? "acts");
      return `\n  ${node.id}: view ${node.view?.epoch ?? 0} [${members ?? ""}] ${state}`;
    });
    return lines.join("");
  }

  #advance(endMs: number): boolean {
    let due: TestNode | null = null;
    let dueMs = this.#timers.dueMs();
    for (const node of this.#nodes.values()) {
      if (node.tickMs < dueMs && node.stopped === null) {
        due = node;
        dueMs = node.tickMs;
      }
    }
    if (dueMs > endMs) return false;
    this.#atOnce = dueMs > this.nowMs ? 0 : this.#atOnce + 1;
    if (this.#atOnce > STEPS_AT_ONCE_MAX) {
      throw new Error(`seed ${this.#options.seed}: a busy loop at ${this.nowMs}${this.#story()}`);
    }
    this.nowMs = Math.max(this.nowMs, dueMs);
    if (due !== null) this.#give(due, { kind: "tick" });
    else this.#timers.runNext();
    return true;
  }

  #later(ms: number, act: () => void): void {
    this.#timers.at(this.nowMs + ms, act);
  }

  // The world.

  #node(id: string): TestNode {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  #giveIf(node: TestNode, event: MembershipEvent): void {
    if (node.machine !== null) this.#give(node, event);
  }

  #give(node: TestNode, event: MembershipEvent): void {
    if (node.machine === null) return;
    if (node.stopped !== null) {
      if (node.stopped.length < 2000) node.stopped.push(event);
      return;
    }
    this.stepCount++;
    const effects = node.machine.step(event, this.nowMs);
    node.tickMs = node.machine.dueMs();
    for (const effect of effects) this.#do(node, effect);
  }

  #passes(from: TestNode, to: TestNode): boolean {
    return !this.#cut.has(`${from.id}>${to.id}`);
  }

  #delay(): number {
    const mean = this.#options.delayMs ?? 0.3;
    return mean * (0.5 + this.#prng.unit());
  }

  #do(node: TestNode, effect: MembershipEffect): void {
    switch (effect.kind) {
      case "send-packet":
        this.#sendPacket(node, effect.to, effect.packet);
        break;
      case "send":
        this.#sendMessage(node, effect.port, effect.message);
        break;
      case "check-tcp":
        this.#checkTcp(node, effect);
        break;
      case "persist": {
        const run = node.run;
        this.#later(this.#options.diskMs ?? 1, () => {
          if (node.run !== run) return;
          node.disk = structuredClone(effect.state);
          this.#give(node, { kind: "persisted", token: effect.token });
        });
        break;
      }
      case "view":
        this.#seeView(node, effect.view);
        break;
      case "frozen":
        node.frozen = effect.reason;
        break;
      case "thawed":
        node.frozen = null;
        break;
      case "standing":
        if (effect.standing === "suspect" || effect.standing === "unreachable") {
          const { standing, reason, member } = effect;
          this.accusations.push({
            by: node.id,
            of: member.id,
            standing,
            reason,
            atMs: this.nowMs,
          });
        }
        break;
      case "left":
        node.hasLeft = true;
        break;
      case "log":
        break;
    }
  }

  #sendPacket(from: TestNode, to: Endpoint, packet: Packet): void {
    this.packetCount++;
    const target = this.#byPort.get(to.port);
    if (target === undefined || this.#prng.unit() < this.loss) return;
    this.#later(this.#delay(), () => {
      if (this.#passes(from, target)) {
        this.#giveIf(target, { kind: "packet", from: from.endpoint, packet });
      }
    });
  }

  #sendMessage(from: TestNode, port: number, message: ViewMessage): void {
    const target = this.#byPort.get(port);
    if (target === undefined || this.#prng.unit() < this.loss / 10) return;
    if (this.#options.filter?.(from.id, target.id, message) === false) return;
    // A stream keeps the order and needs both directions.
    const stream = `${from.id}>${target.id}`;
    const atMs = Math.max(this.nowMs + this.#delay(), this.#streams.get(stream) ?? 0);
    this.#streams.set(stream, atMs);
    this.#later(atMs - this.nowMs, () => {
      if (!this.#passes(from, target) || !this.#passes(target, from)) return;
      this.#giveIf(target, { kind: "message", from: from.id, message });
    });
  }

  #checkTcp(from: TestNode, effect: Extract<MembershipEffect, { kind: "check-tcp" }>): void {
    const target = this.#byPort.get(effect.to.port);
    const { token, timeoutMs, instance } = effect;
    const isLost = this.#prng.unit() < this.loss || this.#prng.unit() < this.loss;
    const run = from.run;
    const answer = (ms: number, outcome: "answered" | "accepted" | "refused" | "silent"): void => {
      this.#later(ms, () => {
        if (from.run === run) this.#giveIf(from, { kind: "tcp-checked", token, outcome });
      });
    };
    if (target === undefined || isLost || !this.#passes(from, target)) {
      answer(timeoutMs, "silent");
    } else if (!this.#passes(target, from)) answer(timeoutMs, "silent");
    else if (target.machine === null) answer(2 * this.#delay(), "refused");
    else if (target.stopped !== null) answer(timeoutMs, "accepted");
    else {
      const isSame = target.machine.self().instance === instance;
      answer(2 * this.#delay(), isSame ? "answered" : "refused");
    }
  }

  #seeView(node: TestNode, view: View): void {
    this.views.push({ by: node.id, view, atMs: this.nowMs });
    const text = JSON.stringify(view);
    const known = this.#epochs.get(view.epoch);
    if (known === undefined) this.#epochs.set(view.epoch, text);
    else if (known !== text) {
      this.violations.push(`two views of epoch ${view.epoch}: ${known} and ${text} (${node.id})`);
    }
    if (view.epoch <= node.highestEpoch) {
      this.violations.push(`${node.id} went from epoch ${node.highestEpoch} to ${view.epoch}`);
    }
    if ((node.disk?.view?.epoch ?? 0) < view.epoch) {
      this.violations.push(`${node.id} told of view ${view.epoch} before it was on disk`);
    }
    if (view.epoch > (this.#newest?.epoch ?? 0)) this.#newest = view;
    node.highestEpoch = view.epoch;
    node.view = view;
  }
}
