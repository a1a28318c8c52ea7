/**
 * The demo's classifier: 784 inputs → 128 hidden (ReLU) → 10 (softmax), cross-entropy loss, trained with momentum.
 *
 * All numbers are 32-bit floats in one flat array, in the order below; gradient and velocity have the same layout, so
 * that one all-reduce and one protected region each carry them. Invariant: for equal inputs every result is equal bit for
 * bit, on every machine. So nothing here calls a function whose last bit the language leaves open: the exponential
 * is made of additions and multiplications. Only the printed loss takes a logarithm, and nothing depends on it.
 *
 *   index                  count        field
 *   HIDDEN_WEIGHTS   0     784 × 128    row i: what pixel i adds to the 128 hidden units
 *   HIDDEN_BIASES  100352  128
 *   OUT_WEIGHTS    100480  128 × 10     row j: what hidden unit j adds to the 10 outputs
 *   OUT_BIASES     101760  10
 */
import type { Prng } from "../../runtime/prng.ts";
import { CLASSES, type Digits, PIXELS } from "./digits.ts";

export const HIDDEN = 128;
export const HIDDEN_WEIGHTS = 0;
export const HIDDEN_BIASES: number = PIXELS * HIDDEN;
export const OUT_WEIGHTS: number = HIDDEN_BIASES + HIDDEN;
export const OUT_BIASES: number = OUT_WEIGHTS + HIDDEN * CLASSES;
export const PARAMETERS: number = OUT_BIASES + CLASSES;

/** Uniform after He et al. 2015; biases are zero. */
export function initialize(parameters: Float32Array, random: Prng): void {
  const fill = (from: number, count: number, inputs: number): void => {
    const limit = Math.sqrt(6 / inputs);
    for (let i = from; i < from + count; i++) parameters[i] = (2 * random.unit() - 1) * limit;
  };
  parameters.fill(0);
  fill(HIDDEN_WEIGHTS, PIXELS * HIDDEN, PIXELS);
  fill(OUT_WEIGHTS, HIDDEN * CLASSES, HIDDEN);
}

/** e^x for x ≤ 0 to within 1e-9: Taylor on x / 256, squared eight times. */
export function exponential(x: number): number {
  if (x < -80) return 0;
  const t = x / 256;
  let y = 1 + t * (1 + t * (1 / 2 + t * (1 / 6 + t * (1 / 24 + t / 120))));
  for (let i = 0; i < 8; i++) y *= y;
  return y;
}

/** What one example needs on its way through; made once, used for all. */
export interface Scratch {
  readonly hidden: Float32Array;
  readonly hiddenDelta: Float32Array;
  /** Outputs, then probabilities, then their deltas. */
  readonly out: Float64Array;
}

export function scratch(): Scratch {
  return {
    hidden: new Float32Array(HIDDEN),
    hiddenDelta: new Float32Array(HIDDEN),
    out: new Float64Array(CLASSES),
  };
}

/** Fills `hidden` and leaves the probabilities in `out`. Four of five pixels are blank and cost nothing. */
function forward(parameters: Float32Array, images: Uint8Array, at: number, work: Scratch): void {
  const { hidden, out } = work;
  for (let j = 0; j < HIDDEN; j++) hidden[j] = parameters[HIDDEN_BIASES + j] as number;
  for (let i = 0; i < PIXELS; i++) {
    const level = images[at + i] as number;
    if (level === 0) continue;
    const x = Math.fround(level / 255);
    const row = HIDDEN_WEIGHTS + i * HIDDEN;
    for (let j = 0; j < HIDDEN; j++) {
      hidden[j] = (hidden[j] as number) + x * (parameters[row + j] as number);
    }
  }
  for (let k = 0; k < CLASSES; k++) out[k] = parameters[OUT_BIASES + k] as number;
  for (let j = 0; j < HIDDEN; j++) {
    const h = hidden[j] as number;
    if (h <= 0) {
      hidden[j] = 0;
      continue;
    }
    const row = OUT_WEIGHTS + j * CLASSES;
    for (let k = 0; k < CLASSES; k++) {
      out[k] = (out[k] as number) + h * (parameters[row + k] as number);
    }
  }
  let most = out[0] as number;
  for (let k = 1; k < CLASSES; k++) most = Math.max(most, out[k] as number);
  let sum = 0;
  for (let k = 0; k < CLASSES; k++) {
    const e = exponential((out[k] as number) - most);
    out[k] = e;
    sum += e;
  }
  for (let k = 0; k < CLASSES; k++) out[k] = (out[k] as number) / sum;
}

