/**
 * The second thread of `makeDeltaFile`: encodes the strips it is asked for, in order. An entry of its own in the compiled
 * binary (`*-worker.ts`).
 */
import { createCore } from "../../../core/core.ts";
import { DeltaFileError, type DeltaFileErrorKind, type OpenFile } from "./delta-file.ts";
import { encodeStrip, type Strip } from "./delta-strip.ts";

export interface ToDeltaWorker {
  readonly base: OpenFile;
  readonly target: OpenFile;
  readonly index: number;
}

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

const core = createCore();

function answer({ base, target, index }: ToDeltaWorker): FromDeltaWorker {
  try {
    return { kind: "strip", strip: encodeStrip(core, base, target, index) };
  } catch (error) {
    if (!(error instanceof DeltaFileError)) throw error;
    return { kind: "failed", failure: error.kind, path: error.path, what: error.what };
  }
}

self.onmessage = (event: MessageEvent<ToDeltaWorker>) => {
  self.postMessage(answer(event.data));
};
self.postMessage({ kind: "ready" } satisfies FromDeltaWorker);
