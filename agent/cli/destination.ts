/**
 * `holdfast destination`: the receiving end of call home, in the foreground until it is told to stop.
 *
 * Each ticket that is opened, reopened, raised or closed is a line on standard output; what goes wrong is on standard error.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { Command, Option } from "commander";
import { z } from "zod";
import { openAdapter, openAdapters } from "../destination/adapters/io/open-adapter.ts";
import { tryAdapter } from "../destination/adapters/io/try-adapter.ts";
import { type BundleDoor, openBundleDoor } from "../destination/io/bundle-door.ts";
import { DATABASE_FILE } from "../destination/io/database.ts";
import type { Told } from "../destination/io/intake.ts";
import { type Destination, openDestination } from "../destination/io/open-destination.ts";
import { readTrusted } from "../destination/io/trusted.ts";
import type { Identity } from "../identity/identity.ts";
import { hasIdentity } from "../identity/io/identity-folder.ts";
import { beginIdentityService } from "../identity/io/identity-service.ts";
import { openIdentity, openLocalIdentity } from "../identity/io/open-identity.ts";
import { isName, LOCAL_CLUSTER } from "../identity/names.ts";
import { HOLDFAST_VERSION } from "../job/io/status.ts";
import { proxyOf } from "../net/outgoing-proxy.ts";
import { randomHex } from "../runtime/io/clock.ts";
import { jsonLog, stderrLog } from "../runtime/io/log.ts";
import { ownFolder } from "../runtime/io/own-folder.ts";
import type { Log } from "../runtime/log.ts";
import { readToml } from "./agent-options.ts";
import { CliError, EXIT_CONFIG, EXIT_USAGE } from "./cli-error.ts";
import { printJson, printLine } from "./print.ts";

const HELP = `
One fault is one ticket: what is repeated or related is counted on it, and it is closed when the BMC says that it is over.
An event is acknowledged once it is on disk; the same event again, by whichever path, gets its first receipt.

Without an identity (holdfast init, holdfast join) it speaks plain HTTP, for trying out on one machine.

Examples:
  holdfast destination
  holdfast destination --listen 10.0.0.9:7500 --identity /etc/holdfast/identity --data /var/lib/holdfast/destination
  holdfast destination --adapter 'pagerduty:?key-file=/etc/holdfast/pagerduty-key'
  holdfast destination adapter test 'dir:/var/spool/tickets'
  holdfast tickets list

  The same from a file; a flag wins over the file:
    holdfast destination --config /etc/holdfast-destination.toml

    # /etc/holdfast-destination.toml
    listen = "10.0.0.9:7500"
    data = "/var/lib/holdfast/destination"
    identity = "/etc/holdfast/identity"
    adapter = ["dir:/var/spool/tickets"]
    trust = ["/etc/holdfast/other-cluster.pem"]
`;

const EXIT_UNAVAILABLE = 69;

const settingsSchema = z.strictObject({
  listen: z.string().default("127.0.0.1:7500"),
  data: z.string().min(1).nullable().default(null),
  identity: z.string().min(1).nullable().default(null),
  name: z
    .string()
    .refine(isName, "must be a name of small letters, digits and -")
    .default("destination"),
  adapter: z.array(z.string(), { error: "must be a list of URLs" }).default([]),
  trust: z.array(z.string(), { error: "must be a list of PEM files" }).default([]),
  "insecure-any": z.boolean().default(false),
  "public-url": z
    .string()
    .regex(/^https?:\/\/\S+$/, "must be an address such as https://support.example:7500")
    .nullable()
    .default(null),
  proxy: z.string().nullable().default(null),
  log: z.enum(["fault", "event", "detail"]).default("event"),
});

type Settings = z.output<typeof settingsSchema>;
type Flags = Readonly<Record<string, unknown>> & {
  readonly config?: string;
  readonly json?: boolean;
};

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function readConfig(path: string): Readonly<Record<string, unknown>> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(`--config ${path}: ${why}`, EXIT_CONFIG, "name a TOML file");
  }
  return readToml(path, text);
}

function settingsOf({ config, json: _json, ...flags }: Flags): Settings {
  const fromFile = config === undefined ? {} : readConfig(config);
  const given = Object.fromEntries(
    Object.entries(flags)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [kebab(name), value]),
  );
  const parsed = settingsSchema.safeParse({ ...fromFile, ...given });
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const isUnknown = issue?.code === "unrecognized_keys";
  const key = isUnknown ? String(issue.keys[0]) : String(issue?.path[0] ?? "");
  const source =
    given[key] !== undefined || config === undefined ? `--${key}` : `${config}: ${key}`;
  const what = isUnknown
    ? "is no setting of a destination"
    : (issue?.message ?? "is not understood");
  const known = isUnknown
    ? `known are: ${Object.keys(settingsSchema.shape).join(", ")}`
    : undefined;
  throw new CliError(
    `${source}: ${what}`,
    source.startsWith("--") ? EXIT_USAGE : EXIT_CONFIG,
    known,
  );
}

interface ListenAt {
  readonly address: string;
  readonly port: number;
}

function listenAt(text: string): ListenAt {
  const colon = text.lastIndexOf(":");
  const address = text.slice(0, colon).replace(/^\[|\]$/g, "");
  const port = Number(text.slice(colon + 1));
  if (isIP(address) !== 0 && Number.isInteger(port) && port >= 0 && port <= 65_535) {
    return { address, port };
  }
  throw new CliError(
    `--listen ${text}: must be ADDRESS:PORT, such as 127.0.0.1:7500`,
    EXIT_USAGE,
    "a port of 0 takes any that is free",
  );
}

function isLoopback(address: string): boolean {
  return address === "::1" || /^127\./.test(address);
}

/** Where other programs of a user keep what they must not lose. */
function defaultFolder(): string {
  const state = process.env["XDG_STATE_HOME"] || join(homedir(), ".local", "state");
  return join(state, "holdfast", "destination");
}

