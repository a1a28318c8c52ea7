/**
 * Runs the delivery machine: what it asks for is done, and what comes of it is told to it. Nothing here decides.
 *
 * `event → step → effects`, one event at a time, effects in their order. Every request is answered to the machine exactly once,
 * whatever happens to it. An answer is believed only where a receipt is the destination's own. Who is sent to is found by
 * name: of a manager its URL, of a peer the node's id.
 */
import { unreachable } from "../../../core/assert.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import type {
  DeliveryEffect,
  DeliveryEvent,
  DeliveryMachine,
  DeliveryStep,
  Path,
  QueuedEvent,
  Raised,
} from "../delivery-events.ts";
import type { Ledger } from "../ledger.ts";
import type { Outbox, OutboxEntry } from "../outbox.ts";
import {
  PARCELS_BYTES_MAX,
  PARCELS_MAX,
  type Parcel,
  type ParcelResult,
  type ParcelsAnswer,
  parcelSchema,
  type Receipt,
  type ReceiptLine,
} from "../protocol.ts";
import {
  type Caller,
  type CallFailure,
  postDigest,
  postParcels,
  type Target,
} from "./parcels-client.ts";

type Send = Extract<DeliveryEffect, { kind: "send" }>;
type AskDigest = Extract<DeliveryEffect, { kind: "ask-digest" }>;

export interface SenderParts {
  /** This node's name, first hop of each parcel. */
  readonly node: string;
  readonly machine: DeliveryMachine;
  readonly outbox: Outbox;
  readonly ledger: Ledger;
  readonly caller: Caller;
  readonly clock: Clock;
  readonly log: Log;
  /** null: there is none. */
  readonly destination: string | null;
  /** null: it is the destination's; else why not. */
  readonly faultOf: (receipt: Receipt) => string | null;
  /** URL of a peer's agent; null: it is not known any more. */
  readonly peerUrl: (name: string) => string | null;
  readonly onRaised: (raised: Raised) => void;
  readonly onFindPeers: () => void;
  /** After each step of the machine. */
  readonly onStepped: () => void;
  /** Something has been delivered around the managers: they are told once they are back. */
  readonly onDelivered: (id: string, receipt: Receipt, path: Path | null) => void;
}

/** An agent takes bodies of 1 MiB; an envelope is at most 400 KiB. */
const PEER_BYTES_MAX = 900 * 1024;
/** Room for what JSON puts between envelopes. */
const FRAME_BYTES = 512;

export function nameOfPath(path: Path | null): string {
  if (path === null) return "an unknown path";
  return path.kind === "direct" ? "the direct way" : `${path.kind} ${path.name}`;
}

export class Sender {
  readonly #parts: SenderParts;
  readonly #inbox: DeliveryEvent[] = [];
  /** Of what is open: when it was queued, and the path of its last step, for the line that says that it is delivered. */
  readonly #queuedMs: Map<string, number> = new Map();
  readonly #lastPath: Map<string, Path> = new Map();
  readonly #underWay: Set<Promise<void>> = new Set();
  #isStepping = false;
  #isStopped = false;
  #timer: Timer | null = null;
  #timerAtMs: number = Number.POSITIVE_INFINITY;

  constructor(parts: SenderParts) {
    this.#parts = parts;
  }

  tell(event: DeliveryEvent): void {
    if (this.#isStopped) return;
    this.#inbox.push(event);
    if (this.#isStepping) return;
    this.#isStepping = true;
    const { machine, clock } = this.#parts;
    try {
      for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
        this.#note(next);
        for (const effect of machine.step(next, clock.nowMs())) this.#perform(effect);
      }
    } finally {
      this.#isStepping = false;
    }
    this.#arm();
    this.#parts.onStepped();
  }

  /** What a manager's stream says. A receipt that is not the destination's is said and passed over. */
  hear(manager: string, line: ReceiptLine): void {
    if (line.kind === "beat") {
      this.tell({ kind: "beat", manager, epoch: line.epoch, canRelay: line.canRelay });
    } else if (line.kind === "not-relayed") {
      const { id, reason, isPermanent = false } = line;
      this.tell({ kind: "not-relayed", manager, id, reason, isPermanent });
    } else {
      const fault = this.#parts.faultOf(line.receipt);
      if (fault === null) this.tell({ kind: "receipt", manager, receipt: line.receipt });
      else this.#parts.log.say("fault", `manager ${manager}: ${fault}; it is not taken`);
    }
  }

  /** Nothing is sent any more; what is under way is waited for, shortly. */
  async stop(withinMs: number): Promise<void> {
    this.#isStopped = true;
    this.#timer?.end();
    const { clock } = this.#parts;
    await new Promise<void>((resolve) => {
      const timer = clock.after(withinMs, resolve);
      void Promise.allSettled([...this.#underWay]).then(() => {
        timer.end();
        resolve();
      });
    });
  }

  #note(event: DeliveryEvent): void {
    if (event.kind !== "queued" && event.kind !== "restored") return;
    for (const { id, queuedMs } of event.events) this.#queuedMs.set(id, queuedMs);
  }

