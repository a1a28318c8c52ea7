/**
 * All that an emulated BMC is at one moment, and the one way an event takes: log, event buffer, filters, alerts.
 *
 * Decides what an event sets off. Commands (`commands/`) read and change the parts; the model lets time pass. What the world is
 * to do or may want to know leaves as effects, taken by `takeEffects`. No clock: the time is always given, milliseconds
 * since 1970.
 */
import { Alerts, type TrapToSend } from "./alerts.ts";
import { Chassis, type ChassisAction, type PowerChange } from "./chassis.ts";
import type { BmcConfig } from "./config.ts";
import { EventBuffer } from "./event-buffer.ts";
import { FaultTable } from "./faults.ts";
import { buildFru, type FruImage } from "./fru-build.ts";
import { PEF_ACTION, Pef } from "./pef.ts";
import { buildPet } from "./pet.ts";
import { Prng } from "./prng.ts";
import { BMC_ADDRESS } from "./sdr-build.ts";
import { SdrStore } from "./sdr-store.ts";
import { SEL_RECORD_BYTES, SelStore } from "./sel-store.ts";
import { SENSOR_SPECIFIC, SensorBank, type SensorEvent } from "./sensors.ts";
import { Watchdog, type WatchdogEffect } from "./watchdog.ts";

export type ModelEffect =
  /** In SEL format. `isLogged` false: the log was full, it is only pushed. */
  | { readonly kind: "event"; readonly record: Uint8Array; readonly isLogged: boolean }
  | { readonly kind: "cleared" }
  | { readonly kind: "chassis"; readonly change: PowerChange }
  | ({ readonly kind: "trap" } & TrapToSend)
  /** The BMC starts anew: whoever holds sessions drops them. */
  | { readonly kind: "reset" };

/** Support bits of Get Device ID (§20.1): chassis, event generator, FRU, SEL, SDR repository, sensors. */
export const SUPPORTS = 0xaf;

const EVENT_MESSAGE_REVISION = 0x04;
const TYPE_SYSTEM_EVENT = 0x02;
export const SENSOR_TYPE = { systemEvent: 0x12, watchdog: 0x23 } as const;
const PEF_SENSOR_OFFSET = 4;
const WATCHDOG_INTERRUPT_OFFSET = 8;
/** While it starts a BMC answers nothing. */
export const RESET_MS = 150;

export class BmcState {
  readonly config: BmcConfig;
  readonly faults: FaultTable = new FaultTable();
  readonly prng: Prng;
  readonly sel: SelStore;
  readonly sdr: SdrStore;
  readonly sensors: SensorBank;
  readonly chassis: Chassis;
  readonly watchdog: Watchdog = new Watchdog();
  readonly eventBuffer: EventBuffer = new EventBuffer();
  readonly pef: Pef = new Pef();
  readonly alerts: Alerts;
  readonly frus: ReadonlyMap<number, FruImage>;
  guid: Uint8Array;
  /** Seconds that the log's clock is ahead of UTC. */
  clockOffsetSeconds: number;
  utcOffsetMinutes: number;
  readonly #startedMs: number;
  #asleepUntilMs = 0;
  #effects: ModelEffect[] = [];

  constructor(config: BmcConfig, seed: number, nowMs: number) {
    this.config = config;
    this.#startedMs = nowMs;
    this.prng = new Prng(seed);
    this.sel = new SelStore(config.selEntriesMax, this.faults, this.prng);
    this.sdr = new SdrStore(config, SUPPORTS, this.faults);
    this.sensors = new SensorBank(config.sensors);
    this.chassis = new Chassis(config.isPoweredOn, config.powerDelayMs, this.faults);
    this.alerts = new Alerts(config.trapDestinations, this.prng.below(0x10000));
    this.frus = new Map(config.frus.map((fru) => [fru.id, buildFru(fru)]));
    this.guid = Uint8Array.fromHex(config.guid);
    this.utcOffsetMinutes = config.utcOffsetMinutes;
    this.clockOffsetSeconds = config.utcOffsetMinutes * 60;
    this.pef.sendAllTo(config.trapDestinations.length, 0x10);
  }

