/**
 * `holdfast bmc emulate`, the one command that loads the emulator.
 */

import { emulateCommand } from "./bmc/emulate.ts";
import { realWorld } from "./bmc/real-world.ts";
import { runEmulator } from "./bmc/run-emulator.ts";
import { bmcCommand } from "./bmc.ts";
import { runAlone } from "./bmc-only.ts";

export function runEmulateCommand(args: readonly string[]): Promise<void> {
  const world = realWorld();
  const emulate = emulateCommand((flags) => runEmulator(world, flags));
  return runAlone(bmcCommand(world, [emulate]), world, args);
}