function identityOf(settings: Settings, dataFolder: string): Identity {
  const beside = join(dataFolder, "identity");
  const folder = settings.identity ?? (hasIdentity(beside) ? beside : null);
  if (folder === null) return openLocalIdentity(beside, "destination", settings.name);
  const opened = openIdentity(resolve(folder));
  if (!opened.ok) throw new CliError(opened.error, EXIT_CONFIG);
  const { role } = opened.value.principal;
  if (role === "destination") return opened.value;
  throw new CliError(
    `${folder} is the identity of ${role === "agent" ? "an" : "a"} ${role}`,
    EXIT_CONFIG,
    "a destination joins as one: holdfast join ADDRESS --token … --role destination",
  );
}

function sayTold(told: readonly Told[], isJson: boolean): void {
  for (const { change } of told) {
    if (isJson) {
      printJson(change);
      continue;
    }
    if (change.kind === "appended") continue;
    const { atMs, kind, ticket, severity, title, text, eventCount } = change;
    const at = new Date(atMs).toISOString();
    const what = kind === "opened" ? title : `${title} — ${text}`;
    const count = eventCount > 1 ? ` (${eventCount} events)` : "";
    const line = `${at} ${kind.padEnd(8)} ${ticket} ${severity.padEnd(15)} ${what}${count}`;
    printLine(line.replace(/\p{Cc}/gu, " "));
  }
}

async function openBundles(folder: string, identity: Identity, log: Log): Promise<BundleDoor> {
  try {
    return await openBundleDoor({ folder, identity, log, nowMs: Date.now });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(`${folder} cannot be used (${why})`, EXIT_CONFIG, "choose another --data");
  }
}

function folderOf(settings: Settings): string {
  return resolve(settings.data ?? defaultFolder());
}

/** Gives what was put right about it. */
function makeFolder(folder: string): string | null {
  try {
    return ownFolder(folder, [DATABASE_FILE]);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(`--data ${folder} cannot be used (${why})`, EXIT_CONFIG, "choose another");
  }
}

