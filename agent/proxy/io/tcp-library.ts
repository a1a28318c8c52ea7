/**
 * The communication library `tcp`: matching and collectives of our own over plain TCP. Needs nothing installed.
 *
 * Composes, for each local rank, its sends, receives and collectives with the mesh of connections. Ranks of one node talk
 * through memory. What a peer may send is judged frame by frame: only for ranks that live here, only from ranks that live there.
 */
import { assert } from "../../../core/assert.ts";
import { ffiBuffer } from "../../../core/io/native.ts";
import type { NodeId } from "../../membership/membership.ts";
import { CollectiveRunner } from "../collective-runner.ts";
import { isCollective } from "../collectives/plan.ts";
import type {
  Call,
  CommunicationLibrary,
  CutNote,
  Done,
  LibraryEvents,
  SavedMessage,
} from "../communication-library.ts";
import { FRAME, type FrameHeader, type FrameKind } from "../frame.ts";
import { ReceiveSide } from "../receive-side.ts";
import { OP, STATUS } from "../segment-layout.ts";
import { frameHeader, SendSide } from "../send-side.ts";
import { type OutFrame, type Span, spanBytes, type Transport } from "../transport.ts";
import { heapSpan } from "./tcp-connection.ts";
import type { TcpMesh } from "./tcp-mesh.ts";

/** Collective data held for a rank that is behind; beyond it a peer is not read any more. */
const EARLY_BYTES_MAX = 16_777_216;

export interface TcpPlan {
  readonly node: NodeId;
  readonly epoch: number;
  readonly size: number;
  /** Node of each rank. */
  readonly placement: readonly NodeId[];
  readonly localRanks: readonly number[];
}

interface LocalRank {
  readonly sends: SendSide;
  readonly receives: ReceiveSide;
  readonly collectives: CollectiveRunner;
}

const NOTE_FRAMES: Readonly<Record<CutNote["kind"], FrameKind>> = {
  prepare: FRAME.prepare,
  count: FRAME.count,
  decide: FRAME.decide,
  marker: FRAME.marker,
};

function noteKindOf(kind: FrameKind): CutNote["kind"] | null {
  const kinds = Object.keys(NOTE_FRAMES) as readonly CutNote["kind"][];
  return kinds.find((name) => NOTE_FRAMES[name] === kind) ?? null;
}

export class TcpLibrary implements CommunicationLibrary, Transport {
  readonly name = "tcp";
  readonly #plan: TcpPlan;
  readonly #mesh: TcpMesh;
  readonly #events: LibraryEvents;
  readonly #ranks = new Map<number, LocalRank>();
  /** Frames between ranks of this node, in order. */
  readonly #local: OutFrame[] = [];
  #isDelivering = false;
  /** Connections not read for the moment, and whose data is the reason. */
  readonly #paused = new Map<string, FrameHeader>();

