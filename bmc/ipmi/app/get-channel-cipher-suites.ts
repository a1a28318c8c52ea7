/**
 * Get Channel Cipher Suites (IPMI 2.0 §22.15): the suites a BMC offers, 16 bytes of records at a time.
 *
 *   request  0  channel (0Eh: this one)   1  payload type, 00h IPMI   2  b7 list by suite, b5:0 index
 *   reply    0  channel                   1  up to 16 bytes of records; fewer: these are the last
 *
 * The records of all replies, put behind one another, are read by `rmcp/cipher-suite.ts`: one may lie across two replies.
 */
import { err, ok } from "../../../core/result.ts";
import { ByteReader } from "../decode.ts";
import type { IpmiCommand } from "../ipmi.ts";
import { NET_FN } from "../ipmi.ts";

export const CIPHER_RECORD_BYTES_MAX = 16;
/** The index has 6 bits. */
export const CIPHER_RECORD_INDEX_MAX = 0x3f;

export interface ChannelCipherSuitesArgs {
  readonly channel: number;
  /** 0, 1, 2 … */
  readonly index: number;
}

export interface ChannelCipherSuites {
  readonly channel: number;
  readonly records: Uint8Array;
  readonly isLast: boolean;
}

export const getChannelCipherSuites: IpmiCommand<ChannelCipherSuitesArgs, ChannelCipherSuites> = {
  name: "Get Channel Cipher Suites",
  netFn: NET_FN.app,
  command: 0x54,
  encode: ({ channel, index }) =>
    Uint8Array.of(channel & 0x0f, 0, 0x80 | (index & CIPHER_RECORD_INDEX_MAX)),
  decode: (data) => {
    const reader = new ByteReader(data);
    const short = reader.needs("Get Channel Cipher Suites", 1);
    if (short !== null) return err(short);
    const channel = reader.u8() & 0x0f;
    const records = reader.rest();
    return ok({ channel, records, isLast: records.byteLength < CIPHER_RECORD_BYTES_MAX });
  },
};
