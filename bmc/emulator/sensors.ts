/**
 * Sensors that can be driven: a value or a state goes in, the events of the crossings come out (IPMI 2.0 §35).
 *
 * Decides when a threshold asserts (at or beyond it) and when it clears (past the hysteresis), which events a mask lets
 * through, and what Get Sensor Reading says. Does not log: whoever drives a sensor raises the events. Invariant: a
 * threshold is asserted in `asserted` exactly when its last event, or the start, said so.
 */
import { assert } from "../../core/assert.ts";
import type {
  DiscreteSensorConfig,
  SensorConfig,
  ThresholdName,
  ThresholdSensorConfig,
} from "./config.ts";
import { eventMask, numberOf, rawOf, realOf, THRESHOLD_BITS, thresholdMask } from "./sdr-build.ts";

export const SENSOR_SPECIFIC = 0x6f;
const THRESHOLD_EVENTS = 0x01;

/** What a sensor has to say; the log's record is made of it. */
export interface SensorEvent {
  readonly sensorType: number;
  readonly sensorNumber: number;
  readonly isAssertion: boolean;
  readonly eventType: number;
  readonly data: readonly [number, number, number];
}

export interface ThresholdState {
  readonly config: ThresholdSensorConfig;
  raw: number;
  /** Raw bytes, by the bits of `THRESHOLD_BITS`; null: not there. */
  readonly thresholds: (number | null)[];
  hysteresis: { positive: number; negative: number };
  /** Bits of `THRESHOLD_BITS`. */
  asserted: number;
}

export interface DiscreteState {
  readonly config: DiscreteSensorConfig;
  states: number;
}

export interface Enables {
  hasEvents: boolean;
  hasScanning: boolean;
  assertionMask: number;
  deassertionMask: number;
}

export type SensorState = (ThresholdState | DiscreteState) & { readonly enables: Enables };

function isThreshold(state: SensorState): state is ThresholdState & { readonly enables: Enables } {
  return state.config.kind === "threshold";
}

function stateOf(config: SensorConfig): SensorState | null {
  const enables = { hasEvents: true, hasScanning: true };
  switch (config.kind) {
    case "event-only":
      return null;
    case "discrete": {
      const { mask } = config;
      const masks = { assertionMask: mask, deassertionMask: mask };
      return { config, states: config.states & mask, enables: { ...enables, ...masks } };
    }
    case "threshold": {
      const mask = eventMask(config);
      const state: SensorState = {
        config,
        raw: rawOf(config, config.value),
        thresholds: THRESHOLD_BITS.map((name) => {
          const value = config.thresholds[name];
          return value === undefined ? null : rawOf(config, value);
        }),
        hysteresis: { positive: config.hysteresis, negative: config.hysteresis },
        asserted: 0,
        enables: { ...enables, assertionMask: mask, deassertionMask: mask },
      };
      state.asserted = comparison(state);
      return state;
    }
  }
}

function isUpper(bit: number): boolean {
  return bit >= 3;
}

/** Which thresholds the present value is at or beyond. */
function comparison(state: ThresholdState): number {
  const value = numberOf(state.config, state.raw);
  let bits = 0;
  state.thresholds.forEach((raw, bit) => {
    if (raw === null) return;
    const limit = numberOf(state.config, raw);
    if (isUpper(bit) ? value >= limit : value <= limit) bits |= 1 << bit;
  });
  return bits;
}

/** A crossed threshold stays crossed within the hysteresis (§35.1). */
function isStillAsserted(state: ThresholdState, bit: number, raw: number): boolean {
  const value = numberOf(state.config, state.raw);
  const limit = numberOf(state.config, raw);
  return isUpper(bit)
    ? value >= limit - state.hysteresis.positive
    : value <= limit + state.hysteresis.negative;
}

/** Lower ones go low when they assert, upper ones go high: offsets 0, 2, 4 and 7, 9, 11. */
function offsetOf(bit: number): number {
  return bit * 2 + (isUpper(bit) ? 1 : 0);
}

export class SensorBank {
  readonly #byNumber = new Map<number, SensorState>();
  readonly configs: readonly SensorConfig[];

