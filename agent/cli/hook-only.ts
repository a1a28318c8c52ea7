/**
 * `holdfast hook` without the code of the other commands: it holds up whatever calls it.
 */
import { hookCommand } from "./hook.ts";
import { runProgram } from "./program.ts";

export function runHookCommand(args: readonly string[]): Promise<void> {
  return runProgram({ shown: [hookCommand()] }, args);
}
