/**
 * `holdfast agent`: the agent of this node, in the foreground until it is told to leave.
 *
 * SIGTERM and SIGINT: leave in good order, so that the others need not find out; a second one ends it at once.
 */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join, resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { Hono } from "hono";
import { ok } from "../../core/result.ts";
import type { BundleSettings } from "../callhome/bundle/io/duty.ts";
import type { AwaySettings } from "../callhome/io/open-away.ts";
import { type CallhomeSettings, openCallhome } from "../callhome/io/open-callhome.ts";
import type { Caller } from "../callhome/io/parcels-client.ts";
import { watchedBmc } from "../callhome/io/watched-bmc.ts";
import type { Identity } from "../identity/identity.ts";
import { hasIdentity } from "../identity/io/identity-folder.ts";
import { beginIdentityService } from "../identity/io/identity-service.ts";
import { openIdentity, openLocalIdentity } from "../identity/io/open-identity.ts";
import { type OpenCompanion, openAgent } from "../job/io/open-agent.ts";
import type { NodeId } from "../membership/membership.ts";
import { withConnectLimit } from "../net/io/connect-limit.ts";
import { isSecure, type SecureFetch, schemeOf, secureFetch } from "../net/io/secure.ts";
import { NO_PROXY_AT_ALL, type OutgoingProxy, proxyFor, proxyOf } from "../net/outgoing-proxy.ts";
import type { Endpoint } from "../runtime/datagrams.ts";
import { jsonLog, stderrLog } from "../runtime/io/log.ts";
import {
  type AgentOptions,
  afterEquals,
  agentOptions,
  type PartialOptions,
} from "./agent-options.ts";
import { APART } from "./apart.ts";
import { CliError, EXIT_CONFIG } from "./cli-error.ts";
import { trustDestination } from "./destination-trust.ts";
import { orderPeers } from "./peer-order.ts";

/** Where nodes join, where the authority's folder is in the identity's. */
const DOOR_PORT_OFFSET = 1;

const EXAMPLES = `
Examples:
  One node that begins a cluster, two that join it:
    holdfast agent --id n1 --address 10.0.0.1 --data /var/lib/holdfast --found
    holdfast agent --id n2 --address 10.0.0.2 --data /var/lib/holdfast --join 10.0.0.1:7400
    holdfast agent --id n3 --address 10.0.0.3 --data /var/lib/holdfast --join 10.0.0.1:7400

  A witness, which votes so that an even split is decided, but runs no programs:
    holdfast agent --id w1 --address 10.0.0.9 --data /var/lib/holdfast --join 10.0.0.1:7400 --witness

  The same from a file; a flag wins over the file:
    holdfast agent --config /etc/holdfast.toml --log detail

    # /etc/holdfast.toml
    id = "n1"
    address = "10.0.0.1"
    data = "/var/lib/holdfast"
    join = ["10.0.0.2:7400", "10.0.0.3:7400"]
    found = true

  Watch this machine's BMC, and hear hooks and traps; holdfast events shows what came:
    holdfast agent --config /etc/holdfast.toml --bmc kcs:/dev/ipmi0 --pet 0.0.0.0:162

    # in /etc/holdfast.toml
    bmc = ["kcs:/dev/ipmi0", "lan://monitor@10.0.1.1"]
    bmc-password-file = "/etc/holdfast/bmc-password"
    bmc-poll-seconds = 5
    pet = "0.0.0.0:162"
    pet-acknowledge = true
    hooks-token-file = "/etc/holdfast/hooks-token"
    hooks-spool = "/var/spool/holdfast"

  Tell support of errors: by a manager, around it where it fails, or through another node. See holdfast callhome test:
    holdfast agent --config /etc/holdfast.toml --manager https://10.0.0.5:7443 --destination https://support.example:7500

    # in /etc/holdfast.toml
    manager = ["https://10.0.0.5:7443", "https://10.0.0.6:7443"]
    destination = "https://support.example:7500"
    destination-ca = "/etc/holdfast/support-ca.pem"    # where another organisation runs it
    callhome-severity = "warning"
    heartbeat-hours = 24
    http-proxy = "http://10.0.0.1:3128"
    bmc-lan = "lan://monitor@10.0.1.1"
    stand-in = ["n2=serial:/dev/ttyS1?baud=115200&mode=basic"]

After a restart an agent finds its cluster again from its data folder.
`;

