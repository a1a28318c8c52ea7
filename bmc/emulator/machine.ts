/**
 * The whole emulator as one machine: what came from the world goes in by `step`, what is to be done comes out.
 *
 * Decides which part an event is for, and turns what the model tells into effects and lines for people. Holds no socket and no
 * clock: `nowMs` is Unix milliseconds, `dueMs` says when a `tick` is wanted.
 */
import type { IpmiCrypto } from "../ipmi/crypto.ts";
import type { IpmiReply, IpmiRequest } from "../ipmi/ipmi.ts";
import type { ModelEffect } from "./bmc-state.ts";
import type { PowerChange } from "./chassis.ts";
import type { BmcConfig, FaultSetting, SerialConfig } from "./config.ts";
import { fillSel, runControl } from "./control-run.ts";
import type { Datagram, Peer } from "./datagram-faults.ts";
import { LanServer } from "./lan-server.ts";
import { BmcModel } from "./model.ts";
import { SerialServer, type SerialWrite } from "./serial-server.ts";

export type EmulatorEvent =
  | { readonly kind: "datagram"; readonly bytes: Uint8Array; readonly peer: Peer }
  | { readonly kind: "serial"; readonly bytes: Uint8Array }
  | { readonly kind: "control"; readonly line: string }
  /** Time has passed, or another front has used the model. */
  | { readonly kind: "tick" };

export type EmulatorEffect =
  | ({ readonly kind: "datagram" } & Datagram)
  | ({ readonly kind: "serial" } & SerialWrite)
  | { readonly kind: "answer"; readonly line: string }
  /** For people. */
  | { readonly kind: "notice"; readonly line: string }
  /** For another front of the same model. */
  | { readonly kind: "model"; readonly effect: ModelEffect };

/** A request as it came, after the session layer. */
export interface ReceivedRequest {
  readonly wire: "lan" | "serial";
  readonly netFn: number;
  readonly command: number;
  readonly data: Uint8Array;
  /** null: it got no answer. */
  readonly completionCode: number | null;
}

export interface MachineConfig {
  readonly bmc: BmcConfig;
  readonly serial: SerialConfig | null;
  readonly seed: number;
  readonly selFill: number;
  readonly faults: readonly FaultSetting[];
}

/** Requests that are remembered; then the older half is forgotten. */
const REQUESTS_MAX = 8_192;

export class EmulatorMachine {
  readonly model: BmcModel;
  readonly #lan: LanServer;
  readonly #serial: SerialServer | null;
  #requests: ReceivedRequest[] = [];

  constructor(config: MachineConfig, crypto: IpmiCrypto, nowMs: number) {
    this.model = new BmcModel(config.bmc, config.seed, nowMs);
    fillSel(this.model, config.selFill, nowMs);
    for (const { name, value } of config.faults) this.model.setFault(name, value ?? null);
    this.#lan = new LanServer(this.model, crypto, this.#remember("lan"));
    this.#serial =
      config.serial === null
        ? null
        : new SerialServer(this.model, crypto, config.serial, {
            request: this.#remember("serial"),
            nowMs,
          });
    this.model.takeEffects();
  }

  get sessionCount(): number {
    return this.#lan.activeCount;
  }

  requests(): readonly ReceivedRequest[] {
    return [...this.#requests];
  }

  #remember(wire: "lan" | "serial"): (request: IpmiRequest, reply: IpmiReply | null) => void {
    return ({ netFn, command, data }, reply) => {
      if (this.#requests.length >= REQUESTS_MAX) {
        this.#requests = this.#requests.slice(REQUESTS_MAX / 2);
      }
      const completionCode = reply?.completionCode ?? null;
      this.#requests.push({ wire, netFn, command, data: data.slice(), completionCode });
    };
  }

  dueMs(): number | null {
    const model = this.model.dueMs();
    const serial = this.#serial?.dueMs() ?? null;
    if (model === null || serial === null) return model ?? serial;
    return Math.min(model, serial);
  }

  step(event: EmulatorEvent, nowMs: number): readonly EmulatorEffect[] {
    const effects: EmulatorEffect[] = [];
    switch (event.kind) {
      case "datagram":
        for (const sent of this.#lan.receive(event.bytes, event.peer, nowMs)) {
          effects.push({ kind: "datagram", ...sent });
        }
        break;
      case "serial":
        effects.push(...serialEffects(this.#serial?.receive(event.bytes, nowMs) ?? []));
        break;
      case "control":
        effects.push({ kind: "answer", line: runControl(this.model, event.line, nowMs) });
        break;
      case "tick":
        break;
    }
    this.#passTime(effects, nowMs);
    return effects;
  }

  #passTime(effects: EmulatorEffect[], nowMs: number): void {
    const dueMs = this.dueMs();
    if (dueMs !== null && nowMs >= dueMs) {
      this.model.tick(nowMs);
      effects.push(...serialEffects(this.#serial?.tick(nowMs) ?? []));
    }
    for (const effect of this.model.takeEffects()) {
      if (effect.kind === "reset") {
        this.#lan.forget();
        this.#serial?.forget();
      }
      if (effect.kind === "trap") {
        const peer = { address: effect.address, port: effect.port };
        effects.push({ kind: "datagram", peer, bytes: effect.packet, delayMs: 0 });
      }
      effects.push({ kind: "model", effect }, { kind: "notice", line: noticeOf(effect) });
    }
  }
}

function serialEffects(writes: readonly SerialWrite[]): readonly EmulatorEffect[] {
  return writes.map((write) => ({ kind: "serial", ...write }));
}

function noticeOf(effect: ModelEffect): string {
  switch (effect.kind) {
    case "event": {
      const hex = effect.record.toHex();
      return effect.isLogged ? `event ${hex}` : `event ${hex}, not logged: the log is full`;
    }
    case "cleared":
      return "log cleared";
    case "chassis":
      return powerNotice(effect.change);
    case "trap":
      return `trap sent to ${effect.address}:${effect.port}`;
    case "reset":
      return "BMC reset: all sessions are gone";
  }
}

function powerNotice(change: PowerChange): string {
  switch (change.kind) {
    case "power":
      return `power ${change.isOn ? "on" : "off"} (${change.cause})`;
    case "restart":
      return `node restarted (${change.cause})`;
    case "nmi":
      return `interrupt given to the node (${change.cause})`;
    case "identify":
      return `identify light ${change.isOn ? "on" : "off"}`;
  }
}
