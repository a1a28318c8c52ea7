/**
 * A computation that survives: each round adds what all ranks contribute, and passes a message to the next rank across the
 * checkpoint. Prints a line a round (`round N`), and the final state. `ROUNDS`, and `ROUND_MS` of computing in each.
 */
import { type Context, run } from "../../sdk/holdfast.ts";

const rounds = Number(process.env["ROUNDS"] ?? 20);
const roundMs = Number(process.env["ROUND_MS"] ?? 0);

interface Kept {
  readonly state: Float64Array;
  /** Rounds whose sum is in the state, and rounds whose message is. */
  readonly progress: Int32Array;
}

function addSum(c: Context, { state, progress }: Kept): void {
  const round = progress[0] as number;
  const part = Float64Array.from({ length: 1000 }, (_, i) => Math.sin(round * 7 + i + c.rank));
  const endMs = performance.now() + roundMs;
  while (performance.now() < endMs) Math.sqrt(endMs);
  c.allReduce(part);
  for (let i = 0; i < 1000; i++) state[i] = (state[i] as number) * 0.5 + (part[i] as number);
  // Sent before the checkpoint, received after it: it is under way across the cut.
  c.send((c.rank + 1) % c.size, Float64Array.of((state[round] as number) + c.rank), 3);
  progress[0] = round + 1;
}

function addMessage(c: Context, { state, progress }: Kept): void {
  const token = new Float64Array(1);
  c.receive(token, { tag: 3 });
  const round = progress[1] as number;
  state[999 - round] = (state[999 - round] as number) + (token[0] as number);
  progress[1] = round + 1;
  process.stdout.write(`round ${round}\n`);
}

await run((c) => {
  const kept: Kept = {
    state: c.protect("state", Float64Array, 1000),
    progress: c.protect("progress", Int32Array, 2),
  };
  const { state, progress } = kept;
  process.stdout.write(`enter ${c.restored ?? 0} at ${progress[0]}\n`);
  let versions = 0;
  if ((progress[1] as number) < (progress[0] as number)) addMessage(c, kept);
  while ((progress[0] as number) < rounds) {
    addSum(c, kept);
    if (c.checkpoint() !== null) versions++;
    addMessage(c, kept);
  }
  const digest = Bun.hash(new Uint8Array(state.buffer, state.byteOffset, state.byteLength));
  const { restored, checkpointFailure: failure } = c;
  const result = { digest: String(digest), versions, restored, failure };
  process.stdout.write(`${JSON.stringify(result)}\n`);
});
