/**
 * `holdfast callhome bundle`: service data of a node (first-failure data): what was gathered, what is in it, whether it leaves.
 */
import { createWriteStream } from "node:fs";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Command } from "commander";
import { type BundleRecord, type Manifest, SERVICE_DATA_PATH } from "../callhome/bundle/bundle.ts";
import { verifyBundle } from "../callhome/bundle/io/read-bundle.ts";
import { PROBLEMS } from "../net/problem.ts";
import { AgentClient, type AgentFlags, agentOption, identityOption } from "./agent-client.ts";
import { CliError, EXIT_USAGE } from "./cli-error.ts";
import { formatTable, printJson, printLine } from "./print.ts";

const HELP = `
Service data is gathered when a grave event happens (holdfast agent --bundle-severity): the event log, sensors and parts of the BMC,
logs of the host and the agent around the moment. Passwords, keys and tokens are taken out before it is on disk. With
--bundle-review it waits until somebody approves it.

Examples:
  holdfast callhome bundle list
  holdfast callhome bundle show 66dc321375d5a1b2-1764060000000
  holdfast callhome bundle fetch 66dc321375d5a1b2-1764060000000 --output look.tar.zst && tar --zstd -tvf look.tar.zst
  holdfast callhome bundle approve 66dc321375d5a1b2-1764060000000
  holdfast callhome bundle collect 66dc321375d5
`;

/** A slow BMC takes its minute. */
const COLLECT_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 250;
const EXIT_DATA = 65;

interface Listed {
  readonly bundles: readonly BundleRecord[];
}

interface Flags extends AgentFlags {
  readonly json?: boolean;
}

function notHere(error: unknown): never {
  const isOff = error instanceof CliError && error.message.includes("no such path");
  if (!isOff) throw error;
  const what = "this agent gathers no service data";
  const remedy = "it needs --manager or --destination, and --bundle-severity other than none";
  throw new CliError(what, PROBLEMS["not-found"].exitCode, remedy);
}

function idOf(text: string): string {
  if (/^[0-9a-f]{16}-[0-9]{10,15}$/.test(text)) return text;
  throw new CliError(
    `${text} is no id of a bundle`,
    EXIT_USAGE,
    "see holdfast callhome bundle list",
  );
}

function sizeText(bytes: number): string {
  if (bytes < 10_000) return `${bytes} B`;
  return bytes < 10_000_000 ? `${Math.round(bytes / 1_000)} kB` : `${Math.round(bytes / 1e6)} MB`;
}

function timeText(ms: number): string {
  return `${new Date(ms).toISOString().replace("T", " ").slice(0, 19)} UTC`;
}

function plain(text: string): string {
  return text.replace(/\p{Cc}/gu, " ");
}

async function list(flags: Flags): Promise<void> {
  const client = new AgentClient(flags);
  const { bundles } = await client.get<Listed>(SERVICE_DATA_PATH).catch(notHere);
  if (flags.json === true) {
    for (const bundle of bundles) printJson(bundle);
    return;
  }
  if (bundles.length === 0) return printLine("no service data was gathered");
  const rows = bundles.map(({ id, state, begunMs, bytes, event, detail }) => [
    ...[id, state, timeText(begunMs), sizeText(bytes), event.slice(0, 12), plain(detail)],
  ]);
  printLine(formatTable(["ID", "STATE", "GATHERED", "SIZE", "EVENT", "DETAIL"], rows));
}

function itemRows({ items }: Manifest): readonly (readonly string[])[] {
  return items.map(({ name, bytes, cutBytes, redacted, fault }) => {
    const count = Object.values(redacted).reduce((sum, one) => sum + one, 0);
    const why = fault === null ? "" : plain(`${fault.kind}: ${fault.detail}`);
    return [name, bytes === 0 ? "-" : sizeText(bytes), sizeText(cutBytes), String(count), why];
  });
}

async function show(id: string, flags: Flags): Promise<void> {
  const path = `${SERVICE_DATA_PATH}/${idOf(id)}`;
  const shown = await new AgentClient(flags)
    .get<{ readonly record: BundleRecord; readonly manifest: Manifest | null }>(path)
    .catch(notHere);
  if (flags.json === true) return printJson(shown);
  const { record, manifest } = shown;
  printLine(`${record.id}: ${record.state}, ${sizeText(record.bytes)} (${plain(record.detail)})`);
  printLine(`event ${record.event}`);
  if (record.digest !== null) printLine(`sha256 ${record.digest}`);
  if (manifest === null) return printLine("the file is not on this node any more");
  const { bytes, cutBytes, redactedCount, tookMs } = manifest;
  const cut = cutBytes === 0 ? "nothing cut" : `${sizeText(cutBytes)} left out`;
  printLine(
    `${sizeText(bytes)} before compression, ${cut}, ${redactedCount} secrets taken out, in ${tookMs} ms`,
  );
  const head = ["ITEM", "SIZE", "LEFT OUT", "REDACTED", ""];
  printLine(formatTable(head, itemRows(manifest)));
}

