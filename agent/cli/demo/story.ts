/**
 * What is known of a demo at one moment: the fold of its events so far. The view and the summary are drawn from it.
 */
import { CALL_TITLES, type CallEnd, describeSteps } from "./call.ts";
import type { NodeRow, Recovery, RunEnd, RunName, TimedEvent, Victim } from "./events.ts";

export interface StoryLine {
  readonly atMs: number;
  readonly text: string;
  readonly isGrave: boolean;
}

export interface KillMark {
  readonly node: string;
  readonly rank: number;
  readonly step: number;
  readonly victims: readonly Victim[];
  readonly isGone: boolean;
  readonly recovery: Recovery | null;
}

export interface Story {
  readonly nowMs: number;
  readonly seed: number;
  readonly ranks: number;
  readonly steps: number;
  readonly folder: string;
  readonly replay: string;
  readonly run: RunName | null;
  /** When the present training began. */
  readonly runSinceMs: number;
  readonly step: number;
  /** Index = step − 1. */
  readonly losses: Readonly<Record<RunName, readonly (number | undefined)[]>>;
  readonly nodes: readonly NodeRow[];
  readonly kills: readonly KillMark[];
  /** Decisions that one node has told for all. */
  readonly told: ReadonlySet<string>;
  /** The newest `LINES_MAX`. */
  readonly lines: readonly StoryLine[];
  readonly ends: Readonly<Partial<Record<RunName, RunEnd>>>;
  /** The second half: an error calls home. */
  readonly isCalling: boolean;
  readonly calls: readonly CallEnd[];
  readonly verdict: { readonly exitCode: number; readonly lines: readonly string[] } | null;
}

const LINES_MAX = 200;

/** Decisions of these phases come with every checkpoint; they are in the table of nodes already. */
const QUIET_PHASES: ReadonlySet<string> = new Set(["checkpoint", "seal"]);

/** Every node says these; people are told when the first does. JSON has them all. */
const COMMON_PHASES: ReadonlySet<string> = new Set([
  "suspect",
  "view",
  "joined",
  "idle",
  "select",
  "restore",
  "resume",
]);

const GRAVE: ReadonlySet<TimedEvent["kind"]> = new Set(["kill", "raised", "manager-killed"]);

export const EMPTY_STORY: Story = {
  nowMs: 0,
  seed: 0,
  ranks: 0,
  steps: 0,
  folder: "",
  replay: "",
  run: null,
  runSinceMs: 0,
  step: 0,
  losses: { faulted: [], clean: [] },
  nodes: [],
  kills: [],
  told: new Set(),
  lines: [],
  ends: {},
  isCalling: false,
  calls: [],
  verdict: null,
};

export const RUN_TITLES: Readonly<Record<RunName, string>> = {
  faulted: "training with a fault",
  clean: "the same without a fault",
};

/** What a decision is called among those that are told once; null for one that is always told. */
function commonKey(event: Extract<TimedEvent, { kind: "decision" }>): string | null {
  if (!COMMON_PHASES.has(event.phase)) return null;
  return event.phase === "suspect"
    ? `suspect ${event.text.split(" ")[0]}`
    : `${event.phase} ${event.epoch}`;
}

/** One line for people; null where the event is shown in another way. */
export function describeEvent(event: TimedEvent, story: Story): string | null {
  if (event.kind === "decision") {
    // How the cluster found itself is no part of the story.
    if (story.run === null || event.atMs < story.runSinceMs) return null;
    if (QUIET_PHASES.has(event.phase)) return null;
    const key = commonKey(event);
    if (key !== null && story.told.has(key)) return null;
  }
  return wordsOf(event);
}

