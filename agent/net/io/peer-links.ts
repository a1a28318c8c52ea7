/**
 * One link to each peer, over WebSockets that either side may have dialled.
 *
 * Peers named by `keep` are dialled again for ever, with a growing pause; the first try after a loss is immediate, since a
 * refusal is the fastest proof that an agent is gone. Frames wait in a bounded queue while a link is being made and are
 * lost with it. Which of two connections is kept is decided in `link-choice.ts`. The other one is read for a while longer, since
 * the other side may have sent over it before it knew, and its end is not reported.
 *
 * With an identity links are TLS, and each side proves in its hello, by a token for exactly the other, that it is the node that
 * it names. After a revocation the proofs of open links are looked at again.
 */
import type { Identity } from "../../identity/identity.ts";
import type { Endpoint } from "../../runtime/datagrams.ts";
import { LINK_QUEUE_MAX, type LinkHandler, type Links } from "../../runtime/links.ts";
import { encodeHello, FRAME_BYTES_MAX, type Hello, type LinkCodec } from "../frames.ts";
import { CLOSE, chooseLink, type Refusal } from "../link-choice.ts";
import { type Connection, type DialCredentials, dial } from "./connection.ts";
import { converse, type Inbound } from "./conversation.ts";
import { PeerProofs } from "./peer-proofs.ts";
import { dialTls } from "./secure.ts";

export const PEER_PATH = "/v1/peer";

/** How long a spare connection is still read. */
const SPARE_MS = 1_000;
const REDIAL_MS_MIN = 50;
const REDIAL_MS_MAX = 2_000;
/** What a peer may leave unread; then it is cut off rather than let this agent's memory grow. */
export const UNSENT_BYTES_MAX: number = 64 * 1024 * 1024;

/** `LinkHandler` with what the real world knows besides. */
export interface PeerHandler<Message> extends LinkHandler<Message> {
  /** `isRefused`: the peer's host answered that nobody listens there, so its agent is not running. */
  onClose(peer: string, detail: string, isRefused?: boolean): void;
  /** Somebody was cut off; one line. */
  onComplaint(detail: string): void;
}

export interface PeerLinkOptions<Message> {
  /** Asked anew for each connection. */
  readonly hello: () => Hello;
  readonly codec: LinkCodec<Message>;
  readonly handler: PeerHandler<Message>;
  readonly compareIds: (a: string, b: string) => number;
  /** null, or one without certificates: in the clear, and everybody is taken at his word. */
  readonly identity: Identity | null;
}

interface Peer {
  readonly id: string;
  at: Endpoint | null;
  open: { readonly connection: Connection; readonly hello: Hello } | null;
  isDialling: boolean;
  isKept: boolean;
  queue: Uint8Array[];
  redialMs: number;
  timer: ReturnType<typeof setTimeout> | null;
}

export class PeerLinks<Message> implements Links<Message> {
  readonly #options: PeerLinkOptions<Message>;
  readonly #peers = new Map<string, Peer>();
  readonly #spares = new Set<Connection>();
  readonly #proofs: PeerProofs;
  #isClosed = false;

  constructor(options: PeerLinkOptions<Message>) {
    this.#options = options;
    this.#proofs = new PeerProofs(options.identity, () => this.#lookAgain());
  }

