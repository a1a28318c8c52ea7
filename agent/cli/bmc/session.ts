/**
 * What all `bmc` commands share: which BMC, its password, opening, closing whatever happens, and how an error ends.
 *
 * A BMC grants few sessions at once and keeps those that are not closed for minutes, so each command closes its own in every
 * case, also when it is interrupted.
 */
import type { Command } from "commander";
import type { Bmc, ReadOptions } from "../../../bmc/bmc.ts";
import { BMC_ERRORS, type BmcError, type BmcErrorKind } from "../../../bmc/bmc-error.ts";
import type { Result } from "../../../core/result.ts";
import { oneLine } from "../../runtime/io/log.ts";
import { CliError, EXIT_BROKEN_PIPE, EXIT_USAGE } from "../cli-error.ts";
import type { BmcWorld } from "./world.ts";

export const BMC_ENV = "HOLDFAST_BMC";
export const PASSWORD_ENV = "HOLDFAST_BMC_PASSWORD";

export interface BmcFlags {
  readonly bmc?: string;
  readonly passwordFile?: string;
  readonly json?: boolean;
}

/** What to do about it, where the error itself cannot know: said behind its own line. */
const REMEDIES: { readonly [kind in BmcErrorKind]?: string } = {
  "bad-url": "see holdfast bmc --help for the forms of a URL",
  "no-password": `put it into ${PASSWORD_ENV}, or into a file of mode 0600 named with --password-file`,
  "permission-denied": "run as root, or give this user access to the device",
  unreachable: "check address, port and route, and that IPMI over LAN is switched on in the BMC",
  timeout: "try again; a BMC that restarts is silent for some minutes",
  disconnected: "try again",
  "wrong-password": `check the user in the URL and the password in ${PASSWORD_ENV} or --password-file`,
  "wrong-cipher": "switch on cipher suite 17 or 3 for this user in the BMC",
  "no-session": "wait until an idle session of the BMC ends, or restart the BMC",
  "privilege-too-low": "use a user with a higher privilege",
  busy: "try again in a moment",
  "changed-while-read": "try again when fewer events come in",
  untrusted: "give the certificate's fingerprint or authority in the URL",
};

/** Most errors say what to do where they are made, and know better. */
const HAS_REMEDY =
  /[;?]|: (?:ask|check|choose|give|load|name|put|run|see|set|stop|try|use|chmod)\b/;

export function bmcFailure(error: BmcError, url: string): CliError {
  const detail = oneLine(error.detail);
  const { title, exitCode } = BMC_ERRORS[error.kind];
  const where = detail.includes(url) ? detail : `${url}: ${detail}`;
  const message = detail.includes(title) ? where : `${title}: ${where}`;
  const remedy = HAS_REMEDY.test(detail) ? undefined : REMEDIES[error.kind];
  return new CliError(message, exitCode, remedy);
}

export const URL_HELP: string = `
URL is one of
  lan://USER@HOST[:PORT][?cipher=17]             IPMI over LAN (RMCP+)
  serial:/dev/ttyS1?baud=115200&mode=basic       IPMI over a serial line; mode=terminal for Terminal Mode
  kcs:/dev/ipmi0                                 the BMC of this very machine, through the kernel's driver
  redfish+https://USER@HOST[:PORT]               Redfish
and may be set once and for all by ${BMC_ENV}. The password comes from ${PASSWORD_ENV}, or from a file of mode 0600
named with --password-file: never from the command line or the URL.
`;

export const EXIT_HELP: string = `
Exit codes: 0 done; 2 wrong command line or URL; 64 request cannot be sent; 66 no such device; 69 not reached; 73 device in
use; 74 connection broke; 75 no answer; 77 permission denied; 78 no password; 80 no terminal; 81 baud rate refused;
82 wrong password; 83 no cipher suite; 84 no session; 85 privilege too low; 86 not supported; 87 refused; 88 busy;
89 unreadable answer; 90 truncated record; 91 wrong checksum; 92 changed while read; 93 certificate not trusted;
94 no device of the IPMI driver; 129, 130, 143 ended by a signal; 141 nobody reads the output.
`;

