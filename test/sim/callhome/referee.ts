/**
 * Looks on after every step of every node, and knows what nobody in the cluster does: what was acknowledged, what has arrived,
 * what is under way. It judges by its own simple rules, not by the machine's.
 *
 * - nothing acknowledged is closed before the destination has it, or refused it for good
 * - one ticket an id
 * - one path at a time: an event is given to another path only when the one before had answered, failed, had its time, or was known
 *   dead or unable (except the event that says that nothing comes through)
 * - at most one duplicate at the destination for each time that it was given on
 * - requests and what is in them stay within their bounds; nothing is sent after it was closed
 */
import {
  ANSWER_MS,
  CANNOT_RELAY_MS,
  type DeliveryEffect,
  type DeliveryEvent,
  type DeliveryStep,
  type Path,
  R1_MS,
  R2_MS,
  REQUESTS_MAX,
} from "../../../agent/callhome/delivery-events.ts";
import { PARCELS_MAX, type ReceiptLine } from "../../../agent/callhome/protocol.ts";
import type { SimTime } from "../../../agent/runtime/sim/sim-clock.ts";
import { holds, Violation } from "../world/violation.ts";
import type { SimDestination } from "./destination.ts";
import type { SimNode } from "./node.ts";

interface UnderWay {
  readonly path: string;
  readonly request: number;
  readonly sentMs: number;
  keptMs: number | null;
  isOver: boolean;
}

interface Known {
  readonly id: string;
  readonly node: string;
  readonly acknowledgedMs: number;
  readonly isByEveryPath: boolean;
  isClosed: boolean;
  sendCount: number;
  /** Managers that relayed it again, and restarts. */
  excuses: number;
  last: UnderWay | null;
  /** When it was last given to each path. */
  readonly sentMs: Map<string, number>;
}

interface ManagerSeen {
  beatMs: number;
  cannotSinceMs: number | null;
  isLost: boolean;
}

/** Clocks of nodes run at most so much too fast. */
const SLACK_MS = 60;
/** Events that go by every path do so beside the others. */
const SPREAD_MAX = 3;
/** Rate of steps of one node that calm and storm alike stay below; more is a loop. */
const STEPS_PER_SECOND_MAX = 2_000;

export class Referee {
  readonly #time: SimTime;
  readonly #destination: SimDestination;
  readonly #events = new Map<string, Known>();
  readonly #requests = new Map<string, readonly string[]>();
  readonly #asks = new Map<string, string>();
  readonly #managers = new Map<string, ManagerSeen>();
  #stepsFrom = { ms: 0, count: 0 };
  /** Two words of FNV-1a over times and effects: a check of determinism, not a digest of data. */
  #hashHigh = 0x811c9dc5;
  #hashLow = 0x01000193;
  closedCount = 0;
  failOvers = 0;
  duplicates = 0;

  constructor(time: SimTime, destination: SimDestination) {
    this.#time = time;
    this.#destination = destination;
    destination.onArrival = (id) => this.#arrived(id);
  }

