/**
 * `holdfast bmc watchdog`: the BMC's countdown, which acts on the machine when nobody feeds it any more.
 */
import { Command, Option } from "commander";
import type { WatchdogAction, WatchdogStatus } from "../../../bmc/bmc.ts";
import { answerOf, type BmcFlags, EXIT_HELP, withBmc, withBmcOptions } from "./session.ts";
import { formatSeconds, parseDuration } from "./show.ts";
import type { BmcWorld } from "./world.ts";

const HELP = `
Examples:
  holdfast bmc watchdog --bmc kcs:/dev/ipmi0
  holdfast bmc watchdog set --action cycle --timeout 2m
  while sleep 30; do holdfast bmc watchdog feed; done
  holdfast bmc watchdog off
${EXIT_HELP}`;

interface SetFlags extends BmcFlags {
  readonly action: WatchdogAction;
  readonly timeout: number;
}

export function formatWatchdog(status: WatchdogStatus): string {
  return [
    `watchdog  ${status.isRunning ? "running" : "stopped"}`,
    `use       ${status.use}`,
    `action    ${status.action}`,
    `timeout   ${formatSeconds(status.initialMs)}`,
    `left      ${formatSeconds(status.presentMs)}`,
  ].join("\n");
}

async function show(world: BmcWorld, flags: BmcFlags): Promise<void> {
  await withBmc(world, flags, async (bmc) => {
    const status = await answerOf(bmc.watchdog(), bmc);
    world.print(flags.json === true ? JSON.stringify(status) : formatWatchdog(status));
  });
}

function statusCommand(world: BmcWorld): Command {
  return withBmcOptions(new Command("status").description("how it is set and what is left"))
    .addHelpText("after", EXIT_HELP)
    .action((flags: BmcFlags) => show(world, flags));
}

function setCommand(world: BmcWorld): Command {
  return withBmcOptions(new Command("set").description("set and start it"))
    .addOption(
      new Option("--action <action>", "what it does at zero")
        .choices(["none", "reset", "off", "cycle"])
        .makeOptionMandatory(),
    )
    .addOption(
      new Option("--timeout <time>", "how long it counts, 100ms to 6553s")
        .argParser(parseDuration)
        .makeOptionMandatory(),
    )
    .addHelpText("after", HELP)
    .action((flags: SetFlags) =>
      withBmc(world, flags, async (bmc) => {
        const setting = { action: flags.action, timeoutMs: flags.timeout };
        await answerOf(bmc.setWatchdog(setting), bmc);
        if (flags.json === true) world.print(JSON.stringify(setting));
        else {
          const { action, timeoutMs } = setting;
          world.print(
            `the watchdog runs: ${action} in ${formatSeconds(timeoutMs)} unless it is fed`,
          );
        }
      }),
    );
}

function feedCommand(world: BmcWorld): Command {
  return withBmcOptions(new Command("feed").description("let the countdown begin anew"))
    .addHelpText("after", HELP)
    .action((flags: BmcFlags) =>
      withBmc(world, flags, async (bmc) => {
        await answerOf(bmc.resetWatchdog(), bmc);
        world.print(flags.json === true ? JSON.stringify({ fed: true }) : "the watchdog is fed");
      }),
    );
}

function offCommand(world: BmcWorld): Command {
  return withBmcOptions(new Command("off").description("stop it"))
    .addHelpText("after", HELP)
    .action((flags: BmcFlags) =>
      withBmc(world, flags, async (bmc) => {
        await answerOf(bmc.stopWatchdog(), bmc);
        world.print(
          flags.json === true ? JSON.stringify({ stopped: true }) : "the watchdog is stopped",
        );
      }),
    );
}

export function watchdogCommand(world: BmcWorld): Command {
  const command = new Command("watchdog").description(
    "the BMC's countdown: status, set, feed, off",
  );
  command
    .addCommand(statusCommand(world), { isDefault: true })
    .addCommand(setCommand(world))
    .addCommand(feedCommand(world))
    .addCommand(offCommand(world));
  return command.addHelpText("after", HELP);
}
