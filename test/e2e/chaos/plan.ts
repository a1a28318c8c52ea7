/**
 * What a chaos round does, drawn from its seed before anything runs: the job's shape, who is struck, how and when.
 *
 * Moments and shares are drawn here; who that is at that moment (which pid) only the round can know.
 */
import { type Prng, prng } from "../../../agent/runtime/prng.ts";

export const NODES = 5;

export type Target =
  | "agent"
  | "proxy"
  | "warm-proxy"
  | "program"
  /** Who ends a killed agent's programs. */
  | "guard"
  | "node"
  | "lead"
  | "reader"
  /** The node of the strike before, once its agent has been started again. */
  | "same-again"
  | "client";

export interface Strike {
  readonly target: Target;
  readonly signal: "kill" | "stop";
  /** After the job's id is known, or after the strike before it. */
  readonly afterMs: number;
  /** In [0, 1): which of those there are. */
  readonly pick: number;
  /** When a killed agent is started again; null: only once the job is over or stands still. */
  readonly restartAfterMs: number | null;
}

export interface ChaosPlan {
  readonly seed: number;
  readonly ranks: number;
  readonly spares: number;
  readonly checkpointEveryMs: number | null;
  readonly steps: number;
  readonly pauseMs: number;
  /** Which node the client reads from. */
  readonly readerIndex: number;
  readonly strikes: readonly Strike[];
}

const TARGETS: readonly (readonly [Target, number])[] = [
  ["agent", 4],
  ["proxy", 4],
  ["warm-proxy", 2],
  ["program", 4],
  ["node", 4],
  ["guard", 1],
  ["lead", 2],
  ["reader", 1],
  ["client", 1],
];
const CHECKPOINTS_MS: readonly (number | null)[] = [null, 5, 40, 200, 1000];

function weighted(random: Prng): Target {
  let left = random.below(TARGETS.reduce((total, [, weight]) => total + weight, 0));
  for (const [target, weight] of TARGETS) {
    left -= weight;
    if (left < 0) return target;
  }
  return "node";
}

function drawStrike(random: Prng, index: number): Strike {
  const isNext = index > 0;
  // Of the first strikes some fall into the job's start, of the later ones most into the recovery before.
  const isSoon = random.unit() < (isNext ? 0.6 : 0.15);
  const isAgain = random.unit() < 0.2;
  const drawn = weighted(random);
  const target = isNext && isAgain ? "same-again" : drawn;
  const isStop = random.unit() < 0.2 && target !== "client";
  const soonMs = random.below(500);
  const laterMs = 300 + random.below(2_700);
  const restartMs = random.below(1_500);
  return {
    target,
    signal: isStop ? "stop" : "kill",
    afterMs: isSoon ? soonMs : laterMs,
    pick: random.unit(),
    restartAfterMs: random.unit() < 0.4 ? restartMs : null,
  };
}

export function drawPlan(seed: number, kills: number): ChaosPlan {
  const random = prng(seed);
  const ranks = [4, 4, 3, 5, 2][random.below(5)] ?? 4;
  const checkpointEveryMs = CHECKPOINTS_MS[random.below(CHECKPOINTS_MS.length)] ?? null;
  return {
    seed,
    ranks,
    spares: random.below(NODES - ranks + 1),
    checkpointEveryMs,
    steps: 200 + random.below(150),
    pauseMs: 8 + random.below(8),
    readerIndex: 1 + random.below(NODES),
    strikes: Array.from({ length: kills }, (_, index) => drawStrike(random, index)),
  };
}

export function describePlan(plan: ChaosPlan): string {
  const every = plan.checkpointEveryMs === null ? "each call" : `${plan.checkpointEveryMs} ms`;
  const strikes = plan.strikes.map(({ target, signal, afterMs, restartAfterMs }) => {
    const restart = restartAfterMs === null ? "" : ` restart+${restartAfterMs}`;
    return `${signal} ${target} +${afterMs}${restart}`;
  });
  return `${plan.ranks} ranks, ${plan.spares} spares, checkpoint ${every}, ${plan.steps} steps: ${strikes.join(", ")}`;
}
