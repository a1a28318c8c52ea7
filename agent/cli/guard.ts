/**
 * `holdfast guard FOLDER OWNER SHARED-MEMORY`: started by the agent, never by hand.
 */
import { runGuard } from "../job/io/guard.ts";
import { EXIT_USAGE } from "./cli-error.ts";

export async function runGuardCommand(args: readonly string[]): Promise<void> {
  const [runFolder, owner, sharedMemoryFolder] = args;
  if (runFolder === undefined || owner === undefined || sharedMemoryFolder === undefined) {
    process.stderr.write("holdfast: guard wants two folders and an owner; the agent starts it\n");
    process.exit(EXIT_USAGE);
  }
  await runGuard({ runFolder, owner, sharedMemoryFolder });
  process.exit(0);
}