  #perform(effect: DeliveryEffect): void {
    const { ledger, clock, log } = this.#parts;
    switch (effect.kind) {
      case "send":
        this.#track(this.#send(effect));
        break;
      case "ask-digest":
        this.#track(this.#askDigest(effect));
        break;
      case "record":
        this.#noteStep(effect.step);
        ledger.append(effect.step, clock.wallMs());
        break;
      case "close":
        this.#close(effect);
        break;
      case "raise":
        this.#parts.onRaised(effect.raised);
        break;
      case "find-peers":
        this.#parts.onFindPeers();
        break;
      case "say":
        log.say(effect.level, effect.text);
        break;
      default:
        unreachable(effect, "effect of delivery");
    }
  }

  #noteStep({ id, step, path }: DeliveryStep): void {
    if (path !== null && (step === "sent" || step === "kept" || step === "delivered")) {
      if (this.#queuedMs.has(id)) this.#lastPath.set(id, path);
    }
  }

  #close({ id, as, receipt }: Extract<DeliveryEffect, { kind: "close" }>): void {
    const { outbox, log, clock } = this.#parts;
    const path = this.#lastPath.get(id) ?? null;
    const queuedMs = this.#queuedMs.get(id);
    this.#lastPath.delete(id);
    this.#queuedMs.delete(id);
    const short = id.slice(0, 12);
    if (as === "delivered" && receipt !== null) {
      const after =
        queuedMs === undefined ? "" : `, ${Math.round(clock.nowMs() - queuedMs)} ms after it came`;
      log.say(
        "event",
        `event ${short} is delivered by ${nameOfPath(path)}: ticket ${receipt.ticket}${after}`,
      );
      this.#parts.onDelivered(id, receipt, path);
    }
    if (as === "refused") {
      log.say("fault", `event ${short} is refused for good: see holdfast callhome show ${short}`);
    }
    outbox.close(id, as);
  }

  #track(work: Promise<void>): void {
    this.#underWay.add(work);
    void work.finally(() => this.#underWay.delete(work));
  }

  #targetOf(path: Path): Target | null {
    if (path.kind === "manager") return { role: "manager", url: path.name };
    const url = path.kind === "direct" ? this.#parts.destination : this.#parts.peerUrl(path.name);
    if (url === null) return null;
    return { role: path.kind === "direct" ? "destination" : "agent", url };
  }

  async #send(effect: Send): Promise<void> {
    const { request, path, ids, timeoutMs } = effect;
    const target = this.#targetOf(path);
    if (target === null) {
      this.#fail(request, noTarget(path));
      return;
    }
    const parcels = await this.#parcelsOf(ids);
    const startMs = this.#parts.clock.nowMs();
    const results: ParcelResult[] = parcels.missing.map(gone);
    let epoch = "";
    const bytesMax = target.role === "agent" ? PEER_BYTES_MAX : PARCELS_BYTES_MAX;
    for (const chunk of chunked(parcels.found, bytesMax)) {
      const leftMs = timeoutMs - (this.#parts.clock.nowMs() - startMs);
      const answer = await postParcels(this.#parts.caller, target, chunk, leftMs);
      if (!answer.ok) {
        this.#partly(request, epoch, results, answer.error);
        return;
      }
      epoch = answer.value.epoch;
      results.push(...this.#believed(chunk, answer.value));
    }
    this.tell({ kind: "answered", request, epoch, results });
  }

  /** Later chunks failed: those before are told, the rest is as if this one had turned them away for now. */
  #partly(
    request: number,
    epoch: string,
    results: readonly ParcelResult[],
    failure: CallFailure,
  ): void {
    if (results.length === 0) this.#fail(request, failure);
    else this.tell({ kind: "answered", request, epoch, results });
  }

  #fail(request: number, { failure, detail, retryAfterMs }: CallFailure): void {
    this.tell({ kind: "failed", request, failure, detail, retryAfterMs });
  }

  /** Only about what was asked, once each; receipts that are not the destination's are turned away. */
  #believed(parcels: readonly Parcel[], answer: ParcelsAnswer): readonly ParcelResult[] {
    const byId = new Map(answer.results.map((result) => [result.id, result]));
    return parcels.map(({ id }) => {
      const result = byId.get(id);
      if (result === undefined) {
        return { id, kind: "refused", reason: "the answer says nothing of it", isPermanent: false };
      }
      if (result.kind !== "delivered") return result;
      const fault =
        result.receipt.id === id
          ? this.#parts.faultOf(result.receipt)
          : "the receipt is of another event";
      if (fault === null) return result;
      this.#parts.log.say("fault", `${answer.name}: ${fault}; it is not taken`);
      return { id, kind: "refused", reason: fault, isPermanent: false };
    });
  }

  #parcelsOf(
    ids: readonly string[],
  ): Promise<{ readonly found: readonly Parcel[]; readonly missing: readonly string[] }> {
    const { outbox, node, clock } = this.#parts;
    return new Promise((resolve) => {
      outbox.read(ids, (bytes) => {
        const found: Parcel[] = [];
        const missing: string[] = [];
        const trail = [{ kind: "origin", name: node, atMs: clock.wallMs() }] as const;
        for (const id of ids) {
          const parcel = parcelOf(id, bytes.get(id), trail);
          if (parcel === null) missing.push(id);
          else found.push(parcel);
        }
        resolve({ found, missing });
      });
    });
  }

  async #askDigest(effect: AskDigest): Promise<void> {
    const { request, path, ids, timeoutMs } = effect;
    const target = this.#targetOf(path);
    if (target === null) {
      this.#fail(request, noTarget(path));
      return;
    }
    const answer = await postDigest(this.#parts.caller, target, ids, timeoutMs);
    if (!answer.ok) {
      this.#fail(request, answer.error);
      return;
    }
    const asked = new Set(ids);
    const states = answer.value.states
      .filter(({ id }) => asked.has(id))
      .map((state) => {
        const { receipt } = state;
        const isGood =
          receipt !== null && receipt.id === state.id && this.#parts.faultOf(receipt) === null;
        return isGood || state.state !== "delivered"
          ? state
          : ({ ...state, state: "unknown", receipt: null } as const);
      });
    this.tell({ kind: "digest", request, states });
  }

  #arm(): void {
    const { machine, clock } = this.#parts;
    const dueMs = machine.dueMs();
    if (this.#timer !== null && dueMs === this.#timerAtMs) return;
    this.#timer?.end();
    this.#timer = null;
    this.#timerAtMs = dueMs;
    if (dueMs === Number.POSITIVE_INFINITY || this.#isStopped) return;
    this.#timer = clock.after(Math.max(0, dueMs - clock.nowMs()), () => {
      this.#timer = null;
      if (clock.nowMs() >= machine.dueMs()) this.tell({ kind: "tick" });
      else this.#arm();
    });
  }
}

