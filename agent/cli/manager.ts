/**
 * `holdfast manager`: the management server, in the foreground until it is told to stop.
 *
 * SIGTERM and SIGINT: nodes are told by the end of their streams, what is under way is written down; a second one ends it at
 * once, which loses nothing that was acknowledged.
 */
import { existsSync } from "node:fs";
import { isIP } from "node:net";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import page from "../../dist/manager-page.txt" with { type: "text" };
import type { Identity } from "../identity/identity.ts";
import { hasIdentity } from "../identity/io/identity-folder.ts";
import { beginIdentityService } from "../identity/io/identity-service.ts";
import { openIdentity, openLocalIdentity } from "../identity/io/open-identity.ts";
import { HOLDFAST_VERSION } from "../job/io/status.ts";
import {
  type Endpoint,
  isLoopback,
  openManager,
  SECRET_FILE,
  STORE_FILE,
  textOf,
} from "../manager/io/open-manager.ts";
import { makeLoginToken, readSecret, TOKEN_HOURS_MAX } from "../manager/io/page-access.ts";
import { pageAnswer } from "../manager/page/page-answer.ts";
import { isSecure, schemeOf, secureFetch } from "../net/io/secure.ts";
import { proxyOf } from "../net/outgoing-proxy.ts";
import { jsonLog, stderrLog } from "../runtime/io/log.ts";
import { ownFolder } from "../runtime/io/own-folder.ts";
import type { LogLevel } from "../runtime/log.ts";
import { CliError, EXIT_CONFIG, EXIT_USAGE } from "./cli-error.ts";
import { trustDestination } from "./destination-trust.ts";
import { printJson, printLine } from "./print.ts";

const HELP = `
Nodes send it their errors; it keeps them (R1), relays them to the destination and tells the nodes of the ticket (R2). It shows
nodes, events and their way, tickets, jobs and versions: as a page for people, as an API (/docs), and to Prometheus (/metrics).

Without an identity (holdfast init, holdfast join) it speaks plain HTTP, for trying out on one machine. People read the page on
this machine without logging in; elsewhere with a token.

Examples:
  holdfast manager --destination http://127.0.0.1:7500
  holdfast manager --listen 10.0.0.8:7443 --identity /etc/holdfast/identity --destination https://support.example:7500
  holdfast manager --destination https://support.vendor.example:7500 --destination-ca /etc/holdfast/support-ca.pem
  holdfast manager --store postgres://holdfast:secret@10.0.0.5/holdfast      # several side by side: the same store for each
  holdfast manager --page-listen 10.0.0.8:7480
  holdfast manager token --hours 8      # to log in there
`;

interface Flags {
  readonly listen: Endpoint;
  readonly pageListen: Endpoint | "none";
  readonly data?: string;
  readonly store?: string;
  readonly destination?: string;
  readonly destinationCa?: string;
  readonly identity?: string;
  readonly name: string;
  readonly retentionDays: number;
  readonly httpProxy?: string;
  readonly log: LogLevel;
  readonly json?: boolean;
}

export const MANAGER_STORE_ENV = "HOLDFAST_STORE";

function endpoint(text: string): Endpoint {
  const colon = text.lastIndexOf(":");
  const address = text.slice(0, colon).replace(/^\[|\]$/g, "");
  const port = Number(text.slice(colon + 1));
  if (isIP(address) !== 0 && Number.isInteger(port) && port >= 0 && port <= 65_535) {
    return { address, port };
  }
  throw new InvalidArgumentError("must be ADDRESS:PORT, such as 127.0.0.1:7443");
}

function days(text: string): number {
  const number = Number(text);
  if (number > 0 && number <= 36_500) return number;
  throw new InvalidArgumentError("must be a number of days above 0");
}

function hours(text: string): number {
  const number = Number(text);
  if (number > 0 && number <= TOKEN_HOURS_MAX) return number;
  throw new InvalidArgumentError(`must be a number of hours, at most ${TOKEN_HOURS_MAX}`);
}

function defaultFolder(): string {
  const state = process.env["XDG_STATE_HOME"] || join(homedir(), ".local", "state");
  return join(state, "holdfast", "manager");
}

/** With what was put right about it. */
function dataFolderOf(given: string | undefined): readonly [string, string | null] {
  const folder = resolve(given ?? defaultFolder());
  try {
    return [folder, ownFolder(folder, [STORE_FILE, SECRET_FILE])];
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(`--data ${folder} cannot be used (${why})`, EXIT_CONFIG, "choose another");
  }
}

