/**
 * Whom the demo kills and when: drawn from the seed, so that the same seed draws the same again.
 *
 * A moment is a step plus some milliseconds, so that a kill falls anywhere within a step: in the middle of a gradient, an
 * all-reduce or a checkpoint. The victim is drawn as a rank; the node that runs this rank at that moment dies.
 */

import { err, ok, type Result } from "../../../core/result.ts";
import { prng } from "../../runtime/prng.ts";

export interface Kill {
  readonly victim:
    | { readonly kind: "rank"; readonly rank: number }
    | { readonly kind: "node"; readonly node: string };
  /** After this step of rank 0 was told. */
  readonly step: number;
  readonly delayMs: number;
}

export interface KillPlanInput {
  readonly seed: number;
  readonly faults: number;
  readonly ranks: number;
  readonly steps: number;
}

/** About three steps. */
const DELAY_MS_MAX = 40;

/** One kill in each of `faults` equal parts of the middle half of the training. */
export function drawKills(input: KillPlanInput): readonly Kill[] {
  const random = prng(input.seed).fork("kills");
  const part = input.steps / 2 / input.faults;
  return Array.from({ length: input.faults }, (_, index) => ({
    victim: { kind: "rank", rank: random.below(input.ranks) },
    step: Math.floor(input.steps / 4 + part * (index + random.unit())),
    delayMs: random.below(DELAY_MS_MAX),
  }));
}

/** `NODE@STEP`, several separated by commas. */
export function parseKills(text: string, steps: number): Result<readonly Kill[], string> {
  const kills: Kill[] = [];
  for (const part of text.split(",")) {
    const match = /^([a-z0-9-]{1,32})@(\d{1,9})$/.exec(part.trim());
    if (match === null) return err(`--kill ${part}: write NODE@STEP, such as n3@120`);
    const step = Number(match[2]);
    if (step < 1 || step >= steps) {
      return err(`--kill ${part}: the training has steps 1 to ${steps - 1} to be killed at`);
    }
    kills.push({ victim: { kind: "node", node: match[1] as string }, step, delayMs: 0 });
  }
  return ok(kills.sort((a, b) => a.step - b.step));
}
