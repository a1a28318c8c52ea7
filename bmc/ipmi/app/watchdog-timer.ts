/**
 * Reset, Set and Get Watchdog Timer (IPMI 2.0 §27.5-27.7).
 *
 *   byte  Set request                                 Get reply
 *      0  b7 do not log, b6 do not stop, b2:0 use     b7 does not log, b6 running, b2:0 use
 *      1  b6:4 interrupt before it, b2:0 action       same
 *      2  seconds between interrupt and action        same
 *      3  expiry flags to clear, a bit for each use   expiry flags that are set
 *    4-5  countdown, 100 ms                           initial countdown
 *    6-7                                              present countdown; ipmi_sim 2.0.33 leaves it out
 *
 * Set stops a running timer unless b6 is set; only Reset starts it. Reset with a countdown of 0 acts at once. After a restart
 * of the BMC Reset gives 80h until Set came again.
 */
import { assert } from "../../../core/assert.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing, encodeNothing } from "../no-data.ts";

/** By number. 0 is reserved: a timer that was never set. */
const USES = ["none", "frb2", "post", "os-load", "sms-os", "oem"] as const;
const ACTIONS = ["none", "reset", "off", "cycle"] as const;
const INTERRUPTS = ["none", "smi", "nmi", "messaging"] as const;

export type WatchdogUse = (typeof USES)[number];
export type WatchdogTimeoutAction = (typeof ACTIONS)[number];
export type WatchdogInterrupt = (typeof INTERRUPTS)[number];

/** Countdown unit: 100 ms. */
export const WATCHDOG_TICK_MS = 100;
export const WATCHDOG_TICKS_MAX = 0xffff;

export interface WatchdogTimerSetting {
  readonly use: Exclude<WatchdogUse, "none">;
  readonly doesLog: boolean;
  /** A running timer goes on with the new values. Not within 3 ticks of its end: it may act on either. */
  readonly keepsRunning: boolean;
  readonly interrupt: WatchdogInterrupt;
  readonly action: WatchdogTimeoutAction;
  readonly preTimeoutSeconds: number;
  /** Of which uses the expiry flag is cleared. */
  readonly clears: readonly WatchdogUse[];
  readonly countdownTicks: number;
}

export interface WatchdogTimer {
  readonly use: WatchdogUse;
  readonly doesLog: boolean;
  readonly isRunning: boolean;
  readonly interrupt: WatchdogInterrupt;
  readonly action: WatchdogTimeoutAction;
  readonly preTimeoutSeconds: number;
  /** Uses whose timer has expired since their flag was last cleared. */
  readonly expired: readonly WatchdogUse[];
  readonly initialTicks: number;
  /** null: the BMC does not tell. */
  readonly presentTicks: number | null;
}

/** Reserved numbers read as "none". */
function nameOf<T extends string>(names: readonly T[], index: number, none: T): T {
  return names[index] ?? none;
}

function flagBits(uses: readonly WatchdogUse[]): number {
  return uses.reduce((bits, use) => bits | (1 << USES.indexOf(use)), 0) & 0x3e;
}

function encodeSetting(setting: WatchdogTimerSetting): Uint8Array {
  const { countdownTicks, preTimeoutSeconds } = setting;
  assert(countdownTicks >= 0 && countdownTicks <= WATCHDOG_TICKS_MAX, "the countdown has 16 bits");
  assert(preTimeoutSeconds >= 0 && preTimeoutSeconds <= 0xff, "the pre-timeout has 8 bits");
  const use =
    USES.indexOf(setting.use) | (setting.doesLog ? 0 : 0x80) | (setting.keepsRunning ? 0x40 : 0);
  const action = (INTERRUPTS.indexOf(setting.interrupt) << 4) | ACTIONS.indexOf(setting.action);
  return Uint8Array.of(
    use,
    action,
    preTimeoutSeconds,
    flagBits(setting.clears),
    countdownTicks & 0xff,
    countdownTicks >> 8,
  );
}

function decodeTimer(data: Uint8Array): Result<WatchdogTimer, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("Get Watchdog Timer", 6);
  if (short !== null) return err(short);
  const use = reader.u8();
  const action = reader.u8();
  const preTimeoutSeconds = reader.u8();
  const flags = reader.u8();
  return ok({
    use: nameOf(USES, use & 0x07, "none"),
    doesLog: (use & 0x80) === 0,
    isRunning: (use & 0x40) !== 0,
    interrupt: nameOf(INTERRUPTS, (action >> 4) & 0x07, "none"),
    action: nameOf(ACTIONS, action & 0x07, "none"),
    preTimeoutSeconds,
    expired: USES.filter((_, bit) => bit > 0 && (flags & (1 << bit)) !== 0),
    initialTicks: reader.u16le(),
    presentTicks: reader.remaining >= 2 ? reader.u16le() : null,
  });
}

/** Starts it, or feeds it: the countdown begins anew. */
export const resetWatchdogTimer: IpmiCommand<void, null> = {
  name: "Reset Watchdog Timer",
  netFn: NET_FN.app,
  command: 0x22,
  encode: encodeNothing,
  decode: decodeNothing,
};

export const setWatchdogTimer: IpmiCommand<WatchdogTimerSetting, null> = {
  name: "Set Watchdog Timer",
  netFn: NET_FN.app,
  command: 0x24,
  encode: encodeSetting,
  decode: decodeNothing,
};

export const getWatchdogTimer: IpmiCommand<void, WatchdogTimer> = {
  name: "Get Watchdog Timer",
  netFn: NET_FN.app,
  command: 0x25,
  encode: encodeNothing,
  decode: decodeTimer,
};
