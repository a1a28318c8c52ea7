/**
 * `holdfast delta` without the code of the other commands: it starts in half the time.
 */
import { deltaCommand } from "./delta.ts";
import { runProgram } from "./program.ts";

export function runDeltaCommand(args: readonly string[]): Promise<void> {
  return runProgram({ shown: [deltaCommand()] }, args);
}
