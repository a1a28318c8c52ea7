/**
 * The watchdog timer of an emulated BMC (IPMI 2.0 §27).
 *
 * Decides when it runs out and what is then to be done; logging and power are for the model. Counts in steps of 100 ms, as the
 * standard does. Invariant: it runs only after Reset Watchdog Timer, and never before Set has been given since the start.
 */
const COUNT_MS = 100;
const DONT_LOG = 0x80;
const DONT_STOP = 0x40;

export type WatchdogEffect =
  /** Event offset 8: the interrupt before the end. */
  | { readonly kind: "pre-timeout"; readonly use: number; readonly interrupt: number }
  | {
      readonly kind: "expired";
      readonly use: number;
      readonly interrupt: number;
      /** 0 none, 1 reset, 2 off, 3 cycle. */
      readonly action: number;
      readonly isLogged: boolean;
    };

interface Setting {
  readonly use: number;
  readonly isLogged: boolean;
  readonly action: number;
  readonly interrupt: number;
  readonly preTimeoutMs: number;
  readonly initialCount: number;
}

export class Watchdog {
  #setting: Setting | null = null;
  #dueMs: number | null = null;
  #isPreDone = false;
  /** Bits 5:1 by use: which expired since last cleared. */
  #expired = 0;

  /** After a reset of the BMC nothing is set (80h to Reset, §27.5). */
  forget(): void {
    this.#setting = null;
    this.#dueMs = null;
    this.#expired = 0;
  }

  /** The six bytes of Set Watchdog Timer. False: a value that is not allowed. */
  set(data: Uint8Array, nowMs: number): boolean {
    const [use = 0, actions = 0, pre = 0, flags = 0, low = 0, high = 0] = data;
    const setting = {
      use: use & 0x07,
      isLogged: (use & DONT_LOG) === 0,
      action: actions & 0x07,
      interrupt: (actions >> 4) & 0x07,
      preTimeoutMs: pre * 1000,
      initialCount: low | (high << 8),
    };
    if (setting.use === 0 || setting.use > 5 || setting.action > 3) return false;
    const wasRunning = this.#dueMs !== null;
    this.#setting = setting;
    this.#expired &= ~flags;
    if (wasRunning && (use & DONT_STOP) !== 0) this.#start(setting, nowMs);
    else this.#dueMs = null;
    return true;
  }

  /** False: was not set since the start. */
  reset(nowMs: number): boolean {
    if (this.#setting === null) return false;
    this.#start(this.#setting, nowMs);
    return true;
  }

  #start(setting: Setting, nowMs: number): void {
    this.#dueMs = nowMs + setting.initialCount * COUNT_MS;
    this.#isPreDone = false;
  }

  #preDueMs(): number | null {
    if (this.#setting === null || this.#dueMs === null || this.#isPreDone) return null;
    if (this.#setting.interrupt === 0 || this.#setting.preTimeoutMs === 0) return null;
    return this.#dueMs - this.#setting.preTimeoutMs;
  }

  dueMs(): number | null {
    return this.#preDueMs() ?? this.#dueMs;
  }

  tick(nowMs: number): readonly WatchdogEffect[] {
    const setting = this.#setting;
    if (setting === null || this.#dueMs === null) return [];
    const { use, interrupt, action, isLogged } = setting;
    const effects: WatchdogEffect[] = [];
    const preDueMs = this.#preDueMs();
    if (preDueMs !== null && nowMs >= preDueMs) {
      this.#isPreDone = true;
      effects.push({ kind: "pre-timeout", use, interrupt });
    }
    if (nowMs >= this.#dueMs) {
      this.#dueMs = null;
      this.#expired |= 1 << use;
      effects.push({ kind: "expired", use, interrupt, action, isLogged });
    }
    return effects;
  }

  get isRunning(): boolean {
    return this.#dueMs !== null;
  }

  /** What follows the completion code of Get Watchdog Timer (§27.7). */
  read(nowMs: number): readonly number[] {
    const setting = this.#setting;
    if (setting === null) return [0, 0, 0, this.#expired, 0, 0, 0, 0];
    const left = this.#dueMs === null ? 0 : Math.ceil(Math.max(0, this.#dueMs - nowMs) / COUNT_MS);
    const present = this.isRunning ? left : setting.initialCount;
    return [
      setting.use | (this.isRunning ? 0x40 : 0) | (setting.isLogged ? 0 : DONT_LOG),
      setting.action | (setting.interrupt << 4),
      setting.preTimeoutMs / 1000,
      this.#expired,
      setting.initialCount & 0xff,
      setting.initialCount >> 8,
      present & 0xff,
      present >> 8,
    ];
  }
}
