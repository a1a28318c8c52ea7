/**
 * An entry of the event filter table (IPMI 2.0 §17.7, parameter 6): which events the BMC acts on, and which event matches one.
 *
 *   offset  bytes  field
 *        0      1  bit 7 enabled, 6:5 10b set by the factory
 *        1      1  actions             see `PEF_ACTION`
 *        2      1  bits 3:0 policy     number of the alert policy set, 6:4 group control
 *        3      1  severity
 *        4      2  generator id        FFh in either byte: any
 *        6      1  sensor type         FFh any
 *        7      1  sensor number       FFh any
 *        8      1  event type          FFh any
 *        9      2  offsets             bit n: event data 1 with offset n
 *       11      3  data 1: AND mask, compare 1, compare 2
 *       14      3  data 2, the same
 *       17      3  data 3, the same
 */
import { err, ok, type Result } from "../../../core/result.ts";
import type { Severity } from "../../bmc.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import type { SystemEventRecord } from "../sel/sel-record.ts";

export const EVENT_FILTER_BYTES = 20;
export const FILTER_ANY = 0xff;

export interface DataFilter {
  readonly andMask: number;
  readonly compare1: number;
  readonly compare2: number;
}

export interface EventFilter {
  readonly isEnabled: boolean;
  /** Set by the factory: software may switch it, not change it. */
  readonly isFactory: boolean;
  readonly actions: number;
  /** The whole byte: policy set in 3:0, group control in 6:4. */
  readonly policy: number;
  /** As in `PEF_SEVERITY`; 0 unspecified. */
  readonly severity: number;
  /** Low byte and high byte, `FILTER_ANY` for any. */
  readonly generator: readonly [address: number, channelLun: number];
  readonly sensorType: number;
  readonly sensorNumber: number;
  readonly eventType: number;
  readonly offsets: number;
  readonly data: readonly [DataFilter, DataFilter, DataFilter];
}

/** Numbers of severities, in filters and in traps (§17.7, PET). */
export const PEF_SEVERITY = {
  unspecified: 0x00,
  monitor: 0x01,
  information: 0x02,
  ok: 0x04,
  nonCritical: 0x08,
  critical: 0x10,
  nonRecoverable: 0x20,
} as const;

/** null: the number says nothing. */
export function severityOfPef(number: number): Severity | null {
  switch (number) {
    case PEF_SEVERITY.monitor:
    case PEF_SEVERITY.information:
      return "information";
    case PEF_SEVERITY.ok:
      return "ok";
    case PEF_SEVERITY.nonCritical:
      return "warning";
    case PEF_SEVERITY.critical:
      return "critical";
    case PEF_SEVERITY.nonRecoverable:
      return "non-recoverable";
    default:
      return null;
  }
}

export function decodeEventFilter(data: Uint8Array): Result<EventFilter, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("event filter", EVENT_FILTER_BYTES);
  if (short !== null) return err(short);
  const config = reader.u8();
  return ok({
    isEnabled: (config & 0x80) !== 0,
    isFactory: (config & 0x60) === 0x40,
    actions: reader.u8(),
    policy: reader.u8(),
    severity: reader.u8(),
    generator: [reader.u8(), reader.u8()],
    sensorType: reader.u8(),
    sensorNumber: reader.u8(),
    eventType: reader.u8(),
    offsets: reader.u16le(),
    data: [dataFilter(reader), dataFilter(reader), dataFilter(reader)],
  });
}

function dataFilter(reader: ByteReader): DataFilter {
  return { andMask: reader.u8(), compare1: reader.u8(), compare2: reader.u8() };
}

export function encodeEventFilter(filter: EventFilter): Uint8Array {
  return Uint8Array.of(
    (filter.isEnabled ? 0x80 : 0) | (filter.isFactory ? 0x40 : 0),
    filter.actions,
    filter.policy,
    filter.severity,
    ...filter.generator,
    filter.sensorType,
    filter.sensorNumber,
    filter.eventType,
    filter.offsets & 0xff,
    filter.offsets >>> 8,
    ...filter.data.flatMap(({ andMask, compare1, compare2 }) => [andMask, compare1, compare2]),
  );
}

/** Whether the BMC would act on the event by this filter. A filter that is off matches nothing. */
export function isFilterMatch(filter: EventFilter, event: SystemEventRecord): boolean {
  const [address, channelLun] = filter.generator;
  const bytes = [event.data1, event.data2, event.data3];
  return (
    filter.isEnabled &&
    isAnyOr(address, event.generatorId & 0xff) &&
    isAnyOr(channelLun, event.generatorId >>> 8) &&
    isAnyOr(filter.sensorType, event.sensorType) &&
    isAnyOr(filter.sensorNumber, event.sensorNumber) &&
    isAnyOr(filter.eventType, event.eventType) &&
    (filter.offsets & (1 << (event.data1 & 0x0f))) !== 0 &&
    filter.data.every((one, index) => isDataMatch(one, bytes[index] ?? 0))
  );
}

function isAnyOr(wanted: number, value: number): boolean {
  return wanted === FILTER_ANY || wanted === value;
}

/**
 * §17.7: the masked byte is compared with compare 2. Where compare 1 has a 1 the bit must be equal; of the bits where it has
 * a 0, if there are any, at least one must. So 00h 00h 00h lets everything through.
 */
export function isDataMatch(filter: DataFilter, data: number): boolean {
  const differing = ((data & filter.andMask) ^ filter.compare2) & 0xff;
  const loose = ~filter.compare1 & 0xff;
  if ((differing & filter.compare1) !== 0) return false;
  return loose === 0 || (differing & loose) !== loose;
}
