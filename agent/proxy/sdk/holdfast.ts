/**
 * The package `holdfast` as a program sees it: `import { run } from "holdfast"`.
 */
import type { Context } from "./context.ts";

export type { Context, Numbers, Received, ReduceOp, Request } from "./context.ts";

/** Runs `body` as a rank of a job; returns once every rank's body has returned. */
export declare function run(body: (context: Context) => void | Promise<void>): Promise<void>;
