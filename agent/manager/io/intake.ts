/**
 * Takes parcels: each is checked, kept together with those that came at the same time, and answered with R1, R2 or why not.
 *
 * Invariants: nothing is answered `kept` before the transaction that has it is durable; a parcel that is wrong does not hold up
 * the others of its request; what is known to be delivered is answered with its receipt and relayed no more. Bounded: above
 * `PENDING_MAX` parcels in memory, or `keptMax` in the store, callers are told to go around.
 */
import { err, ok, type Result } from "../../../core/result.ts";
import { verifyParcel } from "../../callhome/parcel-check.ts";
import {
  type Parcel,
  type ParcelResult,
  parcelSchema,
  parcelsRequestSchema,
  type Receipt,
} from "../../callhome/protocol.ts";
import { faultOfReceipt } from "../../callhome/receipt-check.ts";
import type { Principal, Verifier } from "../../identity/identity.ts";
import type { Problem } from "../../net/problem.ts";
import type { RelayItem } from "../relay-events.ts";
import { rankOf } from "../severity.ts";
import type { StoreFailure } from "./database.ts";
import type { Incoming, Keeper, Kept } from "./event-tables.ts";
import type { Settlement } from "./settle-tables.ts";
import type { Store } from "./store.ts";

/** Parcels of requests that wait for the store: some 100 MiB at the very most, 20 as events are. */
const PENDING_MAX = 8_192;
/** Of one transaction. */
const BATCH_MAX = 1_024;
/** Requests that come within it share a transaction; it is a small part of what a flush of a disk takes. */
const GATHER_MS = 2;
/** Clocks of a cluster differ by less, or something is wrong with one. */
const FUTURE_MS = 5 * 60_000;
const UNKNOWN_ID = "0".repeat(64);

export interface RelayTaker {
  /** How many it takes at once. */
  room(): number;
  /** Durably kept, claimed for this manager. */
  take(items: readonly (RelayItem & { readonly parcel: string })[]): void;
  /** Kept, and not taken. */
  more(): void;
  /** Went around. */
  withdraw(ids: readonly string[]): void;
}

export interface IntakeParts {
  readonly store: Store;
  readonly verifier: Verifier;
  readonly receiptVerifier: Verifier;
  /** Of this manager. */
  readonly principal: Principal;
  readonly relay: RelayTaker;
  readonly nowMs: () => number;
  readonly owner: string;
  readonly leaseMs: number;
  /** Events that wait in the store. */
  readonly keptCount: () => number;
  readonly keptMax: number;
  readonly onChange: () => void;
  readonly onTaken: (kind: ParcelResult["kind"]) => void;
}

interface Pending {
  readonly incoming: Incoming;
  readonly rank: number;
  readonly around: Settlement | null;
  readonly receipt: Receipt | null;
  readonly answer: (result: Result<ParcelResult, StoreFailure>) => void;
}

function refused(id: string, reason: string, isPermanent: boolean): ParcelResult {
  return { id, kind: "refused", reason, isPermanent };
}

/** What a client may be told of a store that cannot keep. */
export function storeProblem(failure: StoreFailure): Problem {
  if (failure.kind === "full") {
    return {
      kind: "not-kept",
      detail: `the manager's store is full: make room there (${failure.detail})`,
    };
  }
  return {
    kind: "unavailable",
    detail: `the manager's store cannot be used now: ${failure.detail}`,
  };
}

