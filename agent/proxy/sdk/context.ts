/**
 * What a program sees: `run(body)` hands the body one of these.
 *
 * Every call blocks until it is done. Any call may throw `Rollback` (see `rollback.ts`): the job goes back to an older
 * state, the body is left and entered anew with its regions restored. A program therefore catches no exception that it does not
 * know, and keeps what must survive in protected regions only.
 */
export type Numbers =
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

export type NumbersKind<T extends Numbers> = new (
  buffer: ArrayBuffer,
  byteOffset: number,
  length: number,
) => T;

export type ReduceOp = "sum" | "product" | "min" | "max";

export interface Received {
  readonly source: number;
  readonly tag: number;
  readonly bytes: number;
}

/** A send or receive under way; finish it with `wait`. */
export interface Request {
  /** Blocks until the buffer may be used again (send) or is filled (receive: says from whom). */
  wait(): Received | null;
}

export interface ReceiveFilter {
  /** Default: any. */
  readonly source?: number;
  /** Default: any. */
  readonly tag?: number;
}

export interface Context {
  readonly job: string;
  readonly rank: number;
  readonly size: number;
  /** The version this run of the body goes on from; null at the very start. */
  readonly restored: number | null;

  /** Returns when `data` may be changed again. `tag` 0 … 2^31 − 1. */
  send(destination: number, data: Numbers, tag?: number): void;
  /** Fills `into` from its start; a message that is longer is an error. */
  receive(into: Numbers, filter?: ReceiveFilter): Received;
  startSend(destination: number, data: Numbers, tag?: number): Request;
  startReceive(into: Numbers, filter?: ReceiveFilter): Request;

  barrier(): void;
  /** `data` of `root` is copied into everybody's. */
  broadcast(data: Numbers, root?: number): void;
  /** Element by element over all ranks, in an order fixed by rank: equal bits at every run. The result lies in `root`'s `data`. */
  reduce(data: Numbers, op?: ReduceOp, root?: number): void;
  /** In place. Equal bits on every rank and at every run. */
  allReduce(data: Numbers, op?: ReduceOp): void;
  /** `into` (at the root: size × data.length elements, in rank order; elsewhere null). */
  gather<T extends Numbers>(data: T, into: T | null, root?: number): void;
  allGather<T extends Numbers>(data: T, into: T): void;
  /** Block i of `data` goes to rank i; block j of `into` comes from rank j. */
  allToAll<T extends Numbers>(data: T, into: T): void;

  /**
   * Memory that survives: mapped, shared with the agent, part of every checkpoint. Zero when new. The same name always gives
   * the same memory within a run. Collectives and messages on it need no copy.
   */
  protect(name: string, bytes: number): Uint8Array;
  protect<T extends Numbers>(name: string, kind: NumbersKind<T>, length: number): T;
  /** Memory the proxy reads and writes without a copy, as `protect`, but no part of checkpoints. */
  share<T extends Numbers>(name: string, kind: NumbersKind<T>, length: number): T;

  /**
   * Called by every rank at the same point of its work, as often as it likes. Takes a checkpoint when one is due and returns
   * its version, else null at once. Requests must be finished before.
   */
  checkpoint(): number | null;
  /** Why the last due checkpoint did not count; null when it did. */
  readonly checkpointFailure: string | null;
}