interface Flags extends PartialOptions {
  readonly config?: string;
  readonly bootstrap?: boolean;
  readonly json?: boolean;
}

function endpointOf(text: string, flag = "--join"): Endpoint {
  const colon = text.lastIndexOf(":");
  const address = text.slice(0, colon).replace(/^\[|\]$/g, "");
  const port = Number(text.slice(colon + 1));
  if (isIP(address) === 0 || port < 1 || port > 65_535) {
    throw new CliError(`${flag} ${text}: must be ADDRESS:PORT, such as 10.0.0.1:7400`, EXIT_CONFIG);
  }
  return { address, port };
}

function readConfig(path: string): { readonly path: string; readonly text: string } {
  try {
    return { path, text: readFileSync(path, "utf8") };
  } catch (cause) {
    const code = (cause as { code?: string }).code;
    const known = new Map([
      ["ENOENT", "there is no such file"],
      ["EISDIR", "it is a folder, not a file"],
      ["EACCES", "this user may not read it"],
    ]);
    const why = known.get(code ?? "") ?? `it cannot be read (${code})`;
    throw new CliError(`--config ${path}: ${why}`, EXIT_CONFIG, "name a TOML file");
  }
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

/**
 * Of `join` or `init`; null: there is none, and one for trying out is made, which proves nothing. A folder that was named must
 * hold one.
 */
function identityOf({ data, identity: named }: AgentOptions): Identity | null {
  const folder = resolve(named ?? join(data, "identity"));
  if (named === null && !hasIdentity(folder)) return null;
  const opened = openIdentity(folder);
  if (opened.ok) return opened.value;
  throw new CliError(`--identity ${folder}: ${opened.error}`, EXIT_CONFIG);
}

/** Once the data folder is known to be the agent's to write to. */
function localIdentity({ data, id }: AgentOptions): Identity {
  const folder = join(resolve(data), "identity");
  try {
    return openLocalIdentity(folder, "agent", id);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const what = `${folder} cannot be written (${why})`;
    throw new CliError(what, EXIT_CONFIG, "choose another data folder with --data");
  }
}

/** With a scheme; one that would speak in the clear where this node has certificates is refused. */
function originOf(text: string, flag: string, identity: Identity): string {
  const scheme = schemeOf(identity);
  const url = text.includes("://") ? text : `${scheme}://${text}`;
  const plain = url.replace(/\/+$/, "");
  if (isSecure(identity) && !plain.startsWith("https:")) {
    const what = `${flag} ${text}: this node has an identity, and speaks TLS only`;
    throw new CliError(what, EXIT_CONFIG, `write ${plain.replace(/^http:/, "https:")}`);
  }
  return plain;
}

/** null: no service data is gathered. */
function bundlesOf(options: AgentOptions): BundleSettings | null {
  const { bundleSeverity: least, bundleReview: hasReview, bundleRedact } = options;
  if (least === "none") return null;
  return { least, hasReview, redactFile: bundleRedact === null ? null : resolve(bundleRedact) };
}

/**
 * Only the way to the destination leads out of the cluster. Where another path is tried next, connecting has a limit of its own; of
 * a manager the limit for R1 is as short.
 */
function callerOf(identity: Identity, proxy: OutgoingProxy, toDestination: SecureFetch): Caller {
  return (role, url, init) => {
    const isOut = role === "destination";
    const ask = isOut ? toDestination : secureFetch(identity, role, NO_PROXY_AT_ALL);
    if (role === "manager") return ask(url, init);
    const dialled = (isOut ? proxyFor(proxy, url) : null) ?? url;
    return withConnectLimit(dialled, init.signal, (signal) => ask(url, { ...init, signal }));
  };
}

/** null: neither a manager nor a destination is named. */
function awayOf(options: AgentOptions, identity: Identity): AwaySettings | null {
  const { manager, destination, heartbeatHours, bmcLan, standIn, bmcPasswordFile } = options;
  if (manager.length === 0 && destination === null) return null;
  const proxy = proxyOf(options.httpProxy, process.env);
  const toDestination = trustDestination(options.destinationCa, identity, proxy);
  const scheme = schemeOf(identity);
  return {
    managers: [...new Set(manager.map((one) => originOf(one, "--manager", identity)))],
    destination: destination === null ? null : originOf(destination, "--destination", identity),
    least: options.callhomeSeverity,
    heartbeatMs: heartbeatHours === 0 ? null : heartbeatHours * 3_600_000,
    identity,
    receiptVerifier: toDestination.verifier,
    caller: callerOf(identity, proxy, toDestination.fetch),
    agentUrl: ({ address, port }) =>
      `${scheme}://${isIP(address) === 6 ? `[${address}]` : address}:${port}`,
    order: orderPeers(),
    bmcLan,
    standIn: new Map(standIn.map((one) => [one.slice(0, one.indexOf("=")), afterEquals(one)])),
    watchedBmc: (url) => watchedBmc(url, bmcPasswordFile),
    bundles: bundlesOf(options),
  };
}

/** Without any of it an agent still takes hooks from its own machine. */
function callhomeOf(options: AgentOptions, identity: Identity): CallhomeSettings {
  const { bmcPasswordFile, pet, petAcknowledge, hooksTokenFile, hooksSpool } = options;
  return {
    bmcs: options.bmc.map((url) => watchedBmc(url, bmcPasswordFile)),
    pollMs: options.bmcPollSeconds * 1000,
    pet: pet === null ? null : endpointOf(pet, "--pet"),
    petAcknowledges: petAcknowledge,
    hooksTokenFile,
    spool: hooksSpool,
    cluster: identity.principal.cluster,
    away: awayOf(options, identity),
  };
}

/** Call home; and what keeps the node's identity good, with the cluster's door where its authority is. */
function companionOf(settings: CallhomeSettings, identity: Identity): OpenCompanion {
  return async (host) => {
    const callhome = await openCallhome(settings, host);
    if (!callhome.ok) return callhome;
    const { log, address, port } = host;
    const door = { hostname: address, port: port + DOOR_PORT_OFFSET };
    const managers = settings.away?.managers ?? [];
    const others = managers.map(
      (url) => ({ address: new URL(url).host, role: "manager" }) as const,
    );
    const news = { doors: [], others: () => others };
    const service = await beginIdentityService(identity, { log, door, ...news });
    return ok({
      routes: new Hono().route("/", callhome.value.routes).route("/", service.routes),
      begin: () => callhome.value.begin(),
      stop: async () => {
        await callhome.value.stop();
        await service.close();
      },
    });
  };
}

async function runAgent(options: AgentOptions, isJson: boolean): Promise<void> {
  const log = (isJson ? jsonLog : stderrLog)(options.id, options.log);
  const { hooksListen } = options;
  const identity = identityOf(options);
  const callhome = identity === null ? null : callhomeOf(options, identity);
  const agent = await openAgent({
    id: options.id as NodeId,
    address: options.address,
    port: options.port,
    role: options.witness ? "witness" : "worker",
    dataFolder: resolve(options.data),
    sharedMemory: options.shm,
    seeds: options.join.map((seed) => endpointOf(seed)),
    // Nobody to join: then this node is the beginning.
    found: options.found || options.join.length === 0,
    identity,
    insecure: options.insecure,
    hooks: hooksListen === null ? null : endpointOf(hooksListen, "--hooks-listen"),
    log,
    companion: (host) => {
      const own = identity ?? localIdentity(options);
      return companionOf(callhome ?? callhomeOf(options, own), own)(host);
    },
  });
  if (!agent.ok) throw new CliError(agent.error, EXIT_CONFIG);
  onSignals(() => agent.value.stop());
  log.say("event", `agent ${options.id} listens on ${options.address}:${options.port}`);
}

function portNumber(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new InvalidArgumentError("must be a number from 1 to 65535");
}

function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), ...value.split(",")];
}

