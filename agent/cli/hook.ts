/**
 * `holdfast hook`: tells this machine's agent of an error, from a script that another program calls.
 *
 * It must not hold up its caller and must not lose what it was told: it waits for the agent's word that the event is on disk, a
 * short while, and then leaves the event in a spool folder, from which the agent takes it. Each call has a key, so that an
 * event which was delivered after all is not there twice.
 */
import { Command, InvalidArgumentError, Option } from "commander";
import type { Result } from "../../core/result.ts";
import { readHookFields, TEXT_CHARACTERS_MAX } from "../callhome/hook-fields.ts";
import { type HookSourceName, hookSources, sourceFields } from "../callhome/hook-sources.ts";
import { spoolHook } from "../callhome/io/hook-spool.ts";
import { HOOKS_PORT_OFFSET } from "../job/io/agent-access.ts";
import { askAgent } from "../net/io/http-client.ts";
import { PROBLEMS, type Problem } from "../net/problem.ts";
import { randomHex } from "../runtime/io/clock.ts";
import { AgentClient, type AgentFlags, agentOption, identityOption } from "./agent-client.ts";
import { APART } from "./apart.ts";
import { parseDuration } from "./bmc/show.ts";
import { CliError, EXIT_USAGE } from "./cli-error.ts";
import { printJson, printLine } from "./print.ts";

const TIMEOUT_MS = 3_000;
export const SPOOL_ENV = "HOLDFAST_HOOKS_SPOOL";
/** As systemd, cron and udev take for "try again later": sysexits.h EX_TEMPFAIL. */
const EXIT_LATER = 75;
const EXIT_NOT_SPOOLED = 73;

const HELP = `
Fields: text (what happened, in one line), severity (information, ok, warning, critical, non-recoverable), category, subject,
time, key (the same key is the same event), system, record (a SEL record in hex), assertion, and any other NAME=VALUE.
--from takes them from what the calling program sets: ${hookSources().join(", ")}. Fields win over --from.

Exit codes: 0 the event is on disk, at the agent or in the spool folder; 2 wrong fields; 69 no agent answers, and no spool
folder is named; 73 the spool folder cannot be written to; 75 the agent cannot keep it now; 77 the agent refuses.

Examples:
  holdfast hook text="fan 3 stands still" severity=critical category=fan subject="Fan 3"
  holdfast hook --from smartd                     as smartd's -M exec
  holdfast hook --from systemd unit=%n            as ExecStart of an OnFailure= unit
  echo "disk is full" | holdfast hook --spool /var/spool/holdfast category=disk
See docs/hooks.md for each, copy and paste.
`;

interface HookFlags extends AgentFlags {
  readonly from?: HookSourceName;
  readonly spool?: string;
  readonly timeout: number;
  readonly json?: boolean;
}

