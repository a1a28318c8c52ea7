/**
 * One history: a seeded cluster, a storm of faults, then calm, in which progress is owed.
 *
 * The seed decides everything. Sub-streams are forked by name, so that one more random call in one concern does not reshuffle
 * the others.
 */
import { prng } from "../../agent/runtime/prng.ts";
import { runCallhomeHistory } from "./callhome/history.ts";
import { whatIsUnsettled } from "./settled.ts";
import { Users } from "./users.ts";
import { Storm } from "./weather.ts";
import { Cluster, type ClusterOptions } from "./world/cluster.ts";
import { Violation, type ViolationKind } from "./world/violation.ts";

export interface HistoryOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly seconds: number;
  readonly scenario: ScenarioName;
  readonly keepLines: boolean;
  readonly defect?: Pick<ClusterOptions, "wrap" | "wrapMembership">;
}

/** `mixed` draws one of the next five by the seed. `split`: nothing but long cuts. `callhome`: a simulation of its own. */
export const SCENARIOS = [
  "mixed",
  "full",
  "membership",
  "calm",
  "witness",
  "split",
  "callhome",
] as const;
export type ScenarioName = (typeof SCENARIOS)[number];

export interface Failure {
  readonly kind: ViolationKind;
  readonly rule: string;
  readonly text: string;
}

export interface HistoryResult {
  readonly seed: number;
  readonly hash: string;
  readonly failure: Failure | null;
  readonly lines: readonly string[];
  readonly events: number;
  readonly epochs: number;
  readonly faults: number;
  readonly rollbacks: number;
  readonly seals: number;
  /** From the end of the storm until all was well again. */
  readonly settledMs: number | null;
}

/** Share of the time that the storm lasts. */
const STORM_SHARE = 0.6;

/** Epochs a second that a cluster may go through while faults rage: more is a loop. */
const EPOCHS_PER_SECOND_MAX = 40;

function callhomeHistory({ seed, seconds }: HistoryOptions): HistoryResult {
  const { failure, steps, faults, settledMs, hash } = runCallhomeHistory({ seed, seconds });
  const nothing = { epochs: 0, rollbacks: 0, seals: 0, lines: [] };
  return { ...nothing, seed, hash, failure, events: steps, faults, settledMs };
}

export function runHistory(options: HistoryOptions): HistoryResult {
  if (options.scenario === "callhome") return callhomeHistory(options);
  const random = prng(options.seed).fork("history");
  const shape = drawShape(options);
  const cluster = new Cluster({
    seed: options.seed,
    workers: shape.workers,
    witness: shape.witness,
    membershipOnly: shape.membershipOnly,
    keepLines: options.keepLines,
    driftMax: random.below(2) === 0 ? 0.002 : 0,
    ...options.defect,
  });
  const stats = { faults: 0, settledMs: null as number | null };
  const failure = guarded(() => play(cluster, options, shape, stats));
  if (failure !== null)
    cluster.log.say("referee", `${failure.kind}: ${failure.rule}: ${failure.text}`);
  const jobs = [...cluster.referee.jobs.all().values()];
  return {
    seed: options.seed,
    hash: cluster.log.hash(),
    failure,
    lines: cluster.log.lines(),
    events: cluster.steps(),
    epochs: cluster.referee.newestEpoch(),
    faults: stats.faults,
    rollbacks: jobs.reduce((sum, job) => sum + job.rollbacks, 0),
    seals: cluster.referee.jobs.seals,
    settledMs: stats.settledMs,
  };
}

const MIXED = [
  ...(["full", "full", "full", "full", "full"] as const),
  ...(["membership", "witness", "witness", "split", "calm"] as const),
] as const;

interface Shape {
  readonly workers: number;
  readonly witness: boolean;
  readonly membershipOnly: boolean;
  readonly calm: boolean;
  readonly split: boolean;
}

function drawShape(options: HistoryOptions): Shape {
  const draw = prng(options.seed).fork("shape");
  const name =
    options.scenario === "mixed" ? (MIXED[draw.below(MIXED.length)] ?? "full") : options.scenario;
  const witness = name === "witness";
  return {
    workers: witness ? options.nodes - 1 : options.nodes,
    witness,
    membershipOnly: name === "membership",
    calm: name === "calm",
    split: name === "split",
  };
}

function play(
  cluster: Cluster,
  options: HistoryOptions,
  shape: Shape,
  stats: { faults: number; settledMs: number | null },
): void {
  const random = prng(options.seed).fork("play");
  const totalMs = options.seconds * 1_000;
  const stormEndMs = totalMs * STORM_SHARE;
  const users = new Users(cluster, random.fork("users"), stormEndMs);
  cluster.startAll();
  cluster.runFor(1_500);
  if (!shape.membershipOnly) users.begin();
  const storm = new Storm(cluster, random.fork("storm"), shape.split);
  if (!shape.calm) storm.begin();
  runChecked(cluster, stormEndMs);
  storm.end();
  stats.faults = storm.struck;
  users.calm();
  while (cluster.time.nowMs() < totalMs) {
    runChecked(cluster, Math.min(totalMs, cluster.time.nowMs() + 250));
    const why = users.whatIsRefused() ?? whatIsUnsettled(cluster, users.wanted());
    if (why === null) stats.settledMs ??= cluster.time.nowMs() - stormEndMs;
    else stats.settledMs = null;
  }
  const why = users.whatIsRefused() ?? whatIsUnsettled(cluster, users.wanted());
  if (why !== null) throw new Violation("liveness", why.rule, why.text);
}

/** In slices, so that bounds are looked at now and then. */
function runChecked(cluster: Cluster, limitMs: number): void {
  while (cluster.time.nowMs() < limitMs) {
    cluster.runUntil(Math.min(limitMs, cluster.time.nowMs() + 1_000));
    cluster.referee.checkBounds();
    const epochsMax = 20 + (EPOCHS_PER_SECOND_MAX * cluster.time.nowMs()) / 1_000;
    if (cluster.referee.newestEpoch() > epochsMax) {
      throw new Violation(
        "liveness",
        "epochs race",
        `${cluster.referee.newestEpoch()} epochs in ${Math.round(cluster.time.nowMs())} ms`,
      );
    }
  }
}

/** Whatever else is thrown is a crash of decision code: an assertion, a broken invariant. */
function guarded(run: () => void): Failure | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof Violation) {
      return { kind: error.kind, rule: error.rule, text: error.message };
    }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const rule = error instanceof Error ? `${error.name}: ${error.message}` : "thrown";
    return { kind: "crash", rule, text };
  }
}
