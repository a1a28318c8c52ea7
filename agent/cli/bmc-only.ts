/**
 * `holdfast bmc` without the code of the other commands: reading a log is measured as a whole process, so its start counts.
 */

import { realWorld } from "./bmc/real-world.ts";
import { bmcCommand } from "./bmc.ts";
import { runProgram } from "./program.ts";

export async function runBmcCommand(args: readonly string[]): Promise<void> {
  await runProgram({ shown: [bmcCommand(realWorld())] }, args);
  // Listeners for signals would keep this process alive. What was printed goes first, however slowly it is read.
  await Promise.all([drained(process.stdout), drained(process.stderr)]);
  process.exit();
}

function drained(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write("", () => resolve());
  });
}
