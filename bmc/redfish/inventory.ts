/**
 * What is built into a machine, as devices with fields: chassis, system, processors, memory, drives, adapters, supplies.
 *
 * Redfish has no FRU areas, but the same facts under fixed property names; each becomes a field `area.name` as those of an
 * IPMI FRU do, so that one printer shows both. Slots that are empty are left out. Numbers of devices are given here, in the
 * order of reading.
 */
import { ok } from "../../core/result.ts";
import type { FruDevice } from "../bmc.ts";
import { readWhole } from "./collection.ts";
import { type JsonObject, linkAt, linksAt, listAt, numberAt, textAt } from "./json.ts";
import { get, getEach, isAbsent, present, type RedfishSteps, type Resource } from "./redfish.ts";
import type { Survey } from "./survey.ts";

/** Property → name of the field after its area. In the order in which they are shown. */
const FIELDS: readonly (readonly [property: string, name: string])[] = [
  ["Manufacturer", "manufacturer"],
  ["Vendor", "manufacturer"],
  ["Producer", "manufacturer"],
  ["Model", "product"],
  ["ChassisType", "type"],
  ["ProcessorType", "type"],
  ["MediaType", "type"],
  ["MemoryDeviceType", "type"],
  ["PartNumber", "part"],
  ["SparePartNumber", "spare-part"],
  ["SKU", "sku"],
  ["SerialNumber", "serial"],
  ["Version", "version"],
  ["HardwareVersion", "version"],
  ["Revision", "revision"],
  ["FirmwareVersion", "firmware"],
  ["BiosVersion", "bios"],
  ["AssetTag", "asset-tag"],
  ["ProductionDate", "date"],
  ["UUID", "uuid"],
];

const NUMBERS: readonly (readonly [property: string, name: string, unit: string])[] = [
  ["CapacityMiB", "capacity", "MiB"],
  ["CapacityBytes", "capacity", "bytes"],
  ["OperatingSpeedMhz", "speed", "MHz"],
  ["TotalCores", "cores", ""],
  ["PowerCapacityWatts", "capacity", "W"],
];

function fieldsOf(body: unknown, area: string): FruDevice["fields"] {
  const fields: [string, string][] = [];
  const add = (name: string, value: string): void => {
    const full = `${area}.${name}`;
    if (!fields.some(([one]) => one === full)) fields.push([full, value]);
  };
  for (const [property, name] of FIELDS) {
    const value = textAt(body, property);
    if (value !== null && !/^[0-]+$/.test(value)) add(name, value);
  }
  for (const [property, name, unit] of NUMBERS) {
    const value = numberAt(body, property);
    if (value !== null) add(name, `${value} ${unit}`.trim());
  }
  return fields;
}

interface Part {
  readonly name: string;
  readonly fields: FruDevice["fields"];
}

function isAbsentPart(body: unknown): boolean {
  return textAt(body, "Status", "State") === "Absent";
}

function partOf(body: unknown, area: string, path: string): Part | null {
  const fields = fieldsOf(body, area);
  if (isAbsentPart(body) || fields.length === 0) return null;
  const name = textAt(body, "Name") ?? textAt(body, "Id") ?? path;
  return { name, fields };
}

function partsOf(resources: readonly Resource[], area: string): readonly Part[] {
  return resources.flatMap(({ path, body }) => partOf(body, area, path) ?? []);
}

/** Members of a collection that may not be there. */
function* membersOf(path: string | null): RedfishSteps<readonly Resource[]> {
  if (path === null) return ok([]);
  const read = yield* readWhole(path, path);
  if (!read.ok) return isAbsent(read.error) ? ok([]) : read;
  return ok(read.value.map((one) => ({ ...one, etag: null })));
}

function* collectionParts(path: string | null, area: string): RedfishSteps<readonly Part[]> {
  const members = yield* membersOf(path);
  return members.ok ? ok(partsOf(members.value, area)) : members;
}

/** Of a storage subsystem: its controllers, which stand in it, and the drives that it links. */
function* storageParts(system: JsonObject): RedfishSteps<readonly Part[]> {
  const storages = yield* membersOf(linkAt(system, "Storage"));
  if (!storages.ok) return storages;
  const controllers = storages.value.flatMap(({ path, body }) =>
    listAt(body, "StorageControllers").flatMap((one) => partOf(one, "controller", path) ?? []),
  );
  const drivePaths = new Set(storages.value.flatMap(({ body }) => linksAt(body, "Drives")));
  const drives = present(yield* getEach([...drivePaths]));
  return drives.ok ? ok([...controllers, ...partsOf(drives.value, "drive")]) : drives;
}

function* systemParts(survey: Survey): RedfishSteps<readonly Part[]> {
  if (survey.systemPath === null) return ok([]);
  const system = yield* get(survey.systemPath);
  if (!system.ok) return system;
  const { body } = system.value;
  const parts: Part[] = [...partsOf([system.value], "product")];
  const steps = [
    collectionParts(linkAt(body, "Processors"), "processor"),
    collectionParts(linkAt(body, "Memory"), "memory"),
    storageParts(body),
  ];
  for (const step of steps) {
    const found = yield* step;
    if (!found.ok) return found;
    parts.push(...found.value);
  }
  return ok(parts);
}

/** Supplies stand in `Power` of older services, in `PowerSubsystem` of newer ones. */
function* supplyParts(chassis: JsonObject): RedfishSteps<readonly Part[]> {
  const asked = ["PowerSubsystem", "Power"].flatMap((name) => linkAt(chassis, name) ?? []);
  const found = present(yield* getEach(asked));
  if (!found.ok) return found;
  for (const { path, body } of found.value) {
    const inline = listAt(body, "PowerSupplies");
    if (inline.length > 0) return ok(inline.flatMap((one) => partOf(one, "supply", path) ?? []));
    const members = yield* collectionParts(linkAt(body, "PowerSupplies"), "supply");
    if (!members.ok || members.value.length > 0) return members;
  }
  return ok([]);
}

function* assemblyParts(chassis: JsonObject): RedfishSteps<readonly Part[]> {
  const path = linkAt(chassis, "Assembly");
  if (path === null) return ok([]);
  const assembly = yield* get(path);
  if (!assembly.ok) return isAbsent(assembly.error) ? ok([]) : assembly;
  return ok(
    listAt(assembly.value.body, "Assemblies").flatMap((one) => partOf(one, "board", path) ?? []),
  );
}

function* chassisParts(chassis: Resource): RedfishSteps<readonly Part[]> {
  const parts: Part[] = [...partsOf([chassis], "chassis")];
  const steps = [
    assemblyParts(chassis.body),
    supplyParts(chassis.body),
    collectionParts(linkAt(chassis.body, "NetworkAdapters"), "adapter"),
  ];
  for (const step of steps) {
    const found = yield* step;
    if (!found.ok) return found;
    parts.push(...found.value);
  }
  return ok(parts);
}

export function* readInventory(
  survey: Survey,
  onProgress?: (done: number, total: number | null) => void,
): RedfishSteps<readonly FruDevice[]> {
  const chassis = present(yield* getEach(survey.chassisPaths));
  if (!chassis.ok) return chassis;
  const parts: Part[] = [];
  const steps = [...chassis.value.map(chassisParts), systemParts(survey)];
  for (const step of steps) {
    const found = yield* step;
    if (!found.ok) return found;
    parts.push(...found.value);
    onProgress?.(parts.length, null);
  }
  return ok(parts.map((part, id) => ({ id, ...part, problems: [] })));
}
