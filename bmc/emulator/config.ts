/**
 * What a BMC of the emulator is made of: identity, users, sensors, log, inventory, where its traps go.
 *
 * Plain data, given once at the start; what changes while it runs is in the model. `default-bmc.ts` has one that is whole, of
 * which a caller replaces what it wants otherwise. Values of sensors and thresholds are in the unit of the sensor; the
 * model turns them into raw bytes by the factors that its SDR states, as a real BMC does.
 */
import type { FaultName } from "./faults.ts";

/** IPMI 2.0 §22.18: callback, user, operator, administrator. */
export type Privilege = 1 | 2 | 3 | 4;

export interface UserConfig {
  /** 1..63; 1 is the one without a name, if it is there at all. */
  readonly id: number;
  /** At most 16 bytes. */
  readonly name: string;
  /** At most 20 bytes over LAN, 16 on a serial line. */
  readonly password: string;
  readonly privilege: Privilege;
}

/** Cipher suites that are implemented: RAKP-HMAC-SHA1 and -SHA256, each with AES-CBC-128. */
export type SuiteId = 3 | 17;

export type ThresholdName = "lnr" | "lc" | "lnc" | "unc" | "uc" | "unr";

interface SensorBase {
  /** 1..254; the number that every command names it by. */
  readonly number: number;
  /** At most 16 characters. */
  readonly name: string;
  /** IPMI 2.0 §42.2, such as 01h temperature. */
  readonly type: number;
  readonly entityId: number;
  readonly entityInstance: number;
}

export interface ThresholdSensorConfig extends SensorBase {
  readonly kind: "threshold";
  /** IPMI 2.0 §43.17, such as 1 for °C. */
  readonly unit: number;
  /** y = (m·x + b·10^bExp)·10^rExp, §36.3; linear. */
  readonly m: number;
  readonly b: number;
  readonly bExp: number;
  readonly rExp: number;
  /** Whether x is two's complement. */
  readonly isSigned: boolean;
  readonly thresholds: { readonly [name in ThresholdName]?: number };
  /** Raw steps. */
  readonly hysteresis: number;
  readonly nominal: number;
  readonly value: number;
}

export interface DiscreteSensorConfig extends SensorBase {
  readonly kind: "discrete";
  /** §42.1: 02h–0Ch generic, 6Fh by sensor type. */
  readonly eventType: number;
  /** Offsets that it can take, as bits. */
  readonly mask: number;
  readonly states: number;
}

/** A sensor that cannot be read, only its events are seen (§43.3). */
export interface EventOnlySensorConfig extends SensorBase {
  readonly kind: "event-only";
  readonly eventType: number;
}

export type SensorConfig = ThresholdSensorConfig | DiscreteSensorConfig | EventOnlySensorConfig;

export interface FruConfig {
  readonly id: number;
  readonly name: string;
  readonly chassis?: { readonly type: number; readonly part: string; readonly serial: string };
  readonly board?: {
    /** Minutes since 1996-01-01. */
    readonly dateMinutes: number;
    readonly maker: string;
    readonly product: string;
    readonly serial: string;
    readonly part: string;
    readonly custom?: readonly string[];
  };
  readonly product?: {
    readonly maker: string;
    readonly name: string;
    readonly part: string;
    readonly version: string;
    readonly serial: string;
    readonly assetTag: string;
    readonly custom?: readonly string[];
  };
  /** Type and data of each multirecord. */
  readonly multirecords?: readonly { readonly type: number; readonly data: Uint8Array }[];
}

/** Where a Platform Event Trap goes. Of real BMCs the port is always 162. */
export interface TrapDestination {
  readonly address: string;
  readonly port: number;
  /** Whether a PET Acknowledge is waited for. */
  readonly isAcknowledged: boolean;
  readonly timeoutMs: number;
  /** After the first sending, 0..7. */
  readonly retries: number;
}

export interface BmcConfig {
  /** 16 bytes as they are sent, as hex. */
  readonly guid: string;
  readonly deviceId: number;
  readonly deviceRevision: number;
  readonly firmwareMajor: number;
  readonly firmwareMinor: number;
  readonly manufacturerId: number;
  readonly productId: number;
  readonly users: readonly UserConfig[];
  /** In the order in which they are offered. */
  readonly suites: readonly SuiteId[];
  /** The BMC key Kg, at most 20 bytes; empty: the users' passwords are the key, as is usual. */
  readonly kg: string;
  readonly sessionsMax: number;
  readonly sessionTimeoutMs: number;
  readonly selEntriesMax: number;
  readonly sensors: readonly SensorConfig[];
  readonly frus: readonly FruConfig[];
  readonly isPoweredOn: boolean;
  /** From the command until the power follows it. */
  readonly powerDelayMs: number;
  readonly trapCommunity: string;
  /** In use when not empty: a filter that sends every event to each of them is stored at the start. */
  readonly trapDestinations: readonly TrapDestination[];
  /** Minutes that the BMC's local time is ahead of UTC; its log is kept in local time. */
  readonly utcOffsetMinutes: number;
}

export type SerialMode = "basic" | "terminal" | "auto";

export interface SerialConfig {
  readonly mode: SerialMode;
  /** Whether a session by password is needed before commands are taken. */
  readonly needsSession: boolean;
  /** Terminal Mode: what is received is sent back. */
  readonly hasEcho: boolean;
  /** Terminal Mode: `[SYS]` before each further message; Basic Mode always has its A6h. */
  readonly hasHandshake: boolean;
  /** What ends a line that the BMC sends. */
  readonly newline: "crlf" | "lf" | "cr" | "nul" | "lfcr" | "none";
  /** Terminal Mode: longer lines are continued with `\`. 122 holds every message; ipmitool understands no continuation. */
  readonly lineCharsMax: number;
  /** Serial Connection Active (§25.9) every two seconds. */
  readonly sendsPing: boolean;
}

export interface FaultSetting {
  readonly name: FaultName;
  /** Of a fault that takes one. */
  readonly value?: number;
}