function fieldOf(
  text: string,
  previous: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> {
  const equals = text.indexOf("=");
  if (equals > 0) return { ...previous, [text.slice(0, equals)]: text.slice(equals + 1) };
  throw new InvalidArgumentError(`'${text}' is no FIELD=VALUE, such as text="fan 3 stands still"`);
}

const STDIN_BYTES_MAX = 64 * 1024;

/** What is piped in, where no text is given; a pipe that stays silent is not waited for longer than the agent would be. */
async function pipedText(withinMs: number): Promise<string> {
  if (process.stdin.isTTY) return "";
  const chunks: Uint8Array[] = [];
  const read = async (): Promise<void> => {
    let bytes = 0;
    for await (const chunk of Bun.stdin.stream()) {
      chunks.push(chunk);
      bytes += chunk.byteLength;
      if (bytes > STDIN_BYTES_MAX) break;
    }
  };
  await Promise.race([read(), Bun.sleep(withinMs)]);
  return Buffer.concat(chunks).toString("utf8").trim().slice(0, TEXT_CHARACTERS_MAX);
}

async function fieldsOf(
  given: Readonly<Record<string, string>>,
  { from, timeout }: HookFlags,
): Promise<Readonly<Record<string, string>>> {
  const source = from === undefined ? {} : sourceFields(from, process.env, given);
  const fields = { ...source, ...given };
  const hasWords = fields["text"] !== undefined || fields["record"] !== undefined;
  const text = hasWords ? "" : await pipedText(timeout);
  return { key: `hook ${randomHex(16)}`, ...(text === "" ? {} : { text }), ...fields };
}

interface HookAnswer {
  readonly id: string;
  readonly new: boolean;
}

async function spool(
  folder: string,
  fields: Readonly<Record<string, string>>,
  why: string,
): Promise<{ readonly spooled: string }> {
  // It may be taken long after it happened.
  const failure = await spoolHook(
    folder,
    { time: new Date().toISOString(), ...fields },
    Date.now(),
  );
  if (failure === null) return { spooled: folder };
  const what = `${why}, and the event cannot be left in ${folder} (${failure.detail})`;
  throw new CliError(what, EXIT_NOT_SPOOLED, "the event is lost; start the agent");
}

/** A script has no certificate: an agent that speaks TLS has a door for it beside its port, in the clear. */
async function tellAgent(
  client: AgentClient,
  body: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<Result<HookAnswer, Problem>> {
  const identity = await client.identity();
  const ask = { path: "/v1/hooks/event", timeoutMs, body };
  const answer = await askAgent<HookAnswer>({ ...ask, at: client.address, identity });
  const mayBeDoor =
    !answer.ok && (answer.error.kind === "unauthorized" || answer.error.kind === "unreachable");
  if (!mayBeDoor || identity !== null) return answer;
  const colon = client.address.lastIndexOf(":");
  const port = Number(client.address.slice(colon + 1)) + HOOKS_PORT_OFFSET;
  for (const host of new Set([client.address.slice(0, colon), "127.0.0.1"])) {
    const there = await askAgent<HookAnswer>({ ...ask, at: `${host}:${port}`, identity: null });
    if (there.ok || there.error.kind !== "unreachable") return there;
  }
  return answer;
}

async function tell(
  given: Readonly<Record<string, string>>,
  flags: HookFlags,
): Promise<HookAnswer | { readonly spooled: string }> {
  const fields = await fieldsOf(given, flags);
  // Found out here, so that a wrong field is no matter of whether an agent is there.
  const read = readHookFields(fields);
  if (!read.ok) throw new CliError(read.error, EXIT_USAGE, "see holdfast hook --help");
  const answer = await tellAgent(new AgentClient(flags), fields, flags.timeout);
  if (answer.ok) return answer.value;
  const { kind, detail } = answer.error;
  const folder = flags.spool ?? process.env[SPOOL_ENV];
  const mayPass = kind === "unreachable" || kind === "timeout" || kind === "not-kept";
  if (mayPass && folder !== undefined && folder !== "") return spool(folder, fields, detail);
  const exitCode = kind === "not-kept" ? EXIT_LATER : PROBLEMS[kind].exitCode;
  const remedy = `the event is not kept; start the agent, or name a folder with --spool or ${SPOOL_ENV}`;
  throw new CliError(detail, exitCode, mayPass ? remedy : undefined);
}

export function hookCommand(): Command {
  return new Command("hook")
    .description(APART.hook)
    .argument("[fields...]", "FIELD=VALUE", fieldOf)
    .addOption(
      new Option("--from <program>", "take fields from what this program sets").choices([
        ...hookSources(),
      ]),
    )
    .addOption(agentOption())
    .addOption(identityOption())
    .option("--spool <folder>", `leave it there when no agent answers (default: ${SPOOL_ENV})`)
    .option("--timeout <time>", "wait so long for the agent", parseDuration, TIMEOUT_MS)
    .option("--json", "print JSON")
    .addHelpText("after", HELP)
    .action(async (given: Readonly<Record<string, string>> | undefined, flags: HookFlags) => {
      const fields = Array.isArray(given) ? {} : (given ?? {});
      const answer = await tell(fields, flags);
      if (flags.json === true) printJson(answer);
      else if ("spooled" in answer) printLine(`no agent answers; left in ${answer.spooled}`);
      else printLine(answer.new ? answer.id : `${answer.id} (known)`);
    });
}
