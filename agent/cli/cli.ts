/**
 * All commands of the executable, in the order in which its help shows them.
 */
import { Command } from "commander";
import { agentCommand } from "./agent.ts";
import { BMC_DESCRIPTION } from "./bmc/world.ts";
import { deltaCommand } from "./delta.ts";
import { demoCommand, janitorCommand } from "./demo.ts";
import { eventsCommand } from "./events.ts";
import { hookCommand } from "./hook.ts";
import { jobCommand } from "./job.ts";
import { runProgram } from "./program.ts";
import { runCommand } from "./run.ts";
import { statusCommand } from "./status.ts";
import { whatIfCommand } from "./what-if.ts";

export function runCli(args: readonly string[]): Promise<void> {
  const shown = [
    agentCommand(),
    runCommand(),
    statusCommand(),
    jobCommand(),
    whatIfCommand(),
    eventsCommand(),
    hookCommand(),
    // Never run from here: `agent/main.ts` has an entry of its own for it.
    new Command("bmc").description(BMC_DESCRIPTION),
    deltaCommand(),
    demoCommand(),
  ];
  return runProgram({ shown, hidden: [janitorCommand()] }, args);
}
