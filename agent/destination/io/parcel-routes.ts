/**
 * The side of the destination that nodes and managers speak to: parcels in, receipts out, and digests of what is there.
 *
 * A body is bounded before it is read, read before it is believed, and each parcel answered by itself in the order they came. Who
 * may post was settled by TLS; who saw the error is settled by the signature, so a relay needs no trust.
 */
import { type Context, Hono } from "hono";
import { err, ok, type Result } from "../../../core/result.ts";
import {
  DIGEST_PATH,
  type DigestAnswer,
  digestRequestSchema,
  PARCELS_BYTES_MAX,
  PARCELS_MAX,
  PARCELS_PATH,
  type ParcelResult,
  type ParcelsAnswer,
  parcelsRequestSchema,
  RECEIPT_TYPE,
  type Receipt,
  type ReceiptStatement,
} from "../../callhome/protocol.ts";
import type { Signer, Verifier } from "../../identity/identity.ts";
import { unpack } from "../../net/frames.ts";
import { bodyMax, rateLimit } from "../../net/io/access.ts";
import { type Problem, problemResponse } from "../../net/problem.ts";
import type { Log } from "../../runtime/log.ts";
import { type Judged, judge, REPLAY_HORIZON_MS, type Refusal } from "../judge.ts";
import type { Intake, Taken } from "./intake.ts";
import type { Store } from "./store.ts";

export interface ParcelSetting {
  /** Changes with each start. */
  readonly epoch: string;
  readonly signer: Signer;
  /** Whether receipts carry a signature: those of cluster `local` prove nothing. */
  readonly provesReceipts: boolean;
  readonly verifier: Verifier;
  readonly store: Store;
  readonly intake: Intake;
  readonly log: Log;
  readonly nowMs: () => number;
}

const REQUESTS = { perSecond: 5_000, burst: 10_000 } as const;
/** Refusals said one by one; of more only the number. */
const SAID_PER_MINUTE = 30;

type JudgedOrNot = Result<Judged, Refusal>;

/** A digest is asked for by hundreds of ids; a receipt for each is signed once in so many. */
class ReceiptMaker {
  readonly #setting: ParcelSetting;

  constructor(setting: ParcelSetting) {
    this.#setting = setting;
  }

  /** The same statement each time, so a duplicate has the first receipt, signed with the key of today. */
  make(id: string, ticket: string, receivedMs: number): Receipt {
    const { signer, provesReceipts } = this.#setting;
    const destination = signer.principal.name;
    if (!provesReceipts) return { id, destination, ticket, receivedMs, proof: null };
    const statement: ReceiptStatement = { v: 1, id, destination, ticket, receivedMs };
    const bytes = new TextEncoder().encode(JSON.stringify(statement));
    return { id, destination, ticket, receivedMs, proof: signer.sign(RECEIPT_TYPE, bytes) };
  }
}

function tooBusy(detail: string): Response {
  const response = problemResponse({ kind: "busy", detail });
  response.headers.set("retry-after", "1");
  return response;
}

class ParcelRoutes {
  readonly #setting: ParcelSetting;
  readonly #receipts: ReceiptMaker;
  #saidMinute = 0;
  #saidCount = 0;

  constructor(setting: ParcelSetting) {
    this.#setting = setting;
    this.#receipts = new ReceiptMaker(setting);
  }

  async parcels(context: Context): Promise<Response> {
    const { intake, signer, epoch } = this.#setting;
    if (intake.isFull) return tooBusy("too many events wait to be written: come again");
    const read = await readBody(context);
    if (!read.ok) return problemResponse(read.error);
    const request = parcelsRequestSchema.safeParse(read.value);
    if (!request.success) {
      const detail = `expected {"parcels": […]} with 1 to ${PARCELS_MAX} of them`;
      return problemResponse({ kind: "bad-request", detail });
    }
    const judged = this.#judge(request.data.parcels);
    const good = judged.flatMap((one) => (one.ok ? [one.value] : []));
    const taken = good.length === 0 ? ok([]) : await intake.take(good);
    if (!taken.ok) {
      const detail = `no event of these is kept: ${taken.error.detail}`;
      return problemResponse({ kind: "not-kept", detail });
    }
    const answer: ParcelsAnswer = {
      name: signer.principal.name,
      epoch,
      results: this.#results(judged, taken.value),
    };
    return context.json(answer);
  }