function noTarget(path: Path): CallFailure {
  const detail = `${nameOfPath(path)} is not known here any more`;
  return { failure: "unreachable", detail, retryAfterMs: null };
}

/** It was closed while the request was made. */
function gone(id: string): ParcelResult {
  const reason = "it is not in the outbox any more";
  return { id, kind: "refused", reason, isPermanent: false };
}

export function parcelOf(
  id: string,
  bytes: Uint8Array | undefined,
  trail: Parcel["trail"],
): Parcel | null {
  if (bytes === undefined) return null;
  try {
    const parsed = parcelSchema.safeParse({
      id,
      envelope: JSON.parse(new TextDecoder().decode(bytes)),
      trail,
    });
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

/** Within the limits of one request. */
export function chunked(
  parcels: readonly Parcel[],
  bytesMax: number,
): readonly (readonly Parcel[])[] {
  const chunks: Parcel[][] = [];
  let bytes = 0;
  for (const parcel of parcels) {
    const size = FRAME_BYTES + parcel.envelope.payload.length + signatureCharacters(parcel);
    const last = chunks.at(-1);
    if (last === undefined || last.length >= PARCELS_MAX || bytes + size > bytesMax) {
      chunks.push([parcel]);
      bytes = size;
    } else {
      last.push(parcel);
      bytes += size;
    }
  }
  return chunks;
}

function signatureCharacters({ envelope }: Parcel): number {
  return envelope.signatures.reduce(
    (sum, { sig, cert }) => sum + sig.length + cert.length + 128,
    0,
  );
}

/** What a person's `retry` gives to the machine, and what the outbox had open at the start. */
export function queuedEventOf(entry: OutboxEntry, clock: Clock): QueuedEvent {
  const { id, urgency, isByEveryPath, bytes } = entry;
  const agoMs = Math.max(0, clock.wallMs() - entry.queuedWallMs);
  return { id, urgency, isByEveryPath, bytes, queuedMs: clock.nowMs() - agoMs };
}
