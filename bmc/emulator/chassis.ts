/**
 * Power of the emulated node: commands act after a delay, so that a reply comes before what it promises, as the standard
 * allows (IPMI 2.0 §28.3).
 *
 * Decides what a command leads to and when; tells changes by what `tick` returns. A reset or cycle is seen as off and on
 * only for a cycle. Invariant: at most one change is pending; a later command replaces it.
 */
import type { FaultTable } from "./faults.ts";

export type ChassisAction = "off" | "on" | "cycle" | "reset" | "nmi" | "soft-off";

/** By the number in Chassis Control. */
export const CHASSIS_ACTIONS: readonly ChassisAction[] = [
  "off",
  "on",
  "cycle",
  "reset",
  "nmi",
  "soft-off",
];

/** Why the system started last, §28.11. */
export const RESTART_CAUSES = {
  unknown: 0x0,
  command: 0x1,
  watchdog: 0x4,
  "pef-reset": 0x8,
  "pef-cycle": 0x9,
} as const;

export type RestartCause = keyof typeof RESTART_CAUSES;

export type PowerChange =
  | { readonly kind: "power"; readonly isOn: boolean; readonly cause: RestartCause }
  | { readonly kind: "restart"; readonly cause: RestartCause }
  | { readonly kind: "nmi"; readonly cause: RestartCause }
  | { readonly kind: "identify"; readonly isOn: boolean };

/** A cycle leaves the power off for at least a second (§28.3). */
export const CYCLE_OFF_MS = 1_000;

interface Pending {
  readonly what: "off" | "on" | "reset" | "nmi";
  readonly next: "on" | null;
  readonly dueMs: number;
  readonly cause: RestartCause;
}

export class Chassis {
  readonly #faults: FaultTable;
  readonly #delayMs: number;
  #isOn: boolean;
  #pending: Pending | null = null;
  #restartCause: RestartCause = "unknown";
  #isOnByCommand = false;
  /** 0 stays off, 1 as before, 2 on. */
  restorePolicy = 1;
  /** null: dark; Infinity: until told otherwise. */
  #identifyUntilMs: number | null = null;

  constructor(isOn: boolean, delayMs: number, faults: FaultTable) {
    this.#isOn = isOn;
    this.#delayMs = delayMs;
    this.#faults = faults;
  }

  get isOn(): boolean {
    return this.#isOn;
  }

  get restartCause(): RestartCause {
    return this.#restartCause;
  }

  get isIdentifying(): boolean {
    return this.#identifyUntilMs !== null;
  }

  /** False: refused, not possible in this state (D5h). */
  control(action: ChassisAction, nowMs: number, cause: RestartCause): boolean {
    if (!this.#isOn && !this.#isPossibleWhenOff(action)) return false;
    if (this.#faults.isOn("power-never")) return true;
    const dueMs = nowMs + (this.#faults.valueOf("power-late") ?? this.#delayMs);
    const wanted = { dueMs, cause };
    if (action === "cycle") {
      const what = this.#isOn ? "off" : "on";
      this.#pending = { what, next: this.#isOn ? "on" : null, ...wanted };
    } else {
      this.#pending = { what: action === "soft-off" ? "off" : action, next: null, ...wanted };
    }
    return true;
  }

  #isPossibleWhenOff(action: ChassisAction): boolean {
    if (action === "cycle") return !this.#faults.isOn("cycle-when-off");
    return action === "on" || action === "off";
  }

  /** `seconds` 0: ends it; null: until told otherwise. */
  identify(seconds: number | null, nowMs: number): void {
    if (seconds === 0) this.#identifyUntilMs = null;
    else
      this.#identifyUntilMs = seconds === null ? Number.POSITIVE_INFINITY : nowMs + seconds * 1000;
  }

  dueMs(): number | null {
    const identify = this.#identifyUntilMs ?? Number.POSITIVE_INFINITY;
    const due = Math.min(identify, this.#pending?.dueMs ?? Number.POSITIVE_INFINITY);
    return Number.isFinite(due) ? due : null;
  }

  tick(nowMs: number): readonly PowerChange[] {
    const changes: PowerChange[] = [];
    if (this.#identifyUntilMs !== null && nowMs >= this.#identifyUntilMs) {
      this.#identifyUntilMs = null;
      changes.push({ kind: "identify", isOn: false });
    }
    while (this.#pending !== null && nowMs >= this.#pending.dueMs) {
      changes.push(...this.#act(this.#pending));
    }
    return changes;
  }

  #act({ what, next, dueMs, cause }: Pending): readonly PowerChange[] {
    this.#pending =
      next === null ? null : { what: next, next: null, dueMs: dueMs + CYCLE_OFF_MS, cause };
    switch (what) {
      case "on":
      case "off": {
        const isOn = what === "on";
        if (isOn === this.#isOn) return [];
        this.#isOn = isOn;
        if (isOn) {
          this.#restartCause = cause;
          this.#isOnByCommand = cause === "command";
        }
        return [{ kind: "power", isOn, cause }];
      }
      case "reset":
        if (!this.#isOn) return [];
        this.#restartCause = cause;
        return [{ kind: "restart", cause }];
      case "nmi":
        return [{ kind: "nmi", cause }];
    }
  }

  /** What follows the completion code of Get Chassis Status (§28.2). */
  status(): readonly number[] {
    const identify = Number.isFinite(this.#identifyUntilMs ?? 0) ? 0x10 : 0x20;
    return [
      (this.#isOn ? 0x01 : 0) | (this.restorePolicy << 5),
      this.#isOnByCommand ? 0x10 : 0,
      0x40 | (this.#identifyUntilMs === null ? 0 : identify),
    ];
  }
}
