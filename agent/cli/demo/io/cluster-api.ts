/**
 * What the demo asks of an agent, and how the answers are read: status, submit, output, decisions. The same routes that
 * `holdfast status`, `run` and `job` use.
 *
 * An agent that does not answer is an ordinary thing in a demo that kills agents: it gives null, never an exception.
 */

import { err, ok, type Result } from "../../../../core/result.ts";
import type { Decision } from "../../../job/io/api.ts";
import { type Cursor, formatCursor, type OutputEvent } from "../../../job/io/output-stream.ts";
import type { ClusterStatus, NodeStatus, SilentNode } from "../../../job/io/status.ts";
import { askAgent } from "../../../net/io/http-client.ts";
import { readNdjson } from "../../../net/io/ndjson.ts";
import type { NodeRow } from "../events.ts";
import type { AgentSeat } from "./agents.ts";

export interface JobOrder {
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly ranks: number;
  readonly spares: number;
  readonly checkpointEveryMs: number | null;
}

export type JobEnd = Extract<OutputEvent, { kind: "end" }>;

const STATUS_WITHIN_MS = 1_000;
const SUBMIT_WITHIN_MS = 20_000;

function hostOf(seat: AgentSeat): string {
  return `${seat.address}:${seat.port}`;
}

function rowOf(node: NodeStatus | SilentNode, lead: string | null, job: string | null): NodeRow {
  const running = node.ranks.find((rank) => rank.job === job);
  const holds = "holds" in node ? node.holds : [];
  return {
    id: node.id,
    address: node.address,
    state: node.state,
    epoch: node.epoch,
    isLead: node.id === lead,
    agentPid: node.pid,
    rank: running?.rank ?? null,
    programPid: running?.programPid ?? null,
    proxyPid: running?.proxyPid ?? null,
    holds: holds
      .filter((held) => held.job === job)
      .map((held) => ({ rank: held.rank, versions: held.sealed })),
  };
}

/** Every node as this agent knows it, with what it has of `job`; null when the agent does not answer. */
export async function askStatus(
  seat: AgentSeat,
  job: string | null,
): Promise<readonly NodeRow[] | null> {
  const answer = await askAgent<ClusterStatus>({
    at: hostOf(seat),
    path: "/v1/status",
    timeoutMs: STATUS_WITHIN_MS,
    identity: null,
  });
  if (!answer.ok) return null;
  return answer.value.nodes.map((node) => rowOf(node, answer.value.lead, job));
}

/** The job's id. */
export async function submitJob(seat: AgentSeat, order: JobOrder): Promise<Result<string, string>> {
  const answer = await askAgent<{ readonly job: string }>({
    at: hostOf(seat),
    path: "/v1/jobs",
    timeoutMs: SUBMIT_WITHIN_MS,
    body: order,
    identity: null,
  });
  return answer.ok ? ok(answer.value.job) : err(answer.error.detail);
}

/** Ends when the stream does, whether it was finished, the agent died, or `stop` was raised: the caller looks which. */
async function* readStream(
  seat: AgentSeat,
  path: string,
  stop: AbortSignal,
): AsyncGenerator<unknown, void> {
  let values: AsyncIterator<unknown>;
  try {
    const response = await fetch(`http://${hostOf(seat)}${path}`, { signal: stop });
    if (!response.ok) {
      await response.body?.cancel();
      return;
    }
    values = readNdjson(response)[Symbol.asyncIterator]();
  } catch {
    return;
  }
  for (;;) {
    let next: IteratorResult<unknown>;
    try {
      next = await values.next();
    } catch {
      return;
    }
    if (next.done === true) return;
    yield next.value;
  }
}

/** How the job ended, or null when the stream broke before. `cursor` says where to read on at another agent. */
export async function followOutput(
  seat: AgentSeat,
  job: string,
  reader: { readonly cursor: Cursor; readonly onLine: (rank: number, text: string) => void },
  stop: AbortSignal,
): Promise<JobEnd | null> {
  let end: JobEnd | null = null;
  const path = `/v1/jobs/${job}/output?after=${formatCursor(reader.cursor)}`;
  for await (const value of readStream(seat, path, stop)) {
    const event = value as OutputEvent;
    if (event.kind === "end") end = event;
    if (event.kind !== "line") continue;
    // Two streams of one node may overlap for a moment.
    if (event.seq <= (reader.cursor.get(event.node) ?? 0)) continue;
    reader.cursor.set(event.node, event.seq);
    reader.onLine(event.rank, event.text);
  }
  return end;
}

/** Resolves when the agent ends or `stop` is raised. */
export async function followDecisions(
  seat: AgentSeat,
  stop: AbortSignal,
  onDecision: (decision: Decision) => void,
): Promise<void> {
  for await (const value of readStream(seat, "/v1/decisions", stop)) onDecision(value as Decision);
}
