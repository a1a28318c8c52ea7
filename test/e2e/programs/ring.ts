/**
 * The job of the chaos rounds: `ring.ts STEPS PAUSE_MS FOLDER`. Its arithmetic is `chaos/ring-model.ts`.
 *
 * Each rank appends its last digest to `FOLDER/end-<rank>`, so the result is known even when the node whose output said it dies.
 */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "holdfast";
import {
  digestOf,
  FIELD_WORDS,
  HEADER,
  HEADER_WORDS,
  PHASE_RECEIVE,
  shareOf,
  takeMessage,
  takeSum,
} from "../chaos/ring-model.ts";

const [, , steps, pauseMs, folder = "."] = process.argv;
const TAG = 7;

await run((context) => {
  const header = context.protect("header", Uint32Array, HEADER_WORDS);
  const field = context.protect("field", Uint32Array, FIELD_WORDS);
  const { rank, size } = context;
  const sum = new Float64Array(1);
  const message = new Uint32Array(1);
  console.log(`from ${header[HEADER.step]} version ${context.restored ?? "none"}`);
  while ((header[HEADER.step] ?? 0) < Number(steps)) {
    if (header[HEADER.phase] !== PHASE_RECEIVE) {
      sum[0] = shareOf(header, rank);
      context.allReduce(sum);
      message[0] = takeSum(header, field, sum[0] ?? 0);
      context.send((rank + 1) % size, message, TAG);
      context.checkpoint();
    }
    context.receive(message, { source: (rank + size - 1) % size, tag: TAG });
    takeMessage(header, field, message[0] ?? 0);
    if (rank === 0) console.log(`step ${header[HEADER.step]}`);
    if (Number(pauseMs) > 0) Bun.sleepSync(Number(pauseMs));
  }
  const digest = digestOf(header, field);
  appendFileSync(join(folder, `end-${rank}`), `${digest}\n`);
  console.log(`end ${digest}`);
});
