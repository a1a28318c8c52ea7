/**
 * Reads the FRU devices of a BMC: its own, and those that the SDRs name (IPMI 2.0 §34, §38).
 *
 * Decides which devices there are, and which of their bytes are needed: header, then the areas it leads to, all at once,
 * then the chain of multirecords. What is wrong with one device is its problem; a wire that breaks is an error of the whole.
 * Devices behind other controllers or on private buses need a bridge that is not crossed here: they are listed, and say so.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { FruDevice } from "../../bmc.ts";
import { type BmcError, bmcError } from "../../bmc-error.ts";
import { ask, type Part } from "../ask.ts";
import type { Steps } from "../ipmi.ts";
import type { SdrRecord } from "../sdr/decode-sdr.ts";
import { decodeFru } from "./decode-fru.ts";
import { decodeFruHeader, FRU_HEADER_BYTES, type FruHeader, fruAreaBytes } from "./fru-areas.ts";
import { FruImage, type FruRange, isFatal } from "./fru-image.ts";
import { getFruInventoryAreaInfo } from "./get-fru-inventory-area-info.ts";
import {
  decodeMultirecordHeader,
  MULTIRECORD_HEADER_BYTES,
  MULTIRECORDS_MAX,
} from "./multirecord.ts";

/** Where a device is, and what it is called. */
export interface FruPlace {
  readonly id: number;
  readonly lun: number;
  readonly name: string;
  /** null: the FRU commands of this BMC reach it. */
  readonly whyNot: string | null;
}

const BMC_ADDRESS = 0x20;
const BUILT_IN: FruPlace = { id: 0, lun: 0, name: "built-in", whyNot: null };

function hexOf(address: number): string {
  return `0x${address.toString(16).padStart(2, "0")}`;
}

function locatorPlaces(records: readonly SdrRecord[]): FruPlace[] {
  return records.flatMap((record): FruPlace[] => {
    if (record.kind !== "fru-locator") return [];
    const { fruId, lun, name, accessAddress, isLogical } = record;
    const isHere = accessAddress === BMC_ADDRESS;
    const other = isHere ? null : `it is behind the controller at ${hexOf(accessAddress)}`;
    const whyNot = isLogical ? other : `it is an EEPROM on a private bus, at ${hexOf(fruId)}`;
    return [{ id: fruId, lun, name: name === "" ? `FRU ${fruId}` : name, whyNot }];
  });
}

/** The BMC's own first; each once. */
export function fruPlaces(records: readonly SdrRecord[]): readonly FruPlace[] {
  const places = locatorPlaces(records);
  const isOwn = ({ id, lun, whyNot }: FruPlace): boolean =>
    id === 0 && lun === 0 && whyNot === null;
  const own = places.find(isOwn) ?? BUILT_IN;
  const seen = new Set<string>();
  return [own, ...places].filter(({ id, lun, whyNot }) => {
    const key = `${id} ${lun} ${whyNot}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function areaStarts(header: FruHeader): readonly number[] {
  return [header.chassis, header.board, header.product].filter((start) => start !== 0);
}

function rangeOf(start: number, bytes: number): FruRange {
  return { start, end: start + bytes };
}

/** Along the chain, each header and its data; stops where a header is no header. */
function* fillMultirecords(image: FruImage, start: number): Part<BmcError | null> {
  let offset = start;
  for (let index = 0; index < MULTIRECORDS_MAX; index++) {
    const failed = yield* image.fill([rangeOf(offset, MULTIRECORD_HEADER_BYTES)]);
    if (failed !== null) return failed;
    const header = decodeMultirecordHeader(image.bytes, offset);
    if (header === null || !header.isSound) return null;
    const whole = MULTIRECORD_HEADER_BYTES + header.dataBytes;
    const broken = yield* image.fill([rangeOf(offset, whole)]);
    if (broken !== null || header.isLast) return broken;
    offset += whole;
  }
  return null;
}

function* fillAreas(image: FruImage): Part<BmcError | null> {
  const failed = yield* image.fill([rangeOf(0, Math.max(FRU_HEADER_BYTES, image.readBytes))]);
  if (failed !== null) return failed;
  const header = decodeFruHeader(image.bytes);
  if (!header.ok) return null;
  const starts = areaStarts(header.value);
  const heads = yield* image.fill(starts.map((start) => rangeOf(start, FRU_HEADER_BYTES)));
  if (heads !== null) return heads;
  const areas = yield* image.fill(
    starts.map((start) => rangeOf(start, fruAreaBytes(image.bytes, start))),
  );
  const { multirecord } = header.value;
  return areas !== null || multirecord === 0 ? areas : yield* fillMultirecords(image, multirecord);
}

function about(what: string, error: BmcError): BmcError {
  return bmcError(error.kind, `${what}: ${error.detail}`, error.completionCode);
}

function* readDevice(place: FruPlace, replyBytesMax: number): Part<Result<FruDevice, BmcError>> {
  const { id, lun, name, whyNot } = place;
  const what = `FRU ${id} (${name})`;
  const device = { id, name, fields: [] };
  if (whyNot !== null) {
    return ok({ ...device, problems: [bmcError("unsupported", `${what}: not read, ${whyNot}`)] });
  }
  const info = yield* ask(getFruInventoryAreaInfo, id, lun);
  if (!info.ok) {
    const error = about(what, info.error);
    return isFatal(info.error) ? err(error) : ok({ ...device, problems: [error] });
  }
  const image = new FruImage(id, lun, info.value, replyBytesMax);
  const failed = yield* fillAreas(image);
  if (failed !== null && isFatal(failed)) return err(about(what, failed));
  if (failed !== null) return ok({ ...device, problems: [about(what, failed)] });
  const { fields, problems } = decodeFru(image.bytes, what);
  const cut = image.problem === null ? [] : [about(what, image.problem)];
  return ok({ ...device, fields, problems: [...cut, ...problems] });
}

/** In the order of `places`. */
export function* readFru(
  places: readonly FruPlace[],
  replyBytesMax: number,
): Steps<readonly FruDevice[]> {
  const devices: FruDevice[] = [];
  for (const place of places) {
    const device = yield* readDevice(place, replyBytesMax);
    if (!device.ok) return device;
    devices.push(device.value);
    yield { kind: "progress", done: devices.length, total: places.length };
  }
  return ok(devices);
}
