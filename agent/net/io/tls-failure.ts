/**
 * What a failed connection says, where TLS is the reason: whose certificate, what is wrong with it, and what to do.
 *
 * A server that refuses a certificate closes the connection, and Bun tells no more than that; so the asker looks at its own
 * identity, which may know why, and else names what is left.
 */
import { type Identity, TOKEN_TYPE } from "../../identity/identity.ts";
import type { Problem } from "../problem.ts";
import { isSecure } from "./secure.ts";

const HANDSHAKE_WITHIN_MS = 1_000;

/** Of the server's certificate, as OpenSSL names them. */
const SERVER_FAULTS: ReadonlyMap<string, string> = new Map([
  ["CERT_HAS_EXPIRED", "has a certificate that has ended: renew it there"],
  ["CERT_NOT_YET_VALID", "has a certificate of a time to come: are both clocks right?"],
  ["CERT_REVOKED", "has a certificate that was revoked: it is put out of the cluster"],
  [
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "has a certificate of another role: is it the address of something else?",
  ],
]);

const STRANGER_CODES: ReadonlySet<string> = new Set([
  "UNABLE_TO_GET_CRL",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_SIGNATURE_FAILURE",
]);

/** What this identity would be refused for, as far as it knows; null: nothing. */
function ownFault({ signer, verifier }: Identity): string | null {
  const verified = verifier.verify(
    signer.sign(TOKEN_TYPE, new Uint8Array(0)),
    TOKEN_TYPE,
    Date.now(),
  );
  return verified.ok ? null : verified.error.detail;
}

function isOfCertificate(error: Error | null): boolean {
  const code = (error as { code?: string } | null)?.code;
  return code !== undefined && (SERVER_FAULTS.has(code) || STRANGER_CODES.has(code));
}

/** Whether it is TLS that is spoken there, whoever it may be. Never rejects. */
export function speaksTls(hostname: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    let socket: Bun.Socket | null = null;
    const over = (speaks: boolean): void => {
      clearTimeout(timer);
      // First: to terminate calls `close` at once.
      resolve(speaks);
      socket?.terminate();
    };
    const timer = setTimeout(() => over(false), HANDSHAKE_WITHIN_MS);
    Bun.connect({
      ...{ hostname, port, tls: { rejectUnauthorized: false } },
      socket: {
        open: (opened) => {
          socket = opened;
        },
        // A server that wants a certificate has shown its own by then, which is judged, and that is no matter here.
        handshake: (_socket, isDone, error) => over(isDone || isOfCertificate(error)),
        data: () => undefined,
        close: () => over(false),
        error: () => over(false),
      },
    }).catch(() => over(false));
  });
}

/** null: TLS is not the reason. */
export async function tlsProblem(
  cause: unknown,
  at: string,
  identity: Identity | null,
): Promise<Problem | null> {
  const code = String((cause as { code?: unknown } | null)?.code ?? "");
  const problem = (detail: string): Problem => ({ kind: "unauthorized", detail });
  if (!isSecure(identity)) {
    if (code !== "ECONNRESET" && code !== "Malformed_HTTP_Response") return null;
    const colon = at.lastIndexOf(":");
    const host = at.slice(0, colon).replace(/^\[|\]$/g, "");
    if (!(await speaksTls(host, Number(at.slice(colon + 1))))) return null;
    return problem(
      `${at} speaks TLS, and there is no identity to ask with: name one with --identity FOLDER or HOLDFAST_IDENTITY, or get one with \`holdfast join\``,
    );
  }
  const { role, name, cluster } = identity.principal;
  const fault = SERVER_FAULTS.get(code);
  if (fault !== undefined) return problem(`${at} ${fault}`);
  if (STRANGER_CODES.has(code)) {
    return problem(`${at} is of another cluster than ${cluster}, which this identity is of`);
  }
  if (code === "EPROTO") {
    return problem(`${at} does not speak TLS: it has no identity, or is something else`);
  }
  if (code !== "ECONNRESET") return null;
  const own = ownFault(identity);
  if (own !== null) return problem(`${at} refuses this identity: ${own}`);
  return {
    kind: "unreachable",
    detail: `${at} closes the connection: the certificate of ${role} ${name} of ${cluster} may be revoked there, or the agent is just ending`,
  };
}
