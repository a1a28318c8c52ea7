/**
 * Links between simulated processes: ordered, at most once, held back by a cut, closed by a death.
 *
 *   peer's process dies     the close arrives behind what was sent before it (or part of that is lost, as a reset does)
 *   peer's host loses power nothing arrives; the link is found dead when what was sent to it has waited `giveUpMs`
 *   direction is cut        messages wait; mended within `giveUpMs` they arrive late, else both ends close
 *   nobody listens          the dial is refused after a round trip; while cut, it fails after `dialMs`
 *
 * Ends are named by their owners, listeners found by endpoint. One link a pair of ends, whoever dials first.
 */
import type { Endpoint } from "../datagrams.ts";
import { LINK_QUEUE_MAX, type LinkHandler, type Links } from "../links.ts";
import { endpointName, type SimNetwork } from "./sim-network.ts";

export interface LinkTimes {
  readonly dialMs: number;
  readonly giveUpMs: number;
}

const USUAL_TIMES: LinkTimes = { dialMs: 1_000, giveUpMs: 5_000 };

const CLOSE: unique symbol = Symbol("close");

/** One direction of a link: a queue in order, pumped one by one. */
interface Direction {
  readonly source: End;
  readonly target: End;
  readonly queue: { readonly dueMs: number; readonly item: unknown }[];
  lastDueMs: number;
  pumping: boolean;
  /** Since when the head of the queue cannot move; null while it can. */
  heldSinceMs: number | null;
}

interface Link {
  readonly ends: readonly [End, End];
  readonly forth: Direction;
  readonly back: Direction;
  state: "dialling" | "open" | "closed";
  /** What the dialler said before the other end answered. */
  readonly early: { readonly from: End; readonly item: unknown }[];
}

/** One process's end of all its links; of one run of that process. */
class End {
  readonly name: string;
  readonly at: Endpoint;
  readonly handler: LinkHandler<unknown>;
  readonly links = new Map<string, Link>();
  state: "up" | "ended" | "silent" = "up";

  constructor(name: string, at: Endpoint, handler: LinkHandler<unknown>) {
    this.name = name;
    this.at = at;
    this.handler = handler;
  }
}

export interface SimLinksEnd<Message> extends Links<Message> {
  /** Power loss of the host: gone without a word. */
  vanish(): void;
  openCount(): number;
  isOpen(peer: string): boolean;
}

function direction(source: End, target: End): Direction {
  return { source, target, queue: [], lastDueMs: 0, pumping: false, heldSinceMs: null };
}

export class SimLinks {
  readonly #network: SimNetwork;
  readonly #times: LinkTimes;
  readonly #listeners = new Map<string, End>();
  readonly #held = new Set<Direction>();
  #longestQueue = 0;

