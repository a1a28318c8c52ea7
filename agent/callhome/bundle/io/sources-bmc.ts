/**
 * What a BMC tells: power, sensors, the event log decoded and as records, parts, records of sensors, who it is.
 *
 * One connection for all of it, in the order of the plan, one question after the other: BMCs are slow and some bear no second one.
 * The log is read once for both its forms. Records of sensors are read as they are stored too, where the wire carries IPMI.
 */
import type { Bmc, EventLog } from "../../../../bmc/bmc.ts";
import type { BmcError } from "../../../../bmc/bmc-error.ts";
import type { IpmiReply, IpmiRequest } from "../../../../bmc/ipmi/ipmi.ts";
import { readRepository, type SdrList } from "../../../../bmc/ipmi/sdr/read-sdrs.ts";
import { runSteps } from "../../../../bmc/link/io/run-steps.ts";
import { err, ok, type Result } from "../../../../core/result.ts";
import type { ItemFault } from "../bundle.ts";
import type { Redactor } from "../redact.ts";
import { absent, failed } from "./source.ts";

/** What an item is before it is bytes: a document, which is redacted as one, or bytes as they are. */
export type BmcContent =
  | { readonly kind: "document"; readonly document: unknown }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "fault"; readonly fault: ItemFault };

const SEL_RECORD_BYTES = 16;
const GET_SDR = 0x23;
const NET_FN_STORAGE = 0x0a;
/** What the smallest wire carries. */
const REPLY_BYTES_MAX = 32;

function faultOf(error: BmcError): BmcContent {
  const fault = error.kind === "unsupported" ? absent(error.detail) : failed(error.detail);
  return { kind: "fault", fault };
}

function documentOf<T>(read: Result<T, BmcError>): BmcContent {
  return read.ok ? { kind: "document", document: read.value } : faultOf(read.error);
}

/** Records as `ipmitool sel readraw` takes them; the ids are put back, which the contract keeps apart. */
function recordsOf(log: EventLog): BmcContent {
  const records = log.entries.flatMap(({ recordId, event }) => {
    if (event.record === null || !/^[0-9a-f]{1,4}$/i.test(recordId)) return [];
    const record = Uint8Array.fromHex(event.record);
    if (record.length !== SEL_RECORD_BYTES) return [];
    const id = Number.parseInt(recordId, 16);
    record.set([id & 0xff, id >> 8]);
    return [record];
  });
  if (records.length === 0 && log.entries.length > 0) {
    return { kind: "fault", fault: absent("this BMC gives no records as bytes") };
  }
  return { kind: "bytes", bytes: Buffer.concat(records) };
}

/** Sees the records of sensors go by as they are stored. */
class SdrListener {
  readonly #bmc: Bmc;
  readonly #records = new Map<number, Map<number, Uint8Array>>();
  readonly #idsByAsked = new Map<number, number>();

  constructor(bmc: Bmc) {
    this.#bmc = bmc;
  }

  async request(request: IpmiRequest): Promise<Result<IpmiReply, BmcError>> {
    const { netFn, command, data } = request;
    const raw = await this.#bmc.raw(netFn, command, data);
    if (!raw.ok) return raw;
    const reply = { completionCode: raw.value[0] ?? 0xff, data: raw.value.subarray(1) };
    if (netFn === NET_FN_STORAGE && command === GET_SDR && reply.completionCode === 0) {
      this.#keep(data, reply.data);
    }
    return ok(reply);
  }

  /** Of each record the pieces by offset, the header first: IPMI 2.0 §33.12. */
  bytes(): Uint8Array {
    const records = [...this.#records.values()].map((pieces) => {
      const sorted = [...pieces].sort(([a], [b]) => a - b);
      const length = sorted.reduce((most, [at, piece]) => Math.max(most, at + piece.length), 0);
      const record = new Uint8Array(length);
      for (const [at, piece] of sorted) record.set(piece, at);
      return record;
    });
    return Buffer.concat(records);
  }

  #keep(request: Uint8Array, reply: Uint8Array): void {
    const piece = reply.slice(2);
    const askedId = (request[2] ?? 0) | ((request[3] ?? 0) << 8);
    const offset = request[4] ?? 0;
    // Id 0 asks for the first record, whichever id it has; its own id is in its header.
    if (offset === 0 && piece.length >= 2) {
      this.#idsByAsked.set(askedId, (piece[0] ?? 0) | ((piece[1] ?? 0) << 8));
    }
    const id = this.#idsByAsked.get(askedId) ?? askedId;
    const pieces = this.#records.get(id) ?? new Map<number, Uint8Array>();
    pieces.set(offset, piece);
    this.#records.set(id, pieces);
  }
}

interface Sdrs {
  readonly list: SdrList;
  readonly bytes: Uint8Array;
}

/** Reads what items ask for, each question once. */
export class BmcSources {
  readonly #bmc: Bmc;
  #log: Promise<Result<EventLog, BmcError>> | null = null;
  #sdrs: Promise<Result<Sdrs, BmcError>> | null = null;
  #isStopped = false;

  constructor(bmc: Bmc) {
    this.#bmc = bmc;
  }

  stop(): void {
    this.#isStopped = true;
  }

  async read(name: string): Promise<BmcContent> {
    switch (name) {
      case "bmc/power.json":
        return documentOf(await this.#bmc.power());
      case "bmc/sensors.json":
        return documentOf(await this.#bmc.sensors());
      case "bmc/watchdog.json":
        return documentOf(await this.#bmc.watchdog());
      case "bmc/identity.json":
        return documentOf(await this.#bmc.identity());
      case "bmc/fru.json":
        return documentOf(await this.#bmc.fru());
      case "bmc/sel.json":
        return documentOf(await this.#readLog());
      case "bmc/sel.bin": {
        const log = await this.#readLog();
        return log.ok ? recordsOf(log.value) : faultOf(log.error);
      }
      case "bmc/sdr.json": {
        const sdrs = await this.#readSdrs();
        return sdrs.ok ? documentOf(ok(sdrs.value.list)) : faultOf(sdrs.error);
      }
      case "bmc/sdr.bin": {
        const sdrs = await this.#readSdrs();
        return sdrs.ok ? { kind: "bytes", bytes: sdrs.value.bytes } : faultOf(sdrs.error);
      }
      default:
        return { kind: "fault", fault: absent(`nobody knows ${name} of a BMC`) };
    }
  }

  #readLog(): Promise<Result<EventLog, BmcError>> {
    this.#log ??= this.#bmc.log();
    return this.#log;
  }

  #readSdrs(): Promise<Result<Sdrs, BmcError>> {
    this.#sdrs ??= this.#repository();
    return this.#sdrs;
  }

  async #repository(): Promise<Result<Sdrs, BmcError>> {
    const listener = new SdrListener(this.#bmc);
    const limits = { replyBytesMax: REPLY_BYTES_MAX, windowMax: 1 };
    const isStopped = (): boolean => this.#isStopped;
    const list = await runSteps(listener, readRepository(limits), { isStopped });
    return list.ok ? ok({ list: list.value, bytes: listener.bytes() }) : err(list.error);
  }
}

/** Bytes inside (raw data of records) become hex; one entry of a list a line keeps long lists readable. */
export function documentText(document: unknown, redactor: Redactor): string {
  const plain: unknown = JSON.parse(
    JSON.stringify(document ?? null, (_, value) =>
      value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value,
    ),
  );
  return `${JSON.stringify(redactor.document(plain), null, 1)}\n`;
}
