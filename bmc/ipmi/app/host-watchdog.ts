/**
 * The watchdog as the contract has it: a timer of the running system that resets it when it is not fed (IPMI 2.0 §27).
 *
 * Decides that a countdown of 0 is refused: it would act at once. It is set for the operating system (SMS/OS) and only that
 * use's expiry flag is cleared, so that a POST or boot expiry stays to be seen.
 */
import { err, ok } from "../../../core/result.ts";
import type { WatchdogSetting, WatchdogStatus } from "../../bmc.ts";
import { bmcError } from "../../bmc-error.ts";
import { ask } from "../ask.ts";
import type { Steps } from "../ipmi.ts";
import {
  getWatchdogTimer,
  resetWatchdogTimer,
  setWatchdogTimer,
  WATCHDOG_TICK_MS,
  WATCHDOG_TICKS_MAX,
} from "./watchdog-timer.ts";

export const WATCHDOG_MS_MAX: number = WATCHDOG_TICKS_MAX * WATCHDOG_TICK_MS;

export function* readWatchdog(): Steps<WatchdogStatus> {
  const timer = yield* ask(getWatchdogTimer, undefined);
  if (!timer.ok) return timer;
  const { use, action, isRunning, initialTicks, presentTicks } = timer.value;
  return ok({
    isRunning,
    use,
    action,
    initialMs: initialTicks * WATCHDOG_TICK_MS,
    presentMs: presentTicks === null ? null : presentTicks * WATCHDOG_TICK_MS,
  });
}

/** Sets and starts it; times are rounded up to a tenth of a second. */
export function* startWatchdog({ action, timeoutMs }: WatchdogSetting): Steps<null> {
  if (!(timeoutMs > 0 && timeoutMs <= WATCHDOG_MS_MAX)) {
    const text = `a watchdog runs for more than 0 and at most ${WATCHDOG_MS_MAX} ms, not ${timeoutMs}`;
    return err(bmcError("bad-request", text));
  }
  const set = yield* ask(setWatchdogTimer, {
    use: "sms-os",
    doesLog: true,
    keepsRunning: false,
    interrupt: "none",
    action,
    preTimeoutSeconds: 0,
    clears: ["sms-os"],
    countdownTicks: Math.ceil(timeoutMs / WATCHDOG_TICK_MS),
  });
  return set.ok ? yield* ask(resetWatchdogTimer, undefined) : set;
}

export function* feedWatchdog(): Steps<null> {
  return yield* ask(resetWatchdogTimer, undefined);
}

/**
 * Set Watchdog Timer stops a timer that runs. The use stays, so that whoever looks sees whose timer it was; without an action,
 * so that a feeder which is left over starts nothing that bites.
 */
export function* stopWatchdog(): Steps<null> {
  const timer = yield* ask(getWatchdogTimer, undefined);
  if (!timer.ok) return timer;
  const { use, initialTicks, doesLog } = timer.value;
  return yield* ask(setWatchdogTimer, {
    use: use === "none" ? "sms-os" : use,
    doesLog,
    keepsRunning: false,
    interrupt: "none",
    action: "none",
    preTimeoutSeconds: 0,
    clears: [],
    countdownTicks: initialTicks,
  });
}
