/**
 * A BMC made of functions, for tests of tasks: answers each request at once, counts them, and passes the time of waits.
 *
 * `runSteps` is the smallest thing that carries out a task; it fails a test whose task does not end.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { IpmiReply, IpmiRequest, Steps } from "../ipmi.ts";

export type Handler = (request: IpmiRequest, index: number) => IpmiReply | BmcError;

export interface StepsRun<T> {
  readonly result: Result<T, BmcError>;
  readonly requests: readonly IpmiRequest[];
  /** Questions that were asked together count once: what a round trip costs. */
  readonly roundCount: number;
  readonly waitedMs: number;
  readonly progress: readonly { readonly done: number; readonly total: number | null }[];
}

const ROUNDS_MAX = 100_000;

export function reply(completionCode: number, ...bytes: readonly number[]): IpmiReply {
  return { completionCode, data: Uint8Array.from(bytes) };
}

export function replyData(data: Uint8Array): IpmiReply {
  return { completionCode: 0, data };
}

/** What a BMC says that does not know a command. */
export const UNKNOWN_COMMAND: IpmiReply = reply(0xc1);

export const LOST_WIRE: BmcError = bmcError("timeout", "the scripted BMC does not answer");

export function runSteps<T>(steps: Steps<T>, handler: Handler): StepsRun<T> {
  const requests: IpmiRequest[] = [];
  const progress: { done: number; total: number | null }[] = [];
  let roundCount = 0;
  let waitedMs = 0;
  let turn = steps.next();
  while (!turn.done) {
    const step = turn.value;
    let answers: Result<IpmiReply, BmcError>[] = [];
    if (step.kind === "wait") waitedMs += step.ms;
    else if (step.kind === "progress") progress.push({ done: step.done, total: step.total });
    else {
      roundCount++;
      if (roundCount > ROUNDS_MAX) throw new Error("the task does not end");
      answers = step.requests.map((request) => {
        requests.push(request);
        const answer = handler(request, requests.length - 1);
        return "kind" in answer ? err(answer) : ok(answer);
      });
    }
    turn = steps.next(answers);
  }
  return { result: turn.value, requests, roundCount, waitedMs, progress };
}

/** The value of a task that must succeed. */
export function valueOfRun<T>(run: StepsRun<T>): T {
  if (!run.result.ok) throw new Error(JSON.stringify(run.result.error));
  return run.result.value;
}

/** The error of a task that must fail. */
export function errorOfRun<T>(run: StepsRun<T>): BmcError {
  if (run.result.ok) throw new Error("the task succeeded");
  return run.result.error;
}
