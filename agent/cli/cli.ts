/**
 * All commands of the executable, in the order in which its help shows them.
 */
import { namedOnly } from "./apart.ts";
import { callhomeCommand } from "./callhome.ts";
import { deltaCommand } from "./delta.ts";
import { demoCommand, janitorCommand } from "./demo.ts";
import { eventsCommand } from "./events.ts";
import { jobCommand } from "./job.ts";
import { runProgram } from "./program.ts";
import { runCommand } from "./run.ts";
import { statusCommand } from "./status.ts";
import { ticketsCommand } from "./tickets.ts";
import { whatIfCommand } from "./what-if.ts";

export function runCli(args: readonly string[]): Promise<void> {
  const shown = [
    namedOnly("agent"),
    runCommand(),
    statusCommand(),
    jobCommand(),
    whatIfCommand(),
    eventsCommand(),
    callhomeCommand(),
    namedOnly("hook"),
    namedOnly("manager"),
    namedOnly("destination"),
    ticketsCommand(),
    namedOnly("init"),
    namedOnly("join"),
    namedOnly("identity"),
    namedOnly("bmc"),
    deltaCommand(),
    demoCommand(),
  ];
  return runProgram({ shown, hidden: [janitorCommand()] }, args);
}
