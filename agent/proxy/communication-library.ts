/**
 * The contract of a communication library: what carries the calls of this node's ranks to the other ranks of the job.
 *
 * `tcp` (`io/tcp-library.ts`) does matching and collectives itself; a library with its own (an MPI) maps calls one to one. The
 * proxy gives it calls, lets it make progress, and is told of completions through the callbacks. Nothing blocks and no turn of
 * `progress` is unbounded. A library is opened for one epoch and thrown away with its process.
 *
 * `cut` and `unexpected` are what a coordinated checkpoint needs: see `checkpoint-cut.ts`.
 */
import type { NodeId } from "../membership/membership.ts";
import type { NumberType, Op, ReduceCode, Status } from "./segment-layout.ts";
import type { Span } from "./transport.ts";

/** One submission of a program, its memory resolved. */
export interface Call {
  readonly rank: number;
  readonly op: Op;
  readonly request: number;
  readonly peer: number;
  readonly tag: number;
  readonly input: Span;
  /** Bytes of the whole message (send) or capacity in all (receive); else equals `input.bytes`. */
  readonly totalBytes: number;
  readonly numberType: NumberType | null;
  readonly reduce: ReduceCode | null;
  /** Gather, all-gather, all-to-all. */
  readonly output: Span | null;
}

export interface Done {
  readonly rank: number;
  readonly request: number;
  readonly status: Status;
  readonly source: number;
  readonly tag: number;
  /** Of the piece. */
  readonly bytes: number;
  /** Of the message. */
  readonly totalBytes: number;
  /** Says more than the status does; empty when there is no more to say. */
  readonly text: string;
}

/** A message that was sent before a cut and not received before it. */
export interface SavedMessage {
  readonly source: number;
  readonly tag: number;
  readonly payload: Uint8Array;
}

/** What a rank says to others about checkpoints; carried in order with its messages. */
export interface CutNote {
  readonly kind: "prepare" | "count" | "decide" | "marker";
  readonly source: number;
  readonly destination: number;
  /** Round of the negotiation, or number of the cut. */
  readonly id: number;
  readonly value: number;
  readonly version: number;
}

export interface LibraryEvents {
  onDone(done: Done): void;
  onCutNote(note: CutNote): void;
  /** Connected with the proxy of every other node. */
  onJoined(): void;
  onOpinion(from: NodeId, text: string): void;
  /** A hint. */
  onPeerLost(node: NodeId, detail: string): void;
}

export interface CommunicationLibrary {
  readonly name: string;
  start(call: Call): void;
  /** Whether this rank has sends or receives that are not done. */
  hasOpenRequests(rank: number): boolean;
  /** Does a bounded amount of work; true when it did any. */
  progress(): boolean;
  note(note: CutNote): void;
  /** Tells every other proxy of the job. */
  publishOpinion(text: string): void;
  /** Messages for `rank` that were sent before cut `cut` and are not received. Markers of all ranks have come. */
  unexpectedBefore(rank: number, cut: number): readonly SavedMessage[];
  /** Puts saved messages in front of everything, before the first call of this epoch. */
  preload(rank: number, messages: readonly SavedMessage[]): void;
  close(): void;
}
