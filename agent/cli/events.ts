/**
 * `holdfast events`: the errors that an agent has in its book, and those that come.
 */
import { Command, Option } from "commander";
import type { BmcEvent, Severity } from "../../bmc/bmc.ts";
import type { BookLine } from "../callhome/event-book.ts";
import { readNdjson } from "../net/io/ndjson.ts";
import { PROBLEMS } from "../net/problem.ts";
import { AgentClient, type AgentFlags, agentOption, identityOption } from "./agent-client.ts";
import { formatEvent, isAtLeast, SEVERITIES } from "./bmc/show.ts";
import { CliError } from "./cli-error.ts";
import { printJson, printLine } from "./print.ts";

const HELP = `
One error is one event, by whichever ways it was seen: a BMC's log, a trap, Redfish, a hook. With --json each line is an object
{seq, kind, …}: "event" a new one, "way" another way by which a known one was seen. --after SEQ goes on from there.

Examples:
  holdfast events
  holdfast events --follow --least critical
  holdfast events --json | jq -r 'select(.kind == "event") | .event.text'
`;

interface EventsFlags extends AgentFlags {
  readonly follow?: boolean;
  readonly json?: boolean;
  readonly least?: Severity;
  readonly after: string;
}

function isWanted({ severity }: BmcEvent, { least }: EventsFlags): boolean {
  return least === undefined || isAtLeast(severity, least);
}

function show(line: BookLine, flags: EventsFlags): void {
  if (!isWanted(line.event, flags)) return;
  if (flags.json === true) printJson(line);
  else if (line.kind === "event") printLine(formatEvent(line.event));
}

async function read(flags: EventsFlags): Promise<void> {
  const client = new AgentClient(flags);
  const wait = flags.follow === true ? "" : "&wait=no";
  const path = `/v1/events?after=${encodeURIComponent(flags.after)}${wait}`;
  const response = await client.stream(path, new AbortController().signal);
  try {
    for await (const line of readNdjson(response)) show(line as BookLine, flags);
  } catch (cause) {
    const code = (cause as { code?: string }).code;
    if (code === "EPIPE") throw cause;
    const what = `the agent at ${client.address} has gone`;
    throw new CliError(what, PROBLEMS.unreachable.exitCode, "see its log; then ask again");
  }
  if (flags.follow === true) {
    throw new CliError(`the agent at ${client.address} has gone`, PROBLEMS.unreachable.exitCode);
  }
}

export function eventsCommand(): Command {
  return new Command("events")
    .description("errors that the agent has seen, one event for each")
    .option("--follow", "go on with those that come")
    .addOption(
      new Option("--least <severity>", "only what is at least so grave").choices(SEVERITIES),
    )
    .option("--after <seq>", "begin after this number", "0")
    .addOption(agentOption())
    .addOption(identityOption())
    .option("--json", "print JSON lines")
    .addHelpText("after", HELP)
    .action(read);
}