async function review(verb: "approve" | "discard", id: string, flags: Flags): Promise<void> {
  const path = `${SERVICE_DATA_PATH}/${idOf(id)}/${verb}`;
  const record = await new AgentClient(flags).post<BundleRecord>(path, {}).catch(notHere);
  if (flags.json === true) printJson(record);
  else printLine(`${record.id}: ${record.state} (${plain(record.detail)})`);
}

async function collect(event: string, flags: Flags): Promise<void> {
  if (!/^[0-9a-f]{4,64}$/.test(event)) {
    throw new CliError(`${event} is no id of an event`, EXIT_USAGE, "see holdfast events");
  }
  const client = new AgentClient(flags);
  const bundles = async (): Promise<readonly BundleRecord[]> =>
    (await client.get<Listed>(SERVICE_DATA_PATH).catch(notHere)).bundles;
  const before = new Set((await bundles()).map(({ id }) => id));
  const asked = await client.post<{ readonly event: string }>(SERVICE_DATA_PATH, { event });
  const endMs = performance.now() + COLLECT_WITHIN_MS;
  while (performance.now() < endMs) {
    const made = (await bundles()).find((one) => one.event === asked.event && !before.has(one.id));
    if (made !== undefined && made.state !== "gathering") {
      if (flags.json === true) printJson(made);
      else printLine(`${made.id}: ${sizeText(made.bytes)}, ${plain(made.detail)}`);
      return;
    }
    await Bun.sleep(LOOK_EVERY_MS);
  }
  const what = `it is not gathered after ${COLLECT_WITHIN_MS / 1_000} s`;
  throw new CliError(what, PROBLEMS.timeout.exitCode, "see holdfast callhome bundle list");
}

interface FetchFlags extends Flags {
  readonly output: string;
}

/** Written and checked to the last byte: what is looked at is what would leave. */
async function fetchBundle(id: string, flags: FetchFlags): Promise<void> {
  const client = new AgentClient(flags);
  const { signal } = new AbortController();
  const path = `${SERVICE_DATA_PATH}/${idOf(id)}/content`;
  const response = await client.stream(path, signal).catch(notHere);
  const file = createWriteStream(flags.output, { mode: 0o600, flags: "wx" });
  try {
    if (response.body !== null) await pipeline(Readable.fromWeb(response.body as never), file);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const exit = PROBLEMS["not-kept"].exitCode;
    throw new CliError(
      `${flags.output} cannot be written (${why})`,
      exit,
      "choose another --output",
    );
  }
  const read = await verifyBundle(flags.output);
  if (!read.ok) throw new CliError(`${flags.output}: ${read.error.detail}`, EXIT_DATA);
  if (flags.json === true) printJson({ file: flags.output, manifest: read.value });
  else printLine(`${flags.output}: ${read.value.items.length} items, all as its manifest says`);
}

function verb(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(agentOption())
    .addOption(identityOption())
    .option("--json", "print JSON");
}

export function bundleCommand(): Command {
  return new Command("bundle")
    .description("service data of a node: what was gathered around errors")
    .addHelpText("after", HELP)
    .addCommand(verb("list", "what this node has gathered").action(list))
    .addCommand(verb("show", "what is in a bundle").argument("<id>").action(show))
    .addCommand(
      verb("fetch", "get a bundle, to look at it")
        .argument("<id>")
        .requiredOption("--output <file>", "where it goes; must not be there")
        .action(fetchBundle),
    )
    .addCommand(
      verb("approve", "let a bundle leave that waits for review")
        .argument("<id>")
        .action((id: string, flags: Flags) => review("approve", id, flags)),
    )
    .addCommand(
      verb("discard", "a bundle never leaves, and is removed")
        .argument("<id>")
        .action((id: string, flags: Flags) => review("discard", id, flags)),
    )
    .addCommand(verb("collect", "gather now, for an event").argument("<event>").action(collect));
}
