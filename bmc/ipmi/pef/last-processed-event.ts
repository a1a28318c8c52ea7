/**
 * Set and Get Last Processed Event ID (IPMI 2.0 §30.5-30.6): how far software, and the BMC's own filtering, have come.
 *
 * The BMC keeps both in non-volatile memory, so it is a cursor that survives whoever reads the log. A clear sets it to FFFFh,
 * the delete of a record does not. While the log is being erased both commands answer 81h.
 *
 *   Set request                              Get reply
 *   offset  bytes  field                     offset  bytes  field
 *        0      1  bit 0: 0 software, 1 BMC       0      4  lastAdd
 *        1      2  recordId                       4      2  lastRecordId, FFFFh: the log is empty
 *                                                 6      2  softwareId
 *                                                 8      2  bmcId
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing, encodeNothing } from "../no-data.ts";

export interface ProcessedEvent {
  readonly by: "software" | "bmc";
  readonly recordId: number;
}

export interface LastProcessedEvents {
  /** Raw seconds, see `../sel/sel-time.ts`. */
  readonly lastAdd: number;
  readonly lastRecordId: number;
  readonly softwareId: number;
  readonly bmcId: number;
}

export const setLastProcessedEvent: IpmiCommand<ProcessedEvent, null> = {
  name: "Set Last Processed Event ID",
  netFn: NET_FN.sensorEvent,
  command: 0x14,
  encode: ({ by, recordId }) =>
    Uint8Array.of(by === "bmc" ? 1 : 0, recordId & 0xff, recordId >>> 8),
  decode: decodeNothing,
};

export const getLastProcessedEvent: IpmiCommand<void, LastProcessedEvents> = {
  name: "Get Last Processed Event ID",
  netFn: NET_FN.sensorEvent,
  command: 0x15,
  encode: encodeNothing,
  decode: decodeLast,
};

function decodeLast(data: Uint8Array): Result<LastProcessedEvents, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("last processed event", 10);
  if (short !== null) return err(short);
  return ok({
    lastAdd: reader.u32le(),
    lastRecordId: reader.u16le(),
    softwareId: reader.u16le(),
    bmcId: reader.u16le(),
  });
}
