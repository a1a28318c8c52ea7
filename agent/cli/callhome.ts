/**
 * `holdfast callhome`: how a node tells support of errors: what waits, what was delivered and by which way, and whether each way works.
 *
 * `verify` asks nobody: it checks an exported ledger by the signatures in it.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { Command, Option } from "commander";
import type { CallhomeSummary, ListedEvent, ShownEvent } from "../callhome/io/delivery-routes.ts";
import type { HopLine, PathTestEnd } from "../callhome/io/path-test.ts";
import { sha256Hex } from "../callhome/io/sha256-hex.ts";
import { parseLine, verifyLedger } from "../callhome/ledger-chain.ts";
import type { Verifier } from "../identity/identity.ts";
import { hasIdentity } from "../identity/io/identity-folder.ts";
import { openIdentity } from "../identity/io/open-identity.ts";
import { openLocalVerifier } from "../identity/io/verifier.ts";
import { readNdjson } from "../net/io/ndjson.ts";
import { PROBLEMS } from "../net/problem.ts";
import { AgentClient, type AgentFlags, agentOption, identityOption } from "./agent-client.ts";
import {
  formatEnd,
  formatHop,
  formatList,
  formatMs,
  formatShown,
  formatSummary,
} from "./callhome/show.ts";
import { bundleCommand } from "./callhome-bundle.ts";
import { CliError, EXIT_USAGE } from "./cli-error.ts";
import { IDENTITY_ENV } from "./client-identity.ts";
import { operatorFolder } from "./identity/folders.ts";
import { printJson, printLine } from "./print.ts";

const HELP = `
An event goes by the first manager that lives; where that does not take it, or does not deliver it, straight to the destination;
where there is no such way, through another node. It waits on disk until it has a ticket.

Examples:
  holdfast callhome status
  holdfast callhome test
  holdfast callhome list --state waiting
  holdfast callhome show 66dc321375d5
  holdfast callhome retry 66dc321375d5
  holdfast callhome export --output n1.ledger && holdfast callhome verify n1.ledger
`;

const TEST_HELP = `
Sends a test event by each manager, straight, and through another node, one after the other, and waits for the ticket. It is one
event, so there is one ticket; it is closed at the end. Exit code 0: each way that is set up works; 75: one does not.
`;

const VERIFY_HELP = `
Says whether each line follows the one before, and who signed. Whom to believe is taken from --identity, ${IDENTITY_ENV}, or the
operator's own identity; a ledger of a node without an authority is checked by the key that signed it.
`;

/** Something is wrong with what was verified (sysexits.h EX_DATAERR). */
const EXIT_DATA = 65;
/** Some path does not work (EX_TEMPFAIL). */
const EXIT_PATH = 75;
/** No ticket at all (EX_UNAVAILABLE). */
const EXIT_NO_WAY = 69;

interface Flags extends AgentFlags {
  readonly json?: boolean;
}

function notAway(error: unknown): never {
  const isOff = error instanceof CliError && error.exitCode === PROBLEMS["not-found"].exitCode;
  if (!isOff || !error.message.includes("no such path")) throw error;
  const what = "this agent does not call home: it has neither a manager nor a destination";
  const remedy = "start it with --manager URL, --destination URL, or both";
  throw new CliError(what, error.exitCode, remedy);
}

async function get<Answer>(flags: Flags, path: string): Promise<Answer> {
  return await new AgentClient(flags).get<Answer>(path).catch(notAway);
}

async function status(flags: Flags): Promise<void> {
  const summary = await get<CallhomeSummary>(flags, "/v1/callhome");
  if (flags.json === true) printJson(summary);
  else printLine(formatSummary(summary));
}

interface ListFlags extends Flags {
  readonly state?: string;
  readonly limit: string;
}

async function list(flags: ListFlags): Promise<void> {
  const state = flags.state === undefined ? "" : `&state=${flags.state}`;
  const path = `/v1/callhome/events?limit=${encodeURIComponent(flags.limit)}${state}`;
  const { events } = await get<{ readonly events: readonly ListedEvent[] }>(flags, path);
  if (flags.json === true) for (const event of events) printJson(event);
  else printLine(formatList(events));
}

/** What is printed as an id is taken as one. */
function idOf(text: string): string {
  const id = text.toLowerCase();
  if (/^[0-9a-f]{6,64}$/.test(id)) return id;
  throw new CliError(`${text} is no id of an event`, EXIT_USAGE, "see holdfast callhome list");
}

async function show(id: string, flags: Flags): Promise<void> {
  const shown = await get<ShownEvent>(flags, `/v1/callhome/events/${idOf(id)}`);
  if (flags.json === true) printJson(shown);
  else printLine(formatShown(shown));
}

async function retry(id: string, flags: Flags): Promise<void> {
  const path = `/v1/callhome/events/${idOf(id)}/retry`;
  const answer = await new AgentClient(flags)
    .post<{ readonly id: string }>(path, {})
    .catch(notAway);
  if (flags.json === true) printJson(answer);
  else printLine(`event ${answer.id.slice(0, 12)} is sent again: see holdfast callhome show`);
}

function isEnd(line: HopLine | PathTestEnd): line is PathTestEnd {
  return "isOver" in line;
}

