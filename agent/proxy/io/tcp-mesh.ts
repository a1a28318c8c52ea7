/**
 * Who is connected with whom: one connection for every pair of a job's proxies. The proxy that stands earlier in the
 * assignment dials; both say hello (job, epoch, node) before anything else counts.
 *
 * Of a job with a key both also prove that they know it (`peer-secret.ts`), and then all that follows may be encrypted.
 * A proxy listens before it is assigned, so a hello may come too early: it waits until the assignment is known, then is judged.
 * Whoever speaks something else, another job or an older epoch is refused with one line and its connection closed.
 */
import { libc } from "../../runtime/io/ffi.ts";
import type { Log } from "../../runtime/log.ts";
import {
  decodeHello,
  FRAME,
  FRAME_PROTOCOL,
  type FrameHeader,
  type FrameKind,
  HELLO_BYTES_MAX,
  type Hello,
} from "../frame.ts";
import type { ProxyEndpoint } from "../proxy.ts";
import { frameHeader } from "../send-side.ts";
import { type Span, spanBytes } from "../transport.ts";
import {
  connectionKeys,
  isSameProof,
  type MeshSecret,
  newNonce,
  PROOF_BYTES,
  proofOf,
  type Transcript,
  transcriptOf,
} from "./peer-secret.ts";
import { type Poller, READABLE, WRITABLE } from "./poller.ts";
import { accept, connectionError, connectTcp, listenTcp, sendAtOnce } from "./socket.ts";
import { heapSpan, TcpConnection } from "./tcp-connection.ts";

const PENDING_MAX = 64;
const RETRY_MS = 20;
const RETRY_MS_MAX = 320;
const REFUSALS_SHOWN = 32;

export interface MeshPlan {
  readonly job: string;
  readonly epoch: number;
  readonly node: string;
  readonly proxies: readonly ProxyEndpoint[];
  /** null: a job without a key, which takes every peer at its word. */
  readonly secret: MeshSecret | null;
}

export interface MeshOwner {
  onFrame(node: string, header: FrameHeader, payload: Span | null): void;
  spanFor(node: string, header: FrameHeader): Span | null;
  /** Null: fine. Else why a frame with this header is against the rules. */
  judge(node: string, header: FrameHeader): string | null;
  onJoined(): void;
  onLost(node: string, reason: string): void;
}

interface Dial {
  readonly endpoint: ProxyEndpoint;
  dueMs: number;
  waitMs: number;
}

interface Peer {
  readonly connection: TcpConnection;
  /** Null until its hello was accepted. */
  node: string | null;
  hello: Hello | null;
  /** Dialled from here, to this endpoint. */
  readonly dialled: ProxyEndpoint | null;
  /** Ours, new for each connection. */
  readonly nonce: string;
  /** It dialled, has our proof, and is to send its own. */
  isProving: boolean;
}

/** Of a peer that is not known yet; null: fine. */
function judgeFirst(peer: Peer, { kind, payloadBytes }: FrameHeader): string | null {
  if (peer.isProving) {
    const isProof = kind === FRAME.proof && payloadBytes === PROOF_BYTES;
    return isProof ? null : "does not prove that it knows the job's key";
  }
  if (peer.hello !== null) return "goes on before its hello was answered";
  if (kind !== FRAME.hello) return "does not say hello first";
  return payloadBytes <= HELLO_BYTES_MAX ? null : "says too long a hello";
}

export class TcpMesh {
  readonly port: number;
  readonly #poller: Poller;
  readonly #log: Log;
  readonly #nowMs: () => number;
  readonly #peers = new Map<TcpConnection, Peer>();
  readonly #byNode = new Map<string, TcpConnection>();
  #dials: Dial[] = [];
  #plan: MeshPlan | null = null;
  #owner: MeshOwner | null = null;
  #isJoined = false;
  #refusalCount = 0;