export function withBmcOptions(command: Command): Command {
  return command
    .option("--bmc <url>", `which BMC (default: ${BMC_ENV})`)
    .option(
      "--password-file <file>",
      `file of mode 0600 with the password (default: ${PASSWORD_ENV})`,
    )
    .option("--json", "print JSON");
}

export function urlOf(world: BmcWorld, flags: BmcFlags): string {
  const url = flags.bmc ?? world.env[BMC_ENV] ?? "";
  if (url !== "") return url;
  throw new CliError(
    "which BMC? --bmc is missing",
    EXIT_USAGE,
    `give --bmc URL or set ${BMC_ENV}, such as --bmc lan://admin@10.0.0.5 or --bmc kcs:/dev/ipmi0`,
  );
}

function exitCodeOf(signal: AbortSignal): number {
  return typeof signal.reason === "number" ? signal.reason : 130;
}

function brokenPipe(): Error {
  return Object.assign(new Error("nobody reads the output"), { code: "EPIPE" });
}

function whenInterrupted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => {
      const code = exitCodeOf(signal);
      const isUnread = code === EXIT_BROKEN_PIPE;
      // Whoever read the output has enough: nothing to be said.
      reject(isUnread ? brokenPipe() : new CliError("interrupted", code));
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}

/** Throws a `CliError` for an error of the BMC. */
export async function answerOf<T>(asked: Promise<Result<T, BmcError>>, bmc: Bmc): Promise<T> {
  const answer = await asked;
  if (answer.ok) return answer.value;
  throw bmcFailure(answer.error, bmc.url);
}

/**
 * Opens the BMC that the flags name, does `work`, and closes it whatever happened. `isEndless`: work that goes on until it is
 * interrupted, and ends by itself then.
 */
export async function withBmc<T>(
  world: BmcWorld,
  flags: BmcFlags,
  work: (bmc: Bmc) => Promise<T>,
  isEndless = false,
): Promise<T> {
  const url = urlOf(world, flags);
  const interrupted = whenInterrupted(world.interrupted);
  // Somebody listens only while something is raced against it.
  interrupted.catch(() => undefined);
  const opening = world.open(url, {
    passwordFile: flags.passwordFile ?? null,
    onNotice: (text) => world.say(`holdfast: ${oneLine(text)}`),
  });
  // Opened after all although nobody waits any more: its session is not left behind.
  const discard = (): Promise<void> =>
    opening.then((late) => (late.ok ? late.value.close() : undefined));
  const opened = await Promise.race([opening, interrupted]).catch(async (error: unknown) => {
    await Promise.race([discard(), world.sleep(0)]);
    throw error;
  });
  if (!opened.ok) throw bmcFailure(opened.error, withoutUser(url));
  const bmc = opened.value;
  try {
    return await (isEndless ? work(bmc) : Promise.race([work(bmc), interrupted]));
  } finally {
    await bmc.close();
  }
}

/** As an error may show it: a URL that somebody wrote a password into all the same must not be repeated. */
export function withoutUser(url: string): string {
  return url.replace(/^([a-z+]+:\/\/)[^/?#]*@/i, "$1");
}

const PROGRESS_EVERY_MS = 100;

/** For reads that may take long: how far it is, on a terminal only, and gone when it is over. */
export async function withProgress<T>(
  world: BmcWorld,
  what: string,
  read: (options: ReadOptions) => Promise<T>,
): Promise<T> {
  const show = world.showProgress;
  if (show === null) return read({});
  let shownMs = world.nowMs();
  let isShown = false;
  try {
    return await read({
      onProgress: ({ done, total }) => {
        const nowMs = world.nowMs();
        if (nowMs - shownMs < PROGRESS_EVERY_MS) return;
        shownMs = nowMs;
        isShown = true;
        show(total === null ? `${done} ${what}` : `${done} of ${total} ${what}`);
      },
    });
  } finally {
    if (isShown) show("");
  }
}
