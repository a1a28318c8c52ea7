/**
 * `holdfast tickets`: what a destination has, for people and for scripts.
 */
import { Command, Option } from "commander";
import type {
  Telling,
  TicketAnswer,
  TicketEvent,
  TicketSummary,
  TicketsAnswer,
} from "../destination/api.ts";
import type { Identity } from "../identity/identity.ts";
import { schemeOf, secureFetch } from "../net/io/secure.ts";
import { tlsProblem } from "../net/io/tls-failure.ts";
import { PROBLEMS, readProblem } from "../net/problem.ts";
import { identityOption } from "./agent-client.ts";
import { CliError, EXIT_USAGE } from "./cli-error.ts";
import { clientIdentity } from "./client-identity.ts";
import { formatTable, printJson, printLine } from "./print.ts";

const DESTINATION_DEFAULT = "127.0.0.1:7500";
const DESTINATION_ENV = "HOLDFAST_DESTINATION";
const ANSWER_WITHIN_MS = 15_000;

const HELP = `
Where the destination speaks TLS it is asked with the operator's identity, which holdfast init has made.

Examples:
  holdfast tickets list
  holdfast tickets list --all --node n1
  holdfast tickets show T-2026-000123
  holdfast tickets close T-2026-000123 --reason "DIMM A1 replaced"
  holdfast tickets list --json | jq -r '.tickets[] | select(.severity == "critical") | .id'
`;

interface AskFlags {
  readonly destination?: string;
  readonly identity?: string;
  readonly json?: boolean;
}

interface ListFlags extends AskFlags {
  readonly all?: boolean;
  readonly state?: string;
  readonly node?: string;
  readonly cluster?: string;
  readonly before?: string;
  readonly limit: string;
}

/** `ADDRESS:PORT`, or an origin with a scheme. */
function targetOf({ destination }: AskFlags): {
  readonly at: string;
  readonly origin: string | null;
} {
  const given = destination ?? (process.env[DESTINATION_ENV] || DESTINATION_DEFAULT);
  if (!given.includes("://")) return { at: given, origin: null };
  if (!URL.canParse(given)) {
    throw new CliError(`--destination ${given}: must be ADDRESS:PORT or a URL`, EXIT_USAGE);
  }
  const { hostname, port, protocol } = new URL(given);
  const portDefault = protocol === "http:" ? "80" : "443";
  return { at: `${hostname}:${port || portDefault}`, origin: given.replace(/\/+$/, "") };
}

async function silent(at: string, cause: unknown, identity: Identity | null): Promise<CliError> {
  const tls = await tlsProblem(cause, at, identity);
  if (tls !== null) return new CliError(tls.detail, PROBLEMS[tls.kind].exitCode);
  const { code, message } = cause as { readonly code?: string; readonly message?: string };
  const isClosed = code === "ConnectionRefused" || code === "ECONNREFUSED";
  const why = isClosed ? "nothing listens there" : (message ?? code ?? "no reason given");
  const remedy = `start one with \`holdfast destination\`, or name it with --destination ADDRESS:PORT or ${DESTINATION_ENV}`;
  const what = `the destination at ${at} does not answer (${why})`;
  return new CliError(what, PROBLEMS.unreachable.exitCode, remedy);
}

async function ask<Answer>(flags: AskFlags, path: string, body?: unknown): Promise<Answer> {
  const { at, origin } = targetOf(flags);
  const identity = await clientIdentity(flags.identity, [at]);
  const init: RequestInit = {
    signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    ...(body === undefined
      ? {}
      : {
          method: "POST",
          body: JSON.stringify(body),
          headers: { "content-type": "application/json" },
        }),
  };
  const url = `${origin ?? `${schemeOf(identity)}://${at}`}${path}`;
  try {
    const response = await secureFetch(identity, "destination")(url, init);
    const text = await response.text();
    if (response.ok) return JSON.parse(text) as Answer;
    const { kind, detail } = readProblem(response.status, text);
    throw new CliError(detail, PROBLEMS[kind].exitCode);
  } catch (cause) {
    throw cause instanceof CliError ? cause : await silent(at, cause, identity);
  } finally {
    identity?.close();
  }
}

function plain(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}

function timeText(ms: number): string {
  return new Date(ms).toISOString().replace("T", " ").slice(0, 19);
}

function rowOf(ticket: TicketSummary): readonly string[] {
  const { id, state, severity, node, eventCount, lastMs, title } = ticket;
  return [id, state, severity, node, String(eventCount), timeText(lastMs), plain(title)];
}

async function list(flags: ListFlags): Promise<void> {
  const query = new URLSearchParams({
    state: flags.state ?? (flags.all === true ? "any" : "open"),
  });
  for (const name of ["node", "cluster", "before", "limit"] as const) {
    const value = flags[name];
    if (value !== undefined) query.set(name, value);
  }
  const answer = await ask<TicketsAnswer>(flags, `/v1/tickets?${query}`);
  if (flags.json === true) return printJson(answer);
  const { tickets, next } = answer;
  if (tickets.length === 0) {
    return printLine(
      flags.all === true ? "no tickets" : "no open tickets; --all shows closed ones",
    );
  }
  const head = ["TICKET", "STATE", "SEVERITY", "NODE", "EVENTS", "LAST (UTC)", "TITLE"];
  printLine(formatTable(head, tickets.map(rowOf)));
  if (next !== null) printLine(`… older ones with --before ${next}`);
}

