/** An operating error of a command, on its way to be the `failed` event that answers it. */
import { AssertionError } from "../../../core/assert.ts";
import type { StoreFailure } from "../checkpoint.ts";
import { detailOf, failureOf, isMissing } from "./io-failure.ts";
import type { TransferProblem } from "./store-messages.ts";

export class StoreFault extends Error {
  override readonly name = "StoreFault";
  readonly failure: StoreFailure;

  constructor(failure: StoreFailure, detail: string) {
    super(detail);
    this.failure = failure;
  }
}

const FAILURE_OF: Readonly<Record<TransferProblem, StoreFailure>> = {
  "bad-request": "refused",
  "stale-epoch": "refused",
  "missing-parent": "refused",
  damaged: "damaged",
  "not-found": "not-found",
  "too-large": "too-large",
  "no-space": "no-space",
  io: "io",
  unreachable: "unreachable",
};

export function faultOfProblem(problem: TransferProblem, detail: string): StoreFault {
  return new StoreFault(FAILURE_OF[problem], detail);
}

/** `what` names the thing: `version 7 of rank 2 of j-12ab34cd`. */
export function faultOf(error: unknown, what: string, folder: string): StoreFault {
  if (error instanceof AssertionError) throw error;
  if (error instanceof StoreFault) return error;
  if (failureOf(error) === "no-space") {
    const advice = `make room or give the agent a data folder on a larger disk`;
    return new StoreFault("no-space", `no space left in ${folder} for ${what}: ${advice}`);
  }
  if (isMissing(error)) return new StoreFault("not-found", `${what}: ${detailOf(error)}`);
  return new StoreFault("io", `${what}: ${detailOf(error)}`);
}
