/**
 * What the demo asks of an agent, and how the answers are read: status, submit, output, decisions.
 */
import type { Result } from "../../../runtime/result.ts";
import type { NodeRow } from "../events.ts";
import type { LoggedDecision } from "../phases.ts";
import type { AgentSeat } from "./agents.ts";

export interface JobOrder {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly ranks: number;
  readonly spares: number;
  readonly checkpointEveryMs: number | null;
}

export interface ClusterApi {
  /** Every node as this agent knows it, with what it has of `job`; null when the agent does not answer. */
  status(seat: AgentSeat, job: string | null): Promise<readonly NodeRow[] | null>;
  submit(seat: AgentSeat, order: JobOrder): Promise<Result<string, string>>;
  /** Resolves with the job's exit code, or null when the stream broke before. */
  followOutput(
    seat: AgentSeat,
    job: string,
    onLine: (rank: number, line: string) => void,
    stop: AbortSignal,
  ): Promise<number | null>;
  /** Resolves when the agent ends or `stop` is raised. */
  followDecisions(
    seat: AgentSeat,
    stop: AbortSignal,
    onDecision: (decision: LoggedDecision) => void,
  ): Promise<void>;
}