function wordsOf(event: TimedEvent): string | null {
  switch (event.kind) {
    case "begin": {
      const spares = event.nodes - event.ranks;
      const faults = event.faults === 1 ? "one node" : `${event.faults} nodes`;
      return `seed ${event.seed}: ${event.ranks} working nodes, ${spares} spare, ${event.steps} steps; ${faults} will be killed`;
    }
    case "note":
      return event.text;
    case "run":
      return `${RUN_TITLES[event.run]}: job ${event.job}`;
    case "kill": {
      const pids = event.victims.map((victim) => `${victim.role} ${victim.pid}`).join(", ");
      return `SIGKILL to ${event.node} (rank ${event.rank}) after step ${event.step}: ${pids}`;
    }
    case "gone":
      return `${event.node} is dead: ${event.pids.length} processes are no more`;
    case "recovered": {
      const { totalMs, fromStep, stepsAgain } = event.recovery;
      return `every rank computes again after ${Math.round(totalMs)} ms, from step ${fromStep}; ${stepsAgain} steps are computed twice`;
    }
    case "run-end":
      return `${RUN_TITLES[event.end.run]} ended with exit code ${event.end.exitCode} after ${seconds(event.end.ms)}`;
    case "decision": {
      const own = `${event.node}: `;
      const text = event.text.startsWith(own) ? event.text.slice(own.length) : event.text;
      return commonKey(event) === null
        ? `${event.node} ${event.phase}: ${text}`
        : `${event.phase}: ${text}`;
    }
    case "training":
      return event.report.event === "begin" && event.report.step > 0
        ? `rank ${event.report.rank} begins again after step ${event.report.step} (pid ${event.report.pid})`
        : null;
    case "services": {
      const pids = event.services.map(({ name, pid }) => `${name} ${pid}`).join(", ");
      return `call home: ${pids}`;
    }
    case "raised":
      return `an error is raised in the BMC ${CALL_TITLES[event.call]}: ${event.text}`;
    case "called": {
      const { ticket, totalMs, path, steps, text } = event.end;
      return `${text} → ticket ${ticket} after ${totalMs} ms, by ${path}: ${describeSteps(steps)}`;
    }
    case "manager-killed":
      return `SIGKILL to the manager, pid ${event.pid}`;
    case "manager-back":
      return `the manager is started again, pid ${event.pid}`;
    case "reconciled": {
      const learned = event.isReconciled ? "knows of both" : "does not know of both";
      return `the manager ${learned}; the destination has ${event.tickets.length} tickets: ${event.tickets.join(", ")}`;
    }
    case "verdict":
    case "nodes":
      return null;
    default: {
      const never: never = event;
      return never;
    }
  }
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

function withLoss(story: Story, run: RunName, step: number, loss: number): Story {
  const losses = story.losses[run].slice();
  losses[step - 1] = loss;
  return { ...story, step, losses: { ...story.losses, [run]: losses } };
}

function withKill(story: Story, node: string, change: Partial<KillMark>): Story {
  const kills = story.kills.map((kill) => (kill.node === node ? { ...kill, ...change } : kill));
  return { ...story, kills };
}

function applied(story: Story, event: TimedEvent): Story {
  switch (event.kind) {
    case "begin":
      return {
        ...story,
        seed: event.seed,
        ranks: event.ranks,
        steps: event.steps,
        folder: event.folder,
        replay: event.replay,
      };
    case "run":
      return { ...story, run: event.run, runSinceMs: event.atMs, step: 0 };
    case "nodes":
      return { ...story, nodes: event.nodes };
    case "training":
      return event.report.event === "step"
        ? withLoss(story, event.run, event.report.step, event.report.loss)
        : story;
    case "kill": {
      const { node, rank, step, victims } = event;
      const kill: KillMark = { node, rank, step, victims, isGone: false, recovery: null };
      return { ...story, kills: [...story.kills, kill] };
    }
    case "gone":
      return withKill(story, event.node, { isGone: true });
    case "recovered":
      return withKill(story, event.node, { recovery: event.recovery });
    case "run-end":
      return { ...story, ends: { ...story.ends, [event.end.run]: event.end } };
    case "services":
      return { ...story, isCalling: true };
    case "called":
      return { ...story, calls: [...story.calls, event.end] };
    case "verdict":
      return { ...story, verdict: { exitCode: event.exitCode, lines: event.lines } };
    case "note":
    case "decision":
    case "raised":
    case "manager-killed":
    case "manager-back":
    case "reconciled":
      return story;
    default: {
      const never: never = event;
      return never;
    }
  }
}

export function tell(story: Story, event: TimedEvent): Story {
  const next = { ...applied(story, event), nowMs: Math.max(story.nowMs, event.atMs) };
  const text = describeEvent(event, story);
  if (text === null) return next;
  const line: StoryLine = { atMs: event.atMs, text, isGrave: GRAVE.has(event.kind) };
  const key = event.kind === "decision" ? commonKey(event) : null;
  return {
    ...next,
    told: key === null ? story.told : new Set([...story.told, key]),
    lines: [...story.lines, line].slice(-LINES_MAX),
  };
}
