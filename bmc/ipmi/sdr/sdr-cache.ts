/**
 * Records that were read before, for as long as the BMC says that they are the same (IPMI 2.0 §33.9, §35.2).
 *
 * Decides when a list may be used again: same system, same count, same times of the last addition and erasure (of a device's
 * own records: same count and change indicator). Reading hundreds of records takes seconds on a slow wire, asking whether
 * they changed takes one question. Lists with problems are not kept. Bound: SYSTEMS_MAX lists, the oldest goes.
 */
import { ok, type Result } from "../../../core/result.ts";
import type { BmcError } from "../../bmc-error.ts";
import type { DeviceId } from "../app/get-device-id.ts";
import { ask, type Part } from "../ask.ts";
import type { Steps } from "../ipmi.ts";
import { getDeviceSdrInfo } from "./get-device-sdr-info.ts";
import { getSdrRepositoryInfo } from "./get-sdr-repository-info.ts";
import { readSdrs, type SdrList } from "./read-sdrs.ts";
import type { WireLimits } from "./sdr-record-reader.ts";

const SYSTEMS_MAX = 64;

interface Kept {
  readonly version: string;
  readonly list: SdrList;
}

export class SdrCache {
  readonly #kept = new Map<string, Kept>();

  get(system: string, version: string): SdrList | null {
    const kept = this.#kept.get(system);
    return kept?.version === version ? kept.list : null;
  }

  put(system: string, version: string, list: SdrList): void {
    this.#kept.delete(system);
    this.#kept.set(system, { version, list });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > SYSTEMS_MAX && oldest !== undefined) this.#kept.delete(oldest);
  }
}

/** What changes when the records do. */
function* versionOf(device: DeviceId): Part<Result<string, BmcError>> {
  if (device.supports.includes("sdr")) {
    const info = yield* ask(getSdrRepositoryInfo, undefined);
    if (!info.ok) return info;
    const { recordCount, lastAdd, lastErase } = info.value;
    return ok(`repository ${recordCount} ${lastAdd} ${lastErase}`);
  }
  const info = yield* ask(getDeviceSdrInfo, "records");
  if (!info.ok) return info;
  return ok(`device ${info.value.count} ${info.value.changeIndicator}`);
}

/** `system` is the GUID, or whatever else names one BMC and no other. */
export function* readSdrsThrough(
  cache: SdrCache,
  system: string,
  device: DeviceId,
  limits: WireLimits,
): Steps<SdrList> {
  // A device without any records: the reading itself says so.
  if (!device.supports.includes("sdr") && !device.hasDeviceSdrs) {
    return yield* readSdrs(device, limits);
  }
  const version = yield* versionOf(device);
  if (!version.ok) return version;
  const kept = cache.get(system, version.value);
  if (kept !== null) return ok(kept);
  const read = yield* readSdrs(device, limits);
  if (read.ok && read.value.problems.length === 0) cache.put(system, version.value, read.value);
  return read;
}