  constructor(host: string, poller: Poller, log: Log, nowMs: () => number) {
    this.#poller = poller;
    this.#log = log;
    this.#nowMs = nowMs;
    const { fd, port } = listenTcp(host);
    this.port = port;
    poller.add(fd, READABLE, () => this.#accept(fd));
  }

  join(plan: MeshPlan, owner: MeshOwner): void {
    this.#plan = plan;
    this.#owner = owner;
    const own = plan.proxies.findIndex((proxy) => proxy.node === plan.node);
    this.#dials = plan.proxies
      .filter((_, index) => index > own)
      .map((endpoint) => ({ endpoint, dueMs: 0, waitMs: RETRY_MS }));
    for (const peer of [...this.#peers.values()]) if (peer.hello !== null) this.#admit(peer);
    this.tick();
    this.#checkJoined();
  }

  connectionTo(node: string): TcpConnection | undefined {
    return this.#byNode.get(node);
  }

  connections(): Iterable<TcpConnection> {
    return this.#byNode.values();
  }

  /** Null: nothing to be done before something happens. */
  get dueAtMs(): number | null {
    return this.#dials.length === 0 ? null : Math.min(...this.#dials.map((dial) => dial.dueMs));
  }

  /** Dials whoever is due. */
  tick(): void {
    if (this.#dials.length === 0) return;
    const now = this.#nowMs();
    const due = this.#dials.filter((dial) => dial.dueMs <= now);
    for (const dial of due) this.#dial(dial);
  }

  close(): void {
    for (const { connection } of this.#peers.values()) connection.close();
  }

  #accept(listener: number): void {
    for (;;) {
      const fd = accept(listener);
      if (fd < 0) return;
      // Whoever has waited longest without a word makes room: silent connections cannot shut others out.
      const pending = [...this.#peers.values()].filter((peer) => peer.node === null);
      const oldest = pending.find((peer) => peer.dialled === null);
      if (pending.length >= PENDING_MAX && oldest !== undefined) {
        this.#drop(oldest, `is one of more than ${PENDING_MAX} that do not say who they are`);
      }
      sendAtOnce(fd);
      this.#open(fd, null);
    }
  }

  #dial(dial: Dial): void {
    this.#dials = this.#dials.filter((other) => other !== dial);
    const { endpoint } = dial;
    const fd = connectTcp(endpoint.host, endpoint.port);
    if (fd < 0) {
      this.#dialAgain(endpoint, dial.waitMs);
      return;
    }
    this.#poller.add(fd, WRITABLE, () => {
      this.#poller.remove(fd);
      if (connectionError(fd) !== 0) {
        libc.close(fd);
        this.#dialAgain(endpoint, dial.waitMs);
        return;
      }
      sendAtOnce(fd);
      this.#sayHello(this.#open(fd, endpoint));
    });
  }

  #dialAgain(endpoint: ProxyEndpoint, waitMs: number): void {
    const next = Math.min(waitMs * 2, RETRY_MS_MAX);
    this.#dials.push({ endpoint, dueMs: this.#nowMs() + waitMs, waitMs: next });
  }

  #open(fd: number, dialled: ProxyEndpoint | null): Peer {
    const connection = new TcpConnection(fd, this.#poller, {
      onHeader: (from, header) => this.#onHeader(from, header),
      spanFor: (from, header) => this.#spanFor(from, header),
      onFrame: (from, header, payload) => this.#onFrame(from, header, payload),
      onBroken: (from, reason) => this.#onBroken(from, reason),
    });
    const nonce = newNonce();
    const peer: Peer = { connection, node: null, hello: null, dialled, nonce, isProving: false };
    this.#peers.set(connection, peer);
    return peer;
  }

  /** `proof`: ours, that we know the job's key. */
  #sayHello(peer: Peer, proof: Uint8Array | null = null): void {
    const plan = this.#plan;
    if (plan === null) return;
    const { job, epoch, node, secret } = plan;
    const hello: Hello = {
      ...{ protocol: FRAME_PROTOCOL, job, epoch, node },
      ...(secret === null ? {} : { nonce: peer.nonce }),
      ...(proof === null ? {} : { proof: proof.toHex() }),
    };
    this.#say(peer, FRAME.hello, new TextEncoder().encode(JSON.stringify(hello)));
  }

  #say({ connection }: Peer, kind: FrameKind, bytes: Uint8Array): void {
    const span = heapSpan(bytes.byteLength);
    span.memory.u8.set(bytes);
    const epoch = this.#plan?.epoch ?? 0;
    const header = frameHeader(kind, { epoch, payloadBytes: bytes.byteLength });
    connection.send({ header, payload: span, onWritten: null });
  }

  #onHeader(connection: TcpConnection, header: FrameHeader): string | null {
    const peer = this.#peers.get(connection);
    if (peer === undefined) return "is not known any more";
    if (peer.node === null) return judgeFirst(peer, header);
    if (header.kind === FRAME.hello || header.kind === FRAME.proof) return "says hello twice";
    if (header.epoch !== this.#plan?.epoch) return `speaks of epoch ${header.epoch}`;
    return this.#owner?.judge(peer.node, header) ?? null;
  }

  #spanFor(connection: TcpConnection, header: FrameHeader): Span | null {
    const node = this.#peers.get(connection)?.node ?? null;
    return node === null ? null : (this.#owner?.spanFor(node, header) ?? null);
  }

  #onFrame(connection: TcpConnection, header: FrameHeader, payload: Span | null): void {
    const peer = this.#peers.get(connection);
    if (peer === undefined) return;
    if (peer.node !== null) {
      this.#owner?.onFrame(peer.node, header, payload);
      return;
    }
    const bytes = payload === null ? new Uint8Array(0) : spanBytes(payload);
    if (peer.isProving) {
      this.#onProof(peer, bytes);
      return;
    }
    const decoded = decodeHello(bytes);
    if (!decoded.ok) {
      this.#drop(peer, decoded.error);
      return;
    }
    peer.hello = decoded.value;
    // Before the assignment is known nobody can be judged, nor is anything more read.
    if (this.#plan !== null) this.#admit(peer);
  }

  /** Judges a hello. */
  #admit(peer: Peer): void {
    const { hello } = peer;
    const plan = this.#plan;
    if (hello === null || plan === null) return;
    const refusal = this.#judgeHello(hello, plan, peer);
    if (refusal !== null) {
      this.#drop(peer, refusal);
      return;
    }
    if (plan.secret !== null) {
      this.#prove(peer, hello, { ...plan, secret: plan.secret });
      return;
    }
    // The answer goes out before anything else may be said on this connection.
    if (peer.dialled === null) this.#sayHello(peer);
    this.#take(peer, hello.node);
  }

  /** Shows the other side that we know the job's key, and looks at what it has shown. */
  #prove(peer: Peer, hello: Hello, plan: MeshPlan & { readonly secret: MeshSecret }): void {
    const transcript = this.#transcript(peer, hello, plan);
    if (transcript === null) {
      this.#drop(peer, "does not know that the job has a key");
      return;
    }
    const { key } = plan.secret;
    if (peer.dialled === null) {
      this.#sayHello(peer, proofOf(key, "accepts", transcript));
      peer.isProving = true;
      return;
    }
    const shown = Uint8Array.fromHex(hello.proof ?? "");
    if (!isSameProof(shown, proofOf(key, "accepts", transcript))) {
      this.#drop(peer, "does not know the job's key");
      return;
    }
    this.#say(peer, FRAME.proof, proofOf(key, "dials", transcript));
    this.#takeProved(peer, transcript, key);
  }

  #transcript(
    peer: Peer,
    hello: Hello,
    plan: MeshPlan & { secret: MeshSecret },
  ): Transcript | null {
    const { job, epoch, node } = plan;
    const own = { node, nonce: peer.nonce };
    const other = { node: hello.node, nonce: hello.nonce };
    const [dialler, acceptor] = peer.dialled === null ? [other, own] : [own, other];
    return transcriptOf({ job, epoch, isEncrypted: plan.secret.isEncrypted }, dialler, acceptor);
  }

  #onProof(peer: Peer, shown: Uint8Array): void {
    const { hello } = peer;
    const plan = this.#plan;
    if (hello === null || plan === null || plan.secret === null) return;
    const transcript = this.#transcript(peer, hello, { ...plan, secret: plan.secret });
    const { key } = plan.secret;
    if (transcript === null || !isSameProof(shown, proofOf(key, "dials", transcript))) {
      this.#drop(peer, "does not know the job's key");
      return;
    }
    this.#takeProved(peer, transcript, key);
  }

  #takeProved(peer: Peer, transcript: Transcript, key: Uint8Array): void {
    const { dialler, acceptor, isEncrypted } = transcript;
    peer.isProving = false;
    if (isEncrypted) {
      const { fromDialler, fromAcceptor } = connectionKeys(key, transcript);
      const keys =
        peer.dialled === null
          ? { send: fromAcceptor, receive: fromDialler }
          : { send: fromDialler, receive: fromAcceptor };
      if (!peer.connection.encrypt(keys)) {
        this.#drop(peer, "does not read what it is answered");
        return;
      }
    }
    this.#take(peer, peer.dialled === null ? dialler : acceptor);
  }

  #take(peer: Peer, node: string): void {
    this.#byNode.get(node)?.close();
    this.#byNode.set(node, peer.connection);
    peer.node = node;
    this.#checkJoined();
  }

  #judgeHello(hello: Hello, plan: MeshPlan, peer: Peer): string | null {
    if (hello.protocol !== FRAME_PROTOCOL) return `speaks protocol ${hello.protocol}`;
    if (hello.job !== plan.job) return `belongs to job ${hello.job}, this proxy to ${plan.job}`;
    if (hello.epoch < plan.epoch) return `is of epoch ${hello.epoch}, now is ${plan.epoch}`;
    if (hello.epoch > plan.epoch) return `is of epoch ${hello.epoch}, newer than ${plan.epoch}`;
    const isDialled = peer.dialled !== null;
    const known = plan.proxies.findIndex((proxy) => proxy.node === hello.node);
    const own = plan.proxies.findIndex((proxy) => proxy.node === plan.node);
    if (known < 0) return `calls itself ${hello.node}, which is not in the view`;
    const isExpected = isDialled ? peer.dialled?.node === hello.node : known < own;
    return isExpected ? null : `calls itself ${hello.node}, which is not expected here`;
  }

  #drop(peer: Peer, reason: string): void {
    this.#peers.delete(peer.connection);
    peer.connection.close();
    this.#refuse(reason);
    if (peer.dialled !== null) this.#dialAgain(peer.dialled, RETRY_MS_MAX);
  }

  #refuse(reason: string): void {
    this.#refusalCount++;
    if (this.#refusalCount <= REFUSALS_SHOWN) {
      this.#log.say("event", `proxy port ${this.port}: refused a peer: it ${reason}`);
    }
  }

  #onBroken(connection: TcpConnection, reason: string): void {
    const peer = this.#peers.get(connection);
    if (peer === undefined) return;
    this.#peers.delete(connection);
    if (peer.node === null) {
      // Closing without a word is how a port is probed, and how a stale peer is refused: no line for that.
      if (!reason.startsWith("connection")) this.#refuse(reason);
      if (peer.dialled !== null) this.#dialAgain(peer.dialled, RETRY_MS_MAX);
      return;
    }
    if (this.#byNode.get(peer.node) !== connection) return;
    this.#byNode.delete(peer.node);
    this.#owner?.onLost(peer.node, reason);
  }

  #checkJoined(): void {
    const plan = this.#plan;
    if (this.#isJoined || plan === null || this.#owner === null) return;
    const others = plan.proxies.filter((proxy) => proxy.node !== plan.node);
    if (!others.every((proxy) => this.#byNode.has(proxy.node))) return;
    this.#isJoined = true;
    this.#owner.onJoined();
  }
}