  constructor(configs: readonly SensorConfig[]) {
    this.configs = configs;
    for (const config of configs) {
      const state = stateOf(config);
      assert(!this.#byNumber.has(config.number), `sensor number ${config.number} is there twice`);
      if (state !== null) this.#byNumber.set(config.number, state);
    }
  }

  get(number: number): SensorState | null {
    return this.#byNumber.get(number) ?? null;
  }

  /** By number, or by name without regard to case. */
  find(nameOrNumber: string): SensorConfig | null {
    const wanted = nameOrNumber.toLowerCase();
    const number = /^(?:0x[0-9a-f]+|\d+)$/.test(wanted) ? Number(wanted) : null;
    return (
      this.configs.find((one) => one.name.toLowerCase() === wanted) ??
      this.configs.find((one) => one.number === number) ??
      null
    );
  }

  /** In the sensor's unit. The events of the crossings, lowest threshold first. */
  setValue(number: number, value: number): readonly SensorEvent[] {
    const state = this.#byNumber.get(number);
    if (state === undefined || !isThreshold(state)) return [];
    state.raw = rawOf(state.config, value);
    return this.rescan(number);
  }

  /** Compares anew: after a value, a threshold or the hysteresis changed. */
  rescan(number: number): readonly SensorEvent[] {
    const state = this.#byNumber.get(number);
    if (state === undefined || !isThreshold(state) || !state.enables.hasScanning) return [];
    const beyond = comparison(state);
    const events: SensorEvent[] = [];
    state.thresholds.forEach((raw, bit) => {
      const was = (state.asserted & (1 << bit)) !== 0;
      let is = raw !== null && (beyond & (1 << bit)) !== 0;
      if (was && !is && raw !== null) is = isStillAsserted(state, bit, raw);
      if (was === is) return;
      state.asserted ^= 1 << bit;
      const offset = offsetOf(bit);
      if (!isEnabled(state.enables, offset, is)) return;
      events.push({
        sensorType: state.config.type,
        sensorNumber: number,
        isAssertion: is,
        eventType: THRESHOLD_EVENTS,
        // 50h: the reading and the threshold follow (§29.7).
        data: [0x50 | offset, state.raw, raw ?? 0xff],
      });
    });
    return events;
  }

  /** Of a discrete sensor; nothing where the state is as it was. */
  setState(number: number, offset: number, isOn: boolean): readonly SensorEvent[] {
    const state = this.#byNumber.get(number);
    if (state === undefined || isThreshold(state)) return [];
    const bit = 1 << offset;
    if ((state.config.mask & bit) === 0 || ((state.states & bit) !== 0) === isOn) return [];
    state.states ^= bit;
    if (!isEnabled(state.enables, offset, isOn)) return [];
    const { type: sensorType, eventType } = state.config;
    return [
      {
        sensorType,
        sensorNumber: number,
        isAssertion: isOn,
        eventType,
        data: [offset, 0xff, 0xff],
      },
    ];
  }

  /** What follows the completion code of Get Sensor Reading (§35.14); null: no such sensor. */
  reading(number: number): readonly number[] | null {
    const state = this.#byNumber.get(number);
    if (state === undefined) return null;
    const { hasEvents, hasScanning } = state.enables;
    const flags = (hasEvents ? 0x80 : 0) | (hasScanning ? 0x40 : 0x20);
    if (!isThreshold(state)) {
      return [0, flags, state.states & 0xff, 0x80 | (state.states >> 8)];
    }
    return [state.raw, flags, 0xc0 | state.asserted];
  }

  /** In the sensor's unit, or the states as bits; null: it cannot be read. */
  valueOf(number: number): number | null {
    const state = this.#byNumber.get(number);
    if (state === undefined) return null;
    return isThreshold(state) ? realOf(state.config, state.raw) : state.states;
  }

  /** Names of the thresholds that are crossed, mildest first. */
  crossed(number: number): readonly ThresholdName[] {
    const state = this.#byNumber.get(number);
    if (state === undefined || !isThreshold(state)) return [];
    return THRESHOLD_BITS.filter((_, bit) => (state.asserted & (1 << bit)) !== 0);
  }

  /** Mask and raw bytes in the order of Get Sensor Thresholds (§35.9): LNC, LC, LNR, UNC, UC, UNR. */
  thresholds(number: number): readonly number[] | null {
    const state = this.#byNumber.get(number);
    if (state === undefined || !isThreshold(state)) return null;
    return [thresholdMask(state.config), ...state.thresholds.map((raw) => raw ?? 0)];
  }

  thresholdState(number: number): (ThresholdState & { readonly enables: Enables }) | null {
    const state = this.#byNumber.get(number);
    return state !== undefined && isThreshold(state) ? state : null;
  }
}

function isEnabled(enables: Enables, offset: number, isAssertion: boolean): boolean {
  const mask = isAssertion ? enables.assertionMask : enables.deassertionMask;
  return enables.hasEvents && enables.hasScanning && (mask & (1 << offset)) !== 0;
}