  constructor(network: SimNetwork, times: LinkTimes = USUAL_TIMES) {
    this.#network = network;
    this.#times = times;
    network.watchHealing(() => {
      for (const way of [...this.#held]) this.#pump(way);
    });
  }

  /** Longest queue of one direction that was ever seen: for the checkers. */
  longestQueue(): number {
    return this.#longestQueue;
  }

  listen<Message>(name: string, at: Endpoint, handler: LinkHandler<Message>): SimLinksEnd<Message> {
    const end = new End(name, at, handler as LinkHandler<unknown>);
    const place = endpointName(at);
    this.#listeners.set(place, end);
    const leave = (state: "ended" | "silent") => {
      if (end.state !== "up") return;
      end.state = state;
      if (this.#listeners.get(place) === end) this.#listeners.delete(place);
    };
    return {
      send: (peer, to, message) => this.#send(end, peer, to, message),
      open: (peer, to) => {
        if (end.state === "up" && !end.links.has(peer)) this.#dial(end, peer, to);
      },
      close: (peer) => {
        const link = end.links.get(peer);
        if (link !== undefined) this.#leave(link, end);
      },
      closeAll: () => {
        leave("ended");
        for (const link of [...end.links.values()]) this.#leave(link, end);
      },
      vanish: () => {
        leave("silent");
        end.links.clear();
      },
      openCount: () => end.links.size,
      isOpen: (peer) => end.links.get(peer)?.state === "open",
    };
  }

  /** Breaks the link between two ends, as a reset in the middle would: both hear it. */
  reset(end: SimLinksEnd<never>, peer: string): void {
    end.close(peer);
  }

  #send(from: End, peer: string, to: Endpoint, message: unknown): boolean {
    if (from.state !== "up") return false;
    let link = from.links.get(peer);
    if (link === undefined) {
      this.#dial(from, peer, to);
      link = from.links.get(peer);
      if (link === undefined) return false;
    }
    if (link.state === "dialling") {
      if (link.early.length >= LINK_QUEUE_MAX) return false;
      link.early.push({ from, item: message });
      return true;
    }
    return this.#enqueue(this.#wayFrom(link, from), message);
  }

  #dial(from: End, peer: string, to: Endpoint): void {
    const time = this.#network.time;
    const isCut = () =>
      this.#network.isCut(from.at.address, to.address) ||
      this.#network.isCut(to.address, from.at.address);
    const nobody = new End(peer, to, from.handler);
    const link: Link = {
      ends: [from, nobody],
      forth: direction(from, nobody),
      back: direction(nobody, from),
      state: "dialling",
      early: [],
    };
    from.links.set(peer, link);
    const startMs = time.nowMs();
    const fail = (detail: string) => {
      if (from.links.get(peer) !== link || link.state !== "dialling") return;
      link.state = "closed";
      from.links.delete(peer);
      if (from.state === "up") from.handler.onClose(peer, detail);
    };
    const answer = () => {
      if (from.links.get(peer) !== link || link.state !== "dialling") return;
      const target = this.#listeners.get(endpointName(to));
      if (isCut() || target === undefined) {
        // A dead host and a cut look alike from here; a living one without a listener refuses at once.
        if (!isCut() && !this.#isDark(to.address)) fail("refused");
        else time.at(startMs + this.#times.dialMs, () => fail("no answer"));
        return;
      }
      this.#connect(link, from, target, peer);
    };
    time.after(this.#network.linkDelayMs() + this.#network.linkDelayMs(), answer);
  }

  readonly #dark = new Set<string>();

  /** A host without power answers nothing, not even a refusal. */
  setDark(address: string, dark: boolean): void {
    if (dark) this.#dark.add(address);
    else this.#dark.delete(address);
  }

  #isDark(address: string): boolean {
    return this.#dark.has(address);
  }

  #connect(dialled: Link, from: End, target: End, peer: string): void {
    dialled.state = "closed";
    from.links.delete(peer);
    const other = target.links.get(from.name);
    // Both dialled at once: the other's attempt becomes this link, and what it had to say goes first.
    const crossed = other?.state === "dialling" ? other : undefined;
    if (other !== undefined && crossed === undefined) this.#forget(other, target);
    const link: Link = {
      ends: [from, target],
      forth: direction(from, target),
      back: direction(target, from),
      state: "open",
      early: [],
    };
    if (crossed !== undefined) crossed.state = "closed";
    from.links.set(target.name, link);
    target.links.set(from.name, link);
    if (target.name !== peer) {
      this.#leave(link, from);
      from.handler.onClose(peer, `${target.name} answered in its place`);
      return;
    }
    for (const early of dialled.early) this.#enqueue(link.forth, early.item);
    for (const early of crossed?.early ?? []) this.#enqueue(link.back, early.item);
    target.handler.onOpen(from.name);
    if (link.state === "open") from.handler.onOpen(peer);
  }

  /** A link whose far end is of a dead run: this end hears that it is gone, now that a new run dialled. */
  #forget(link: Link, at: End): void {
    link.state = "closed";
    const peer = this.#otherEnd(link, at);
    if (at.links.get(peer.name) === link) at.links.delete(peer.name);
    if (peer.links.get(at.name) === link) peer.links.delete(at.name);
    if (at.state === "up") at.handler.onClose(peer.name, "replaced by a new link");
  }

  #otherEnd(link: Link, end: End): End {
    return link.ends[0] === end ? link.ends[1] : link.ends[0];
  }

