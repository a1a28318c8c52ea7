/**
 * Asking an agent over HTTP: bounded in time and size, and every failure a problem of the table.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { Identity, PrincipalRole } from "../../identity/identity.ts";
import { type Problem, readProblem } from "../problem.ts";
import { schemeOf, secureFetch } from "./secure.ts";
import { tlsProblem } from "./tls-failure.ts";

export interface Ask {
  /** `127.0.0.1:7400` */
  readonly at: string;
  readonly path: string;
  readonly timeoutMs: number;
  /** Sent as JSON with POST; without it the request is a GET. */
  readonly body?: unknown;
  /** Who asks; null, or one without certificates: in the clear. */
  readonly identity: Identity | null;
  /** Who is meant to answer (default: an agent). */
  readonly role?: PrincipalRole;
}

/** The status of a cluster of thousands of ranks fits. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/** Why nothing came back. With TLS that may be a matter of certificates. */
export async function whyUnreachable(
  at: string,
  cause: unknown,
  identity: Identity | null,
): Promise<Problem> {
  return (await tlsProblem(cause, at, identity)) ?? unreachable(at, cause);
}

function unreachable(at: string, cause: unknown): Problem {
  const { code, name } = (cause ?? {}) as { code?: string; name?: string };
  if (name === "TimeoutError") {
    return { kind: "timeout", detail: `the agent at ${at} does not answer` };
  }
  const why =
    code === "ConnectionRefused" || code === "ECONNREFUSED" ? "nothing listens there" : code;
  return {
    kind: "unreachable",
    detail: `no agent answers at ${at}${why === undefined ? "" : ` (${why})`}`,
  };
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > ANSWER_BYTES_MAX)
      throw new Error(`an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

export async function askAgent<Answer>(ask: Ask): Promise<Result<Answer, Problem>> {
  try {
    const isPost = ask.body !== undefined;
    const { at, identity, role = "agent" } = ask;
    const response = await secureFetch(identity, role)(`${schemeOf(identity)}://${at}${ask.path}`, {
      method: isPost ? "POST" : "GET",
      signal: AbortSignal.timeout(ask.timeoutMs),
      ...(isPost
        ? { body: JSON.stringify(ask.body), headers: { "content-type": "application/json" } }
        : {}),
    });
    const text = await readBounded(response);
    if (!response.ok) return err(readProblem(response.status, text));
    return ok(JSON.parse(text) as Answer);
  } catch (cause) {
    return err(await whyUnreachable(ask.at, cause, ask.identity));
  }
}
