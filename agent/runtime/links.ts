/**
 * Connections between agents: ordered, whole messages, each at most once; what was not read when one closes is lost.
 *
 * There is at most one link to a peer, whoever dialled. `onClose` is a hint that the peer's process ended, not a verdict.
 * The real twin is a WebSocket a peer (bounded message size, bounded queue); the simulated twin is `sim/sim-network.ts`.
 */
import type { Endpoint } from "./datagrams.ts";

export interface Links<Message> {
  /**
   * Dials when there is no link yet. False: refused because the queue to this peer is full or the links are closed; the
   * message is dropped, as it would be by a link that closes.
   */
  send(peer: string, at: Endpoint, message: Message): boolean;
  /** Dials when there is no link yet; `onOpen` or `onClose` tells how it went. */
  open(peer: string, at: Endpoint): void;
  close(peer: string): void;
  closeAll(): void;
}

export interface LinkHandler<Message> {
  onOpen(peer: string): void;
  onMessage(peer: string, message: Message): void;
  /** The link is gone, or could not be made. */
  onClose(peer: string, detail: string): void;
}

/** Messages waiting for one peer; above it `send` refuses. */
export const LINK_QUEUE_MAX = 10_000;
