/**
 * Tasks carried out on a connection that answers from a table.
 */
import { describe, expect, test } from "bun:test";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Progress } from "../../bmc.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import type { IpmiReply, IpmiRequest, Steps } from "../../ipmi/ipmi.ts";
import { runSteps } from "./run-steps.ts";

const ask = (command: number): IpmiRequest => ({
  netFn: 6,
  lun: 0,
  command,
  data: new Uint8Array(0),
});

/** Answers with the command's number; 0xee fails. */
const echo = {
  request: (request: IpmiRequest): Promise<Result<IpmiReply, BmcError>> =>
    Promise.resolve(
      request.command === 0xee
        ? err(bmcError("timeout", "no answer"))
        : ok({ completionCode: 0, data: Uint8Array.of(request.command) }),
    ),
};

describe("runSteps", () => {
  test("gives the answers in the order of the requests, failures among them", async () => {
    function* task(): Steps<readonly (number | string)[]> {
      const answers = yield { kind: "ask", requests: [ask(3), ask(0xee), ask(1)] };
      return ok(answers.map((one) => (one.ok ? (one.value.data[0] ?? -1) : one.error.kind)));
    }
    expect(await runSteps(echo, task())).toEqual({ ok: true, value: [3, "timeout", 1] });
  });

  test("tells progress and waits as long as it is told", async () => {
    const told: Progress[] = [];
    function* task(): Steps<number> {
      yield { kind: "progress", done: 1, total: null };
      yield { kind: "wait", ms: 30 };
      yield { kind: "progress", done: 2, total: 2 };
      return ok(7);
    }
    const startMs = performance.now();
    const done = await runSteps(echo, task(), { onProgress: (progress) => told.push(progress) });
    expect(done).toEqual({ ok: true, value: 7 });
    expect(performance.now() - startMs).toBeGreaterThanOrEqual(29);
    expect(told).toEqual([
      { done: 1, total: null },
      { done: 2, total: 2 },
    ]);
  });

  test("ends a task that is stopped, also in the middle of a wait", async () => {
    let isStopped = false;
    let isCleanedUp = false;
    function* task(): Steps<number> {
      try {
        yield { kind: "wait", ms: 60_000 };
        yield { kind: "ask", requests: [ask(1)] };
        return ok(1);
      } finally {
        isCleanedUp = true;
      }
    }
    const running = runSteps(echo, task(), { isStopped: () => isStopped });
    isStopped = true;
    const done = await running;
    expect(!done.ok && done.error.kind).toBe("disconnected");
    expect(isCleanedUp).toBe(true);
  });
});
