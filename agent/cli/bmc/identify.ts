/**
 * `holdfast bmc identify`: lets the machine blink, so that it is found among a hundred.
 */
import { Command, InvalidArgumentError } from "commander";
import { answerOf, type BmcFlags, EXIT_HELP, withBmc, withBmcOptions } from "./session.ts";
import type { BmcWorld } from "./world.ts";

const HELP = `
Examples:
  holdfast bmc identify --bmc lan://admin@10.0.0.5       for 15 seconds
  holdfast bmc identify 120                              for two minutes
  holdfast bmc identify on; …; holdfast bmc identify off
${EXIT_HELP}`;

/** What the standard takes where no time is given (§28.5). */
const SECONDS = 15;
const SECONDS_MAX = 255;

type How = number | "on" | "off";

function howOf(text: string): How {
  if (text === "on" || text === "off") return text;
  const seconds = Number(text.replace(/s$/, ""));
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= SECONDS_MAX) return seconds;
  throw new InvalidArgumentError(`must be on, off, or seconds from 1 to ${SECONDS_MAX}`);
}

export function identifyCommand(world: BmcWorld): Command {
  return withBmcOptions(new Command("identify").description("let the machine blink"))
    .argument("[how]", "on, off, or for how many seconds (default 15)", howOf, SECONDS)
    .addHelpText("after", HELP)
    .action((how: How, flags: BmcFlags) =>
      withBmc(world, flags, async (bmc) => {
        await answerOf(bmc.identify(how), bmc);
        if (flags.json === true) world.print(JSON.stringify({ identify: how }));
        else if (how === "off") world.print("the machine blinks no longer");
        else
          world.print(
            `the machine blinks ${how === "on" ? "until told otherwise" : `for ${how} s`}`,
          );
      }),
    );
}
