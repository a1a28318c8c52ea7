/**
 * `holdfast guard FOLDER OWNER`: started by the agent, never by hand.
 */
import { runGuard } from "../job/io/guard.ts";
import { EXIT_USAGE } from "./cli-error.ts";

export async function runGuardCommand(args: readonly string[]): Promise<void> {
  const [runFolder, owner] = args;
  if (runFolder === undefined || owner === undefined) {
    process.stderr.write("holdfast: guard wants a folder and an owner; the agent starts it\n");
    process.exit(EXIT_USAGE);
  }
  await runGuard(runFolder, owner);
  process.exit(0);
}
