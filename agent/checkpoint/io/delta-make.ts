/**
 * Makes a delta file from two files. Bytes only pass through the cores' windows, so memory is bounded whatever the lengths.
 *
 * Most of the time goes into having the kernel copy the files' bytes, and one thread cannot use the memory's whole bandwidth.
 * So larger files get a second thread. This one goes ahead while the other starts, keeps it supplied with strips, takes
 * others itself and joins the records in order. Mapping the files instead of reading them was no faster, and a file that
 * shrinks meanwhile would end the process by a signal.
 */
import { availableParallelism } from "node:os";
import type { Core } from "../../../core/core.ts";
import { workerUrl } from "../../../core/io/worker-url.ts";
import { DELTA_HEADER_BYTES, encodeDeltaHeader, RecordJoiner } from "../delta-file.ts";
import {
  closeSource,
  DeltaFileError,
  type DeltaSummary,
  type OpenFile,
  Output,
  openSource,
} from "./delta-file.ts";
import { STRIP_BYTES, type Strip, StripEncoder } from "./delta-strip.ts";
import type { FromDeltaWorker, ToDeltaWorker } from "./delta-worker.ts";

/** Below this one thread is done before another has started. */
const HELPED_STRIPS_MIN = 8;
/** Strips asked of the helper at a time: it never waits for this thread to be done with one of its own. */
const ASKED_MAX = 2;
/** Strips that may wait for one before them; bounds the memory when the helper is held up. */
const AHEAD_MAX = 16;

/** The other thread. */
class Helper {
  readonly #worker: Worker;
  #isReady = false;
  #asked = 0;
  #arrived: Strip[] = [];
  #failure: Error | null = null;
  #wake: () => void = () => undefined;

  constructor(base: OpenFile, target: OpenFile) {
    this.#worker = new Worker(workerUrl("agent/checkpoint/io/delta-worker.ts"));
    this.#worker.onmessage = (event: MessageEvent<FromDeltaWorker>) => this.#receive(event.data);
    this.#worker.onerror = (event) => {
      this.#failure = new Error(`the helper of delta make: ${event.message}`);
      this.#wake();
    };
    this.#tell({ kind: "files", base, target });
  }

  get wantsMore(): boolean {
    return this.#isReady && this.#asked < ASKED_MAX;
  }

  ask(index: number): void {
    this.#asked++;
    this.#tell({ kind: "strip", index });
  }

  /** Strips that came since the last call. */
  take(): readonly Strip[] {
    if (this.#failure !== null) throw this.#failure;
    const arrived = this.#arrived;
    this.#arrived = [];
    return arrived;
  }

  /** Until a strip has come, or a failure. Only while one is asked for. */
  async wait(): Promise<void> {
    if (this.#arrived.length > 0 || this.#failure !== null) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  end(): void {
    this.#worker.terminate();
  }

  #tell(message: ToDeltaWorker): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromDeltaWorker): void {
    if (message.kind === "ready") this.#isReady = true;
    else {
      this.#asked--;
      if (message.kind === "strip") this.#arrived.push(message.strip);
      else this.#failure = new DeltaFileError(message.failure, message.path, message.what);
    }
    this.#wake();
  }
}

/** Lets messages of the other thread in. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Takes out what is next in order, as far as it is there. Returns the index of the next. */
function mergeFrom(
  waiting: Map<number, Strip>,
  first: number,
  merge: (strip: Strip) => void,
): number {
  let index = first;
  for (let strip = waiting.get(index); strip !== undefined; strip = waiting.get(index)) {
    waiting.delete(index++);
    merge(strip);
  }
  return index;
}

/** Gives every strip to `merge`, in order. */
async function encodeAll(
  core: Core,
  base: OpenFile,
  target: OpenFile,
  merge: (strip: Strip) => void,
): Promise<void> {
  const stripCount = Math.ceil(Math.max(base.bytes, target.bytes) / STRIP_BYTES);
  const isHelped = stripCount >= HELPED_STRIPS_MIN && availableParallelism() > 1;
  const helper = isHelped ? new Helper(base, target) : null;
  const encoder = new StripEncoder(core, base, target);
  const waiting = new Map<number, Strip>();
  let next = 0;
  let merged = 0;
  const mayTake = (): boolean => next < stripCount && next - merged < AHEAD_MAX;
  try {
    while (merged < stripCount) {
      while (helper?.wantsMore === true && mayTake()) helper.ask(next++);
      if (mayTake()) {
        const strip = encoder.encode(next++);
        waiting.set(strip.index, strip);
        if (helper !== null) await turn();
      } else await helper?.wait();
      for (const strip of helper?.take() ?? []) waiting.set(strip.index, strip);
      merged = mergeFrom(waiting, merged, merge);
    }
  } finally {
    helper?.end();
  }
}

async function makeFrom(
  core: Core,
  base: OpenFile,
  target: OpenFile,
  output: Output,
): Promise<void> {
  const baseDigest = core.digestStream();
  const targetDigest = core.digestStream();
  const bodyDigest = core.digestStream();
  const joiner = new RecordJoiner();
  output.append(new Uint8Array(DELTA_HEADER_BYTES));
  await encodeAll(core, base, target, (strip) => {
    baseDigest.update(strip.baseDigests);
    targetDigest.update(strip.targetDigests);
    for (const piece of joiner.join(strip.records, strip.gapBytes)) {
      bodyDigest.update(piece);
      output.append(piece);
    }
  });
  output.writeAtStart(
    encodeDeltaHeader(core, {
      baseBytes: base.bytes,
      targetBytes: target.bytes,
      bodyBytes: output.bytes - DELTA_HEADER_BYTES,
      baseDigest: baseDigest.finish(),
      targetDigest: targetDigest.finish(),
      bodyDigest: bodyDigest.finish(),
    }),
  );
  output.commit();
}

/** Writes to `deltaPath` what changes the file at `basePath` into the one at `targetPath`. Throws DeltaFileError. */
export async function makeDeltaFile(
  core: Core,
  basePath: string,
  targetPath: string,
  deltaPath: string,
): Promise<DeltaSummary> {
  using stack = new DisposableStack();
  const base = stack.adopt(openSource(basePath), closeSource);
  const target = stack.adopt(openSource(targetPath), closeSource);
  const output = stack.adopt(new Output(deltaPath), (file) => file.close());
  await makeFrom(core, base, target, output);
  return { baseBytes: base.bytes, targetBytes: target.bytes, deltaBytes: output.bytes };
}