function identityOf({ identity: named, name }: Flags, dataFolder: string): Identity {
  const folder = resolve(named ?? join(dataFolder, "identity"));
  if (named === undefined && !hasIdentity(folder)) return localIdentity(folder, name);
  const opened = openIdentity(folder);
  if (!opened.ok) throw new CliError(opened.error, EXIT_CONFIG);
  const { role } = opened.value.principal;
  if (role === "manager") return opened.value;
  opened.value.close();
  throw new CliError(
    `${folder} is the identity of ${role === "agent" ? "an" : "a"} ${role}`,
    EXIT_CONFIG,
    "a manager joins as one: holdfast join ADDRESS --token … --role manager",
  );
}

function localIdentity(folder: string, name: string): Identity {
  try {
    return openLocalIdentity(folder, "manager", name);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(
      `${folder} cannot be written (${why})`,
      EXIT_CONFIG,
      "choose another --data",
    );
  }
}

/** With a scheme; in the clear only where this manager has no certificates. */
function destinationOf(given: string | undefined, identity: Identity): string | null {
  if (given === undefined) return null;
  const url = given.includes("://") ? given : `${schemeOf(identity)}://${given}`;
  if (!URL.canParse(url) || !/^https?:\/\//.test(url)) {
    throw new CliError(
      `--destination ${given}: must be a URL such as https://support.example:7500`,
      EXIT_USAGE,
    );
  }
  const { username, password } = new URL(url);
  if (username !== "" || password !== "") {
    throw new CliError("--destination: must not hold a user or password", EXIT_USAGE);
  }
  if (isSecure(identity) && !url.startsWith("https:")) {
    throw new CliError(
      `--destination ${given}: this manager has an identity, and speaks TLS only`,
      EXIT_CONFIG,
      `write ${url.replace(/^http:/, "https:")}`,
    );
  }
  return url.replace(/\/+$/, "");
}

