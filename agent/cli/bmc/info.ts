/**
 * `holdfast bmc info`: who the BMC is and what it can do.
 */
import { Command } from "commander";
import type { BmcIdentity } from "../../../bmc/bmc.ts";
import { oneLine } from "../../runtime/io/log.ts";
import { answerOf, type BmcFlags, EXIT_HELP, withBmc, withBmcOptions } from "./session.ts";
import type { BmcWorld } from "./world.ts";

const HELP = `
Examples:
  holdfast bmc info --bmc lan://admin@10.0.0.5
  holdfast bmc info --bmc kcs:/dev/ipmi0 --json | jq -r .guid
${EXIT_HELP}`;

function hexOr(value: number | null, digits: number): string {
  return value === null ? "-" : `0x${value.toString(16).padStart(digits, "0")} (${value})`;
}

export function formatIdentity(identity: BmcIdentity): string {
  const { manufacturer } = identity;
  const lines: readonly (readonly [string, string])[] = [
    [
      "manufacturer",
      `${manufacturer.name}${manufacturer.id === null ? "" : ` (${manufacturer.id})`}`,
    ],
    ["product", identity.productName ?? "-"],
    ["product id", hexOr(identity.productId, 4)],
    ["serial", identity.serial ?? "-"],
    ["firmware", identity.firmware],
    ["protocol", identity.protocolVersion],
    ["device id", hexOr(identity.deviceId, 2)],
    ["system guid", identity.guid ?? "-"],
    ["self test", identity.selfTest ?? "-"],
    ["supports", identity.supports.join(", ") || "-"],
  ];
  return lines.map(([name, value]) => `${name.padEnd(12)}  ${oneLine(value)}`).join("\n");
}

export function infoCommand(world: BmcWorld): Command {
  return withBmcOptions(new Command("info").description("who the BMC is and what it can do"))
    .addHelpText("after", HELP)
    .action((flags: BmcFlags) =>
      withBmc(world, flags, async (bmc) => {
        const identity = await answerOf(bmc.identity(), bmc);
        world.print(flags.json === true ? JSON.stringify(identity) : formatIdentity(identity));
      }),
    );
}