async function open(
  settings: Settings,
  identity: Identity,
  isJson: boolean,
  log: Log,
): Promise<Destination> {
  const dataFolder = folderOf(settings);
  const { address, port } = listenAt(settings.listen);
  const isLocal = identity.principal.cluster === LOCAL_CLUSTER;
  const takesLocal = settings["insecure-any"] || (isLocal && isLoopback(address));
  if (isLocal && !takesLocal && settings.trust.length === 0) {
    throw new CliError(
      `nobody is trusted here: ${dataFolder} has no identity`,
      EXIT_CONFIG,
      "make one (holdfast join … --role destination), or try it out with --insecure-any",
    );
  }
  const trusted = readTrusted(settings.trust, identity.principal.cluster);
  if (!trusted.ok) throw new CliError(trusted.error, EXIT_CONFIG);
  const proxy = proxyOf(settings.proxy, process.env).https;
  const adapters = openAdapters(settings.adapter, { proxy, nowMs: Date.now });
  if (!adapters.ok) throw new CliError(adapters.error, EXIT_CONFIG);
  const bundles = await openBundles(join(dataFolder, "bundles"), identity, log);
  const service = await beginIdentityService(identity, {
    log,
    door: port === 0 ? null : { hostname: address, port: port + 1 },
    doors: [],
  });
  const opened = openDestination({
    identity,
    address,
    port,
    dataFolder,
    version: HOLDFAST_VERSION,
    trusted: trusted.value,
    takesLocal,
    adapters: adapters.value,
    publicUrl: settings["public-url"]?.replace(/\/+$/, "") ?? null,
    log,
    bundles,
    service,
    onTold: (told) => sayTold(told, isJson),
  });
  if (!opened.ok) {
    bundles.stop();
    await service.close();
    identity.close();
    throw new CliError(opened.error, EXIT_CONFIG);
  }
  if (takesLocal) {
    log.say(
      "event",
      "takes events of nodes without an authority, each by the key it comes with first",
    );
  }
  return opened.value;
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
  const settings = settingsOf(flags);
  const isJson = flags.json === true;
  const notice = makeFolder(folderOf(settings));
  const identity = identityOf(settings, folderOf(settings));
  const log = (isJson ? jsonLog : stderrLog)(identity.principal.name, settings.log);
  if (notice !== null) log.say("event", notice);
  const destination = await open(settings, identity, isJson, log);
  onSignals(() => destination.stop());
  const { address } = listenAt(settings.listen);
  const at = `${isIP(address) === 6 ? `[${address}]` : address}:${destination.port}`;
  const { tickets, ids } = destination.status();
  log.say(
    "event",
    `listens on ${destination.scheme}://${at}: ${tickets.open} open of ${tickets.all} tickets, ${ids.count} event ids known`,
  );
}

async function runTrial(url: string, flags: { readonly proxy?: string }): Promise<void> {
  const proxy = proxyOf(flags.proxy ?? null, process.env).https;
  const adapter = openAdapter(url, { proxy, nowMs: Date.now });
  if (!adapter.ok) throw new CliError(adapter.error, EXIT_CONFIG);
  const trial = await tryAdapter(adapter.value, {
    destination: "destination",
    cluster: LOCAL_CLUSTER,
    nowMs: Date.now(),
    link: null,
    mark: randomHex(4),
  });
  for (const line of trial.lines) printLine(line);
  await adapter.value.close?.();
  if (!trial.isDelivered) process.exitCode = EXIT_UNAVAILABLE;
}

/** A URL may hold commas. */
function append(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

function adapterCommand(): Command {
  const trial = new Command("test")
    .description("open a ticket at a far end and close it again")
    .argument("<url>", "as --adapter takes it")
    .option("--proxy <url>", "HTTP proxy for the way out")
    .action(runTrial);
  return new Command("adapter")
    .description("what tells other systems of tickets")
    .addCommand(trial);
}

export function destinationCommand(): Command {
  return new Command("destination")
    .description("the receiving end of call home: one ticket a fault")
    .enablePositionalOptions()
    .option("--listen <address:port>", "where to listen (default 127.0.0.1:7500)")
    .option(
      "--data <folder>",
      "data folder (default: holdfast/destination in the user's state folder)",
    )
    .option("--identity <folder>", "identity of role destination (default: DATA/identity)")
    .option("--name <name>", "its name on receipts, without an identity (default: destination)")
    .option("--adapter <url>", "tell this system of tickets; may be repeated", append)
    .option(
      "--trust <pem>",
      "authority of another cluster to take events of; may be repeated",
      append,
    )
    .option("--insecure-any", "for trying out: take nodes without an authority, whoever they are")
    .option("--public-url <url>", "where people reach it, for links to tickets")
    .option("--proxy <url>", "HTTP proxy for adapters (default: from the environment)")
    .addOption(
      new Option("--log <level>", "fault, event or detail (default event)").choices([
        "fault",
        "event",
        "detail",
      ]),
    )
    .option("--json", "print changes of tickets and what happens as JSON lines")
    .option("--config <file>", "read these settings from a TOML file; flags win over it")
    .addHelpText("after", HELP)
    .action(run)
    .addCommand(adapterCommand());
}
