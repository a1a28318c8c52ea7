/**
 * Stands in for dead nodes: keeps how their BMCs are reached, and watches those that `stand-in.ts` says.
 *
 * What such a watch sees goes into this node's book as its own events do, under the ids that the dead node's watch would give
 * them. Which nodes are dead is kept on disk, as a view does not tell who was in an earlier one; without a quorum, when no view
 * comes any more, members that the detector gave up count as dead too.
 */
import type { Bmc } from "../../../bmc/bmc.ts";
import { compareNodeIds, type NodeId } from "../../membership/membership.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Disk } from "../../runtime/disk.ts";
import type { Log } from "../../runtime/log.ts";
import type { ClusterChange, ClusterWatch } from "../cluster.ts";
import { WAY_PATH, wayAnswerSchema } from "../peers.ts";
import { StandIn, type StandInEffect, type StandInEvent } from "../stand-in.ts";
import { BmcWatcher, type WatcherState } from "./bmc-watcher.ts";
import type { EventKeeper } from "./event-keeper.ts";
import type { WatchedBmc } from "./open-callhome.ts";
import { askJson, type Caller } from "./parcels-client.ts";
import type { StandInKnown } from "./stand-in-known.ts";

const DEAD_DOCUMENT = "stand-in-dead";
/** The lowest members, who would stand in, ask the others how their BMCs are. */
const ASKERS = 3;
const ASK_EVERY_MS = 30_000;
/** After a view: a node that has just joined has reached its BMC by then. */
const ASK_SOON_MS = 2_000;
const LOOK_EVERY_MS = 2_000;
const ANSWER_WITHIN_MS = 1_000;

export interface StandInParts {
  readonly self: NodeId;
  readonly cluster: ClusterWatch;
  readonly known: StandInKnown;
  readonly caller: Caller;
  readonly agentUrl: (member: { readonly address: string; readonly port: number }) => string;
  readonly watchedBmc: (url: string) => WatchedBmc;
  readonly keeper: EventKeeper;
  readonly pollMs: number;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  readonly onChange: () => void;
}

export interface StoodInFor extends WatcherState {
  readonly node: string;
  readonly url: string;
  readonly system: string | null;
}

export class StandInWatch {
  readonly #parts: StandInParts;
  readonly #machine: StandIn;
  readonly #watchers: Map<string, BmcWatcher> = new Map();
  readonly #ending: Set<Promise<void>> = new Set();
  #dead: Set<NodeId>;
  #isFrozen = false;
  #isStopped = false;
  #unsubscribe: () => void = () => undefined;
  #timer: Timer | null = null;
  #askTimer: Timer | null = null;
  #lastLook = "";

  constructor(parts: StandInParts) {
    this.#parts = parts;
    this.#machine = new StandIn(parts.self);
    const read = parts.disk.read(DEAD_DOCUMENT);
    const dead = read.kind === "document" ? (read.document as { dead?: unknown }).dead : [];
    this.#dead = new Set(Array.isArray(dead) ? (dead as NodeId[]) : []);
  }

  begin(): void {
    this.#unsubscribe = this.#parts.cluster.onChange((change) => this.#onChange(change));
    this.#askAround(ASK_SOON_MS);
    this.#look();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#unsubscribe();
    this.#timer?.end();
    this.#askTimer?.end();
    for (const watcher of this.#watchers.values()) this.#end(watcher);
    await Promise.all(this.#ending);
  }

  /** Those whose BMC is watched or being reached. */
  list(): readonly StoodInFor[] {
    return [...this.#watchers].map(([key, watcher]) => ({
      node: key.slice(0, key.indexOf(" ")),
      url: watcher.name,
      system: watcher.guid,
      ...watcher.state,
    }));
  }

  bmcs(): readonly { readonly node: string; readonly bmc: Bmc }[] {
    return [...this.#watchers].flatMap(([key, { bmc }]) =>
      bmc === null ? [] : [{ node: key.slice(0, key.indexOf(" ")), bmc }],
    );
  }

