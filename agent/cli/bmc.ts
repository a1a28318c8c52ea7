/**
 * `holdfast bmc`: a BMC over whichever wire there is, one command a file in `bmc/`.
 */
import { Command } from "commander";
import { APART } from "./apart.ts";
import { fruCommand } from "./bmc/fru.ts";
import { identifyCommand } from "./bmc/identify.ts";
import { infoCommand } from "./bmc/info.ts";
import { powerCommand } from "./bmc/power.ts";
import { rawCommand } from "./bmc/raw.ts";
import { selCommand } from "./bmc/sel.ts";
import { sensorsCommand } from "./bmc/sensors.ts";
import { EXIT_HELP, URL_HELP } from "./bmc/session.ts";
import { watchCommand } from "./bmc/watch.ts";
import { watchdogCommand } from "./bmc/watchdog.ts";
import type { BmcWorld } from "./bmc/world.ts";

const EXAMPLES = `
Examples:
  export HOLDFAST_BMC=lan://admin@10.0.0.5 HOLDFAST_BMC_PASSWORD=…
  holdfast bmc info
  holdfast bmc sel --since 24h --least warning
  holdfast bmc watch --json
  holdfast bmc power off --wait
  holdfast bmc emulate --lan 127.0.0.1:9623 --pty ./bmc-tty      a BMC to try all this with
`;

/** What wants no BMC, or loads much, is given from outside. */
export function bmcCommand(world: BmcWorld, more: readonly Command[] = []): Command {
  const bmc = new Command("bmc").description(APART.bmc);
  const commands = [
    infoCommand(world),
    selCommand(world),
    sensorsCommand(world),
    fruCommand(world),
    powerCommand(world),
    watchdogCommand(world),
    identifyCommand(world),
    rawCommand(world),
    watchCommand(world),
    ...more,
  ];
  for (const command of commands) bmc.addCommand(command);
  return bmc.addHelpText("after", `${URL_HELP}${EXAMPLES}${EXIT_HELP}`);
}
