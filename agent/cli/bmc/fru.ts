/**
 * `holdfast bmc fru`: what is built in, with serial and part numbers.
 *
 * A device whose data is damaged is shown with what could be read, what is wrong with it, and an exit code of that kind.
 */
import { Command } from "commander";
import type { FruDevice } from "../../../bmc/bmc.ts";
import { BMC_ERRORS } from "../../../bmc/bmc-error.ts";
import { oneLine } from "../../runtime/io/log.ts";
import {
  answerOf,
  type BmcFlags,
  EXIT_HELP,
  withBmc,
  withBmcOptions,
  withProgress,
} from "./session.ts";
import type { BmcWorld } from "./world.ts";

const HELP = `
A damaged device is shown with what is wrong with it, never as if it were sound; then the exit code is that of the damage: 91 for
a wrong checksum, 89 or 90 for other damage.

Examples:
  holdfast bmc fru --bmc lan://admin@10.0.0.5
  holdfast bmc fru --json | jq -r '.[0].fields[] | select(.[0] == "board.serial")[1]'
${EXIT_HELP}`;

function blockOf({ id, name, fields, problems }: FruDevice): string {
  const width = Math.max(0, ...fields.map(([field]) => field.length));
  const lines = fields.map(([field, value]) =>
    `  ${field.padEnd(width)}  ${oneLine(value)}`.trimEnd(),
  );
  const damage = problems.map(({ kind, detail }) =>
    oneLine(`  damaged: ${BMC_ERRORS[kind].title}: ${detail}`),
  );
  const body = [...lines, ...damage];
  return [oneLine(`fru ${id}: ${name}`), ...(body.length === 0 ? ["  no fields"] : body)].join(
    "\n",
  );
}

export function formatFru(devices: readonly FruDevice[]): string {
  return devices.length === 0 ? "no devices" : devices.map(blockOf).join("\n\n");
}

export function fruCommand(world: BmcWorld): Command {
  return withBmcOptions(new Command("fru").description("what is built in: serial and part numbers"))
    .addHelpText("after", HELP)
    .action((flags: BmcFlags) =>
      withBmc(world, flags, async (bmc) => {
        const devices = await withProgress(world, "devices", (options) =>
          answerOf(bmc.fru(options), bmc),
        );
        world.print(flags.json === true ? JSON.stringify(devices) : formatFru(devices));
        const damaged = devices.filter(({ problems }) => problems.length > 0);
        for (const { id, name, problems } of damaged) {
          for (const { detail } of problems) {
            world.say(oneLine(`holdfast: ${bmc.url}: fru ${id} (${name}): ${detail}`));
          }
        }
        const worst = damaged[0]?.problems[0];
        if (worst !== undefined) world.setExitCode(BMC_ERRORS[worst.kind].exitCode);
      }),
    );
}
