/**
 * Is the agent that we mean there? Asked by the failure detector before a verdict, of a node that is silent on UDP.
 *
 * Tells apart: it answered; only its kernel took the connection, so the agent is stalled; nobody listens, or another agent
 * does; nothing came back at all. One connection, one request, closed at once. With TLS, who cannot show a certificate of an agent of
 * this cluster is another agent; one that took the connection and does not shake hands is stalled.
 */
import type { Identity } from "../../identity/identity.ts";
import type { Endpoint } from "../../runtime/datagrams.ts";
import { dialTls } from "./secure.ts";

export type TcpOutcome = "answered" | "accepted" | "refused" | "silent";

export interface TcpCheck {
  readonly to: Endpoint;
  readonly id: string;
  readonly instance: string;
  readonly timeoutMs: number;
  /** null, or one without certificates: in the clear. */
  readonly identity: Identity | null;
}

const REQUEST = "GET /v1/ping HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n";

const ANSWER_BYTES_MAX = 4096;

/** null: not whole yet. */
function judge(answer: string, check: TcpCheck): TcpOutcome | null {
  const end = answer.indexOf("\r\n\r\n");
  if (end === -1) return null;
  try {
    const said = JSON.parse(answer.slice(end + 4)) as { id?: unknown; instance?: unknown };
    return said.id === check.id && said.instance === check.instance ? "answered" : "refused";
  } catch {
    return null;
  }
}

export function checkTcp(check: TcpCheck): Promise<TcpOutcome> {
  return new Promise((resolve) => {
    let outcome: TcpOutcome = "silent";
    let socket: Bun.Socket | null = null;
    let answer = "";
    let isOver = false;
    const over = (result: TcpOutcome): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      socket?.terminate();
      resolve(result);
    };
    const timer = setTimeout(() => over(outcome), check.timeoutMs);
    const tls = dialTls(check.identity, "agent");
    Bun.connect({
      hostname: check.to.address,
      port: check.to.port,
      ...(tls === undefined ? {} : { tls }),
      socket: {
        open: (opened) => {
          socket = opened;
          if (isOver) {
            opened.terminate();
            return;
          }
          outcome = "accepted";
          if (tls === undefined) opened.write(REQUEST);
        },
        handshake: (opened, isDone, error) => {
          if (isDone && error === null) opened.write(REQUEST);
          else over("refused");
        },
        data: (_socket, chunk) => {
          answer += chunk.toString("latin1");
          const judged = judge(answer, check);
          if (judged !== null) over(judged);
          else if (answer.length > ANSWER_BYTES_MAX) over("refused");
        },
        // It took the connection and closed it unanswered: whatever it is, it is no agent at work.
        close: () => over("refused"),
        error: () => over("refused"),
      },
    }).catch((cause: unknown) => {
      const code = (cause as { code?: string } | null)?.code;
      if (code === "ECONNREFUSED" || code === "ECONNRESET") over("refused");
    });
  });
}
