/**
 * What happens in a demo, as data: the orchestrator emits these, and the live view, the plain lines, the JSON lines and
 * the verdict are all made from them. With `--json` each is printed as it stands, a line each.
 */
import type { CallEnd, CallName } from "./call.ts";
import type { TrainingReport } from "./training.ts";

/** `faulted` is the training in which nodes are killed, `clean` the one it is compared with. */
export type RunName = "faulted" | "clean";

export interface NodeRow {
  readonly id: string;
  readonly address: string;
  /** What the others say of it; `killed` once we did it. */
  readonly state: string;
  readonly epoch: number;
  readonly isLead: boolean;
  readonly agentPid: number | null;
  readonly rank: number | null;
  readonly programPid: number | null;
  readonly proxyPid: number | null;
  /** Sealed versions of the running job, rank by rank, that lie on this node. */
  readonly holds: readonly { readonly rank: number; readonly versions: readonly number[] }[];
}

/** `helper`: another child of the agent, such as the proxy it keeps warm. */
export type VictimRole = "agent" | "proxy" | "program" | "helper";

export interface Victim {
  readonly role: VictimRole;
  readonly pid: number;
  /** Start time of the process, clock ticks since boot: tells it from a later process of the same pid. */
  readonly startTicks: string;
  /** Proof taken before the kill: it had the job's shared memory mapped, or it was the agent we had started. */
  readonly isTheJobs: boolean;
}

export interface PhaseTime {
  readonly phase: string;
  readonly ms: number;
}

export interface Recovery {
  readonly epoch: number;
  readonly phases: readonly PhaseTime[];
  /** From SIGKILL until every rank had computed a step again. */
  readonly totalMs: number;
  /** Step at which the ranks began again. */
  readonly fromStep: number;
  readonly stepsAgain: number;
}

export interface RunEnd {
  readonly run: RunName;
  readonly exitCode: number;
  /** What the cluster says of it when it did not end well. */
  readonly reason: string | null;
  readonly ms: number;
  /** Steps of rank 0 that were computed, the ones computed again included. */
  readonly stepsComputed: number;
  /** As each rank told it, by rank; null where a rank told none. */
  readonly digests: readonly (string | null)[];
  readonly accuracy: number | null;
}

export type DemoEvent =
  | {
      readonly kind: "begin";
      readonly seed: number;
      readonly nodes: number;
      readonly ranks: number;
      readonly steps: number;
      readonly faults: number;
      readonly folder: string;
      /** The flags that draw the same again. */
      readonly replay: string;
    }
  | { readonly kind: "note"; readonly text: string }
  | { readonly kind: "nodes"; readonly nodes: readonly NodeRow[] }
  | { readonly kind: "run"; readonly run: RunName; readonly job: string }
  | { readonly kind: "training"; readonly run: RunName; readonly report: TrainingReport }
  | {
      readonly kind: "decision";
      readonly node: string;
      readonly epoch: number;
      readonly phase: string;
      readonly text: string;
    }
  | {
      readonly kind: "kill";
      readonly node: string;
      readonly rank: number;
      readonly step: number;
      readonly victims: readonly Victim[];
    }
  | { readonly kind: "gone"; readonly node: string; readonly pids: readonly number[] }
  | { readonly kind: "recovered"; readonly node: string; readonly recovery: Recovery }
  | { readonly kind: "run-end"; readonly end: RunEnd }
  | {
      readonly kind: "services";
      readonly services: readonly { readonly name: string; readonly pid: number }[];
    }
  | { readonly kind: "raised"; readonly call: CallName; readonly text: string }
  | { readonly kind: "called"; readonly end: CallEnd }
  | { readonly kind: "manager-killed"; readonly pid: number }
  | { readonly kind: "manager-back"; readonly pid: number }
  | {
      readonly kind: "reconciled";
      /** All that the destination has. */
      readonly tickets: readonly string[];
      readonly isReconciled: boolean;
    }
  | {
      readonly kind: "verdict";
      readonly exitCode: number;
      /** Why, a line each; the last is the conclusion. */
      readonly lines: readonly string[];
    };

/** `atMs` counts from the start of the demo. */
export type TimedEvent = DemoEvent & { readonly atMs: number };