/** A password on a command line is seen by every user of the machine: the environment is the other way. */
function storeOf({ store }: Flags): string | null {
  const url = store ?? process.env[MANAGER_STORE_ENV] ?? null;
  if (url === null || url === "") return null;
  if (/^postgres(?:ql)?:\/\//.test(url) && URL.canParse(url)) return url;
  throw new CliError(
    "--store: must be a URL such as postgres://user:password@host:5432/holdfast",
    EXIT_USAGE,
    "without it the store is an SQLite file in the data folder",
  );
}

function onSignals(stop: () => Promise<void>): void {
  let isLeaving = false;
  const leave = (): void => {
    if (isLeaving) process.exit(1);
    isLeaving = true;
    void stop().then(() => process.exit(0));
  };
  process.on("SIGTERM", leave);
  process.on("SIGINT", leave);
}

async function run(flags: Flags): Promise<void> {
  const [dataFolder, notice] = dataFolderOf(flags.data);
  const identity = identityOf(flags, dataFolder);
  const { name } = identity.principal;
  const log = (flags.json === true ? jsonLog : stderrLog)(name, flags.log);
  if (notice !== null) log.say("event", notice);
  const isTls = isSecure(identity);
  if (!isTls && !isLoopback(flags.listen.address)) {
    throw new CliError(
      `--listen ${textOf(flags.listen)}: without an identity a manager listens on loopback only`,
      EXIT_CONFIG,
      "make one (holdfast join … --role manager), or listen on 127.0.0.1",
    );
  }
  const destination = destinationOf(flags.destination, identity);
  const proxy = proxyOf(flags.httpProxy ?? null, process.env);
  const toDestination = trustDestination(flags.destinationCa ?? null, identity, proxy);
  const { address, port } = flags.listen;
  const door = port === 0 ? null : { hostname: address, port: port + 1 };
  const service = await beginIdentityService(identity, { log, door, doors: [] });
  const opened = await openManager({
    identity,
    service,
    listen: flags.listen,
    pageListen: flags.pageListen === "none" ? null : flags.pageListen,
    dataFolder,
    store: storeOf(flags),
    destination,
    // Only the way to the destination leads out of the cluster.
    caller: (role, url, init) =>
      role === "destination"
        ? toDestination.fetch(url, init)
        : secureFetch(identity, role)(url, init),
    receiptVerifier: toDestination.verifier,
    retentionDays: flags.retentionDays,
    version: HOLDFAST_VERSION,
    page: pageAnswer(page),
    log,
  });
  if (!opened.ok) {
    await service.close();
    throw new CliError(opened.error, EXIT_CONFIG);
  }
  onSignals(async () => {
    await opened.value.stop();
    await service.close();
    identity.close();
  });
  sayUp(flags, opened.value, { destination, log, isTls });
}

interface Up {
  readonly destination: string | null;
  readonly log: ReturnType<typeof stderrLog>;
  readonly isTls: boolean;
}

function sayUp(
  flags: Flags,
  opened: {
    readonly port: number;
    readonly pagePort: number | null;
    readonly manager: { readonly store: { readonly name: string } };
  },
  { destination, log, isTls }: Up,
): void {
  const at = textOf({ ...flags.listen, port: opened.port });
  const scheme = isTls ? "https" : "http";
  const relay =
    destination === null ? "no destination is set: events wait" : `relays to ${destination}`;
  log.say(
    "event",
    `manager listens on ${scheme}://${at}, ${relay}, store ${opened.manager.store.name}`,
  );
  if (flags.pageListen === "none" || opened.pagePort === null) return;
  const isOpen = isLoopback(flags.pageListen.address);
  const page = `${isOpen ? "http" : "https"}://${textOf({ ...flags.pageListen, port: opened.pagePort })}/`;
  const how = isOpen ? "" : " (holdfast manager token makes a token to log in)";
  log.say("event", `page for people: ${page}${how}`);
}

interface TokenFlags {
  readonly data?: string;
  readonly hours: number;
  readonly json?: boolean;
}

function makeToken({ data, hours: count, json }: TokenFlags): void {
  const folder = resolve(data ?? defaultFolder());
  if (!existsSync(folder)) {
    throw new CliError(
      `${folder}: there is no manager's data folder`,
      EXIT_CONFIG,
      "name it with --data",
    );
  }
  let secret: string;
  try {
    secret = readSecret(join(folder, SECRET_FILE));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(
      `${join(folder, SECRET_FILE)} cannot be used (${why})`,
      EXIT_CONFIG,
      "run this as the manager's user",
    );
  }
  const token = makeLoginToken(secret, Date.now(), count);
  if (json === true) printJson({ token, hours: count });
  else {
    printLine(token);
    printLine(`Open the page as https://ADDRESS:PORT/#token=${token}`);
    printLine(`or log in with it at https://ADDRESS:PORT/login; it holds for ${count} hours.`);
  }
}

function tokenCommand(): Command {
  return new Command("token")
    .description("a token for the page, where it is not on this machine")
    .option("--data <folder>", "data folder of the manager")
    .option("--hours <hours>", "how long it holds", hours, 12)
    .option("--json", "print JSON")
    .action(makeToken);
}

export function managerCommand(): Command {
  return new Command("manager")
    .description("the management server: keeps and relays events, shows the cluster")
    .enablePositionalOptions()
    .addOption(
      new Option("--listen <address:port>", "where nodes reach it")
        .argParser(endpoint)
        .default(endpoint("127.0.0.1:7443"), "127.0.0.1:7443"),
    )
    .addOption(
      new Option("--page-listen <address:port>", "where people reach the page; none: nowhere")
        .argParser((text) => (text === "none" ? text : endpoint(text)))
        .default(endpoint("127.0.0.1:7480"), "127.0.0.1:7480"),
    )
    .option("--data <folder>", "data folder (default: holdfast/manager in the user's state folder)")
    .option(
      "--store <url>",
      `a PostgreSQL instead of an SQLite file; or in ${MANAGER_STORE_ENV}, which other users cannot see`,
    )
    .option("--destination <url>", "where events are relayed to")
    .option("--destination-ca <file>", "PEM of its authority, where another cluster runs it")
    .option("--identity <folder>", "identity of role manager (default: DATA/identity)")
    .option("--name <name>", "its name, without an identity", "manager")
    .option("--retention-days <days>", "how long settled events are kept", days, 90)
    .option("--http-proxy <url>", "HTTP proxy to the destination (default: from the environment)")
    .addOption(
      new Option("--log <level>", "what is said")
        .choices(["fault", "event", "detail"])
        .default("event"),
    )
    .option("--json", "say what happens as JSON lines on standard output")
    .addHelpText("after", HELP)
    .action(run)
    .addCommand(tokenCommand());
}
