/**
 * Resources of the emulated BMC as JSON: system, chassis, manager, sensors in both models, inventory.
 *
 * Read from the model at the moment of asking; nothing is stored here. Paths are fixed: one system, one chassis, one manager.
 */
import type { JsonObject } from "../redfish/json.ts";
import type { SensorConfig, ThresholdSensorConfig } from "./config.ts";
import type { BmcModel } from "./model.ts";
import { LOG_PATH, SENSORS_PATH } from "./redfish-log.ts";

export const ROOT = "/redfish/v1";
export const SYSTEM: string = `${ROOT}/Systems/1`;
export const CHASSIS: string = `${ROOT}/Chassis/1`;
export const MANAGER: string = `${ROOT}/Managers/1`;
const OK_STATUS = { State: "Enabled", Health: "OK" };

export type SensorModel = "sensors" | "legacy";

export function link(path: string): JsonObject {
  return { "@odata.id": path };
}

export function collectionOf(
  path: string,
  type: string,
  name: string,
  members: readonly JsonObject[],
): JsonObject {
  return {
    "@odata.id": path,
    "@odata.type": `#${type}Collection.${type}Collection`,
    Name: name,
    "Members@odata.count": members.length,
    Members: members,
  };
}

function uuidOf(guid: Uint8Array): string {
  const hex = guid.toHex();
  return [0, 8, 12, 16, 20].map((at, i, all) => hex.slice(at, all[i + 1] ?? 32)).join("-");
}

export function rootOf(model: BmcModel): JsonObject {
  return {
    "@odata.id": `${ROOT}/`,
    "@odata.type": "#ServiceRoot.v1_16_0.ServiceRoot",
    Id: "RootService",
    Name: "Root Service",
    RedfishVersion: "1.18.0",
    UUID: uuidOf(model.state.guid),
    Vendor: "Holdfast",
    Product: "Emulated BMC",
    ProtocolFeaturesSupported: {
      ExpandQuery: { NoLinks: true, Links: false, ExpandAll: false, Levels: false },
      FilterQuery: false,
      SelectQuery: false,
      OnlyMemberQuery: false,
    },
    Systems: link(`${ROOT}/Systems`),
    Chassis: link(`${ROOT}/Chassis`),
    Managers: link(`${ROOT}/Managers`),
    SessionService: link(`${ROOT}/SessionService`),
    AccountService: link(`${ROOT}/AccountService`),
    EventService: link(`${ROOT}/EventService`),
    Links: { Sessions: link(`${ROOT}/SessionService/Sessions`) },
  };
}

export const RESET_TYPES: readonly string[] = [
  "On",
  "ForceOff",
  "GracefulShutdown",
  "ForceRestart",
  "Nmi",
  "PowerCycle",
];

export function systemOf(model: BmcModel): JsonObject {
  const { chassis, config, guid, watchdog } = model.state;
  const product = config.frus.find(({ id }) => id === 0)?.product;
  return {
    "@odata.id": SYSTEM,
    "@odata.type": "#ComputerSystem.v1_20_0.ComputerSystem",
    Id: "1",
    Name: "Emulated node",
    SystemType: "Physical",
    UUID: uuidOf(guid),
    Manufacturer: product?.maker ?? "Holdfast",
    Model: product?.name ?? "Emulated node",
    PartNumber: product?.part ?? "",
    SerialNumber: product?.serial ?? "",
    AssetTag: product?.assetTag ?? "",
    PowerState: chassis.isOn ? "On" : "Off",
    PowerRestorePolicy:
      ["AlwaysOff", "LastState", "AlwaysOn"][chassis.restorePolicy] ?? "LastState",
    LocationIndicatorActive: chassis.isIdentifying,
    Status: OK_STATUS,
    ProcessorSummary: { Count: 2, Status: OK_STATUS },
    MemorySummary: { TotalSystemMemoryGiB: 64, Status: OK_STATUS },
    Boot: { BootSourceOverrideEnabled: "Disabled", BootSourceOverrideTarget: "None" },
    HostWatchdogTimer: {
      FunctionEnabled: watchdog.dueMs() !== null,
      Status: { State: "Enabled" },
      TimeoutAction: "ResetSystem",
    },
    LogServices: link(LOG_PATH),
    Links: { Chassis: [link(CHASSIS)], ManagedBy: [link(MANAGER)] },
    Actions: {
      "#ComputerSystem.Reset": {
        target: `${SYSTEM}/Actions/ComputerSystem.Reset`,
        "ResetType@Redfish.AllowableValues": RESET_TYPES,
      },
    },
  };
}