  send(id: string, at: Endpoint, message: Message): boolean {
    if (this.#isClosed) return false;
    const peer = this.#peerOf(id, at);
    const frame = this.#options.codec.encode(message);
    if (frame.byteLength > FRAME_BYTES_MAX) {
      this.#complain(`a message of ${frame.byteLength} bytes to ${id} is over the bound, dropped`);
      return false;
    }
    if (peer.open === null) {
      if (peer.queue.length >= LINK_QUEUE_MAX) return false;
      peer.queue.push(frame);
      this.#dial(peer);
      return true;
    }
    if (peer.open.connection.unsentBytes() > UNSENT_BYTES_MAX) {
      this.#complain(`${id} does not read what it is sent; link closed`);
      peer.open.connection.close(CLOSE.garbage, "too much unread");
      return false;
    }
    peer.open.connection.send(frame);
    return true;
  }

  open(id: string, at: Endpoint): void {
    const peer = this.#peerOf(id, at);
    if (peer.open === null) this.#dial(peer);
  }

  /** From now on exactly these peers are kept linked; links to others stay until one side closes. */
  keep(peers: ReadonlyMap<string, Endpoint>): void {
    for (const peer of [...this.#peers.values()]) {
      if (peers.has(peer.id)) continue;
      peer.isKept = false;
      if (peer.open === null && !peer.isDialling) this.#forget(peer);
    }
    for (const [id, at] of peers) {
      const peer = this.#peerOf(id, at);
      peer.isKept = true;
      if (peer.open === null && peer.timer === null) this.#dial(peer);
    }
  }

  isOpen(id: string): boolean {
    return this.#peers.get(id)?.open != null;
  }

  /** Why that node was put out of the cluster; null: it was not. Datagrams of such a node are not to be heard either. */
  whyOut(id: string): string | null {
    return this.#proofs.whyOut(id);
  }

  close(id: string): void {
    const peer = this.#peers.get(id);
    if (peer === undefined) return;
    this.#forget(peer);
    peer.isKept = false;
    peer.open?.connection.close(CLOSE.going, "no longer needed");
  }

  closeAll(): void {
    this.#isClosed = true;
    for (const id of [...this.#peers.keys()]) this.close(id);
    for (const spare of this.#spares) spare.close(CLOSE.going, "this agent ends");
    this.#proofs.close();
  }

  /** A connection that came in, by TLS from that agent; it is told our hello and must tell its own. */
  accept(connection: Connection, from: string): Inbound {
    return this.#begin(connection, null, from);
  }

  #peerOf(id: string, at: Endpoint | null): Peer {
    const known = this.#peers.get(id);
    if (known !== undefined) {
      if (at !== null) known.at = at;
      return known;
    }
    const idle = { open: null, isDialling: false, isKept: false, redialMs: 0, timer: null };
    const peer: Peer = { id, at, queue: [], ...idle };
    this.#peers.set(id, peer);
    return peer;
  }

  #forget(peer: Peer): void {
    if (peer.timer !== null) clearTimeout(peer.timer);
    peer.timer = null;
    if (this.#peers.get(peer.id) === peer) this.#peers.delete(peer.id);
  }

  #complain(detail: string): void {
    this.#options.handler.onComplaint(detail);
  }

  #dial(peer: Peer): void {
    if (peer.isDialling || peer.at === null || this.#isClosed) return;
    if (peer.timer !== null) clearTimeout(peer.timer);
    peer.timer = null;
    peer.isDialling = true;
    let inbound: Inbound | null = null;
    const credentials = this.#credentialsFor(peer.id);
    const scheme = credentials === null ? "ws" : "wss";
    const connection = dial(`${scheme}://${hostOf(peer.at)}${PEER_PATH}`, credentials, {
      onOpen: () => {
        inbound = this.#begin(connection, peer, peer.id);
      },
      onFrame: (bytes) => inbound?.onFrame(bytes),
      onClose: (code, reason) => {
        if (inbound === null) this.#dialFailed(peer, reason);
        else inbound.onClose(code, reason);
      },
    });
  }

  #credentialsFor(peer: string): DialCredentials | null {
    const tls = dialTls(this.#options.identity, "agent");
    const token = this.#proofs.make(peer);
    return tls === undefined || token === null ? null : { tls, authorization: `Bearer ${token}` };
  }

  #dialFailed(peer: Peer, reason: string): void {
    peer.isDialling = false;
    if (this.#isClosed || peer.open !== null) return;
    this.#redialLater(peer);
    peer.queue = [];
    const isRefused = reason === "ECONNREFUSED";
    this.#options.handler.onClose(peer.id, `cannot be linked: ${reason}`, isRefused);
  }

  #redialLater(peer: Peer): void {
    if (!peer.isKept) {
      this.#forget(peer);
      return;
    }
    const pauseMs = Math.max(peer.redialMs, REDIAL_MS_MIN);
    peer.redialMs = Math.min(REDIAL_MS_MAX, pauseMs * 2);
    peer.timer ??= setTimeout(() => {
      peer.timer = null;
      if (peer.open === null) this.#dial(peer);
    }, pauseMs);
  }

  /** `dialled`: the peer we meant to reach; `other`: who it is, as TLS and its token say. */
  #begin(connection: Connection, dialled: Peer | null, other: string): Inbound {
    let peer: Peer | null = null;
    const proof = this.#proofs.make(other);
    const hello = { ...this.#options.hello(), ...(proof === null ? {} : { proof }) };
    return converse(connection, encodeHello(hello), {
      onHello: (hello) => {
        const unproved = this.#proofs.whyNot(hello);
        if (unproved !== null) {
          return { kind: "refuse", code: CLOSE.garbage, detail: unproved };
        }
        const found = this.#admit(connection, hello, dialled);
        if (found.kind === "refuse") return found;
        peer = found.peer;
        return null;
      },
      onFrame: (bytes) => (peer === null ? null : this.#hear(peer, connection, bytes)),
      onClose: (_code, reason) => {
        this.#spares.delete(connection);
        if (peer !== null) this.#lost(peer, connection, reason);
        else if (dialled !== null) this.#dialFailed(dialled, reason);
      },
      onComplaint: (detail) => this.#complain(detail),
    });
  }

  #hear(peer: Peer, connection: Connection, bytes: Uint8Array): string | null {
    const message = this.#options.codec.decode(bytes);
    if (!message.ok) return `${peer.id} sends ${message.error}`;
    if (!this.#isClosed) this.#options.handler.onMessage(peer.id, message.value);
    else connection.close(CLOSE.going, "this agent is leaving");
    return null;
  }

  #admit(
    connection: Connection,
    hello: Hello,
    dialled: Peer | null,
  ): Refusal | { readonly kind: "admitted"; readonly peer: Peer } {
    const known = this.#peers.get(hello.node)?.open ?? null;
    const choice = chooseLink({
      own: this.#options.hello(),
      candidate: { hello, isDialled: connection.isDialled },
      wanted: dialled?.id ?? null,
      current: known && { hello: known.hello, isDialled: known.connection.isDialled },
      compareIds: this.#options.compareIds,
    });
    if (choice.kind === "refuse") return choice;
    const peer = this.#peerOf(hello.node, null);
    if (dialled !== null) dialled.isDialling = false;
    if (choice.kind === "spare") {
      this.#retire(connection);
      return { kind: "admitted", peer };
    }
    peer.open = { connection, hello };
    peer.redialMs = 0;
    if (choice.kind === "replace") {
      if (known !== null) this.#retire(known.connection);
      return { kind: "admitted", peer };
    }
    if (choice.kind === "new-run") {
      known?.connection.close(CLOSE.stale, "a later run of this node is linked");
      this.#options.handler.onClose(peer.id, "the node was started anew", false);
    }
    // Before the answers to `onOpen`, so that frames keep their order.
    for (const frame of peer.queue.splice(0)) connection.send(frame);
    this.#options.handler.onOpen(peer.id);
    return { kind: "admitted", peer };
  }

  /** Somebody was revoked, or an authority is not believed any more. */
  #lookAgain(): void {
    for (const { id, open } of [...this.#peers.values()]) {
      const why = this.#proofs.whyOut(id);
      if (open === null || why === null) continue;
      this.#complain(`${id} is put out: ${why}; link closed`);
      open.connection.close(CLOSE.garbage, why);
    }
  }

  #retire(connection: Connection): void {
    this.#spares.add(connection);
    setTimeout(() => connection.close(CLOSE.duplicate, "duplicate"), SPARE_MS);
  }

  #lost(peer: Peer, connection: Connection, detail: string): void {
    if (peer.open?.connection !== connection) return;
    peer.open = null;
    if (this.#isClosed) return;
    if (peer.isKept) this.#dial(peer);
    else this.#forget(peer);
    this.#options.handler.onClose(peer.id, detail, false);
  }
}

function hostOf(at: Endpoint): string {
  return at.address.includes(":") ? `[${at.address}]:${at.port}` : `${at.address}:${at.port}`;
}
