/**
 * Receives one HTTP answer within bounds and makes of it what Redfish tasks take: status, JSON, path of what was made.
 */
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { asPath } from "../../redfish/json.ts";
import type { RedfishReply } from "../../redfish/redfish.ts";
import { socketError } from "./redfish-trust.ts";

/** A log of some ten thousand entries in one page. */
const BODY_BYTES_MAX = 33_554_432;
const RETRY_AFTER_MS_MAX = 5_000;

export interface Sent {
  readonly reply: RedfishReply;
  readonly headers: IncomingHttpHeaders;
  /** What the service asks to wait before it is asked again, bounded. */
  readonly retryAfterMs: number | null;
}

/** Carries a `BmcError` through the callbacks of `node:http`, which pass nothing but errors. */
export class ConnectError extends Error {
  readonly error: BmcError;

  constructor(error: BmcError) {
    super(error.detail);
    this.error = error;
  }
}

export function errorOf(what: string, cause: unknown): BmcError {
  return cause instanceof ConnectError ? cause.error : socketError(what, cause);
}

/** Only the path counts: services put in names by which they are not known here. */
function pathOf(location: string | undefined): string | null {
  if (location === undefined) return null;
  return asPath(location.replace(/^https?:\/\/[^/]*/i, ""));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function retryAfterOf(headers: IncomingHttpHeaders): number | null {
  const told = headers["retry-after"] ?? "";
  return /^\d{1,6}$/.test(told) ? Math.min(RETRY_AFTER_MS_MAX, Number(told) * 1000) : null;
}

export function receive(
  response: IncomingMessage,
  what: string,
  settle: (result: Result<Sent, BmcError>) => void,
): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  response.on("data", (chunk: Buffer) => {
    bytes += chunk.byteLength;
    if (bytes > BODY_BYTES_MAX) {
      settle(
        err(bmcError("malformed", `${what}: the answer has more than ${BODY_BYTES_MAX} bytes`)),
      );
      response.destroy();
    } else chunks.push(chunk);
  });
  response.on("error", (cause) => settle(err(errorOf(what, cause))));
  response.on("end", () => {
    if (!response.complete) {
      settle(err(bmcError("disconnected", `${what}: the answer was cut off`)));
      return;
    }
    const { headers } = response;
    const reply: RedfishReply = {
      status: response.statusCode ?? 0,
      body: parsed(Buffer.concat(chunks).toString("utf8")),
      location: pathOf(headers.location),
      etag: headers.etag ?? null,
    };
    settle(ok({ reply, headers, retryAfterMs: retryAfterOf(headers) }));
  });
}
