/**
 * Get and Set PEF Configuration Parameters (IPMI 2.0 §30.3-30.4, table 30-6): the commands, and a codec for each parameter.
 *
 * A parameter is read and written by its codec; which entry of a table is meant is the *set* of a read, and the first byte of
 * what is written. Bytes that a codec does not know are kept out of its value, so write only what was read with the same one.
 *
 *   0 set in progress    1 control               2 actions allowed        3 start-up delay      4 alert start-up delay
 *   5 filter count       6 filter entry          7 filter entry's first byte                    8 policy count
 *   9 policy entry      10 system GUID          11 string count          12 string keys       13 string text
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { ByteReader, type DecodeError } from "../decode.ts";
import { type IpmiCommand, NET_FN } from "../ipmi.ts";
import { decodeNothing } from "../no-data.ts";
import { type AlertPolicy, decodeAlertPolicy, encodeAlertPolicy } from "./alert-policy.ts";
import { decodeEventFilter, type EventFilter, encodeEventFilter } from "./event-filter.ts";

export interface ParameterReply {
  /** 11h: as of IPMI 1.5 and 2.0. */
  readonly revision: number;
  readonly data: Uint8Array;
}

export function decodeParameterReply(data: Uint8Array): Result<ParameterReply, DecodeError> {
  const reader = new ByteReader(data);
  const short = reader.needs("configuration parameter", 1);
  return short === null ? ok({ revision: reader.u8(), data: reader.rest() }) : err(short);
}

export interface ParameterRequest {
  readonly parameter: number;
  /** 0 where the parameter has none. */
  readonly set: number;
  readonly block: number;
}

export const getPefConfigurationParameters: IpmiCommand<ParameterRequest, ParameterReply> = {
  name: "Get PEF Configuration Parameters",
  netFn: NET_FN.sensorEvent,
  command: 0x13,
  encode: ({ parameter, set, block }) => Uint8Array.of(parameter & 0x7f, set, block),
  decode: decodeParameterReply,
};

export interface ParameterSetting {
  readonly parameter: number;
  readonly data: Uint8Array;
}

export const setPefConfigurationParameters: IpmiCommand<ParameterSetting, null> = {
  name: "Set PEF Configuration Parameters",
  netFn: NET_FN.sensorEvent,
  command: 0x12,
  encode: ({ parameter, data }) => Uint8Array.of(parameter & 0x7f, ...data),
  decode: decodeNothing,
};

/** One parameter: its number and the bytes of its value. */
export interface PefParameter<T> {
  readonly name: string;
  readonly parameter: number;
  readonly encode: (value: T) => Uint8Array;
  readonly decode: (data: Uint8Array) => Result<T, DecodeError>;
}

function byteParameter(name: string, parameter: number, mask = 0xff): PefParameter<number> {
  return {
    name,
    parameter,
    encode: (value) => Uint8Array.of(value),
    decode: (data) => {
      const reader = new ByteReader(data);
      const short = reader.needs(name, 1);
      return short === null ? ok(reader.u8() & mask) : err(short);
    },
  };
}

/** A table's entry: one byte that says which, bits 6:0, then the entry. */
function entryParameter<T>(
  name: string,
  parameter: number,
  entry: Pick<PefParameter<T>, "encode" | "decode">,
): PefParameter<{ readonly index: number; readonly value: T }> {
  return {
    name,
    parameter,
    encode: ({ index, value }) => Uint8Array.of(index & 0x7f, ...entry.encode(value)),
    decode: (data) => {
      const reader = new ByteReader(data);
      const short = reader.needs(name, 1);
      if (short !== null) return err(short);
      const index = reader.u8() & 0x7f;
      const value = entry.decode(reader.rest());
      return value.ok ? ok({ index, value: value.value }) : value;
    },
  };
}

/** 0 complete, 1 in progress, 2 commit. */
export const pefSetInProgress: PefParameter<number> = byteParameter("PEF set in progress", 0, 0x03);

