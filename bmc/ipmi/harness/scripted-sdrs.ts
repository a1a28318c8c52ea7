/**
 * An SDR repository for tests: records by id in a chain that a test may bend, with the refusals real BMCs show.
 */
import type { IpmiReply, IpmiRequest } from "../ipmi.ts";
import { reply, replyData, UNKNOWN_COMMAND } from "./scripted-bmc.ts";

export interface ScriptedSdrsOptions {
  /** More bytes than this at once: CAh. */
  readonly replyBytesMax?: number;
  /** Completion code of a read that is too large; CAh unless given. */
  readonly tooMuch?: number;
  /** Where the chain goes after an id, instead of to the next record. */
  readonly next?: ReadonlyMap<number, number>;
  /** Before each request: a test changes the repository here. */
  readonly before?: (sdrs: ScriptedSdrs, request: IpmiRequest) => void;
}

const STORAGE = 0x0a;

/** Bytes of a record with its id and the length of its body put in. */
export function sdrOf(recordId: number, type: number, body: readonly number[]): Uint8Array {
  return Uint8Array.of(recordId & 0xff, recordId >> 8, 0x51, type, body.length, ...body);
}

/** A full record of a linear sensor with M = 1: temperature, unsigned, name in Latin-1. */
export function temperatureSdr(recordId: number, number: number, name: string): Uint8Array {
  const body = new Array<number>(43).fill(0);
  body[0] = 0x20;
  body[2] = number;
  body[3] = 0x07;
  body[4] = 0x01;
  body[6] = 0x68;
  body[7] = 0x01;
  body[8] = 0x01;
  body[13] = 0x3f;
  body[14] = 0x3f;
  body[16] = 0x01;
  body[19] = 0x01;
  body[31] = 0x60;
  body[32] = 0x50;
  body[33] = 0x46;
  body[42] = 0xc0 | name.length;
  return sdrOf(recordId, 0x01, [...body, ...new TextEncoder().encode(name)]);
}

export class ScriptedSdrs {
  records: Map<number, Uint8Array>;
  lastAdd = 1000;
  lastErase = 900;
  reservation = 1;
  readonly #options: ScriptedSdrsOptions;

  constructor(records: readonly Uint8Array[], options: ScriptedSdrsOptions = {}) {
    this.#options = options;
    this.records = new Map(
      records.map((bytes) => [(bytes[0] ?? 0) | ((bytes[1] ?? 0) << 8), bytes]),
    );
  }

  /** What a test's other tool does: the reservation of whoever reads is gone. */
  cancel(): void {
    this.reservation = (this.reservation + 1) & 0xffff;
  }

  handle(request: IpmiRequest): IpmiReply {
    if (request.netFn !== STORAGE) return UNKNOWN_COMMAND;
    this.#options.before?.(this, request);
    switch (request.command) {
      case 0x20:
        return this.#info();
      case 0x22:
        this.cancel();
        return reply(0, this.reservation & 0xff, this.reservation >> 8);
      case 0x23:
        return this.#get(request.data);
      default:
        return UNKNOWN_COMMAND;
    }
  }

  #info(): IpmiReply {
    const data = new Uint8Array(14);
    const view = new DataView(data.buffer);
    data[0] = 0x51;
    view.setUint16(1, this.records.size, true);
    view.setUint16(3, 0xffff, true);
    view.setUint32(5, this.lastAdd, true);
    view.setUint32(9, this.lastErase, true);
    data[13] = 0x02;
    return replyData(data);
  }

  #get(data: Uint8Array): IpmiReply {
    const [r0 = 0, r1 = 0, id0 = 0, id1 = 0, offset = 0, count = 0] = data;
    const reservation = r0 | (r1 << 8);
    if ((reservation !== 0 || offset !== 0) && reservation !== this.reservation) return reply(0xc5);
    const ids = [...this.records.keys()];
    const asked = id0 | (id1 << 8);
    const id = asked === 0 ? (ids[0] ?? 0) : asked;
    const record = this.records.get(id);
    if (record === undefined) return reply(0xcb);
    const bytes = record.subarray(offset, offset + (count === 0xff ? 0xffff : count));
    if (bytes.byteLength + 2 > (this.#options.replyBytesMax ?? 0xffff)) {
      return reply(this.#options.tooMuch ?? 0xca);
    }
    const next = this.#options.next?.get(id) ?? ids[ids.indexOf(id) + 1] ?? 0xffff;
    return reply(0, next & 0xff, next >> 8, ...bytes);
  }
}
