/**
 * `holdfast destination` by an entry of its own: no other command needs tickets and adapters.
 */
import { destinationCommand } from "./destination.ts";
import { runProgram } from "./program.ts";

export function runDestinationCommand(args: readonly string[]): Promise<void> {
  return runProgram({ shown: [destinationCommand()] }, args);
}
