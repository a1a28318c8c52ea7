/**
 * `holdfast bmc watch`: events as they happen, one line each, through resets of the BMC, cleared logs and wraps.
 */
import { Command } from "commander";
import type { Bmc, BmcEvent, WatchHandlers } from "../../../bmc/bmc.ts";
import { describeNotice } from "../../callhome/notices.ts";
import { oneLine } from "../../runtime/io/log.ts";
import type { CliError } from "../cli-error.ts";
import { type BmcFlags, EXIT_HELP, withBmc, withBmcOptions } from "./session.ts";
import { formatEvent, parseDuration } from "./show.ts";
import { readWatchState, WatchState } from "./watch-state.ts";
import type { BmcWorld } from "./world.ts";

const HELP = `
Events go to standard output, one line each; with --json each line is one object, whose id is the same by whichever way the event is
seen. Everything else (the BMC is away, its log was cleared, is nearly full) goes to standard error. Where the BMC pushes
events they come at once; the log is looked at besides, which costs one small request.
Without --state, or at its first use, what stands in the log already is old and is not told, except with --old. Ctrl-C ends it.

Examples:
  holdfast bmc watch --bmc lan://admin@10.0.0.5
  holdfast bmc watch --old --json | jq -r 'select(.severity == "critical") | .text'
  holdfast bmc watch --bmc kcs:/dev/ipmi0 --state /var/lib/bmc-watch.json --json >> /var/log/bmc-events.jsonl
${EXIT_HELP}`;

const POLL_MS = 5_000;
const POLL_MS_MIN = 100;

interface WatchFlags extends BmcFlags {
  readonly poll: number;
  readonly state?: string;
  readonly old?: boolean;
}

/** Until interrupted, or until the memory cannot be kept any more. */
async function follow(world: BmcWorld, flags: WatchFlags, bmc: Bmc): Promise<void> {
  const { state: path } = flags;
  const memory = path === undefined ? null : readWatchState(path, bmc.url);
  let fail: (error: CliError) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => undefined);
  const state = path === undefined ? null : new WatchState(path, bmc.url, fail);
  const handlers: WatchHandlers = {
    onEvent: (event: BmcEvent) =>
      world.print(flags.json === true ? JSON.stringify(event) : formatEvent(event)),
    onMemory: (next) => state?.keep(next),
    onNotice: (notice) => world.say(oneLine(`holdfast: ${bmc.url}: ${describeNotice(notice)}`)),
  };
  const pollMs = Math.max(POLL_MS_MIN, flags.poll);
  const watch = bmc.watch({ pollMs, memory, tellsOld: flags.old === true }, handlers);
  try {
    await Promise.race([failed, whenRaised(world.interrupted)]);
  } finally {
    await watch.stop();
    await state?.settled();
  }
}

function whenRaised(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

export function watchCommand(world: BmcWorld): Command {
  return withBmcOptions(new Command("watch").description("events as they happen, decoded"))
    .option("--poll <time>", "look at the log so often", parseDuration, POLL_MS)
    .option("--state <file>", "keep there what was told, for the next start")
    .option("--old", "first tell what stands in the log")
    .addHelpText("after", HELP)
    .action((flags: WatchFlags) => withBmc(world, flags, (bmc) => follow(world, flags, bmc), true));
}
