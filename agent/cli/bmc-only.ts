/**
 * `holdfast bmc` without the code of the other commands: reading a log is measured as a whole process, so its start counts.
 */
import type { Command } from "commander";
import { emulateCommand } from "./bmc/emulate.ts";
import { type RealWorld, realWorld } from "./bmc/real-world.ts";
import { bmcCommand } from "./bmc.ts";
import { CliError, EXIT_BROKEN_PIPE, EXIT_USAGE } from "./cli-error.ts";
import { runProgram } from "./program.ts";

/** Here for the help only: `agent/main.ts` loads the emulator where it is asked for. */
function notLoaded(): Promise<void> {
  const remedy = "holdfast bmc emulate OPTIONS";
  throw new CliError("emulate comes first behind bmc", EXIT_USAGE, remedy);
}

export function runBmcCommand(args: readonly string[]): Promise<void> {
  const world = realWorld();
  return runAlone(bmcCommand(world, [emulateCommand(notLoaded)]), world, args);
}

export async function runAlone(
  bmc: Command,
  world: RealWorld,
  args: readonly string[],
): Promise<void> {
  await runProgram({ shown: [bmc] }, args);
  // Listeners for signals would keep this process alive. What was printed goes first, however slowly it is read.
  await Promise.race([world.settled(), whenGone(world.interrupted)]);
  if (world.interrupted.reason === EXIT_BROKEN_PIPE) process.exitCode = EXIT_BROKEN_PIPE;
  process.exit();
}

/** Who interrupts, or reads no more, does not want the rest. */
function whenGone(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
