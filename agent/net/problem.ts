/**
 * The one table of what can go wrong for whoever asks an agent: kind → HTTP status and exit code.
 *
 * An agent answers with RFC 9457 problem details made from it; a command that gets such an answer, or meets the same kind
 * by itself, ends with the exit code of the same row. Exit codes follow sysexits.h where it has a fitting one, so that
 * they do not collide with a job's own small codes: `holdfast run` passes those through.
 */
export const PROBLEMS = {
  "bad-request": { status: 400, exitCode: 2, title: "The request is not understood" },
  unauthorized: { status: 401, exitCode: 77, title: "Who asks is not known here" },
  forbidden: { status: 403, exitCode: 77, title: "The agent does not take this from here" },
  "not-found": { status: 404, exitCode: 66, title: "There is no such thing here" },
  "too-large": { status: 413, exitCode: 65, title: "The request is too large" },
  refused: { status: 409, exitCode: 77, title: "The cluster refuses this" },
  internal: { status: 500, exitCode: 70, title: "The agent has a defect" },
  unreachable: { status: 502, exitCode: 69, title: "Another agent cannot be reached" },
  busy: { status: 429, exitCode: 75, title: "Too much is asked for at a time" },
  frozen: { status: 503, exitCode: 75, title: "This node is in no majority" },
  unavailable: { status: 503, exitCode: 75, title: "What it needs is not there now" },
  "not-kept": { status: 507, exitCode: 73, title: "The agent cannot keep this" },
  timeout: { status: 504, exitCode: 75, title: "No answer in time" },
} as const;

export type ProblemKind = keyof typeof PROBLEMS;

export interface Problem {
  readonly kind: ProblemKind;
  /** One line that names the thing and what to do. */
  readonly detail: string;
}

/** RFC 9457; `kind` is our extension member, so that a client need not take a URI apart. */
export interface ProblemDetails extends Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
}

export const PROBLEM_TYPE = "application/problem+json";

export function problemDetails(problem: Problem): ProblemDetails {
  const { status, title } = PROBLEMS[problem.kind];
  return { type: `urn:holdfast:problem:${problem.kind}`, title, status, ...problem };
}

export function problemResponse(problem: Problem): Response {
  const body = problemDetails(problem);
  return new Response(JSON.stringify(body), {
    status: body.status,
    headers: { "content-type": PROBLEM_TYPE },
  });
}

/** What an answer that is not a success says; a body that is no problem of ours still gives a kind, by its status. */
export function readProblem(status: number, body: string): Problem {
  try {
    const parsed = JSON.parse(body) as Partial<ProblemDetails> | null;
    const kind = parsed?.kind;
    if (kind !== undefined && Object.hasOwn(PROBLEMS, kind)) {
      return { kind, detail: String(parsed?.detail ?? PROBLEMS[kind].title) };
    }
  } catch {
    // No JSON: judged by its status.
  }
  const kinds = Object.keys(PROBLEMS) as ProblemKind[];
  const kind = kinds.find((candidate) => PROBLEMS[candidate].status === status) ?? "internal";
  return { kind, detail: `the agent answered ${status}` };
}