  constructor(plan: TcpPlan, mesh: TcpMesh, events: LibraryEvents) {
    this.#plan = plan;
    this.#mesh = mesh;
    this.#events = events;
    const onDone = (done: Done): void => events.onDone(done);
    for (const rank of plan.localRanks) {
      const place = { rank, size: plan.size, epoch: plan.epoch };
      this.#ranks.set(rank, {
        sends: new SendSide(rank, plan.epoch, this, onDone),
        receives: new ReceiveSide(rank, plan.epoch, this, onDone),
        collectives: new CollectiveRunner(place, this, onDone, ffiBuffer),
      });
    }
  }

  start(call: Call): void {
    const rank = this.#rank(call.rank);
    if (isCollective(call.op)) rank.collectives.start(call);
    else if (call.op === OP.send) rank.sends.start(call);
    else if (call.op === OP.receive) rank.receives.start(call);
    else if (call.op === OP.piece) {
      if (!rank.sends.piece(call.request, call.input)) {
        rank.receives.piece(call.request, call.input);
      }
    } else {
      const { rank: of, request } = call;
      const nothing = { source: -1, tag: -1, bytes: 0, totalBytes: 0 };
      const text = `operation ${call.op} is not known`;
      this.#events.onDone({ rank: of, request, status: STATUS.badArgument, ...nothing, text });
    }
  }

  hasOpenRequests(rank: number): boolean {
    const { sends, receives } = this.#rank(rank);
    return sends.openCount > 0 || receives.openCount > 0;
  }

  progress(): boolean {
    this.#mesh.tick();
    let isResumed = false;
    for (const [node, header] of [...this.#paused]) {
      if (this.#isOverfull(header)) continue;
      this.#paused.delete(node);
      this.#mesh.connectionTo(node)?.resume();
      isResumed = true;
    }
    return isResumed;
  }

  note(note: CutNote): void {
    this.send({
      header: frameHeader(NOTE_FRAMES[note.kind], {
        epoch: this.#plan.epoch,
        source: note.source,
        destination: note.destination,
        id: note.id,
        aux: note.value,
        total: note.version,
      }),
      payload: null,
      onWritten: null,
    });
  }

  publishOpinion(text: string): void {
    const bytes = new TextEncoder().encode(text);
    const payload = heapSpan(bytes.byteLength);
    payload.memory.u8.set(bytes);
    const { epoch } = this.#plan;
    const header = frameHeader(FRAME.opinion, { epoch, payloadBytes: bytes.byteLength });
    for (const connection of this.#mesh.connections()) {
      connection.send({ header, payload, onWritten: null });
    }
  }

  unexpectedBefore(rank: number, cut: number): readonly SavedMessage[] {
    return this.#rank(rank).receives.unexpectedBefore(cut);
  }

  preload(rank: number, messages: readonly SavedMessage[]): void {
    this.#rank(rank).receives.preload(messages);
  }

  close(): void {
    this.#mesh.close();
  }

  // --- Transport

  send(frame: OutFrame): void {
    const node = this.#plan.placement[frame.header.destination];
    assert(node !== undefined, "a frame goes to a rank of the job");
    if (node !== this.#plan.node) {
      this.#mesh.connectionTo(node)?.send(frame);
      return;
    }
    this.#local.push(frame);
    if (this.#isDelivering) return;
    this.#isDelivering = true;
    for (let next = this.#local.shift(); next !== undefined; next = this.#local.shift()) {
      this.#deliverLocally(next);
    }
    this.#isDelivering = false;
  }

  #deliverLocally(frame: OutFrame): void {
    const { header, payload } = frame;
    let target: Span | null = null;
    if (payload !== null) {
      target = this.spanFor(header) ?? heapSpan(payload.bytes);
      spanBytes(target).set(spanBytes(payload));
    }
    frame.onWritten?.();
    this.onFrame(header, target);
  }

  // --- frames that come in

  /** Null: fine. A peer speaks for its own ranks to ranks that live here, and of nothing else. */
  judge(node: string, header: FrameHeader): string | null {
    if (header.kind === FRAME.opinion) return null;
    if (this.#plan.placement[header.source] !== node) return `speaks for rank ${header.source}`;
    if (!this.#ranks.has(header.destination)) return `speaks to rank ${header.destination}`;
    return null;
  }

  spanFor(header: FrameHeader): Span | null {
    const rank = this.#ranks.get(header.destination);
    if (rank === undefined) return null;
    return header.kind === FRAME.collective
      ? rank.collectives.spanFor(header)
      : rank.receives.spanFor(header);
  }

  onPeerFrame(node: string, header: FrameHeader, payload: Span | null): void {
    if (header.kind === FRAME.opinion) {
      const text = payload === null ? "" : new TextDecoder().decode(spanBytes(payload));
      this.#events.onOpinion(node as NodeId, text);
      return;
    }
    this.onFrame(header, payload);
    if (header.kind === FRAME.collective && this.#isOverfull(header)) {
      this.#paused.set(node, header);
      this.#mesh.connectionTo(node)?.pause();
    }
  }

  onFrame(header: FrameHeader, payload: Span | null): void {
    const { sends, receives, collectives } = this.#rank(header.destination);
    switch (header.kind) {
      case FRAME.eager:
        receives.onEager(header, payload);
        return;
      case FRAME.offer:
        receives.onOffer(header);
        return;
      case FRAME.data:
        receives.onData(header);
        return;
      case FRAME.grant:
        sends.onGrant(header);
        return;
      case FRAME.credit:
        sends.onCredit(header);
        return;
      case FRAME.collective:
        collectives.onFrame(header, payload);
        return;
      default:
        this.#onNote(header);
    }
  }

  #onNote(header: FrameHeader): void {
    const kind = noteKindOf(header.kind);
    if (kind === null) return;
    const { source, destination, id, aux: value, total: version } = header;
    if (kind === "marker" && id > 0) this.#rank(destination).receives.onMarker(source, id);
    this.#events.onCutNote({ kind, source, destination, id, value, version });
  }

  /** Counted for each sender by itself: what a rank waits for can always still come. */
  #isOverfull({ source, destination }: FrameHeader): boolean {
    return this.#rank(destination).collectives.earlyBytesFrom(source) > EARLY_BYTES_MAX;
  }

  #rank(rank: number): LocalRank {
    const found = this.#ranks.get(rank);
    assert(found !== undefined, "the rank lives here");
    return found;
  }
}
