/**
 * Goal: the classifier computes what its definition says. Method: the same network written plainly, in 64-bit floats with
 * one array per layer, must agree to rounding; its loss, moved by a little in single parameters, must move as the
 * gradient says; random small pictures from a fixed seed.
 */
import { describe, expect, test } from "bun:test";
import { type Prng, prng } from "../../runtime/prng.ts";
import { CLASSES, type Digits, PIXELS } from "./digits.ts";
import {
  accumulate,
  countCorrect,
  exponential,
  HIDDEN,
  HIDDEN_BIASES,
  initialize,
  OUT_BIASES,
  OUT_WEIGHTS,
  PARAMETERS,
  scratch,
  update,
} from "./model.ts";

function randomDigits(count: number, random: Prng): Digits {
  const images = new Uint8Array(count * PIXELS);
  for (let i = 0; i < images.length; i++) images[i] = random.below(4) === 0 ? random.below(256) : 0;
  return { labels: Uint8Array.from({ length: count }, () => random.below(CLASSES)), images };
}

/** Loss and gradient by the textbook, nothing skipped, nothing flattened on the way. */
function reference(
  parameters: Float32Array,
  digits: Digits,
): { readonly loss: number; readonly gradient: Float64Array } {
  const weight = (i: number, j: number): number => parameters[i * HIDDEN + j] as number;
  const outWeight = (j: number, k: number): number =>
    parameters[OUT_WEIGHTS + j * CLASSES + k] as number;
  const gradient = new Float64Array(PARAMETERS);
  const add = (at: number, value: number): void => {
    gradient[at] = (gradient[at] as number) + value;
  };
  let loss = 0;
  digits.labels.forEach((label, index) => {
    const x = [...digits.images.subarray(index * PIXELS, (index + 1) * PIXELS)].map((l) => l / 255);
    const z = Array.from({ length: HIDDEN }, (_, j) =>
      x.reduce((sum, xi, i) => sum + xi * weight(i, j), parameters[HIDDEN_BIASES + j] as number),
    );
    const h = z.map((value) => Math.max(0, value));
    const logits = Array.from({ length: CLASSES }, (_, k) =>
      h.reduce((sum, hj, j) => sum + hj * outWeight(j, k), parameters[OUT_BIASES + k] as number),
    );
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    const p = logits.map((logit) => Math.exp(logit) / total);
    loss -= Math.log(p[label] as number);
    const outDelta = p.map((pk, k) => pk - (k === label ? 1 : 0));
    outDelta.forEach((d, k) => {
      add(OUT_BIASES + k, d);
      h.forEach((hj, j) => {
        add(OUT_WEIGHTS + j * CLASSES + k, hj * d);
      });
    });
    z.forEach((zj, j) => {
      if (zj <= 0) return;
      const d = outDelta.reduce((sum, dk, k) => sum + dk * outWeight(j, k), 0);
      add(HIDDEN_BIASES + j, d);
      x.forEach((xi, i) => {
        add(i * HIDDEN + j, xi * d);
      });
    });
  });
  return { loss, gradient };
}

function randomModel(random: Prng): {
  readonly parameters: Float32Array;
  readonly gradient: Float32Array;
} {
  const parameters = new Float32Array(PARAMETERS);
  initialize(parameters, random);
  for (let i = HIDDEN_BIASES; i < OUT_WEIGHTS; i++) parameters[i] = random.unit() - 0.5;
  for (let i = OUT_BIASES; i < PARAMETERS; i++) parameters[i] = random.unit() - 0.5;
  return { parameters, gradient: new Float32Array(PARAMETERS) };
}

describe("model", () => {
  test("loss and gradient agree with the network written plainly", () => {
    const random = prng(7);
    const digits = randomDigits(3, random);
    const model = randomModel(random);
    const loss = accumulate(model, digits, Uint32Array.of(0, 1, 2), scratch());
    const wanted = reference(model.parameters, digits);
    expect(loss).toBeCloseTo(wanted.loss, 4);
    let farthest = 0;
    for (let i = 0; i < PARAMETERS; i++) {
      const difference = Math.abs((model.gradient[i] as number) - (wanted.gradient[i] as number));
      farthest = Math.max(farthest, difference);
    }
    expect(farthest).toBeLessThan(1e-4);
    // Not all zeros against all zeros.
    expect(wanted.gradient.filter((g) => Math.abs(g) > 1e-3).length).toBeGreaterThan(10_000);
  });

  test("moving a parameter moves the loss as its gradient says", () => {
    const random = prng(11);
    const digits = randomDigits(4, random);
    const indices = Uint32Array.of(0, 1, 2, 3);
    const model = randomModel(random);
    accumulate(model, digits, indices, scratch());
    const lossWith = (at: number, value: number): number => {
      const parameters = model.parameters.slice();
      parameters[at] = value;
      return accumulate(
        { parameters, gradient: model.gradient.slice() },
        digits,
        indices,
        scratch(),
      );
    };
    // Strongest first in each layer: there the difference stands well above the rounding of 32-bit floats.
    for (const [from, to] of [
      [0, HIDDEN_BIASES],
      [HIDDEN_BIASES, OUT_WEIGHTS],
      [OUT_WEIGHTS, OUT_BIASES],
      [OUT_BIASES, PARAMETERS],
    ] as const) {
      const strength = (at: number): number => Math.abs(model.gradient[at] as number);
      const strongest = Array.from({ length: to - from }, (_, i) => from + i)
        .sort((a, b) => strength(b) - strength(a))
        .slice(0, 5);
      for (const at of strongest) {
        const value = model.parameters[at] as number;
        const above = Math.fround(value + 1e-2);
        const below = Math.fround(value - 1e-2);
        const slope = (lossWith(at, above) - lossWith(at, below)) / (above - below);
        const gradient = model.gradient[at] as number;
        expect(Math.abs(slope - gradient)).toBeLessThan(0.02 * Math.abs(gradient) + 1e-3);
      }
    }
  });

  test("the exponential is within 1e-9 of the true one", () => {
    for (let x = -100; x <= 0; x += 0.01) {
      expect(Math.abs(exponential(x) - Math.exp(x))).toBeLessThan(1e-9);
    }
  });

  test("a step of momentum adds up", () => {
    const parameters = new Float32Array(PARAMETERS).fill(1);
    const velocity = new Float32Array(PARAMETERS).fill(2);
    const gradient = new Float32Array(PARAMETERS).fill(8);
    update({ parameters, velocity }, gradient, 0.25, { learning: 0.125, momentum: 0.5 });
    expect(velocity.every((v) => v === 3)).toBe(true);
    expect(parameters.every((p) => p === 1 - 0.375)).toBe(true);
  });

  test("the largest output is the answer that is counted", () => {
    const digits: Digits = { labels: Uint8Array.of(4, 5, 4), images: new Uint8Array(3 * PIXELS) };
    const parameters = new Float32Array(PARAMETERS);
    parameters[OUT_BIASES + 4] = 1;
    expect(countCorrect(parameters, digits, { from: 0, to: 3 }, scratch())).toBe(2);
    expect(countCorrect(parameters, digits, { from: 1, to: 2 }, scratch())).toBe(0);
  });
});
