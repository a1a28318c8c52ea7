/**
 * Asking within a task: one request or many, again while the BMC is busy, and the reply decoded.
 *
 * Decides how often and how long a busy BMC is waited for, and nothing else: other completion codes are for the caller where
 * it asks by `askAll`, and errors where it asks by `ask`. Bound: each request is sent at most BUSY_WAITS_MS.length + 1 times.
 */
import { assert } from "../../core/assert.ts";
import { err, ok, type Result } from "../../core/result.ts";
import type { BmcError } from "../bmc-error.ts";
import { isBusy, replyError } from "./completion-code.ts";
import { malformed } from "./decode.ts";
import {
  type Answers,
  type IpmiCommand,
  type IpmiReply,
  type IpmiRequest,
  requestOf,
  type Step,
} from "./ipmi.ts";

/** Pauses before each further attempt, 3.2 s in all: a FRU's EEPROM wants 30 ms, a BMC that starts wants seconds. */
export const BUSY_WAITS_MS: readonly number[] = [30, 70, 150, 350, 800, 1800];

/** A part of a task: yields what the whole task may yield. */
export type Part<T> = Generator<Step, T, Answers>;

function isBusyAnswer(request: IpmiRequest, answer: Result<IpmiReply, BmcError>): boolean {
  return answer.ok && isBusy(request, answer.value.completionCode);
}

/** Answers in the order of the requests. Those that found the BMC busy are asked again, only they. */
export function* askAll(requests: readonly IpmiRequest[]): Part<Answers> {
  if (requests.length === 0) return [];
  const answers = [...(yield { kind: "ask", requests })];
  assert(answers.length === requests.length, "each request has one answer");
  for (const ms of BUSY_WAITS_MS) {
    const busy = requests.flatMap((request, index) => {
      const answer = answers[index];
      return answer !== undefined && isBusyAnswer(request, answer) ? [{ request, index }] : [];
    });
    if (busy.length === 0) break;
    yield { kind: "wait", ms };
    const again = yield { kind: "ask", requests: busy.map(({ request }) => request) };
    assert(again.length === busy.length, "each request has one answer");
    for (const [position, { index }] of busy.entries()) {
      const answer = again[position];
      if (answer !== undefined) answers[index] = answer;
    }
  }
  return answers;
}

export function* askRaw(request: IpmiRequest): Part<Result<IpmiReply, BmcError>> {
  const [answer] = yield* askAll([request]);
  assert(answer !== undefined, "each request has one answer");
  return answer;
}

/** What a reply means to whoever wants its data: a completion code other than 0 is an error. */
export function replyValue<Args, Reply>(
  command: IpmiCommand<Args, Reply>,
  answer: Result<IpmiReply, BmcError>,
): Result<Reply, BmcError> {
  if (!answer.ok) return answer;
  if (answer.value.completionCode !== 0) return err(replyError(command, answer.value));
  const decoded = command.decode(answer.value.data);
  return decoded.ok ? ok(decoded.value) : err(malformed(decoded.error));
}

export function* ask<Args, Reply>(
  command: IpmiCommand<Args, Reply>,
  args: Args,
  lun = 0,
): Part<Result<Reply, BmcError>> {
  return replyValue(command, yield* askRaw(requestOf(command, args, lun)));
}