/** Adds the example's gradient; `out` holds probability minus target. */
function backward(
  model: { readonly parameters: Float32Array; readonly gradient: Float32Array },
  images: Uint8Array,
  at: number,
  work: Scratch,
): void {
  const { parameters, gradient } = model;
  const { hidden, hiddenDelta, out } = work;
  for (let k = 0; k < CLASSES; k++) {
    gradient[OUT_BIASES + k] = (gradient[OUT_BIASES + k] as number) + (out[k] as number);
  }
  for (let j = 0; j < HIDDEN; j++) {
    const h = hidden[j] as number;
    let delta = 0;
    // A unit that ReLU switched off passes nothing on, and its weights have no part in the result.
    if (h > 0) {
      const row = OUT_WEIGHTS + j * CLASSES;
      for (let k = 0; k < CLASSES; k++) {
        const d = out[k] as number;
        delta += d * (parameters[row + k] as number);
        gradient[row + k] = (gradient[row + k] as number) + h * d;
      }
    }
    hiddenDelta[j] = delta;
    gradient[HIDDEN_BIASES + j] = (gradient[HIDDEN_BIASES + j] as number) + delta;
  }
  for (let i = 0; i < PIXELS; i++) {
    const level = images[at + i] as number;
    if (level === 0) continue;
    const x = Math.fround(level / 255);
    const row = HIDDEN_WEIGHTS + i * HIDDEN;
    for (let j = 0; j < HIDDEN; j++) {
      gradient[row + j] = (gradient[row + j] as number) + x * (hiddenDelta[j] as number);
    }
  }
}

/** Adds the gradient of the examples `indices` to `gradient`; returns the sum of their losses. */
export function accumulate(
  model: { readonly parameters: Float32Array; readonly gradient: Float32Array },
  digits: Digits,
  indices: Uint32Array,
  work: Scratch,
): number {
  let loss = 0;
  for (const index of indices) {
    const at = index * PIXELS;
    forward(model.parameters, digits.images, at, work);
    const label = digits.labels[index] as number;
    const probability = work.out[label] as number;
    loss -= Math.log(Math.max(probability, 1e-30));
    work.out[label] = probability - 1;
    backward(model, digits.images, at, work);
  }
  return loss;
}

export interface Rates {
  readonly learning: number;
  readonly momentum: number;
}

/** One step of momentum: velocity ← momentum × velocity + scale × gradient; parameters ← parameters − rate × velocity. */
export function update(
  state: { readonly parameters: Float32Array; readonly velocity: Float32Array },
  gradient: Float32Array,
  scale: number,
  rates: Rates,
): void {
  const { parameters, velocity } = state;
  const { learning, momentum } = rates;
  for (let i = 0; i < PARAMETERS; i++) {
    const v = Math.fround(momentum * (velocity[i] as number) + scale * (gradient[i] as number));
    velocity[i] = v;
    parameters[i] = (parameters[i] as number) - learning * v;
  }
}

/** How many of the examples from `from` up to `to` get the right label. */
export function countCorrect(
  parameters: Float32Array,
  digits: Digits,
  range: { readonly from: number; readonly to: number },
  work: Scratch,
): number {
  let correct = 0;
  for (let index = range.from; index < range.to; index++) {
    forward(parameters, digits.images, index * PIXELS, work);
    let best = 0;
    for (let k = 1; k < CLASSES; k++) {
      if ((work.out[k] as number) > (work.out[best] as number)) best = k;
    }
    if (best === digits.labels[index]) correct++;
  }
  return correct;
}
