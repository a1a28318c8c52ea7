/**
 * Who a BMC is: its device id, GUID, self test and what its FRU says of the product, in one task.
 *
 * Only Get Device ID must be answered; the others are optional by the standard, and a BMC without them has null there. A
 * GUID of equal bytes is none: unprogrammed controllers give it, and it would make many systems one.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { BmcIdentity, FruDevice } from "../../bmc.ts";
import type { BmcError } from "../../bmc-error.ts";
import { ask, type Part } from "../ask.ts";
import { fruPlaces, readFru } from "../fru/read-fru.ts";
import type { IpmiCommand, Steps } from "../ipmi.ts";
import { type DeviceId, getDeviceId } from "./get-device-id.ts";
import { getDeviceGuid, getSystemGuid } from "./get-guid.ts";
import { getSelfTestResults } from "./get-self-test-results.ts";
import { manufacturerName } from "./manufacturer.ts";

/** Errors of the link and of the session end a task; a completion code says only that this BMC has not got it. */
function isOfLink(error: BmcError): boolean {
  return error.completionCode === undefined && error.kind !== "malformed";
}

/** null where the BMC does not have it. */
function* optional<T>(command: IpmiCommand<void, T>): Part<Result<T | null, BmcError>> {
  const reply = yield* ask(command, undefined);
  if (reply.ok) return reply;
  return isOfLink(reply.error) ? err(reply.error) : ok(null);
}

function isNone(guid: Uint8Array): boolean {
  return guid.every((byte) => byte === guid[0]);
}

/** 32 hex digits in the order of the bytes; null where there is none. */
export function* readGuid(): Steps<string | null> {
  for (const command of [getSystemGuid, getDeviceGuid]) {
    const guid = yield* optional(command);
    if (!guid.ok) return guid;
    if (guid.value !== null && !isNone(guid.value)) return ok(guid.value.toHex());
  }
  return ok(null);
}

function fieldOf(device: FruDevice | undefined, ...names: readonly string[]): string | null {
  for (const name of names) {
    const field = device?.fields.find(([fieldName]) => fieldName === name);
    if (field !== undefined) return field[1];
  }
  return null;
}

function* readProduct(
  device: DeviceId,
  replyBytesMax: number,
): Part<Result<FruDevice | undefined, BmcError>> {
  if (!device.supports.includes("fru")) return ok(undefined);
  const devices = yield* readFru(fruPlaces([]), replyBytesMax);
  if (devices.ok) return ok(devices.value[0]);
  return isOfLink(devices.error) ? err(devices.error) : ok(undefined);
}

export function* readIdentity(replyBytesMax: number): Steps<BmcIdentity> {
  const device = yield* ask(getDeviceId, undefined);
  if (!device.ok) return device;
  const guid = yield* readGuid();
  if (!guid.ok) return guid;
  const selfTest = yield* optional(getSelfTestResults);
  if (!selfTest.ok) return selfTest;
  const product = yield* readProduct(device.value, replyBytesMax);
  if (!product.ok) return product;
  const { manufacturerId, productId, firmware, ipmiVersion, deviceId, supports } = device.value;
  return ok({
    guid: guid.value,
    manufacturer: { id: manufacturerId, name: manufacturerName(manufacturerId) },
    productId,
    productName: fieldOf(product.value, "product.name", "board.product"),
    serial: fieldOf(product.value, "product.serial", "chassis.serial", "board.serial"),
    firmware,
    protocolVersion: ipmiVersion,
    deviceId,
    selfTest: selfTest.value?.text ?? null,
    supports,
  });
}
