/**
 * A simulated manager: keeps parcels durably and then answers R1, relays them, and tells the node R2 on its stream, with beats.
 *
 * It may be killed (what was not on disk is gone), stopped, cut off from the destination, its disk full. After a start it asks
 * the destination what it has before it relays anything, as the real one does.
 */
import type { DigestState } from "../../../agent/callhome/delivery-events.ts";
import type {
  DigestAnswer,
  ParcelResult,
  Receipt,
  ReceiptLine,
} from "../../../agent/callhome/protocol.ts";
import type { Prng } from "../../../agent/runtime/prng.ts";
import type { SimDestination, TakeAnswer } from "./destination.ts";
import { Party, type Wire } from "./wire.ts";

/** One node's open stream. */
export interface Listener {
  readonly node: Party;
  readonly incarnation: number;
  hear(line: ReceiptLine): void;
}

const BEAT_MS = 1_000;
const RELAY_LIMIT_MS = 5_000;
const RELAY_AGAIN_MS = 1_000;
const RELAY_MAX = 256;
const FSYNC_MS = 3;

interface Kept {
  readonly id: string;
  readonly node: string;
  receipt: Receipt | null;
  relayCount: number;
}

export class SimManager {
  readonly party: Party;
  readonly #wire: Wire;
  readonly #destination: SimDestination;
  readonly #random: Prng;
  /** On disk. */
  readonly #kept = new Map<string, Kept>();
  readonly #receipts = new Map<string, { readonly seq: number; readonly receipt: Receipt }[]>();
  #listeners: Listener[] = [];
  #isRelaying = false;
  #canRelay = true;
  isDiskFull = false;
  /** Lies: says R1 and forgets. */
  forgets = false;
  /** Tells whether the destination refused for good; an older one does not. */
  knowsPermanent = true;
  onRelayedAgain: (id: string) => void = () => undefined;
  /** Says nothing of not being able to relay. */
  isSilentOnRelay = false;

  constructor(name: string, wire: Wire, destination: SimDestination, random: Prng) {
    this.party = new Party(name);
    this.#wire = wire;
    this.#destination = destination;
    this.#random = random;
    this.#beat();
  }

  kill(): void {
    this.party.kill();
    this.#isRelaying = false;
    this.#listeners = [];
  }

  start(): void {
    this.party.rise();
    this.#canRelay = true;
    this.#beat();
    const open = [...this.#kept.values()].filter(({ receipt }) => receipt === null);
    if (open.length > 0) this.#reconcile(open.map(({ id }) => id));
  }

  listen(listener: Listener, afterSeq: number): void {
    this.#listeners = this.#listeners.filter(({ node }) => node !== listener.node);
    this.#listeners.push(listener);
    for (const { seq, receipt } of this.#receipts.get(listener.node.name) ?? []) {
      if (seq > afterSeq) this.#tell(listener, { kind: "receipt", seq, receipt });
    }
    this.#beatTo(listener);
  }

  take(node: string, ids: readonly string[], reply: (answer: TakeAnswer) => void): void {
    if (this.isDiskFull) {
      reply({ kind: "busy" });
      return;
    }
    const { incarnation } = this.party;
    this.#wire.time.after(FSYNC_MS + this.#random.unit() * 5, () => {
      if (this.party.incarnation !== incarnation) return;
      this.party.run(() => {
        reply({ kind: "results", epoch: this.#epoch(), results: this.#keep(node, ids) });
        this.#relay();
      });
    });
  }

  digest(ids: readonly string[], reply: (answer: DigestAnswer) => void): void {
    const states = ids.map((id): DigestState => {
      const kept = this.#kept.get(id);
      if (kept === undefined) return { id, state: "unknown", receipt: null };
      const { receipt } = kept;
      return { id, state: receipt === null ? "kept" : "delivered", receipt };
    });
    reply({ states });
  }

  #epoch(): string {
    return `${this.party.name}-${this.party.incarnation}`;
  }

