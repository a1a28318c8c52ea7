/**
 * `holdfast bmc sel`: the BMC's event log, decoded, oldest first.
 *
 * The log is read as a whole or not at all: what changes while it is read is an error, never a shorter list. Filters apply to
 * what was read.
 */
import { Command, Option } from "commander";
import type { EventLog, LogEntry, Severity } from "../../../bmc/bmc.ts";
import { oneLine } from "../../runtime/io/log.ts";
import { CliError, EXIT_USAGE } from "../cli-error.ts";
import { formatTable } from "../print.ts";
import {
  answerOf,
  type BmcFlags,
  EXIT_HELP,
  withBmc,
  withBmcOptions,
  withProgress,
} from "./session.ts";
import { formatWhen, isAtLeast, parseMoment, SEVERITIES, textOf } from "./show.ts";
import type { BmcWorld } from "./world.ts";

const HELP = `
Entries whose BMC did not know the time are shown whatever --since says.

Examples:
  holdfast bmc sel --bmc lan://admin@10.0.0.5
  holdfast bmc sel --since 24h --least warning
  holdfast bmc sel --json | jq -r '.entries[].event | select(.category == "memory") | .text'
  holdfast bmc sel --clear
  holdfast bmc watch --old                       the log, then what comes
${EXIT_HELP}`;

interface SelFlags extends BmcFlags {
  readonly since?: number;
  readonly least?: Severity;
  readonly clear?: boolean;
}

function isWanted({ event }: LogEntry, { since, least }: SelFlags): boolean {
  if (since !== undefined && event.whenMs !== null && event.whenMs < since) return false;
  return least === undefined || isAtLeast(event.severity, least);
}

function rowOf({ recordId, event }: LogEntry): readonly string[] {
  return [recordId, formatWhen(event.whenMs), event.severity, event.category, textOf(event)].map(
    oneLine,
  );
}

export function formatLog(log: EventLog): string {
  if (log.entries.length === 0) return "no entries";
  return formatTable(["ID", "TIME", "SEVERITY", "CATEGORY", "EVENT"], log.entries.map(rowOf));
}

function warn(world: BmcWorld, log: EventLog, url: string): void {
  if (!log.isOverflowed) return;
  world.say(
    `holdfast: ${url}: the log has overflowed, events were lost; keep what matters, then --clear`,
  );
}

async function show(world: BmcWorld, flags: SelFlags): Promise<void> {
  await withBmc(world, flags, async (bmc) => {
    const whole = await withProgress(world, "entries", (options) =>
      answerOf(bmc.log(options), bmc),
    );
    const log = { ...whole, entries: whole.entries.filter((entry) => isWanted(entry, flags)) };
    world.print(flags.json === true ? JSON.stringify(log) : formatLog(log));
    warn(world, log, bmc.url);
  });
}

async function clear(world: BmcWorld, flags: SelFlags): Promise<void> {
  if (flags.since !== undefined || flags.least !== undefined) {
    throw new CliError("--clear removes every entry, not a part", EXIT_USAGE, "leave --since out");
  }
  await withBmc(world, flags, async (bmc) => {
    await answerOf(bmc.clearLog(), bmc);
    if (flags.json === true) world.print(JSON.stringify({ cleared: true }));
    else world.print(`the event log of ${bmc.url} is cleared`);
  });
}

export function selCommand(world: BmcWorld): Command {
  return withBmcOptions(new Command("sel").description("the event log, decoded"))
    .option("--since <when>", "only what is not older: 12h, 7d, 2026-11-22", (text) =>
      parseMoment(text, world.nowMs()),
    )
    .addOption(
      new Option("--least <severity>", "only what is at least so grave").choices(SEVERITIES),
    )
    .option("--clear", "remove every entry, show none")
    .addHelpText("after", HELP)
    .action((flags: SelFlags) => (flags.clear === true ? clear : show)(world, flags));
}
