/** The effects of one step, in order. Shared by the parts of the machine; no array is made for a step without effects. */
import type { MembershipEffect } from "./membership-events.ts";

const NOTHING: readonly MembershipEffect[] = Object.freeze([]);

export class Outbox {
  #effects: MembershipEffect[] | null = null;

  push(effect: MembershipEffect): void {
    if (this.#effects === null) this.#effects = [effect];
    else this.#effects.push(effect);
  }

  log(level: "info" | "warn" | "error", text: string): void {
    this.push({ kind: "log", level, text });
  }

  take(): readonly MembershipEffect[] {
    const effects = this.#effects;
    if (effects === null) return NOTHING;
    this.#effects = null;
    return effects;
  }
}
