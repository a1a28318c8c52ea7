/**
 * The simulated destination: one ticket an id, the first receipt for each duplicate, everything durable before it is answered.
 *
 * It may be slow, refuse some ids for good, or be too busy; it counts each arrival, which is what duplicates are judged by.
 */
import type { DigestAnswer, ParcelResult, Receipt } from "../../../agent/callhome/protocol.ts";
import type { Prng } from "../../../agent/runtime/prng.ts";
import { Party, type Wire } from "./wire.ts";

export type TakeAnswer =
  | { readonly kind: "results"; readonly epoch: string; readonly results: readonly ParcelResult[] }
  | { readonly kind: "busy" }
  /** The whole request, as a proxy or an older version may do. */
  | { readonly kind: "rejected" };

export class SimDestination {
  readonly party: Party = new Party("d");
  readonly #wire: Wire;
  readonly #random: Prng;
  readonly #receipts = new Map<string, Receipt>();
  readonly arrivals: Map<string, number> = new Map();
  readonly firstMs: Map<string, number> = new Map();
  readonly poison: Set<string> = new Set();
  /** Requests with one of these are rejected as a whole. */
  readonly unreadable: Set<string> = new Set();
  slowMs = 0;
  isBusy = false;
  #tickets = 0;
  onArrival: (id: string) => void = () => undefined;
  /** Defect: a ticket for every arrival. */
  makesSecondTickets = false;
  /** Defect: gives a receipt and keeps nothing. */
  forgets = false;
  /** Defect: so many arrivals of each. */
  copies = 1;
  readonly tickets: Map<string, string[]> = new Map();

  constructor(wire: Wire, random: Prng) {
    this.#wire = wire;
    this.#random = random;
  }

  take(ids: readonly string[], reply: (answer: TakeAnswer) => void): void {
    const workMs = 1 + this.#random.unit() * 4 + this.slowMs;
    const { incarnation } = this.party;
    this.#wire.time.after(workMs, () => {
      if (this.party.incarnation !== incarnation) return;
      this.party.run(() => reply(this.#process(ids)));
    });
  }

  digest(ids: readonly string[], reply: (answer: DigestAnswer) => void): void {
    const states = ids.map((id) => {
      const receipt = this.#receipts.get(id) ?? null;
      const state = receipt === null ? ("unknown" as const) : ("delivered" as const);
      return { id, state, receipt };
    });
    reply({ states });
  }

  has(id: string): boolean {
    return this.#receipts.has(id);
  }

  #process(ids: readonly string[]): TakeAnswer {
    if (this.isBusy) return { kind: "busy" };
    if (ids.some((id) => this.unreadable.has(id))) return { kind: "rejected" };
    const results = ids.map((id): ParcelResult => {
      if (this.poison.has(id)) {
        return { id, kind: "refused", reason: "its signature does not hold", isPermanent: true };
      }
      const isDuplicate = this.#receipts.has(id);
      this.arrivals.set(id, (this.arrivals.get(id) ?? 0) + this.copies);
      if (!isDuplicate || this.makesSecondTickets) this.#open(id);
      this.onArrival(id);
      const receipt = this.#receipts.get(id) as Receipt;
      if (this.forgets) this.#receipts.delete(id);
      return { id, kind: "delivered", receipt, isDuplicate };
    });
    return { kind: "results", epoch: "d", results };
  }

  #open(id: string): void {
    const ticket = `T${++this.#tickets}`;
    const receivedMs = this.#wire.time.nowMs();
    this.#receipts.set(id, { id, destination: "d", ticket, receivedMs, proof: null });
    this.tickets.set(id, [...(this.tickets.get(id) ?? []), ticket]);
    if (!this.firstMs.has(id)) this.firstMs.set(id, receivedMs);
  }
}
