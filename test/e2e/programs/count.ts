/**
 * A job for tests: every rank adds the sum of all ranks' counters to its own, checkpoints at each step, and says what it has.
 *
 * The end depends on every step of every rank, so work lost or done twice shows in the last line. `count.ts STEPS PAUSE_MS`.
 */
import { run } from "holdfast";

const steps = Number(process.argv[2]);
const pauseMs = Number(process.argv[3] ?? 0);
/** Keeps the numbers small enough to stay exact. */
const MODULUS = 1_000_003;

await run((context) => {
  const state = context.protect("state", Float64Array, 2);
  const sum = context.share("sum", Float64Array, 1);
  console.log(`from ${state[0]} version ${context.restored ?? "none"}`);
  while ((state[0] ?? 0) < steps) {
    sum[0] = (state[1] ?? 0) + context.rank + 1;
    context.allReduce(sum);
    state[1] = ((state[1] ?? 0) * 3 + (sum[0] ?? 0)) % MODULUS;
    state[0] = (state[0] ?? 0) + 1;
    context.checkpoint();
    if (context.rank === 0) console.log(`step ${state[0]}`);
    if (pauseMs > 0) Bun.sleepSync(pauseMs);
  }
  console.log(`end ${state[1]}`);
});
