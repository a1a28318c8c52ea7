/**
 * The network between simulated hosts: which direction is cut, how long packets take, what is lost or doubled.
 *
 * Datagrams are independent: each may be lost, doubled, late, hence out of order. Links (`sim-links.ts`) ask this file for
 * the same conditions but behave as TCP does: a loss costs time, a cut direction holds messages back until it heals or the
 * connection gives up. Directions are cut singly, so a partition may be one-way.
 *
 * The random numbers of datagrams and of links are apart, so that a chattier link does not reshuffle the probes.
 */
import type { Datagrams, Endpoint, OnDatagram } from "../datagrams.ts";
import type { Prng } from "../prng.ts";
import type { SimTime } from "./sim-clock.ts";

export interface NetworkConditions {
  readonly latencyMsMin: number;
  readonly latencyMsMax: number;
  /** Each datagram; on a link a loss means a retransmission. */
  readonly lossRatio: number;
  readonly duplicateRatio: number;
  /** Share of the datagrams that are held back for up to `reorderMsMax`. */
  readonly reorderRatio: number;
  readonly reorderMsMax: number;
}

export const CALM: NetworkConditions = {
  latencyMsMin: 0.1,
  latencyMsMax: 0.6,
  lossRatio: 0,
  duplicateRatio: 0,
  reorderRatio: 0,
  reorderMsMax: 0,
};

/** The kernel's first retransmission. */
const RETRANSMIT_MS = 200;

export function endpointName(endpoint: Endpoint): string {
  return `${endpoint.address}:${endpoint.port}`;
}

export class SimNetwork {
  readonly time: SimTime;
  readonly #datagramPrng: Prng;
  readonly #linkPrng: Prng;
  readonly #sockets = new Map<string, OnDatagram<never>>();
  readonly #cuts = new Set<string>();
  readonly #onHeal = new Set<() => void>();
  #conditions: NetworkConditions = CALM;
  #sentCount = 0;

  constructor(time: SimTime, prng: Prng) {
    this.time = time;
    this.#datagramPrng = prng.fork("datagrams");
    this.#linkPrng = prng.fork("links");
  }

  setConditions(conditions: NetworkConditions): void {
    this.#conditions = conditions;
  }

  /** Nothing goes from `source` to `target` (addresses) any more; the other way is not touched. */
  cut(source: string, target: string): void {
    this.#cuts.add(`${source}>${target}`);
  }

  mend(source: string, target: string): void {
    if (this.#cuts.delete(`${source}>${target}`)) this.#tellHealed();
  }

  mendAll(): void {
    this.#cuts.clear();
    this.#tellHealed();
  }

  isCut(source: string, target: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${source}>${target}`);
  }

  cutCount(): number {
    return this.#cuts.size;
  }

  datagramCount(): number {
    return this.#sentCount;
  }

  /** One way, once: for a link's message. */
  linkDelayMs(): number {
    const { latencyMsMin, latencyMsMax, lossRatio } = this.#conditions;
    let delayMs = latencyMsMin + this.#linkPrng.unit() * (latencyMsMax - latencyMsMin);
    let waitMs = RETRANSMIT_MS;
    // At most six times, as a loss ratio of 1 would otherwise never end.
    for (let i = 0; i < 6 && lossRatio > 0 && this.#linkPrng.unit() < lossRatio; i++) {
      delayMs += waitMs;
      waitMs *= 2;
    }
    return delayMs;
  }

  /** Yes or no, once: for a link that decides what a reset swallowed. */
  linkCoin(): boolean {
    return this.#linkPrng.below(2) === 0;
  }

  datagrams<Packet>(at: Endpoint, onDatagram: OnDatagram<Packet>): Datagrams<Packet> {
    const name = endpointName(at);
    const receive = onDatagram as unknown as OnDatagram<never>;
    this.#sockets.set(name, receive);
    return {
      send: (to, packet) => this.#send(at, to, packet as never),
      close: () => {
        if (this.#sockets.get(name) === receive) this.#sockets.delete(name);
      },
    };
  }

  /** Called whenever a direction is mended. */
  watchHealing(run: () => void): () => void {
    this.#onHeal.add(run);
    return () => this.#onHeal.delete(run);
  }

  #tellHealed(): void {
    for (const run of [...this.#onHeal]) run();
  }

  #send(from: Endpoint, to: Endpoint, packet: never): void {
    this.#sentCount++;
    const { lossRatio, duplicateRatio } = this.#conditions;
    const random = this.#datagramPrng;
    if (lossRatio > 0 && random.unit() < lossRatio) return;
    this.#deliver(from, to, packet);
    if (duplicateRatio > 0 && random.unit() < duplicateRatio) this.#deliver(from, to, packet);
  }

  #deliver(from: Endpoint, to: Endpoint, packet: never): void {
    const { latencyMsMin, latencyMsMax, reorderRatio, reorderMsMax } = this.#conditions;
    const random = this.#datagramPrng;
    let delayMs = latencyMsMin + random.unit() * (latencyMsMax - latencyMsMin);
    if (reorderRatio > 0 && random.unit() < reorderRatio) delayMs += random.unit() * reorderMsMax;
    this.time.after(delayMs, () => {
      // Looked at on arrival: what is under way when a cut begins is lost with it.
      if (this.isCut(from.address, to.address)) return;
      this.#sockets.get(endpointName(to))?.(packet, from);
    });
  }
}
