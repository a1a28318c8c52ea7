/**
 * `holdfast manager` by an entry of its own: no other command needs a store, metrics, or an OpenAPI document.
 */
import { managerCommand } from "./manager.ts";
import { runProgram } from "./program.ts";

export function runManagerCommand(args: readonly string[]): Promise<void> {
  return runProgram({ shown: [managerCommand()] }, args);
}