export class Intake {
  readonly #parts: IntakeParts;
  #pending: Pending[] = [];
  #pendingCount = 0;
  #isFlushing = false;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  /** Body of `POST /v1/callhome/parcels`. */
  async take(body: unknown, caller: Principal): Promise<Result<readonly ParcelResult[], Problem>> {
    const request = parcelsRequestSchema.safeParse(body);
    if (!request.success) {
      const issue = request.error.issues[0];
      const where =
        issue === undefined || issue.path.length === 0 ? "the body" : issue.path.join(".");
      return err({
        kind: "bad-request",
        detail: `${where}: ${issue?.message ?? "not understood"}`,
      });
    }
    const { parcels } = request.data;
    if (this.#pendingCount + parcels.length > PENDING_MAX) {
      const detail = `${this.#pendingCount} events wait for the manager's store: go around, or come later`;
      return err({ kind: "busy", detail });
    }
    const results = await Promise.all(parcels.map((parcel) => this.#takeOne(parcel, caller)));
    const taken: ParcelResult[] = [];
    for (const result of results) {
      if (!result.ok) return err(storeProblem(result.error));
      this.#parts.onTaken(result.value.kind);
      taken.push(result.value);
    }
    return ok(taken);
  }

  get pendingCount(): number {
    return this.#pendingCount;
  }

  #takeOne(given: unknown, caller: Principal): Promise<Result<ParcelResult, StoreFailure>> {
    const parsed = parcelSchema.safeParse(given);
    if (!parsed.success) {
      const id = (given as { readonly id?: unknown } | null)?.id;
      const named = typeof id === "string" && /^[0-9a-f]{64}$/.test(id) ? id : UNKNOWN_ID;
      const issue = parsed.error.issues[0];
      const why = `malformed: ${issue?.path.join(".") || "the parcel"}: ${issue?.message ?? "not understood"}`;
      return Promise.resolve(ok(refused(named, why, true)));
    }
    const checked = this.#check(parsed.data, caller);
    if ("kind" in checked) return Promise.resolve(ok(checked));
    return new Promise((answer) => {
      this.#pending.push({ ...checked, answer });
      this.#pendingCount++;
      if (!this.#isFlushing) this.#timer ??= setTimeout(() => void this.#flush(), GATHER_MS);
    });
  }

  #check(parcel: Parcel, caller: Principal): ParcelResult | Omit<Pending, "answer"> {
    const { verifier, receiptVerifier, principal, nowMs, keptCount, keptMax } = this.#parts;
    const { id, envelope, trail, around } = parcel;
    const checked = verifyParcel(parcel, verifier);
    if (!checked.ok) return refused(id, checked.error, true);
    const { statement } = checked.value;
    if (statement.cluster !== principal.cluster) {
      const why = `of cluster ${statement.cluster}, this manager is of ${principal.cluster}`;
      return refused(id, why, true);
    }
    const aheadMs = Math.max(statement.signedMs, statement.event.seenMs) - nowMs();
    if (aheadMs > FUTURE_MS) {
      const why = `signed ${Math.round(aheadMs / 1000)} s in the future: set the clock of ${statement.node}`;
      return refused(id, why, false);
    }
    const fault =
      around === undefined
        ? null
        : faultOfReceipt(around.receipt, receiptVerifier, principal.cluster);
    if (fault !== null || (around !== undefined && around.receipt.id !== id)) {
      return refused(id, fault ?? "the receipt beside it is of another event", true);
    }
    if (around === undefined && keptCount() >= keptMax) {
      return refused(id, `the manager holds ${keptMax} events that wait: go around it`, false);
    }
    const broughtBy =
      caller.role === "agent" && caller.name !== statement.node ? caller.name : null;
    const incoming = { id, statement, envelope: JSON.stringify(envelope), trail, broughtBy };
    return {
      incoming,
      rank: rankOf(statement.event.severity),
      receipt: around?.receipt ?? null,
      around:
        around === undefined
          ? null
          : {
              id,
              atMs: nowMs(),
              outcome: { kind: "delivered", receipt: around.receipt, path: around.path },
            },
    };
  }

  async #flush(): Promise<void> {
    this.#timer = null;
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    while (this.#pending.length > 0) {
      const batch = this.#pending.splice(0, BATCH_MAX);
      await this.#keep(batch);
      this.#pendingCount -= batch.length;
    }
    this.#isFlushing = false;
  }

  async #keep(batch: readonly Pending[]): Promise<void> {
    const told = batch.filter(({ around }) => around !== null);
    const others = batch.filter(({ around }) => around === null);
    try {
      if (others.length > 0) await this.#keepOthers(others);
      if (told.length > 0) await this.#keepTold(told);
    } catch (cause) {
      // A defect: whoever waits is told, the next batch goes on.
      const detail = cause instanceof Error ? cause.message : String(cause);
      for (const { answer } of batch) answer(err({ kind: "away", detail }));
      throw cause;
    } finally {
      this.#parts.onChange();
    }
  }

  async #keepOthers(batch: readonly Pending[]): Promise<void> {
    const { store, relay } = this.#parts;
    const kept = await store.keep(
      batch.map(({ incoming }) => incoming),
      this.#keeper(relay.room()),
    );
    if (!kept.ok) {
      for (const { answer } of batch) answer(kept);
      return;
    }
    batch.forEach(({ answer }, index) => {
      const one = kept.value[index];
      if (one !== undefined) answer(ok(resultOf(one)));
    });
    this.#handOver(batch, kept.value);
  }

  #handOver(batch: readonly Pending[], kept: readonly Kept[]): void {
    const taken: (RelayItem & { readonly parcel: string })[] = [];
    let more = false;
    batch.forEach(({ incoming, rank }, index) => {
      const one = kept[index];
      if (one?.kind !== "new") return;
      if (one.isTaken) taken.push({ id: one.id, seq: one.seq, rank, parcel: parcelText(incoming) });
      else more = true;
    });
    if (taken.length > 0) this.#parts.relay.take(taken);
    if (more) this.#parts.relay.more();
  }

  async #keepTold(batch: readonly Pending[]): Promise<void> {
    const { store, relay } = this.#parts;
    const settlements = batch.flatMap(({ around }) => (around === null ? [] : [around]));
    const incoming = batch.map((pending) => pending.incoming);
    const settled = await store.keepSettled(incoming, this.#keeper(0), settlements);
    for (const { answer, receipt, incoming: one } of batch) {
      if (!settled.ok) answer(settled);
      else if (receipt !== null) {
        answer(ok({ id: one.id, kind: "delivered", receipt, isDuplicate: true }));
      }
    }
    if (settled.ok) relay.withdraw(settlements.map(({ id }) => id));
  }

  #keeper(takes: number): Keeper {
    const { principal, owner, nowMs, leaseMs } = this.#parts;
    return { manager: principal.name, owner, nowMs: nowMs(), leaseMs, takes };
  }
}

function resultOf(kept: Kept): ParcelResult {
  const { id } = kept;
  if (kept.kind === "new" || kept.state === "kept") return { id, kind: "kept" };
  if (kept.receipt !== null) {
    return { id, kind: "delivered", receipt: kept.receipt, isDuplicate: true };
  }
  return refused(id, kept.reason ?? "the destination does not take it", true);
}

/** As it is sent on; the envelope just as it came. */
export function parcelText({
  id,
  envelope,
  trail,
}: Pick<Incoming, "id" | "envelope" | "trail">): string {
  return `{"id":"${id}","envelope":${envelope},"trail":${JSON.stringify(trail)}}`;
}
