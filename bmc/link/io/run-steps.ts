/**
 * Carries out a task of many requests on a connection.
 *
 * Decides nothing: the task says what to ask and judges the answers, the connection sends, retries and limits. All requests
 * of one `ask` are handed over at once, so that they fill the connection's window. Ends when the task ends, or at its
 * next step once `isStopped` says so.
 */
import type { Result } from "../../../core/result.ts";
import { err } from "../../../core/result.ts";
import type { Progress } from "../../bmc.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { Answers, IpmiReply, IpmiRequest, Steps } from "../../ipmi/ipmi.ts";

/** What of a connection a task needs. */
export interface Asker {
  request(request: IpmiRequest): Promise<Result<IpmiReply, BmcError>>;
}

export interface RunOptions {
  readonly onProgress?: (progress: Progress) => void;
  /** Looked at between steps; the task then ends with the error `disconnected`. */
  readonly isStopped?: () => boolean;
}

/** How often a long wait looks whether it is stopped. */
const WAIT_SLICE_MS = 100;

async function waitMs(ms: number, isStopped: () => boolean): Promise<void> {
  for (let leftMs = ms; leftMs > 0 && !isStopped(); leftMs -= WAIT_SLICE_MS) {
    await Bun.sleep(Math.min(leftMs, WAIT_SLICE_MS));
  }
}

/** Never rejects, as long as the task itself has no error of its programmer. */
export async function runSteps<T>(
  asker: Asker,
  steps: Steps<T>,
  options: RunOptions = {},
): Promise<Result<T, BmcError>> {
  const isStopped = options.isStopped ?? (() => false);
  const none: Answers = [];
  let next = steps.next(none);
  while (!next.done) {
    if (isStopped()) {
      // Lets the task's own `finally` blocks run; what they yield is not carried out.
      steps.return(err(bmcError("disconnected", "stopped")));
      return err(bmcError("disconnected", "it was stopped before it was done"));
    }
    const step = next.value;
    switch (step.kind) {
      case "ask":
        next = steps.next(await Promise.all(step.requests.map((one) => asker.request(one))));
        break;
      case "wait":
        await waitMs(step.ms, isStopped);
        next = steps.next(none);
        break;
      case "progress":
        options.onProgress?.({ done: step.done, total: step.total });
        next = steps.next(none);
        break;
    }
  }
  return next.value;
}
