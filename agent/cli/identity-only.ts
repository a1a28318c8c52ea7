/**
 * `holdfast init`, `join` and `identity` by an entry of their own: no other command makes certificates.
 */
import { identityCommand } from "./identity.ts";
import { initCommand } from "./init.ts";
import { joinCommand } from "./join.ts";
import { runProgram } from "./program.ts";

export function runIdentityCommand(args: readonly string[]): Promise<void> {
  return runProgram({ shown: [initCommand(), joinCommand(), identityCommand()] }, args);
}