export function managerOf(model: BmcModel): JsonObject {
  const { firmwareMajor, firmwareMinor } = model.state.config;
  return {
    "@odata.id": MANAGER,
    "@odata.type": "#Manager.v1_19_0.Manager",
    Id: "1",
    Name: "Emulated BMC",
    ManagerType: "BMC",
    UUID: uuidOf(model.state.guid),
    FirmwareVersion: `${firmwareMajor}.${firmwareMinor}`,
    Status: OK_STATUS,
    Links: {
      ManagerForServers: [link(SYSTEM)],
      ManagerForChassis: [link(CHASSIS)],
      ManagerInChassis: link(CHASSIS),
    },
    Actions: {
      "#Manager.Reset": {
        target: `${MANAGER}/Actions/Manager.Reset`,
        "ResetType@Redfish.AllowableValues": ["ForceRestart"],
      },
    },
  };
}

export function chassisOf(model: BmcModel, sensors: SensorModel): JsonObject {
  const { chassis, config } = model.state;
  const fru = config.frus.find(({ id }) => id === 0);
  const older = { Thermal: link(`${CHASSIS}/Thermal`), Power: link(`${CHASSIS}/Power`) };
  return {
    "@odata.id": CHASSIS,
    "@odata.type": "#Chassis.v1_23_0.Chassis",
    Id: "1",
    Name: "Emulated chassis",
    ChassisType: "RackMount",
    PartNumber: fru?.chassis?.part ?? "",
    SerialNumber: fru?.chassis?.serial ?? "",
    PowerState: chassis.isOn ? "On" : "Off",
    LocationIndicatorActive: chassis.isIdentifying,
    Status: OK_STATUS,
    Assembly: link(`${CHASSIS}/Assembly`),
    ...(sensors === "sensors" ? { Sensors: link(SENSORS_PATH) } : older),
    Links: { ComputerSystems: [link(SYSTEM)], ManagedBy: [link(MANAGER)] },
  };
}

/** Each FRU's board and product as one assembly. */
export function assemblyOf(model: BmcModel): JsonObject {
  const path = `${CHASSIS}/Assembly`;
  const assemblies = model.state.config.frus.map((fru, index) => ({
    "@odata.id": `${path}#/Assemblies/${index}`,
    MemberId: String(index),
    Name: fru.name,
    Vendor: fru.board?.maker ?? fru.product?.maker ?? "",
    Model: fru.board?.product ?? fru.product?.name ?? "",
    PartNumber: fru.board?.part ?? fru.product?.part ?? "",
    SerialNumber: fru.board?.serial ?? fru.product?.serial ?? "",
    Version: fru.product?.version ?? "",
    Status: OK_STATUS,
  }));
  return {
    "@odata.id": path,
    "@odata.type": "#Assembly.v1_5_0.Assembly",
    Id: "Assembly",
    Name: "Assemblies",
    Assemblies: assemblies,
  };
}

/** Redfish's sensors are numbers; discrete ones have no resource. */
export function thresholdSensors(model: BmcModel): readonly ThresholdSensorConfig[] {
  return model.state.sensors.configs.filter(
    (one: SensorConfig): one is ThresholdSensorConfig => one.kind === "threshold",
  );
}