/** Bits of parameter 1. */
export const PEF_CONTROL = {
  enabled: 0x01,
  logsActions: 0x02,
  hasStartupDelay: 0x04,
  hasAlertStartupDelay: 0x08,
} as const;

export const pefControl: PefParameter<number> = byteParameter("PEF control", 1, 0x0f);
/** Bits of `PEF_ACTION` that filters may ask for. */
export const pefActions: PefParameter<number> = byteParameter("PEF global actions", 2, 0x3f);
export const pefStartupDelaySeconds: PefParameter<number> = byteParameter("PEF start-up delay", 3);
export const pefAlertDelaySeconds: PefParameter<number> = byteParameter("alert start-up delay", 4);
export const pefFilterCount: PefParameter<number> = byteParameter("event filter count", 5, 0x7f);
export const pefPolicyCount: PefParameter<number> = byteParameter("alert policy count", 8, 0x7f);
export const pefStringCount: PefParameter<number> = byteParameter("alert string count", 11, 0x7f);

export const pefFilter: PefParameter<{ readonly index: number; readonly value: EventFilter }> =
  entryParameter("event filter", 6, { encode: encodeEventFilter, decode: decodeEventFilter });

/** Only whether a filter is on (bit 7) and whose it is: what may be written of a factory filter. */
export const pefFilterConfig: PefParameter<{ readonly index: number; readonly value: number }> =
  entryParameter("event filter configuration", 7, byteParameter("event filter configuration", 7));

export const pefPolicy: PefParameter<{ readonly index: number; readonly value: AlertPolicy }> =
  entryParameter("alert policy", 9, { encode: encodeAlertPolicy, decode: decodeAlertPolicy });

export interface PefGuid {
  /** Traps carry this GUID; else the one of Get System GUID. */
  readonly isUsed: boolean;
  /** 16 bytes. */
  readonly guid: Uint8Array;
}

export const pefGuid: PefParameter<PefGuid> = {
  name: "PEF system GUID",
  parameter: 10,
  encode: ({ isUsed, guid }) => Uint8Array.of(isUsed ? 1 : 0, ...guid.subarray(0, 16)),
  decode: (data) => {
    const reader = new ByteReader(data);
    const short = reader.needs("PEF system GUID", 17);
    if (short !== null) return err(short);
    return ok({ isUsed: (reader.u8() & 1) === 1, guid: reader.bytes(16).slice() });
  },
};

export interface AlertStringKey {
  /** Of the event filter that it goes with; 0: any. */
  readonly filterIndex: number;
  readonly stringSet: number;
}

export const pefStringKey: PefParameter<{
  readonly index: number;
  readonly value: AlertStringKey;
}> = entryParameter("alert string keys", 12, {
  encode: ({ filterIndex, stringSet }) => Uint8Array.of(filterIndex & 0x7f, stringSet & 0x7f),
  decode: (data) => {
    const reader = new ByteReader(data);
    const short = reader.needs("alert string keys", 2);
    if (short !== null) return err(short);
    return ok({ filterIndex: reader.u8() & 0x7f, stringSet: reader.u8() & 0x7f });
  },
});

export const ALERT_STRING_BLOCK_BYTES = 16;

export interface AlertStringBlock {
  readonly index: number;
  /** Counted from 1, 16 bytes each. */
  readonly block: number;
  /** Of the whole string, the part in this block; a 00h ends it. */
  readonly text: Uint8Array;
}

export const pefStringText: PefParameter<AlertStringBlock> = {
  name: "alert string",
  parameter: 13,
  encode: ({ index, block, text }) =>
    Uint8Array.of(index & 0x7f, block, ...text.subarray(0, ALERT_STRING_BLOCK_BYTES)),
  decode: (data) => {
    const reader = new ByteReader(data);
    const short = reader.needs("alert string", 2);
    if (short !== null) return err(short);
    const index = reader.u8() & 0x7f;
    const block = reader.u8();
    const text = reader.bytes(Math.min(reader.remaining, ALERT_STRING_BLOCK_BYTES)).slice();
    return ok({ index, block, text });
  },
};
