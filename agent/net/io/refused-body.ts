/**
 * Ends the connection of a request that was refused while its body was still coming: else Bun reads the body on to its end,
 * 1 GiB of it if that is what was announced, and whoever sends it learns only then that nobody wanted it.
 *
 * A body that is soon over is read and thrown away, so that who sent it reads why it was refused: a connection that is closed
 * with bytes unread is reset, and takes the answer with it.
 */

/** More than any body that well-behaved clients send, but for shards. */
export const READ_ON_BYTES_MAX: number = 8 * 1024 * 1024;

type Answer = Response | undefined;

function isLong({ headers }: Request): boolean {
  // With both, the length does not hold.
  if (headers.has("transfer-encoding")) return true;
  return Number(headers.get("content-length") ?? 0) > READ_ON_BYTES_MAX;
}

function ended(request: Request, answer: Answer): Answer {
  if (answer === undefined || answer.ok || !isLong(request)) return answer;
  // Bun closes when the answer is sent, and reads no more.
  answer.headers.set("connection", "close");
  return answer;
}

/** Wraps what `Bun.serve` is given as `fetch`. */
export function endRefused<Server, Given extends Answer>(
  answer: (request: Request, server: Server) => Given | Promise<Given>,
): (request: Request, server: Server) => Promise<Given> {
  return async (request, server) => ended(request, await answer(request, server)) as Given;
}
