/**
 * Names of sensors for traps, from the sensor records of the BMC that sent them, where it is watched: a trap has only a number.
 *
 * A name is worth a short wait and no more: the event is what matters, and whoever waits holds it in memory. Anybody can send a
 * trap, so a BMC is asked once for a while, whatever came of it.
 */
import type { Bmc, SensorNames } from "../../../bmc/bmc.ts";
import { isSameSystem } from "../../../bmc/ipmi/event/event-identity.ts";

export const NAMES_WITHIN_MS = 1_000;
const KEPT_MS = 60_000;

/** A watch, as far as names need it. */
export interface NamedBmc {
  readonly guid: string | null;
  readonly bmc: Pick<Bmc, "sensorNames"> | null;
}

interface Asked {
  readonly bmc: object;
  readonly atMs: number;
  readonly names: Promise<SensorNames | null>;
}

async function within<T>(answer: Promise<T>, ms: number): Promise<T | null> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), ms);
  });
  try {
    return await Promise.race([answer, over]);
  } finally {
    clearTimeout(timer);
  }
}

export class PetNames {
  readonly #watched: () => readonly NamedBmc[];
  readonly #withinMs: number;
  readonly #nowMs: () => number;
  readonly #asked: Map<NamedBmc, Asked> = new Map();

  constructor(
    watched: () => readonly NamedBmc[],
    withinMs: number = NAMES_WITHIN_MS,
    nowMs: () => number = () => performance.now(),
  ) {
    this.#watched = watched;
    this.#withinMs = withinMs;
    this.#nowMs = nowMs;
  }

  /** `system` as the trap names it. null: not known, or not in time. */
  async of(system: string): Promise<SensorNames | null> {
    const watch = this.#watched().find(({ guid }) => guid !== null && isSameSystem(guid, system));
    if (watch === undefined || watch.bmc === null) return null;
    return within(this.#ask(watch, watch.bmc), this.#withinMs);
  }

  #ask(watch: NamedBmc, bmc: Pick<Bmc, "sensorNames">): Promise<SensorNames | null> {
    const atMs = this.#nowMs();
    const known = this.#asked.get(watch);
    if (known?.bmc === bmc && atMs - known.atMs < KEPT_MS) return known.names;
    const names = bmc.sensorNames?.() ?? Promise.resolve(null);
    this.#asked.set(watch, { bmc, atMs, names });
    return names;
  }
}
