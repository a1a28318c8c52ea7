/**
 * `holdfast bmc power`: whether the machine is on, and switching it; with `--wait` verified, not believed.
 *
 * A BMC answers before it acts, and some answer and do not act. So `--wait` asks for the chassis status until it shows what
 * was wanted or the limit has passed. What cannot be seen there (a reset, an NMI) cannot be waited for. `cycle` counts as done
 * only when the machine was seen off and then on (§28.3: off for a second at least).
 */
import { Argument, Command } from "commander";
import type { Bmc, PowerAction, PowerStatus } from "../../../bmc/bmc.ts";
import { type BmcError, type BmcErrorKind, bmcError } from "../../../bmc/bmc-error.ts";
import type { Result } from "../../../core/result.ts";
import { oneLine } from "../../runtime/io/log.ts";
import { CliError, EXIT_USAGE } from "../cli-error.ts";
import {
  answerOf,
  type BmcFlags,
  bmcFailure,
  EXIT_HELP,
  withBmc,
  withBmcOptions,
} from "./session.ts";
import { formatSeconds, parseDuration } from "./show.ts";
import type { BmcWorld } from "./world.ts";

const HELP = `
off is at once and hard, soft-off asks the operating system. To be sure that a machine is off before its work is started
elsewhere: off --wait, and look at the exit code; 75 means that it was not seen off in time.

Examples:
  holdfast bmc power --bmc lan://admin@10.0.0.5
  holdfast bmc power off --wait && holdfast bmc power on --wait
  holdfast bmc power soft-off --wait --within 5m
  holdfast bmc power status --json | jq .isOn
${EXIT_HELP}`;

const ACTIONS: readonly PowerAction[] = ["on", "off", "soft-off", "cycle", "reset", "nmi"];

const WITHIN_MS = 60_000;
const POLL_MS = 200;

/** While the machine goes down, these pass by themselves. */
const PASSING: readonly BmcErrorKind[] = ["timeout", "unreachable", "disconnected", "busy"];

interface PowerFlags extends BmcFlags {
  readonly wait?: boolean;
  readonly within?: number;
}

export function formatPower(status: PowerStatus): string {
  const lines = [
    `power            ${status.isOn ? "on" : "off"}`,
    `after a failure  ${status.restorePolicy ?? "unknown"}`,
    `last cause       ${oneLine(status.lastCause ?? "unknown")}`,
    `faults           ${oneLine(status.faults.join(", ") || "none")}`,
  ];
  return lines.join("\n");
}

/** Whether what was asked for has come about; `wasOff`: the machine was seen off on the way. */
function isReached(action: PowerAction, isOn: boolean, wasOff: boolean): boolean {
  if (action === "on") return isOn;
  if (action === "cycle") return wasOff && isOn;
  return !isOn;
}

function notReached(
  action: PowerAction,
  withinMs: number,
  last: Result<PowerStatus, BmcError>,
  wasOff: boolean,
): BmcError {
  const seen = last.ok
    ? `is ${last.value.isOn ? "on" : "off"}`
    : "is in a state that is not known: the BMC does not answer";
  const never = action === "cycle" && !wasOff ? ", and was never seen off" : "";
  const after = `${action} was accepted, but after ${formatSeconds(withinMs)} the machine`;
  return bmcError("timeout", `${after} ${seen}${never}; give more time with --within`);
}

async function waitFor(
  world: BmcWorld,
  bmc: Bmc,
  action: PowerAction,
  withinMs: number,
): Promise<PowerStatus> {
  const untilMs = world.nowMs() + withinMs;
  let wasOff = false;
  for (;;) {
    const answer = await bmc.power();
    if (answer.ok) {
      const { isOn } = answer.value;
      wasOff ||= !isOn;
      if (isReached(action, isOn, wasOff)) return answer.value;
    } else if (!PASSING.includes(answer.error.kind)) {
      throw bmcFailure(answer.error, bmc.url);
    }
    if (world.nowMs() >= untilMs) {
      throw bmcFailure(notReached(action, withinMs, answer, wasOff), bmc.url);
    }
    world.showProgress?.(`waiting for ${action}`);
    await world.sleep(POLL_MS);
  }
}

async function control(world: BmcWorld, action: PowerAction, flags: PowerFlags): Promise<void> {
  const waits = flags.wait === true || flags.within !== undefined;
  if (waits && (action === "reset" || action === "nmi")) {
    const what = `--wait cannot be used with ${action}: the chassis status does not show it`;
    throw new CliError(what, EXIT_USAGE, "use off --wait, then on --wait");
  }
  await withBmc(world, flags, async (bmc) => {
    await answerOf(bmc.control(action), bmc);
    if (!waits) {
      if (flags.json === true) world.print(JSON.stringify({ action, verified: false }));
      else world.print(`${action} is accepted; see holdfast bmc power, or use --wait`);
      return;
    }
    const startMs = world.nowMs();
    const status = await waitFor(world, bmc, action, flags.within ?? WITHIN_MS).finally(() =>
      world.showProgress?.(""),
    );
    const tookMs = world.nowMs() - startMs;
    if (flags.json === true) {
      world.print(JSON.stringify({ action, verified: true, tookMs, isOn: status.isOn }));
    } else {
      world.print(
        `${action} is done: power is ${status.isOn ? "on" : "off"} after ${formatSeconds(tookMs)}`,
      );
    }
  });
}

async function status(world: BmcWorld, flags: PowerFlags): Promise<void> {
  await withBmc(world, flags, async (bmc) => {
    const power = await answerOf(bmc.power(), bmc);
    world.print(flags.json === true ? JSON.stringify(power) : formatPower(power));
  });
}

export function powerCommand(world: BmcWorld): Command {
  const action = new Argument("[action]", "what to do").choices(["status", ...ACTIONS]);
  return withBmcOptions(
    new Command("power").description("whether the machine is on, and switching it"),
  )
    .addArgument(action.default("status"))
    .option("--wait", "end only when the machine was seen in the wanted state")
    .option(
      "--within <time>",
      "how long to wait at most (default 60s); implies --wait",
      parseDuration,
    )
    .addHelpText("after", HELP)
    .action((what: PowerAction | "status", flags: PowerFlags) =>
      what === "status" ? status(world, flags) : control(world, what, flags),
    );
}
