/**
 * `holdfast bmc raw`: one message as it is, for what holdfast has no command for.
 */
import { Command, InvalidArgumentError } from "commander";
import { BMC_ERRORS } from "../../../bmc/bmc-error.ts";
import { answerOf, type BmcFlags, EXIT_HELP, withBmc, withBmcOptions } from "./session.ts";
import type { BmcWorld } from "./world.ts";

const HELP = `
Bytes are hexadecimal, with or without 0x. The reply is printed with its completion code first; when that is not 00, the exit
code is 87. Only links that carry IPMI: not Redfish.

Examples:
  holdfast bmc raw 06 01                                          Get Device ID
  holdfast bmc raw 0a 40                                          Get SEL Info
  holdfast bmc raw 0a 44 00 00 02 00 00 00 00 20 00 04 01 30 01 57 64 4e    Add SEL Entry: an event to try things with
${EXIT_HELP}`;

function byteOf(text: string): number {
  if (/^(?:0x)?[0-9a-f]{1,2}$/i.test(text)) return Number.parseInt(text, 16);
  throw new InvalidArgumentError(`'${text}' is no hexadecimal byte, such as 0a`);
}

function netFnOf(text: string): number {
  const netFn = byteOf(text);
  if (netFn <= 0x3e && netFn % 2 === 0) return netFn;
  throw new InvalidArgumentError("must be even and at most 3e: a reply's is made by the BMC");
}

function bytesOf(text: string, previous: readonly number[] | undefined): readonly number[] {
  return [...(previous ?? []), byteOf(text)];
}

export function spaced(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

export function rawCommand(world: BmcWorld): Command {
  return withBmcOptions(new Command("raw").description("send one message as it is"))
    .argument("<netfn>", "network function of the request", netFnOf)
    .argument("<command>", "command", byteOf)
    .argument("[bytes...]", "data", bytesOf)
    .addHelpText("after", HELP)
    .action(
      (netFn: number, command: number, bytes: readonly number[] | undefined, flags: BmcFlags) =>
        withBmc(world, flags, async (bmc) => {
          const data = Uint8Array.from(bytes ?? []);
          const reply = await answerOf(bmc.raw(netFn, command, data), bmc);
          const completionCode = reply[0] ?? 0;
          if (flags.json === true) {
            world.print(JSON.stringify({ completionCode, data: reply.subarray(1).toHex() }));
          } else world.print(spaced(reply));
          if (completionCode === 0) return;
          const code = completionCode.toString(16).padStart(2, "0");
          world.say(`holdfast: ${bmc.url}: the BMC refuses with completion code ${code}`);
          world.setExitCode(BMC_ERRORS.refused.exitCode);
        }),
    );
}