async function test(flags: Flags): Promise<void> {
  const client = new AgentClient(flags);
  const signal = new AbortController().signal;
  const response = await client.stream("/v1/callhome/test", signal, "POST").catch(notAway);
  const startMs = performance.now();
  let end: PathTestEnd | null = null;
  for await (const value of readNdjson(response)) {
    const line = value as HopLine | PathTestEnd;
    if (flags.json === true) printJson(line);
    else if (!isEnd(line)) printLine(formatHop(line));
    if (isEnd(line)) end = line;
  }
  if (end === null) {
    const what = `the agent at ${client.address} has gone in the middle of the test`;
    throw new CliError(what, PROBLEMS.unreachable.exitCode, "see its log");
  }
  if (flags.json !== true) {
    printLine(`${formatEnd(end)} (${formatMs(performance.now() - startMs)})`);
  }
  if (end.worked === 0) process.exitCode = EXIT_NO_WAY;
  else if (end.worked < end.tried || end.tickets.length > 1) process.exitCode = EXIT_PATH;
}

interface ExportFlags extends Flags {
  readonly output?: string;
}

async function exportLedger(flags: ExportFlags): Promise<void> {
  const client = new AgentClient(flags);
  const signal = new AbortController().signal;
  const response = await client.stream("/v1/callhome/ledger", signal).catch(notAway);
  const text = await response.text();
  if (flags.output === undefined) {
    process.stdout.write(text);
    return;
  }
  try {
    writeFileSync(flags.output, text, { mode: 0o600 });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const exit = PROBLEMS["not-kept"].exitCode;
    throw new CliError(`${flags.output} cannot be written (${why})`, exit);
  }
  const lines = text.split("\n").length - 1;
  if (flags.json === true) printJson({ file: flags.output, lines });
  else printLine(`${lines} lines in ${flags.output}: holdfast callhome verify checks them`);
}

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path === "-" ? 0 : path, "utf8")
      .split("\n")
      .filter((line) => line !== "");
  } catch (cause) {
    const why = (cause as { code?: string }).code === "ENOENT" ? "there is no such file" : cause;
    throw new CliError(`${path} cannot be read (${why})`, PROBLEMS["not-found"].exitCode);
  }
}

function verifierOf(folder: string | undefined, isLocal: boolean): Verifier {
  const named = folder ?? process.env[IDENTITY_ENV];
  if (isLocal && named === undefined) return openLocalVerifier();
  const path = named ?? operatorFolder();
  if (named === undefined && !hasIdentity(path)) {
    const what = "whom to believe is not known: there is no identity on this machine";
    throw new CliError(what, EXIT_USAGE, "name one with --identity");
  }
  const opened = openIdentity(path);
  if (!opened.ok) throw new CliError(opened.error, EXIT_USAGE);
  return opened.value.verifier;
}

/** Whether the first checkpoint says that it is of a node without an authority. */
function isLocalLedger(lines: readonly string[]): boolean {
  for (const text of lines) {
    const line = parseLine(text);
    if (line?.kind !== "checkpoint") continue;
    try {
      const said = JSON.parse(Buffer.from(line.envelope.payload, "base64").toString("utf8"));
      return (said as { cluster?: unknown }).cluster === "local";
    } catch {
      return false;
    }
  }
  return false;
}

interface VerifyFlags {
  readonly identity?: string;
  readonly json?: boolean;
}

function verify(path: string, flags: VerifyFlags): void {
  const lines = readLines(path);
  const isLocal = isLocalLedger(lines);
  const verifier = verifierOf(flags.identity, isLocal);
  const verdict = verifyLedger(lines, { sha256: sha256Hex, verifier });
  if (!verdict.ok) {
    const { line, detail } = verdict.error;
    if (flags.json === true) printJson({ isSound: false, line, detail });
    throw new CliError(`${path}:${line}: ${detail}`, EXIT_DATA, "do not trust what it says");
  }
  if (flags.json === true) {
    printJson({ isSound: true, isLocal, ...verdict.value });
    return;
  }
  const { firstN, lastN, node, checkpointCount, signedN, gapCount } = verdict.value;
  printLine(`sound: lines ${firstN} to ${lastN} of node ${node}, none changed, left out or added`);
  printLine(`signed ${checkpointCount} times, the last time at line ${signedN}`);
  if (gapCount > 0) printLine(`${gapCount} steps are missing: the disk was full then`);
  if (isLocal) printLine("by the node's own key, which no authority vouches for");
}

export function callhomeCommand(): Command {
  const command = new Command("callhome")
    .description("what this node has told support, by which way, and whether the ways work")
    .addHelpText("after", HELP);
  const asking = (name: string, what: string): Command =>
    command
      .command(name)
      .description(what)
      .addOption(agentOption())
      .addOption(identityOption())
      .option("--json", "print JSON");
  asking("status", "paths, what waits, and BMCs that are watched").action(status);
  asking("test", "send a test event by each way, and wait for its ticket")
    .addHelpText("after", TEST_HELP)
    .action(test);
  asking("list", "events that leave this node, the newest first")
    .addOption(
      new Option("--state <state>", "only those").choices([
        ...["waiting", "delivered", "refused", "counted"],
      ]),
    )
    .option("--limit <count>", "so many at most", "50")
    .action(list);
  asking("show <id>", "an event's whole way, with times and reasons").action(show);
  asking("retry <id>", "send an event again that was refused").action(retry);
  asking("export", "the ledger of all steps, for somebody else to verify")
    .option("--output <file>", "write it there instead of standard output")
    .action(exportLedger);
  command
    .command("verify <file>")
    .description("check an exported ledger; - reads standard input")
    .addOption(identityOption())
    .option("--json", "print JSON")
    .addHelpText("after", VERIFY_HELP)
    .action(verify);
  command.addCommand(bundleCommand());
  return command;
}