  #keep(node: string, ids: readonly string[]): readonly ParcelResult[] {
    return ids.map((id): ParcelResult => {
      const known = this.#kept.get(id);
      if (known?.receipt)
        return { id, kind: "delivered", receipt: known.receipt, isDuplicate: true };
      if (known === undefined && !this.forgets)
        this.#kept.set(id, { id, node, receipt: null, relayCount: 0 });
      return { id, kind: "kept" };
    });
  }

  #relay(): void {
    if (this.#isRelaying) return;
    const ids: string[] = [];
    for (const kept of this.#kept.values()) {
      if (kept.receipt !== null || ids.length >= RELAY_MAX) continue;
      ids.push(kept.id);
      if (++kept.relayCount > 1) this.onRelayedAgain(kept.id);
    }
    if (ids.length === 0) return;
    this.#isRelaying = true;
    this.#wire.call<TakeAnswer>({
      from: this.party,
      to: this.#destination.party,
      limitMs: RELAY_LIMIT_MS,
      serve: (reply) => this.#destination.take(ids, reply),
      onAnswer: (answer) => this.#onRelayed(answer),
      onFailure: () => this.#again(),
    });
  }

  #onRelayed(answer: TakeAnswer): void {
    if (answer.kind !== "results") {
      this.#again();
      return;
    }
    this.#isRelaying = false;
    this.#canRelay = true;
    for (const result of answer.results) {
      if (result.kind === "delivered") this.#deliver(result.id, result.receipt);
      else if (result.kind === "refused") this.#refuse(result.id, result.reason);
    }
    this.#relay();
  }

  #again(): void {
    this.#isRelaying = false;
    this.#canRelay = false;
    const { incarnation } = this.party;
    this.#wire.time.after(RELAY_AGAIN_MS, () => {
      if (this.party.incarnation !== incarnation) return;
      this.party.run(() => {
        const open = [...this.#kept.values()].filter(({ receipt }) => receipt === null);
        if (open.length > 0) this.#reconcile(open.map(({ id }) => id));
      });
    });
  }

  /** What the destination has is never relayed again. */
  #reconcile(ids: readonly string[]): void {
    if (this.#isRelaying) return;
    this.#isRelaying = true;
    this.#wire.call<DigestAnswer>({
      from: this.party,
      to: this.#destination.party,
      limitMs: RELAY_LIMIT_MS,
      serve: (reply) => this.#destination.digest(ids, reply),
      onAnswer: ({ states }) => {
        this.#isRelaying = false;
        for (const { id, receipt } of states) if (receipt !== null) this.#deliver(id, receipt);
        this.#canRelay = true;
        this.#relay();
      },
      onFailure: () => this.#again(),
    });
  }

  #deliver(id: string, receipt: Receipt): void {
    const kept = this.#kept.get(id);
    if (kept === undefined || kept.receipt !== null) return;
    kept.receipt = receipt;
    const list = this.#receipts.get(kept.node) ?? [];
    this.#receipts.set(kept.node, list);
    const seq = list.length + 1;
    list.push({ seq, receipt });
    this.#tellNode(kept.node, { kind: "receipt", seq, receipt });
  }

  #refuse(id: string, reason: string): void {
    const kept = this.#kept.get(id);
    if (kept === undefined) return;
    this.#kept.delete(id);
    const seq = (this.#receipts.get(kept.node) ?? []).length;
    this.#tellNode(kept.node, {
      kind: "not-relayed",
      seq,
      id,
      reason,
      ...(this.knowsPermanent ? { isPermanent: true } : {}),
    });
  }

  #tellNode(node: string, line: ReceiptLine): void {
    for (const listener of this.#listeners) {
      if (listener.node.name === node) this.#tell(listener, line);
    }
  }

  #tell({ node, incarnation, hear }: Listener, line: ReceiptLine): void {
    this.#wire.time.after(this.#wire.delayMs(), () => {
      if (!this.#wire.isOpen(this.party, node) || node.incarnation !== incarnation) return;
      node.run(() => hear(line));
    });
  }

  #beatTo(listener: Listener): void {
    const seq = (this.#receipts.get(listener.node.name) ?? []).length;
    const canRelay = this.#canRelay || this.isSilentOnRelay;
    this.#tell(listener, { kind: "beat", epoch: this.#epoch(), seq, canRelay });
  }

  #beat(): void {
    const { incarnation } = this.party;
    const next = (): void => {
      if (this.party.incarnation !== incarnation || this.party.life === "killed") return;
      if (this.party.life === "up") for (const listener of this.#listeners) this.#beatTo(listener);
      this.#wire.time.after(BEAT_MS, next);
    };
    this.#wire.time.after(BEAT_MS, next);
  }
}
