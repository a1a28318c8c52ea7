/**
 * The second thread of `makeDeltaFile`: encodes the strips it is asked for, in order. An entry of its own in the compiled
 * binary (`*-worker.ts`).
 */
import { assert } from "../../../core/assert.ts";
import { createCore } from "../../../core/core.ts";
import { DeltaFileError, type DeltaFileErrorKind, type OpenFile } from "./delta-file.ts";
import { type Strip, StripEncoder } from "./delta-strip.ts";

export type ToDeltaWorker =
  | { readonly kind: "files"; readonly base: OpenFile; readonly target: OpenFile }
  | { readonly kind: "strip"; readonly index: number };

export type FromDeltaWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "strip"; readonly strip: Strip }
  | {
      readonly kind: "failed";
      readonly failure: DeltaFileErrorKind;
      readonly path: string;
      readonly what: string;
    };

declare const self: Worker;

let encoder: StripEncoder | null = null;

function encode(index: number): FromDeltaWorker {
  assert(encoder !== null, "files come first");
  try {
    return { kind: "strip", strip: encoder.encode(index) };
  } catch (error) {
    if (!(error instanceof DeltaFileError)) throw error;
    return { kind: "failed", failure: error.kind, path: error.path, what: error.what };
  }
}

self.onmessage = (event: MessageEvent<ToDeltaWorker>) => {
  const message = event.data;
  if (message.kind === "strip") self.postMessage(encode(message.index));
  else {
    encoder = new StripEncoder(createCore(), message.base, message.target);
    self.postMessage({ kind: "ready" } satisfies FromDeltaWorker);
  }
};