/** By the unit of IPMI 2.0 §43.17: ReadingType and ReadingUnits. */
const KINDS: Readonly<Record<number, readonly [type: string, units: string]>> = {
  1: ["Temperature", "Cel"],
  4: ["Voltage", "V"],
  5: ["Current", "A"],
  6: ["Power", "W"],
  18: ["Rotational", "{rev}/min"],
};

const NEW_NAMES = [
  ["lnr", "LowerFatal"],
  ["lc", "LowerCritical"],
  ["lnc", "LowerCaution"],
  ["unc", "UpperCaution"],
  ["uc", "UpperCritical"],
  ["unr", "UpperFatal"],
] as const;

const OLD_NAMES = [
  ["lnr", "LowerThresholdFatal"],
  ["lc", "LowerThresholdCritical"],
  ["lnc", "LowerThresholdNonCritical"],
  ["unc", "UpperThresholdNonCritical"],
  ["uc", "UpperThresholdCritical"],
  ["unr", "UpperThresholdFatal"],
] as const;

/** As many digits as the sensor resolves. */
function rounded(sensor: ThresholdSensorConfig, value: number): number {
  return Number(value.toFixed(Math.max(0, -sensor.rExp)));
}

function healthOf(model: BmcModel, sensor: ThresholdSensorConfig): string {
  const crossed = model.state.sensors.crossed(sensor.number);
  if (crossed.length === 0) return "OK";
  return crossed.every((name) => name === "unc" || name === "lnc") ? "Warning" : "Critical";
}

export function sensorResource(model: BmcModel, sensor: ThresholdSensorConfig): JsonObject {
  const [type, units] = KINDS[sensor.unit] ?? ["", ""];
  const value = model.state.sensors.valueOf(sensor.number);
  return {
    "@odata.id": `${SENSORS_PATH}/${sensor.number}`,
    "@odata.type": "#Sensor.v1_7_0.Sensor",
    Id: String(sensor.number),
    Name: sensor.name,
    ReadingType: type,
    ReadingUnits: units,
    Reading: value === null ? null : rounded(sensor, value),
    Status: { State: "Enabled", Health: healthOf(model, sensor) },
    Thresholds: Object.fromEntries(
      NEW_NAMES.flatMap(([name, field]) => {
        const limit = sensor.thresholds[name];
        return limit === undefined ? [] : [[field, { Reading: limit }]];
      }),
    ),
  };
}

function olderReading(
  model: BmcModel,
  sensor: ThresholdSensorConfig,
  field: string,
  index: number,
): JsonObject {
  const value = model.state.sensors.valueOf(sensor.number);
  return {
    MemberId: String(index),
    Name: sensor.name,
    SensorNumber: sensor.number,
    [field]: value === null ? null : rounded(sensor, value),
    ...(field === "Reading" ? { ReadingUnits: "RPM" } : {}),
    Status: { State: "Enabled", Health: healthOf(model, sensor) },
    ...Object.fromEntries(
      OLD_NAMES.flatMap(([name, own]) => {
        const limit = sensor.thresholds[name];
        return limit === undefined ? [] : [[own, limit]];
      }),
    ),
  };
}

function olderList(model: BmcModel, unit: number, field: string): readonly JsonObject[] {
  return thresholdSensors(model)
    .filter((sensor) => sensor.unit === unit)
    .map((sensor, index) => olderReading(model, sensor, field, index));
}

export function thermalOf(model: BmcModel): JsonObject {
  return {
    "@odata.id": `${CHASSIS}/Thermal`,
    "@odata.type": "#Thermal.v1_7_1.Thermal",
    Id: "Thermal",
    Name: "Thermal",
    Temperatures: olderList(model, 1, "ReadingCelsius"),
    Fans: olderList(model, 18, "Reading"),
  };
}

export function powerOf(model: BmcModel): JsonObject {
  return {
    "@odata.id": `${CHASSIS}/Power`,
    "@odata.type": "#Power.v1_7_1.Power",
    Id: "Power",
    Name: "Power",
    Voltages: olderList(model, 4, "ReadingVolts"),
    PowerControl: [],
    PowerSupplies: [],
  };
}