  takeEffects(): readonly ModelEffect[] {
    if (this.#effects.length === 0) return [];
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  tell(effect: ModelEffect): void {
    this.#effects.push(effect);
  }

  /** Of the log's clock. */
  seconds(nowMs: number): number {
    return (Math.floor(nowMs / 1000) + this.clockOffsetSeconds) >>> 0;
  }

  isAsleep(nowMs: number): boolean {
    return nowMs < this.#asleepUntilMs;
  }

  /** A record as a sensor of the BMC itself makes it (§32.1). */
  recordOf(event: SensorEvent, nowMs: number): Uint8Array {
    const record = new Uint8Array(SEL_RECORD_BYTES);
    record[2] = TYPE_SYSTEM_EVENT;
    new DataView(record.buffer).setUint32(3, this.seconds(nowMs), true);
    record[7] = BMC_ADDRESS;
    record[9] = EVENT_MESSAGE_REVISION;
    record[10] = event.sensorType;
    record[11] = event.sensorNumber;
    record[12] = event.eventType | (event.isAssertion ? 0 : 0x80);
    record.set(event.data, 13);
    return record;
  }

  raise(event: SensorEvent, nowMs: number): void {
    this.accept(this.recordOf(event, nowMs), nowMs);
  }

  raiseAll(events: readonly SensorEvent[], nowMs: number): void {
    for (const event of events) this.raise(event, nowMs);
  }

  /** Takes an event in SEL format the whole way. The id in the log; null: it is full. */
  accept(record: Uint8Array, nowMs: number): number | null {
    const id = this.sel.add(record, this.seconds(nowMs));
    const stamped = record.slice();
    stamped[0] = (id ?? 0) & 0xff;
    stamped[1] = (id ?? 0) >> 8;
    this.eventBuffer.add(stamped);
    this.tell({ kind: "event", record: stamped, isLogged: id !== null });
    this.#filter(stamped, nowMs);
    if (id !== null) this.pef.lastBmcId = id;
    return id;
  }

  #filter(record: Uint8Array, nowMs: number): void {
    const isOwnLog = record[10] === SENSOR_TYPE.systemEvent && record[13] === PEF_SENSOR_OFFSET;
    const { actions, policySet, severity } = this.pef.judge(record);
    if (actions === 0 || isOwnLog) return;
    const power = powerActionOf(actions);
    if (power !== null) {
      const cause = power === "reset" ? "pef-reset" : "pef-cycle";
      this.chassis.control(power, nowMs, cause);
    }
    if (policySet !== 0) {
      this.alerts.start(this.pef.policy(policySet), (sequence) =>
        this.petOf(record, severity, sequence, nowMs),
      );
    }
    if ((this.pef.control & 0x02) !== 0) {
      // System event, offset 4: a PEF action was taken; event data 2 says which (§42.2).
      this.raise(
        {
          sensorType: SENSOR_TYPE.systemEvent,
          sensorNumber: 0,
          isAssertion: true,
          eventType: SENSOR_SPECIFIC,
          data: [0xc0 | PEF_SENSOR_OFFSET, actions, 0xff],
        },
        nowMs,
      );
    }
  }

  petOf(record: Uint8Array, severity: number, sequence: number, nowMs: number): Uint8Array {
    const sensor = this.config.sensors.find((one) => one.number === record[11]);
    const isOtherGuid = ((this.pef.guid[0] ?? 0) & 1) !== 0;
    return buildPet({
      community: this.config.trapCommunity,
      guid: isOtherGuid ? this.pef.guid.subarray(1) : this.guid,
      sequence,
      seconds: this.seconds(nowMs),
      utcOffsetMinutes: this.utcOffsetMinutes,
      severity,
      entityId: sensor?.entityId ?? 0,
      entityInstance: sensor?.entityInstance ?? 0,
      manufacturerId: this.config.manufacturerId,
      systemId: this.config.productId,
      upTimeMs: nowMs - this.#startedMs,
      record,
    });
  }

  /** Everything that was only in its memory is gone. */
  reset(nowMs: number): void {
    this.#asleepUntilMs = nowMs + RESET_MS;
    this.sel.cancelReservation();
    this.sdr.cancelReservation();
    this.watchdog.forget();
    this.eventBuffer.clear();
    this.eventBuffer.globalEnables = 0x08;
    if (this.faults.isOn("reset-changes-guid")) this.guid = this.prng.bytes(16);
    this.tell({ kind: "reset" });
  }

  dueMs(): number | null {
    const due = [
      this.chassis.dueMs(),
      this.watchdog.dueMs(),
      this.alerts.dueMs(),
      this.sel.eraseDueMs,
    ].filter((one) => one !== null);
    return due.length === 0 ? null : Math.min(...due);
  }

  tick(nowMs: number): void {
    for (const change of this.chassis.tick(nowMs)) this.tell({ kind: "chassis", change });
    for (const effect of this.watchdog.tick(nowMs)) this.#watchdogActs(effect, nowMs);
    const wasErasing = this.sel.isErasing;
    this.sel.tick(nowMs, this.seconds(nowMs));
    if (wasErasing && !this.sel.isErasing) this.tell({ kind: "cleared" });
    for (const trap of this.alerts.tick(nowMs)) this.tell({ kind: "trap", ...trap });
  }

  #watchdogActs(effect: WatchdogEffect, nowMs: number): void {
    const isEnd = effect.kind === "expired";
    if (!isEnd || effect.isLogged) {
      const sensor = this.config.sensors.find(({ type }) => type === SENSOR_TYPE.watchdog);
      const offset = isEnd ? effect.action : WATCHDOG_INTERRUPT_OFFSET;
      this.raise(
        {
          sensorType: SENSOR_TYPE.watchdog,
          sensorNumber: sensor?.number ?? 0,
          isAssertion: true,
          eventType: SENSOR_SPECIFIC,
          // Event data 2: kind of interrupt, and what the timer was used for.
          data: [0xc0 | offset, (effect.interrupt << 4) | effect.use, 0xff],
        },
        nowMs,
      );
    }
    if (!isEnd) return;
    const action = ([null, "reset", "off", "cycle"] as const)[effect.action] ?? null;
    if (action !== null) this.chassis.control(action, nowMs, "watchdog");
  }

  control(action: ChassisAction, nowMs: number): boolean {
    const isDone = this.chassis.control(action, nowMs, "command");
    if (this.config.powerDelayMs === 0) this.tick(nowMs);
    return isDone;
  }

  /** `ms` 0: done at once. */
  clearSel(nowMs: number): void {
    const ms = this.faults.valueOf("sel-slow-erase") ?? 0;
    this.sel.clear(nowMs, ms, this.seconds(nowMs));
    this.pef.lastBmcId = 0xffff;
    this.pef.lastSoftwareId = 0xffff;
    if (ms === 0) this.tell({ kind: "cleared" });
  }
}

/** Off before cycle before reset before diagnostic interrupt (§17.5). */
function powerActionOf(actions: number): ChassisAction | null {
  if ((actions & PEF_ACTION.off) !== 0) return "off";
  if ((actions & PEF_ACTION.cycle) !== 0) return "cycle";
  if ((actions & PEF_ACTION.reset) !== 0) return "reset";
  return (actions & PEF_ACTION.diagnostic) === 0 ? null : "nmi";
}
