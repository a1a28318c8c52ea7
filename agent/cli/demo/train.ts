/**
 * The training program of the demo, a rank of a job: `train.js --data FILE [--steps N] [--batch N] [--seed N]`.
 *
 * A bundle of this file is embedded in the executable, written out by the demo and run by the executable itself
 * (`BUN_BE_BUN=1`), as any TypeScript program of a user's is. It prints a JSON line for each `TrainingReport`.
 */
import { readFileSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { run } from "../../proxy/sdk/holdfast.ts";
import { decodeDigits } from "./digits.ts";
import { type TrainingReport, trainRank } from "./training.ts";

const { values } = parseArgs({
  options: {
    data: { type: "string" },
    steps: { type: "string", default: "400" },
    batch: { type: "string", default: "256" },
    seed: { type: "string", default: "1" },
  },
});
if (values.data === undefined) throw new Error("--data FILE is missing");

/**
 * Straight to the file descriptor: calls of the SDK block, so a stream that waits for the event loop would tell nothing
 * until the end. The pipe may be non-blocking; its reader, the agent, always reads on.
 */
function print(report: TrainingReport): void {
  const line = Buffer.from(`${JSON.stringify({ ...report, atMs: Date.now() })}\n`);
  let from = 0;
  while (from < line.length) {
    try {
      from += writeSync(1, line, from);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Bun.sleepSync(1);
    }
  }
}

const digits = decodeDigits(new Uint8Array(readFileSync(values.data)));
const options = {
  steps: Number(values.steps),
  batch: Number(values.batch),
  seed: Number(values.seed),
};
await run((context) => trainRank(context, digits, options, print));