function fact(name: string, value: string): void {
  printLine(`  ${name.padEnd(10)} ${plain(value)}`);
}

function showTicket(ticket: TicketSummary): void {
  const { component, mergedCount, firstMs, lastMs, closedMs, related } = ticket;
  printLine(`${ticket.id}  ${ticket.state}  ${ticket.severity}  ${plain(ticket.title)}`);
  fact("node", `${ticket.node} of ${ticket.cluster}, system ${ticket.system}`);
  fact("component", `${component.category} ${component.subject}`);
  const merged = mergedCount > 0 ? `, and ${mergedCount} sightings of the same` : "";
  const span = `${timeText(firstMs)} … ${timeText(lastMs)} UTC`;
  fact("events", `${ticket.eventCount}${merged}: ${span}`);
  if (ticket.foldedCount > 0) fact("", `${ticket.foldedCount} more were counted at the node`);
  if (ticket.reopenCount > 0) fact("reopened", `${ticket.reopenCount} times`);
  if (closedMs !== null) fact("closed", `${timeText(closedMs)} UTC: ${ticket.closeReason ?? ""}`);
  if (related.length > 0) fact("related", related.join(", "));
  for (const note of ticket.notes) fact("note", note);
}

function showTelling({ adapter, kind, isRefused, attempts, detail }: Telling): void {
  const state = isRefused ? "refused for good" : `waits, ${attempts} attempts`;
  fact("to tell", `${adapter}: ${kind}, ${state}${detail === null ? "" : `: ${detail}`}`);
}

function showEvent({ n, event, signer, receivedMs, trail, copies, isMerged }: TicketEvent): void {
  const way = trail.map(({ kind, name }) => `${kind} ${name}`).join(" → ") || "no trail";
  const again = copies > 0 ? `, came again ${copies} times` : "";
  const mark = isMerged ? "  same" : String(n).padStart(6);
  const at = timeText(event.whenMs ?? event.seenMs);
  printLine(`${mark}  ${at}  ${event.severity.padEnd(15)} ${plain(event.text)}`);
  const seen = `signed by ${signer}, seen by ${event.way}; ${way}`;
  printLine(plain(`        ${seen}; here ${timeText(receivedMs)}${again}`));
}

function show(answer: TicketAnswer): void {
  const { ticket, events, droppedCount, externals, waiting, bundles } = answer;
  showTicket(ticket);
  for (const { digest, bytes, event } of bundles) {
    fact("data", `${bytes} bytes for event ${event.slice(0, 12)}: bundle ${digest}`);
  }
  for (const [adapter, id] of Object.entries(externals)) fact("known as", `${id} at ${adapter}`);
  for (const one of waiting) showTelling(one);
  printLine("");
  for (const one of events) showEvent(one);
  if (droppedCount > 0) printLine(`        … ${droppedCount} more are counted and not kept whole`);
}

function asking(command: Command): Command {
  return command
    .option("--destination <address:port>", `destination to ask (default ${DESTINATION_DEFAULT})`)
    .addOption(identityOption())
    .option("--json", "print one JSON document");
}

export function ticketsCommand(): Command {
  const lists = asking(new Command("list"))
    .description("tickets, newest first: open ones")
    .option("--all", "closed ones too")
    .addOption(new Option("--state <state>", "only these").choices(["open", "closed", "any"]))
    .option("--node <node>", "only of this node")
    .option("--cluster <cluster>", "only of this cluster")
    .option("--before <ticket>", "older than this one")
    .option("--limit <count>", "at most so many", "100")
    .action(list);
  const shows = asking(new Command("show"))
    .description("a ticket with its events and their ways")
    .argument("<ticket>", "such as T-2026-000123")
    .action(async (id: string, flags: AskFlags) => {
      const answer = await ask<TicketAnswer>(flags, `/v1/tickets/${encodeURIComponent(id)}`);
      if (flags.json === true) printJson(answer);
      else show(answer);
    });
  const closes = asking(new Command("close"))
    .description("close a ticket by hand; it opens again if the fault does")
    .argument("<ticket>", "such as T-2026-000123")
    .requiredOption("--reason <text>", "why, for whoever reads it later")
    .action(async (id: string, flags: AskFlags & { readonly reason: string }) => {
      const { reason } = flags;
      const path = `/v1/tickets/${encodeURIComponent(id)}/close`;
      const ticket = await ask<TicketSummary>(flags, path, { reason });
      if (flags.json === true) printJson(ticket);
      else printLine(`${ticket.id} is closed: ${plain(ticket.closeReason ?? "")}`);
    });
  return new Command("tickets")
    .description("tickets of a destination: list, show, close")
    .addCommand(lists)
    .addCommand(shows)
    .addCommand(closes)
    .addHelpText("after", HELP);
}
