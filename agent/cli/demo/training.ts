/**
 * The demo's training, data-parallel: each rank takes its part of every batch, gradients are summed over all ranks, and
 * all ranks make the same step. Knows nothing of how ranks talk: see `TrainingContext`.
 *
 * Invariant: what a step does follows from the protected regions and the options alone. Data order, weights and step
 * counter come from there; nothing is kept anywhere else. Hence a rank that begins again from a restored state, in this process
 * or another, ends with the same bits.
 */
import { assert } from "../../../core/assert.ts";
import type { Context, Numbers, NumbersKind } from "../../proxy/sdk/context.ts";
import { prng } from "../../runtime/prng.ts";
import type { DigitSets } from "./digits.ts";
import {
  accumulate,
  countCorrect,
  initialize,
  PARAMETERS,
  type Rates,
  type Scratch,
  scratch,
  update,
} from "./model.ts";

/** The part of the SDK that the training needs; a real context fits, and tests bring their own. */
export interface TrainingContext extends Pick<Context, "rank" | "size" | "share"> {
  /** Memory that checkpoints keep: zero at the very start, the restored bytes after a rollback. */
  protect<T extends Numbers>(name: string, kind: NumbersKind<T>, length: number): T;
  /** Sums over all ranks in place, in the same order at every run. */
  allReduce(data: Float32Array): void | Promise<void>;
  /** A point at which a checkpoint may be taken; all ranks reach it after the same step. */
  checkpoint(): number | null | Promise<null>;
}

export interface TrainingOptions {
  readonly steps: number;
  /** Examples a step, over all ranks. */
  readonly batch: number;
  readonly seed: number;
}

/** What a rank tells; a JSON line each. `atMs` is wall clock. */
export type TrainingReport =
  /** The body was entered, with `step` steps behind it. */
  | { readonly event: "begin"; readonly rank: number; readonly step: number; readonly pid: number }
  /** The first step after `begin` is done. */
  | { readonly event: "computing"; readonly rank: number; readonly step: number }
  /** From rank 0 only: mean loss of the batch of this step. */
  | { readonly event: "step"; readonly step: number; readonly loss: number }
  | {
      readonly event: "end";
      readonly rank: number;
      /** SHA-256 of parameters and velocity. */
      readonly digest: string;
      /** Of the test set, 0 … 1. */
      readonly accuracy: number;
    };

/** Large steps at first; a tenth as large in the last quarter, where the loss settles. */
const MOMENTUM = 0.9;
const LEARNING = 0.2;

function ratesAt(step: number, steps: number): Rates {
  return { learning: step * 4 < steps * 3 ? LEARNING : LEARNING / 10, momentum: MOMENTUM };
}

interface State {
  readonly parameters: Float32Array;
  readonly velocity: Float32Array;
  /** One number: how many steps are done. */
  readonly progress: Uint32Array;
}

function protectState(context: TrainingContext): State {
  return {
    parameters: context.protect("parameters", Float32Array, PARAMETERS),
    velocity: context.protect("velocity", Float32Array, PARAMETERS),
    progress: context.protect("progress", Uint32Array, 1),
  };
}

/** The order in which an epoch goes through the training set: the same on every rank. */
export function epochOrder(count: number, seed: number, epoch: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  const random = prng(seed).fork(`epoch ${epoch}`);
  for (let last = count - 1; last > 0; last--) {
    const other = random.below(last + 1);
    const swapped = order[last] as number;
    order[last] = order[other] as number;
    order[other] = swapped;
  }
  return order;
}

/** Hands out this rank's share of each batch; an epoch's last, incomplete batch is left out. */
class Batches {
  readonly #count: number;
  readonly #options: TrainingOptions;
  #epoch = -1;
  #order: Uint32Array = new Uint32Array(0);

  constructor(count: number, options: TrainingOptions) {
    assert(options.batch <= count, `a batch of ${options.batch} of ${count} examples`);
    this.#count = count;
    this.#options = options;
  }

  share(step: number, rank: number, size: number): Uint32Array {
    const { batch, seed } = this.#options;
    const batches = Math.floor(this.#count / batch);
    const epoch = Math.floor(step / batches);
    if (epoch !== this.#epoch) {
      this.#order = epochOrder(this.#count, seed, epoch);
      this.#epoch = epoch;
    }
    const from = (step % batches) * batch;
    return this.#order.subarray(
      from + Math.floor((batch * rank) / size),
      from + Math.floor((batch * (rank + 1)) / size),
    );
  }
}

async function testAccuracy(
  context: TrainingContext,
  parameters: Float32Array,
  test: DigitSets["test"],
  work: Scratch,
): Promise<number> {
  const { rank, size } = context;
  const count = test.labels.length;
  const range = {
    from: Math.floor((count * rank) / size),
    to: Math.floor((count * (rank + 1)) / size),
  };
  const correct = Float32Array.of(countCorrect(parameters, test, range, work));
  await context.allReduce(correct);
  return (correct[0] as number) / count;
}

export async function trainRank(
  context: TrainingContext,
  digits: DigitSets,
  options: TrainingOptions,
  report: (report: TrainingReport) => void,
): Promise<void> {
  const { rank, size } = context;
  const state = protectState(context);
  const batches = new Batches(digits.train.labels.length, options);
  const work = scratch();
  // The loss travels behind the gradient: one all-reduce a step.
  const sums = context.share("sums", Float32Array, PARAMETERS + 1);
  const gradient = sums.subarray(0, PARAMETERS);
  const model = { parameters: state.parameters, gradient };
  const first = state.progress[0] as number;
  if (first === 0) {
    initialize(state.parameters, prng(options.seed).fork("weights"));
    state.velocity.fill(0);
  }
  report({ event: "begin", rank, step: first, pid: process.pid });
  for (let step = first; step < options.steps; step++) {
    sums.fill(0);
    sums[PARAMETERS] = accumulate(model, digits.train, batches.share(step, rank, size), work);
    await context.allReduce(sums);
    update(state, gradient, 1 / options.batch, ratesAt(step, options.steps));
    state.progress[0] = step + 1;
    if (step === first) report({ event: "computing", rank, step: step + 1 });
    if (rank === 0) {
      const loss = (sums[PARAMETERS] as number) / options.batch;
      report({ event: "step", step: step + 1, loss });
    }
    await context.checkpoint();
  }
  const accuracy = await testAccuracy(context, state.parameters, digits.test, work);
  const hash = new Bun.CryptoHasher("sha256").update(state.parameters).update(state.velocity);
  report({ event: "end", rank, digest: hash.digest("hex"), accuracy });
}