  acknowledged(id: string, node: string, isByEveryPath: boolean): void {
    const acknowledgedMs = this.#time.nowMs();
    const what = { id, node, acknowledgedMs, isByEveryPath };
    this.#events.set(id, {
      ...what,
      isClosed: false,
      sendCount: 0,
      excuses: 0,
      last: null,
      sentMs: new Map(),
    });
  }

  all(): readonly Known[] {
    return [...this.#events.values()];
  }

  get count(): number {
    return this.#events.size;
  }

  /** From when it was acknowledged to when the destination had it; null: not yet. */
  delayMs(id: string): number | null {
    const first = this.#destination.firstMs.get(id);
    const known = this.#events.get(id);
    return first === undefined || known === undefined ? null : first - known.acknowledgedMs;
  }

  nodeDied(node: string): void {
    for (const key of [...this.#requests.keys()]) {
      if (key.startsWith(`${node}/`)) this.#requests.delete(key);
    }
    for (const known of this.#events.values()) {
      if (known.node !== node || known.last === null) continue;
      known.last.isOver = true;
      known.excuses++;
      // What was closed and not on disk as closed is open again, and asked about before it is sent.
      if (known.isClosed) known.isClosed = false;
    }
    for (const key of [...this.#managers.keys()]) {
      if (key.startsWith(`${node}/`)) this.#managers.delete(key);
    }
  }

  nodeStarted(node: string, managers: readonly string[]): void {
    for (const manager of managers) this.#seen(node, manager);
  }

  heard(node: string, manager: string, line: ReceiptLine): void {
    if (line.kind === "not-relayed") {
      const last = this.#events.get(line.id)?.last;
      if (last) last.isOver = true;
    }
    if (line.kind === "receipt") this.#stuck.delete(`${node}/manager ${manager}`);
    if (line.kind !== "beat") return;
    const nowMs = this.#time.nowMs();
    const seen = this.#seen(node, manager);
    seen.beatMs = nowMs;
    seen.isLost = false;
    if (line.canRelay) seen.cannotSinceMs = null;
    else seen.cannotSinceMs ??= nowMs;
  }

  hash(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, "0");
    return hex(this.#hashHigh) + hex(this.#hashLow);
  }

  #mix(word: number): void {
    this.#hashHigh = Math.imul(this.#hashHigh ^ word, 0x01000193);
    this.#hashLow = Math.imul(this.#hashLow ^ word ^ (this.#hashHigh >>> 15), 0x85ebca6b);
  }

  stepped(node: SimNode, event: DeliveryEvent, effects: readonly DeliveryEffect[]): void {
    this.#countStep(node);
    this.#mix(Math.round(this.#time.nowMs() * 1_000) >>> 0);
    for (const { kind } of effects) for (const char of kind) this.#mix(char.charCodeAt(0));
    if (event.kind === "manager-lost") {
      this.#seen(node.party.name, event.manager).isLost = true;
    }
    if (event.kind === "answered") this.#answered(node, event);
    if (event.kind === "failed") this.#over(node, event.request);
    if (event.kind === "digest") this.#asked(node, event);
    for (const effect of effects) this.#check(node, effect);
  }

  /** Once all is calm: what is owed. */
  settled(nodes: readonly SimNode[]): string | null {
    for (const { openCount, party } of nodes) {
      if (openCount > 0) return `${party.name} has ${openCount} events open`;
    }
    for (const { id } of this.#events.values()) {
      if (!this.#isDone(id)) return `${id} is not delivered`;
    }
    return null;
  }

  #isDone(id: string): boolean {
    const { poison } = this.#destination;
    return this.#destination.has(id) || poison.has(id);
  }

  #seen(node: string, manager: string): ManagerSeen {
    const key = `${node}/${manager}`;
    let seen = this.#managers.get(key);
    if (seen === undefined) {
      seen = { beatMs: this.#time.nowMs(), cannotSinceMs: null, isLost: false };
      this.#managers.set(key, seen);
    }
    return seen;
  }

  #countStep(node: SimNode): void {
    const nowMs = this.#time.nowMs();
    if (nowMs - this.#stepsFrom.ms > 1_000) this.#stepsFrom = { ms: nowMs, count: 0 };
    const count = ++this.#stepsFrom.count;
    if (count > STEPS_PER_SECOND_MAX * 10) {
      throw new Violation("liveness", "loop", `${node.party.name}: ${count} steps in a second`);
    }
  }

  #arrived(id: string): void {
    const known = this.#events.get(id);
    if (known === undefined) return;
    const tickets = this.#destination.tickets.get(id) ?? [];
    holds(tickets.length <= 1, "second ticket", () => `${id} has ${tickets.join(", ")}`);
    const arrivals = this.#destination.arrivals.get(id) ?? 0;
    if (arrivals > 1) this.duplicates++;
    if (known.isByEveryPath) return;
    const allowed = Math.max(0, known.sendCount - 1) + known.excuses;
    holds(arrivals - 1 <= allowed, "too many duplicates", () => {
      return `${id} arrived ${arrivals} times after ${known.sendCount} sends and ${known.excuses} excuses`;
    });
  }

  /** A manager gives it to the destination once more, as it had no answer: a fail-over of its own. */
  relayedAgain(id: string): void {
    const known = this.#events.get(id);
    if (known !== undefined) known.excuses++;
  }

  #answered(node: SimNode, event: Extract<DeliveryEvent, { readonly kind: "answered" }>): void {
    const nowMs = this.#time.nowMs();
    for (const result of event.results) {
      const last = this.#events.get(result.id)?.last;
      if (!last || last.request !== event.request) continue;
      if (result.kind === "kept") last.keptMs = nowMs;
      else last.isOver = true;
    }
    this.#over(node, event.request, true);
  }

  /** Whoever was given it says that it has it not. */
  #asked(node: SimNode, event: Extract<DeliveryEvent, { readonly kind: "digest" }>): void {
    const path = this.#asks.get(`${node.party.name}/${event.request}`);
    for (const { id, state } of event.states) {
      const last = this.#events.get(id)?.last;
      if (!last || last.path !== path) continue;
      if (state === "unknown") last.isOver = true;
    }
  }

  #over(node: SimNode, request: number, isAnswered = false): void {
    const key = `${node.party.name}/${request}`;
    const known = this.#requests.get(key);
    if (known === undefined) return;
    this.#requests.delete(key);
    for (const id of known) {
      const last = this.#events.get(id)?.last;
      if (last && last.request === request && !isAnswered) last.isOver = true;
    }
  }

  #check(node: SimNode, effect: DeliveryEffect): void {
    if (effect.kind === "close") this.#closed(effect.id, effect.as);
    if (effect.kind === "record" && effect.step.step === "retried") {
      this.#givenUp(node.party.name, effect.step);
    }
    if (effect.kind === "ask-digest") {
      const { name, kind } = effect.path;
      this.#asks.set(`${node.party.name}/${effect.request}`, `${kind} ${name}`);
    }
    if (effect.kind !== "send") return;
    const { ids, path, request } = effect;
    holds(
      ids.length >= 1 && ids.length <= PARCELS_MAX,
      "batch",
      () => `${ids.length} in a request`,
    );
    this.#requests.set(`${node.party.name}/${request}`, ids);
    const { requestCount = 0 } =
      node.machine
        .report(node.nowMs())
        .paths.find((each) => each.path.kind === path.kind && each.path.name === path.name) ?? {};
    const isSpread = this.#events.get(ids[0] ?? "")?.isByEveryPath === true;
    holds(isSpread || requestCount <= REQUESTS_MAX + SPREAD_MAX, "requests", () => {
      return `${requestCount} under way to ${path.kind} ${path.name}`;
    });
    for (const id of ids) this.#sent(node.party.name, id, path, request);
  }

  /** It is judged when it is decided: the next path may be found much later. */
  #givenUp(node: string, { id, path, reason }: DeliveryStep): void {
    const known = this.#events.get(id);
    if (known === undefined || path === null) return;
    const nowMs = this.#time.nowMs();
    const key = `${path.kind} ${path.name}`;
    const sentMs = known.sentMs.get(key) ?? nowMs;
    if (reason.startsWith("R2 is missing") && nowMs - sentMs + SLACK_MS >= R2_MS) {
      this.#stuck.add(`${node}/${key}`);
    }
    const { last } = known;
    if (last === null || last.path !== key) return;
    if (this.#mayGoOn(node, last, nowMs) !== null) last.isOver = true;
  }

  #sent(node: string, id: string, path: Path, request: number): void {
    const known = this.#events.get(id);
    holds(known !== undefined, "unknown event", () => `${id} was never acknowledged`);
    holds(!known.isClosed, "sent after closed", () => `${id} by ${path.kind} ${path.name}`);
    const nowMs = this.#time.nowMs();
    const { last } = known;
    if (last !== null && !known.isByEveryPath) {
      const why = this.#mayGoOn(node, last, nowMs);
      holds(why !== null, "two paths at once", () => {
        const age = Math.round(nowMs - last.sentMs);
        return `${id} by ${path.kind} ${path.name}, ${age} ms after ${last.path}, which is still owed time`;
      });
      this.failOvers++;
    }
    known.sendCount++;
    known.sentMs.set(`${path.kind} ${path.name}`, nowMs);
    known.last = {
      path: `${path.kind} ${path.name}`,
      request,
      sentMs: nowMs,
      keptMs: null,
      isOver: false,
    };
  }

  /** Why the one before is owed no more time; null: it is. */
  #mayGoOn(node: string, last: UnderWay, nowMs: number): string | null {
    if (last.isOver) return "it is over";
    const ageMs = nowMs - last.sentMs + SLACK_MS;
    if (ageMs >= Math.max(R2_MS, ANSWER_MS)) return "all time has passed";
    if (!last.path.startsWith("manager ")) return null;
    if (last.keptMs === null && ageMs >= R1_MS) return "R1 is missing";
    const seen = this.#seen(node, last.path.slice("manager ".length));
    if (seen.isLost || nowMs - seen.beatMs + SLACK_MS >= 3_000) return "it is dead";
    const cannot = seen.cannotSinceMs;
    if (cannot !== null && nowMs - cannot + SLACK_MS >= CANNOT_RELAY_MS) return "it cannot relay";
    // It keeps it, and R2 of another event was missing: it is known not to relay.
    return last.keptMs !== null && this.#stuck.has(`${node}/${last.path}`)
      ? "it does not relay"
      : null;
  }

  /** By manager: when R2 of something was missing at a node, so that it is known not to relay. */
  readonly #stuck = new Set<string>();

  #closed(id: string, as: "delivered" | "refused"): void {
    const known = this.#events.get(id);
    if (known === undefined) return;
    known.isClosed = true;
    this.closedCount++;
    if (as === "delivered") {
      holds(this.#destination.has(id), "acknowledged lost", () => `${id} closed, never arrived`);
    } else {
      const isPoison = this.#destination.poison.has(id);
      holds(isPoison, "acknowledged lost", () => `${id} closed as refused, nobody refused it`);
    }
  }
}