  #wayFrom(link: Link, end: End): Direction {
    return link.forth.source === end ? link.forth : link.back;
  }

  /** `end` closes: the other end hears it behind what was sent before. */
  #leave(link: Link, end: End): void {
    if (link.state === "closed") return;
    const peer = this.#otherEnd(link, end);
    end.links.delete(peer.name);
    if (link.state === "dialling") {
      link.state = "closed";
      return;
    }
    link.state = "closed";
    const way = this.#wayFrom(link, end);
    // A process that dies leaves unsent bytes behind; what was last said may never have left.
    if (end.state !== "up" && this.#network.linkCoin()) way.queue.splice(way.queue.length >> 1);
    this.#enqueue(way, CLOSE);
  }

  #enqueue(way: Direction, item: unknown): boolean {
    if (way.queue.length >= LINK_QUEUE_MAX && item !== CLOSE) return false;
    const dueMs = Math.max(way.lastDueMs, this.#network.time.nowMs() + this.#network.linkDelayMs());
    way.lastDueMs = dueMs;
    way.queue.push({ dueMs, item });
    if (way.queue.length > this.#longestQueue) this.#longestQueue = way.queue.length;
    if (!way.pumping && way.heldSinceMs === null) this.#arm(way);
    return true;
  }

  #arm(way: Direction): void {
    const head = way.queue[0];
    if (head === undefined) return;
    way.pumping = true;
    this.#network.time.at(head.dueMs, () => {
      way.pumping = false;
      this.#pump(way);
    });
  }

  #pump(way: Direction): void {
    if (way.pumping) return;
    const nowMs = this.#network.time.nowMs();
    const head = way.queue[0];
    if (head === undefined) return;
    if (way.target.state === "silent" || this.#isHeld(way)) {
      this.#hold(way);
      return;
    }
    way.heldSinceMs = null;
    this.#held.delete(way);
    if (head.dueMs <= nowMs) {
      way.queue.shift();
      this.#hand(way, head.item);
    }
    if (!way.pumping) this.#arm(way);
  }

  #isHeld(way: Direction): boolean {
    return this.#network.isCut(way.source.at.address, way.target.at.address);
  }

  #hold(way: Direction): void {
    if (way.heldSinceMs !== null) {
      const isBack = this.#listeners.has(endpointName(way.target.at));
      if (way.target.state === "silent" && isBack && !this.#isHeld(way)) this.#giveUp(way, "reset");
      return;
    }
    const sinceMs = this.#network.time.nowMs();
    way.heldSinceMs = sinceMs;
    this.#held.add(way);
    this.#network.time.after(this.#times.giveUpMs, () => {
      if (way.heldSinceMs === sinceMs) this.#giveUp(way, "no answer");
    });
  }

  /** What waits is lost; both ends find out, each when it can. */
  #giveUp(way: Direction, detail: string): void {
    this.#held.delete(way);
    way.queue.length = 0;
    way.heldSinceMs = null;
    const { source, target } = way;
    for (const [end, peer] of [
      [source, target],
      [target, source],
    ] as const) {
      const link = end.links.get(peer.name);
      if (link === undefined || !link.ends.includes(peer)) continue;
      link.state = "closed";
      end.links.delete(peer.name);
      if (end.state === "up") end.handler.onClose(peer.name, detail);
    }
  }

  #hand(way: Direction, item: unknown): void {
    const { source, target } = way;
    if (target.state !== "up") return;
    const link = target.links.get(source.name);
    const isOurs = link?.ends.includes(source) === true;
    if (!isOurs) return;
    if (item === CLOSE) {
      link.state = "closed";
      target.links.delete(source.name);
      target.handler.onClose(source.name, "closed by the peer");
      return;
    }
    target.handler.onMessage(source.name, item);
  }
}
