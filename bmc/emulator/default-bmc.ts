/**
 * A whole BMC to begin with: a server with two processors' worth of sensors, a board and a power supply as inventory, and one
 * user of each privilege.
 *
 * The passwords are for tests and demonstrations on a loopback address; whoever binds elsewhere gives others.
 */
import type { BmcConfig, DiscreteSensorConfig, ThresholdSensorConfig } from "./config.ts";

const PROCESSOR = 0x03;
const BOARD = 0x07;
const MEMORY = 0x20;
const SUPPLY = 0x0a;
const FAN = 0x1d;

type Threshold = Omit<ThresholdSensorConfig, "kind" | "b" | "bExp" | "isSigned" | "entityInstance">;

function threshold(entityInstance: number, of: Threshold): ThresholdSensorConfig {
  return { kind: "threshold", b: 0, bExp: 0, isSigned: false, entityInstance, ...of };
}

function temperature(number: number, name: string, entityId: number, value: number) {
  const thresholds = { unc: 80, uc: 90, unr: 100, lnc: 5 };
  const of = { number, name, entityId, type: 0x01, unit: 1, m: 1, rExp: 0, thresholds, value };
  return threshold(number, { ...of, hysteresis: 2, nominal: 45 });
}

type Discrete = readonly [number: number, name: string, type: number, mask: number, states: number];

function discrete([number, name, type, mask, states]: Discrete, entity: readonly [number, number]) {
  const [entityId, entityInstance] = entity;
  const sensor: DiscreteSensorConfig = {
    ...{ kind: "discrete", eventType: 0x6f, number, name, type },
    ...{ mask, states, entityId, entityInstance },
  };
  return sensor;
}

export const DEFAULT_BMC: BmcConfig = {
  guid: "a123456789abcdef8123456789abcdef",
  deviceId: 0x20,
  deviceRevision: 1,
  firmwareMajor: 2,
  firmwareMinor: 31,
  // The number for examples (RFC 5612).
  manufacturerId: 32_473,
  productId: 0x0f02,
  users: [
    { id: 2, name: "admin", password: "emulated", privilege: 4 },
    { id: 3, name: "operator", password: "emulated", privilege: 3 },
    { id: 4, name: "user", password: "emulated", privilege: 2 },
  ],
  suites: [17, 3],
  kg: "",
  sessionsMax: 16,
  sessionTimeoutMs: 60_000,
  selEntriesMax: 4_096,
  sensors: [
    temperature(1, "CPU0 Temp", PROCESSOR, 48),
    temperature(2, "CPU1 Temp", PROCESSOR, 51),
    threshold(1, {
      ...{ number: 3, name: "Inlet Temp", type: 0x01, entityId: 0x37, unit: 1, m: 1, rExp: 0 },
      ...{ thresholds: { unc: 38, uc: 42 }, hysteresis: 1, nominal: 24, value: 23 },
    }),
    threshold(1, {
      ...{ number: 4, name: "P12V", type: 0x02, entityId: BOARD, unit: 4, m: 6, rExp: -2 },
      ...{ thresholds: { lc: 10.8, lnc: 11.4, unc: 12.6, uc: 13.2 }, hysteresis: 1 },
      ...{ nominal: 12, value: 12.06 },
    }),
    {
      ...threshold(1, {
        ...{ number: 5, name: "PCH Margin", type: 0x01, entityId: BOARD, unit: 1, m: 1, rExp: 0 },
        ...{ thresholds: { unc: -5, uc: 0 }, hysteresis: 1, nominal: -40, value: -38 },
      }),
      isSigned: true,
    },
    threshold(1, {
      ...{ number: 6, name: "Fan1", type: 0x04, entityId: FAN, unit: 18, m: 12, rExp: 1 },
      ...{ thresholds: { lc: 1_200, lnc: 2_400 }, hysteresis: 2, nominal: 7_200, value: 7_440 },
    }),
    discrete([16, "DIMM A1", 0x0c, 0x0027, 0], [MEMORY, 1]),
    discrete([17, "DIMM B1", 0x0c, 0x0027, 0], [MEMORY, 2]),
    discrete([18, "CPU0 Status", 0x07, 0x04e3, 0x80], [PROCESSOR, 1]),
    discrete([19, "PSU1 Status", 0x08, 0x000f, 0x01], [SUPPLY, 1]),
    discrete([20, "PSU2 Status", 0x08, 0x000f, 0x01], [SUPPLY, 2]),
    discrete([21, "Drive 0", 0x0d, 0x0007, 0x01], [0x04, 1]),
    {
      ...{ kind: "event-only", number: 32, name: "Watchdog", type: 0x23, eventType: 0x6f },
      ...{ entityId: BOARD, entityInstance: 1 },
    },
    {
      ...{ kind: "event-only", number: 33, name: "PCIe", type: 0x13, eventType: 0x6f },
      ...{ entityId: BOARD, entityInstance: 2 },
    },
  ],
  frus: [
    {
      id: 0,
      name: "Mainboard",
      chassis: { type: 0x17, part: "CHP-100", serial: "CHS-0001" },
      board: {
        ...{ dateMinutes: 13_654_656, maker: "ACME", product: "Emulated Board" },
        ...{ serial: "BSN-0001", part: "BPN-42", custom: ["rack 7"] },
      },
      product: {
        ...{ maker: "ACME", name: "Emulated Server", part: "PPN-7", version: "1.0" },
        ...{ serial: "PSN-0001", assetTag: "asset-1" },
      },
      multirecords: [{ type: 0xc0, data: Uint8Array.of(0x12, 0x34, 0x00, 0xaa, 0xa5) }],
    },
    {
      id: 1,
      name: "PSU1",
      product: {
        ...{ maker: "ACME", name: "Power Supply", part: "PS-800", version: "2.0" },
        ...{ serial: "PSU-0001", assetTag: "" },
      },
    },
  ],
  isPoweredOn: true,
  powerDelayMs: 250,
  trapCommunity: "public",
  trapDestinations: [],
  utcOffsetMinutes: 0,
};

export function bmcConfig(changes: Partial<BmcConfig>): BmcConfig {
  return { ...DEFAULT_BMC, ...changes };
}