/** A URL may hold commas. */
function append(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

function secondsOf(text: string): number {
  const seconds = Number(text);
  if (/^\d+(?:\.\d+)?$/.test(text) && seconds > 0) return seconds;
  throw new InvalidArgumentError("must be a number of seconds");
}

function hoursOf(text: string): number {
  const hours = Number(text);
  if (/^\d+(?:\.\d+)?$/.test(text) && hours <= 720) return hours;
  throw new InvalidArgumentError("must be a number of hours, at most 720");
}

export function agentCommand(): Command {
  return new Command("agent")
    .description(APART.agent)
    .option("--id <id>", "name of this node, stable over restarts")
    .option("--address <ip>", "IP address that the other nodes reach this one at")
    .option("--port <port>", "UDP and TCP port (default 7400)", portNumber)
    .option("--data <folder>", "data folder of this agent")
    .option("--join <address:port>", "a node of the cluster to join; may be repeated", collect)
    .option("--found", "begin a cluster when none of --join answers")
    .option("--bootstrap", "the same as --found")
    .option("--witness", "vote, but run no programs")
    .option("--shm <folder>", "folder on tmpfs for shared memory (default /dev/shm)")
    .option("--bmc <url>", "watch this BMC; may be repeated, this machine's own first", append)
    .option("--bmc-password-file <file>", "file of mode 0600 with the BMCs' password")
    .option("--bmc-poll-seconds <seconds>", "look at a BMC's log so often (default 5)", secondsOf)
    .option(
      "--pet <address:port>",
      "hear traps of BMCs there, such as 0.0.0.0:162 (default: nowhere)",
    )
    .option(
      "--hooks-token-file <file>",
      "file of mode 0600: hooks of other machines need this token",
    )
    .option(
      "--hooks-listen <address:port>",
      "hear hooks there too, in the clear (default, where agents speak TLS: 127.0.0.1, port + 2)",
    )
    .option("--hooks-spool <folder>", "take the hooks that were left there while no agent ran")
    .option("--manager <url>", "call home by this manager; may be repeated, the best first", append)
    .option("--destination <url>", "where events end: the way around managers that fail")
    .option("--destination-ca <file>", "PEM of its authority, where another cluster runs it")
    .option("--callhome-severity <severity>", "tell what is at least so grave (default warning)")
    .option("--bundle-severity <severity>", "gather service data from it on (default critical)")
    .option("--bundle-review", "an operator approves service data before it leaves")
    .option("--bundle-redact <file>", "TOML of what more is taken out of service data")
    .option("--heartbeat-hours <hours>", "a sign of life so often; 0: none (default 24)", hoursOf)
    .option("--http-proxy <url>", "HTTP proxy to the destination (default: of the environment)")
    .option("--bmc-lan <url>", "how other nodes reach this machine's BMC while it is down")
    .option(
      "--stand-in <node=url>",
      "how this node reaches the BMC of another, such as n2=serial:/dev/ttyS1; may be repeated",
      append,
    )
    .option(
      "--identity <folder>",
      "certificates of init or join (default: identity in the data folder)",
    )
    .option("--insecure", "speak in the clear on an address that others reach")
    .option("--log <level>", "fault, event or detail (default event)")
    .option("--json", "say what happens as JSON lines on standard output")
    .option("--config <file>", "read these settings from a TOML file; flags win over it")
    .addHelpText("after", EXAMPLES)
    .action(async ({ config, bootstrap, json, ...flags }: Flags) => {
      const file = config === undefined ? null : readConfig(config);
      const given = bootstrap === true ? { ...flags, found: true } : flags;
      await runAgent(agentOptions(given, file), json === true);
    });
}
