/**
 * What is built in, and whether it is powered: read from the BMCs that are watched, seldom, since events go first.
 *
 * Inventory is read once a watch stands, again when it stands anew (a part may have been exchanged), and once a day. Power is
 * asked each minute. What cannot be read stays as it was known.
 */
import type { Bmc } from "../../../bmc/bmc.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { ReportedInventory } from "../report.ts";
import type { BmcWatcher } from "./bmc-watcher.ts";

/** A watch that has just begun reads the log first. */
const READ_AFTER_MS = 2_000;
const LOOK_EVERY_MS = 60_000;
const READ_EVERY_MS: number = 24 * 3_600_000;
const FRU_MAX = 64;
const FIELDS_MAX = 128;
const NAME_CHARACTERS_MAX = 256;
const VALUE_CHARACTERS_MAX = 1_024;

type Item = ReportedInventory["bmcs"][number];

export interface Power {
  readonly isPoweredOn: boolean | null;
  readonly faults: readonly string[];
}

const UNKNOWN: Power = { isPoweredOn: null, faults: [] };

interface Seen {
  item: Item | null;
  power: Power;
  /** Of the connection that it was read over. */
  bmc: Bmc | null;
  readMs: number;
}

async function readItem(bmc: Bmc, readMs: number): Promise<Item | null> {
  const [identity, fru] = [await bmc.identity(), await bmc.fru()];
  if (!identity.ok && !fru.ok) return null;
  return {
    url: bmc.url,
    identity: identity.ok ? identity.value : null,
    fru: (fru.ok ? fru.value : []).slice(0, FRU_MAX).map(({ id, name, fields }) => ({
      id,
      name: name.slice(0, NAME_CHARACTERS_MAX),
      fields: fields
        .slice(0, FIELDS_MAX)
        .map(([key, value]) => [
          key.slice(0, NAME_CHARACTERS_MAX),
          value.slice(0, VALUE_CHARACTERS_MAX),
        ]),
    })),
    readMs,
  };
}

export class BmcInventory {
  readonly #watchers: readonly BmcWatcher[];
  readonly #clock: Clock;
  readonly #onChange: () => void;
  readonly #seen: Map<BmcWatcher, Seen> = new Map();
  #timer: Timer | null = null;
  #isLooking = false;
  #isStopped = false;

  constructor(watchers: readonly BmcWatcher[], clock: Clock, onChange: () => void) {
    this.#watchers = watchers;
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** Also to be called when the state of a watch changed. */
  begin(): void {
    this.#arm(READ_AFTER_MS);
  }

  stop(): void {
    this.#isStopped = true;
    this.#timer?.end();
  }

  inventory(): ReportedInventory {
    const bmcs = this.#watchers.flatMap((watcher) => {
      const item = this.#seen.get(watcher)?.item ?? null;
      return item === null ? [] : [item];
    });
    return { bmcs };
  }

  powerOf(watcher: BmcWatcher): Power {
    return this.#seen.get(watcher)?.power ?? UNKNOWN;
  }

  #arm(delayMs: number): void {
    this.#timer?.end();
    if (this.#isStopped || this.#watchers.length === 0) return;
    this.#timer = this.#clock.after(delayMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    for (const watcher of this.#watchers) {
      const { bmc, state } = watcher;
      if (bmc !== null && state.state === "watched") await this.#read(watcher, bmc);
    }
    this.#isLooking = false;
    this.#arm(LOOK_EVERY_MS);
  }

  async #read(watcher: BmcWatcher, bmc: Bmc): Promise<void> {
    const before = this.#seen.get(watcher) ?? { item: null, power: UNKNOWN, bmc: null, readMs: 0 };
    this.#seen.set(watcher, before);
    const wallMs = this.#clock.wallMs();
    const power = await bmc.power();
    const now = power.ok ? { isPoweredOn: power.value.isOn, faults: power.value.faults } : UNKNOWN;
    let isChanged = JSON.stringify(now) !== JSON.stringify(before.power);
    before.power = now;
    if (before.item === null || before.bmc !== bmc || wallMs - before.readMs > READ_EVERY_MS) {
      const item = await readItem(bmc, wallMs);
      if (item !== null) {
        isChanged ||=
          JSON.stringify({ ...item, readMs: 0 }) !== JSON.stringify({ ...before.item, readMs: 0 });
        if (isChanged || before.item === null) before.item = item;
        before.bmc = bmc;
        before.readMs = wallMs;
      }
    }
    if (isChanged) this.#onChange();
  }
}
