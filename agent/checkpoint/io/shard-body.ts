/**
 * Takes the bytes of an HTTP body into a file, in order and bounded. Used for what a peer sends and for what was asked of
 * a peer; decides nothing about their worth.
 */
import { type FileHandle, open, rm } from "node:fs/promises";
import { detailOf, failureOf } from "./io-failure.ts";
import type { TransferProblem } from "./store-messages.ts";

export interface BodyTarget {
  /** null: read and thrown away. */
  readonly path: string | null;
  /** Whether the bytes are wanted in memory as well. */
  readonly keep: boolean;
  readonly shardBytesMax: number;
  readonly stallMs: number;
}

export type Received =
  | {
      readonly kind: "received";
      readonly bytes: number;
      readonly kept: readonly Uint8Array[] | null;
    }
  | { readonly kind: "problem"; readonly problem: TransferProblem; readonly detail: string };

/** One write call for so many bytes: a body comes in pieces of about 64 KiB. */
const BATCH_BYTES = 2 ** 20;

class BodyFile {
  readonly #handle: FileHandle | null;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;

  constructor(handle: FileHandle | null) {
    this.#handle = handle;
  }

  async push(piece: Uint8Array): Promise<void> {
    if (this.#handle === null) return;
    this.#batch.push(piece);
    this.#batchBytes += piece.byteLength;
    if (this.#batchBytes >= BATCH_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    const batch = this.#batch;
    let left = this.#batchBytes;
    this.#batch = [];
    this.#batchBytes = 0;
    // A short write is not an error: the next one then says why (a full disk, most of the time).
    while (left > 0) {
      const { bytesWritten } = await (this.#handle as FileHandle).writev(batch);
      left -= bytesWritten;
      let done = bytesWritten;
      while (left > 0 && done > 0) {
        const first = batch[0] as Uint8Array;
        if (first.byteLength <= done) batch.shift();
        else batch[0] = first.subarray(done);
        done -= Math.min(done, first.byteLength);
      }
    }
  }
}

function readWithin(
  reader: { read(): Promise<{ done: boolean; value?: Uint8Array | undefined }> },
  stallMs: number,
): { next: () => Promise<Uint8Array | null>; stop: () => void } {
  let stall: (error: Error) => void = () => undefined;
  const stalled = new Promise<never>((_, reject) => {
    stall = reject;
  });
  stalled.catch(() => undefined);
  const fire = (): void => stall(new Error(`no byte for ${stallMs} ms`));
  const timer = setTimeout(fire, stallMs);
  return {
    next: async () => {
      timer.refresh();
      const { done, value } = await Promise.race([reader.read(), stalled]);
      return done ? null : (value ?? null);
    },
    stop: () => clearTimeout(timer),
  };
}

/** On a problem no file is left. */
export async function receiveBody(
  body: ReadableStream<Uint8Array> | null,
  target: BodyTarget,
): Promise<Received> {
  if (body === null) return { kind: "problem", problem: "bad-request", detail: "no body" };
  const reader = body.getReader();
  const { next, stop } = readWithin(reader, target.stallMs);
  const kept: Uint8Array[] = [];
  let bytes = 0;
  let handle: FileHandle | null = null;
  let isSound = false;
  try {
    if (target.path !== null) handle = await open(target.path, "wx");
    const file = new BodyFile(handle);
    for (let piece = await next(); piece !== null; piece = await next()) {
      bytes += piece.byteLength;
      if (bytes > target.shardBytesMax) {
        const detail = `more than ${target.shardBytesMax} bytes were sent`;
        return { kind: "problem", problem: "too-large", detail };
      }
      if (target.keep) kept.push(piece);
      await file.push(piece);
    }
    await file.flush();
    isSound = true;
    return { kind: "received", bytes, kept: target.keep ? kept : null };
  } catch (error) {
    // What has an errno is this node's file; everything else is the peer or the way to it.
    const failure = failureOf(error);
    return { kind: "problem", problem: failure ?? "unreachable", detail: detailOf(error) };
  } finally {
    stop();
    await handle?.close();
    if (!isSound) {
      reader.cancel().catch(() => undefined);
      if (target.path !== null) await rm(target.path, { force: true });
    }
  }
}
