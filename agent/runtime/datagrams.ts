/**
 * Packets between agents that may be lost, doubled, late or out of order: what failure detection speaks.
 *
 * The real twin is a UDP socket and owns the codec, so that a packet which does not decode never gets here. Simulated twin:
 * `sim/sim-network.ts`, which hands over the very object: a packet is never changed after it was sent.
 */
export interface Endpoint {
  /** IP literal. */
  readonly address: string;
  readonly port: number;
}

export interface Datagrams<Packet> {
  /** Best effort: never throws, never says whether it arrived. */
  send(to: Endpoint, packet: Packet): void;
  close(): void;
}

export type OnDatagram<Packet> = (packet: Packet, from: Endpoint) => void;