  async digest(context: Context): Promise<Response> {
    const { store } = this.#setting;
    const read = await readBody(context);
    if (!read.ok) return problemResponse(read.error);
    const request = digestRequestSchema.safeParse(read.value);
    if (!request.success) {
      const detail = 'expected {"ids": […]} with at most 4096 event ids of 64 hex digits';
      return problemResponse({ kind: "bad-request", detail });
    }
    const answer: DigestAnswer = {
      states: request.data.ids.map((id) => {
        const kept = store.receipt(id);
        if (kept === null) return { id, state: "unknown", receipt: null };
        const receipt = this.#receipts.make(id, kept.ticketId, kept.receivedMs);
        return { id, state: "delivered", receipt };
      }),
    };
    return context.json(answer);
  }

  #judge(parcels: readonly unknown[]): readonly JudgedOrNot[] {
    const { verifier, store, nowMs } = this.#setting;
    const now = nowMs();
    const horizonMs = Math.max(now, store.floorMs + 1) - REPLAY_HORIZON_MS;
    return parcels.map((parcel) => judge(parcel, { verifier, nowMs: now, horizonMs }));
  }

  #results(judged: readonly JudgedOrNot[], taken: readonly Taken[]): readonly ParcelResult[] {
    let next = 0;
    return judged.flatMap((one): readonly ParcelResult[] => {
      if (!one.ok) return this.#refused(one.error);
      const result = taken[next++];
      if (result === undefined) return [];
      if (result.kind === "refused") return this.#refused(result.refusal);
      const { ticketId, receivedMs, isDuplicate } = result;
      const { id } = one.value.parcel;
      const receipt = this.#receipts.make(id, ticketId, receivedMs);
      return [{ id, kind: "delivered", receipt, isDuplicate }];
    });
  }

  /** Without an id nobody could tell which one is meant. */
  #refused(refusal: Refusal): readonly ParcelResult[] {
    this.#say(refusal);
    if (refusal.id === null) return [];
    const { id, reason, isPermanent } = refusal;
    return [{ id, kind: "refused", reason: reason.slice(0, 2_000), isPermanent }];
  }

  #say({ id, reason }: Refusal): void {
    const { log, nowMs } = this.#setting;
    const minute = Math.floor(nowMs() / 60_000);
    if (minute !== this.#saidMinute) {
      const unsaid = this.#saidCount - SAID_PER_MINUTE;
      if (unsaid > 0) log.say("fault", `${unsaid} more parcels were refused within that minute`);
      this.#saidMinute = minute;
      this.#saidCount = 0;
    }
    this.#saidCount++;
    if (this.#saidCount > SAID_PER_MINUTE) return;
    log.say("fault", `refused a parcel${id === null ? "" : ` ${id.slice(0, 12)}`}: ${reason}`);
  }
}

/** JSON, or the same as MessagePack where the content type says so. */
async function readBody(context: Context): Promise<Result<unknown, Problem>> {
  const type = (context.req.header("content-type") ?? "").toLowerCase();
  try {
    if (type.includes("msgpack")) {
      const value = unpack(new Uint8Array(await context.req.arrayBuffer()));
      return value.ok ? value : err({ kind: "bad-request", detail: `the body is ${value.error}` });
    }
    return ok(JSON.parse(await context.req.text()));
  } catch (cause) {
    if (cause instanceof SyntaxError) {
      return err({ kind: "bad-request", detail: `the body is not JSON: ${cause.message}` });
    }
    return err({ kind: "bad-request", detail: "the body broke off" });
  }
}

export function parcelRoutes(setting: ParcelSetting): Hono {
  const routes = new ParcelRoutes(setting);
  const app = new Hono();
  const limits = [rateLimit(REQUESTS), bodyMax(PARCELS_BYTES_MAX)] as const;
  app.post(PARCELS_PATH, ...limits, (context) => routes.parcels(context));
  app.post(DIGEST_PATH, ...limits, (context) => routes.digest(context));
  return app;
}