  #onChange(change: ClusterChange): void {
    if (change.kind === "frozen") this.#isFrozen = true;
    if (change.kind === "thawed") this.#isFrozen = false;
    if (change.kind === "view") {
      const left = this.#leftOnes();
      const living = new Set(change.view.members.map(({ id }) => id));
      for (const { id } of change.previous?.members ?? []) {
        const reason = `, ${change.view.reason},`;
        const isLeft = left.has(id) || reason.includes(`, ${id} left,`);
        if (!living.has(id) && !isLeft) this.#dead.add(id);
      }
      for (const id of living) this.#dead.delete(id);
      this.#parts.disk.write(DEAD_DOCUMENT, { dead: [...this.#dead] }, () => undefined);
      this.#askAround(ASK_SOON_MS);
    }
    if (change.kind !== "job") this.#look();
  }

  #leftOnes(): ReadonlySet<string> {
    const { members } = this.#parts.cluster.status();
    return new Set(members.filter(({ standing }) => standing === "left").map(({ id }) => id));
  }

  /** Tells the machine how things are, where that is news, and sets the next look. */
  #look(): void {
    if (this.#isStopped) return;
    const { members } = this.#parts.cluster.status();
    const inView = members.filter((member) => member.inView);
    const isGone = (standing: string): boolean => this.#isFrozen && standing === "unreachable";
    const living = inView.filter(({ standing }) => !isGone(standing)).map(({ id }) => id as NodeId);
    const silent = inView.filter(({ standing }) => isGone(standing)).map(({ id }) => id as NodeId);
    const left = this.#leftOnes();
    const dead = [...this.#dead].filter((id) => !left.has(id) && !living.includes(id));
    const look = JSON.stringify([living, dead, silent]);
    if (look !== this.#lastLook && living.length > 0) {
      this.#lastLook = look;
      this.#tell({ kind: "members", living, dead: [...dead, ...silent] });
    }
    for (const node of [...dead, ...silent]) {
      const isKnown = this.#parts.known.bmcsOf(node).length > 0;
      this.#tell({ kind: "known", node, isKnown });
    }
    if (this.#parts.clock.nowMs() >= this.#machine.dueMs()) this.#tell({ kind: "tick" });
    this.#arm(dead.length + silent.length > 0 || this.#isFrozen);
  }

  #arm(isBusy: boolean): void {
    this.#timer?.end();
    this.#timer = null;
    if (!isBusy || this.#isStopped) return;
    const dueInMs = this.#machine.dueMs() - this.#parts.clock.nowMs();
    const delayMs = Math.max(10, Math.min(LOOK_EVERY_MS, dueInMs));
    this.#timer = this.#parts.clock.after(delayMs, () => this.#look());
  }

  #tell(event: StandInEvent): void {
    for (const effect of this.#machine.step(event, this.#parts.clock.nowMs())) {
      this.#perform(effect);
    }
  }

  #perform(effect: StandInEffect): void {
    if (effect.kind === "watch") this.#watch(effect.node);
    else if (effect.kind === "unwatch") this.#unwatch(effect.node, effect.why);
    else void this.#askWhoWatches(effect.node, effect.peers);
  }

  #watch(node: NodeId): void {
    const { known, watchedBmc, keeper, pollMs, disk, clock, log, onChange } = this.#parts;
    for (const { url, system, memory } of known.bmcsOf(node)) {
      const bmc = watchedBmc(url);
      const key = `${node} ${bmc.name}`;
      if (this.#watchers.has(key)) continue;
      log.say(
        "event",
        `${node} is dead: its BMC ${bmc.name} is watched from here until it is back`,
      );
      const watcher = new BmcWatcher({
        name: bmc.name,
        pollMs,
        open: () => bmc.open((text) => log.say("event", `bmc ${bmc.name} of ${node}: ${text}`)),
        keeper,
        door: null,
        disk,
        clock,
        log,
        inherited: { guid: system, memory },
        ofNode: node,
        onChange,
      });
      this.#watchers.set(key, watcher);
      watcher.begin();
    }
    onChange();
  }

  #unwatch(node: NodeId, why: string): void {
    this.#parts.log.say("event", `the BMC of ${node} is not watched from here any more: ${why}`);
    for (const [key, watcher] of this.#watchers) {
      if (!key.startsWith(`${node} `)) continue;
      this.#watchers.delete(key);
      this.#end(watcher);
    }
    this.#parts.onChange();
  }

  #end(watcher: BmcWatcher): void {
    const ended = watcher.stop();
    this.#ending.add(ended);
    void ended.finally(() => this.#ending.delete(ended));
  }

  async #askWhoWatches(node: NodeId, peers: readonly NodeId[]): Promise<void> {
    const { cluster, agentUrl, caller } = this.#parts;
    const { members } = cluster.status();
    const asked = peers.map(async (peer): Promise<NodeId | null> => {
      const member = members.find(({ id }) => id === peer);
      if (member === undefined) return null;
      const answer = await askJson(caller, {
        target: { role: "agent", url: agentUrl(member) },
        path: WAY_PATH,
        method: "GET",
        body: null,
        schema: wayAnswerSchema,
        timeoutMs: ANSWER_WITHIN_MS,
      });
      return answer.ok && answer.value.standsInFor.includes(node) ? peer : null;
    });
    const by = (await Promise.all(asked)).filter((peer) => peer !== null);
    if (this.#isStopped) return;
    this.#tell({ kind: "watchers", node, by });
    this.#look();
  }

  #askAround(delayMs: number): void {
    this.#askTimer?.end();
    if (this.#isStopped) return;
    this.#askTimer = this.#parts.clock.after(delayMs, () => {
      void this.#askOthers().then(() => this.#askAround(ASK_EVERY_MS));
    });
  }

  /** Those for whom this node is among the first that would stand in. */
  async #askOthers(): Promise<void> {
    const { self, cluster, known, agentUrl } = this.#parts;
    const living = cluster
      .status()
      .members.filter(({ inView }) => inView)
      .sort((a, b) => compareNodeIds(a.id as NodeId, b.id as NodeId));
    const asked = living.filter(({ id }) => {
      if (id === self) return false;
      const first = living.filter((one) => one.id !== id).slice(0, ASKERS);
      return first.some((one) => one.id === self);
    });
    await Promise.all(asked.map((member) => known.ask(member.id, agentUrl(member))));
  }
}
