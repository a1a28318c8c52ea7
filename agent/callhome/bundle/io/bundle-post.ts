/**
 * Takes bundles to where they are to be: this node's own, and those of others that it keeps for them, each over the paths in order.
 *
 * One at a time, since bundles are large and events go first. A target that cannot be reached is passed over for the next; when none takes
 * it, it is tried again after a wait. What a manager or a peer keeps is asked after until the destination has it.
 */
import type { Log } from "../../../runtime/log.ts";
import { ASK_EVERY_MS, GIVE_UP_MS, waitMs } from "../shelf.ts";
import type { UploadOffer } from "../upload.ts";
import { askWhere, type BundleTarget, type SendOutcome, sendBundle } from "./upload-client.ts";

/** Something to be taken somewhere, and where its standing is written down. */
export interface Consignment {
  readonly path: string;
  readonly offer: UploadOffer;
  readonly begunMs: number;
  readonly keptBy: string | null;
  readonly tries: number;
  readonly nextMs: number;
  /** Peers pass nothing on to peers. */
  readonly isForOthers: boolean;
  note(standing: Standing): Promise<void>;
}

export interface Standing {
  readonly state: "to-send" | "kept" | "delivered" | "failed";
  readonly detail: string;
  readonly keptBy: string | null;
  readonly tries: number;
  readonly nextMs: number;
}

export interface PostParts {
  readonly targets: () => readonly BundleTarget[];
  readonly waiting: () => readonly Consignment[];
  readonly log: Log;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly lookEveryMs?: number;
}

const LOOK_EVERY_MS = 2_000;

export class BundlePost {
  readonly #parts: PostParts;
  readonly #stop = new AbortController();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #round: Promise<void> = Promise.resolve();
  #isRunning = false;

  constructor(parts: PostParts) {
    this.#parts = parts;
  }

  begin(): void {
    this.touch();
  }

  /** Looks now. */
  touch(): void {
    if (this.#stop.signal.aborted || this.#isRunning) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#isRunning = true;
    this.#round = this.#look().finally(() => {
      this.#isRunning = false;
      const everyMs = this.#parts.lookEveryMs ?? LOOK_EVERY_MS;
      if (!this.#stop.signal.aborted) this.#timer = setTimeout(() => this.touch(), everyMs);
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#round;
  }

  async #look(): Promise<void> {
    for (const one of this.#parts.waiting()) {
      if (this.#stop.signal.aborted) return;
      if (one.nextMs > this.#parts.nowMs()) continue;
      await (one.keptBy === null ? this.#send(one) : this.#askAfter(one, one.keptBy));
    }
  }

  async #send(one: Consignment): Promise<void> {
    const { targets, nowMs, log } = this.#parts;
    const chosen = targets().filter(({ kind }) => kind !== "peer" || !one.isForOthers);
    const why: string[] = [];
    for (const target of chosen) {
      if (this.#stop.signal.aborted) return;
      const { signal } = this.#stop;
      const outcome = await sendBundle(one.path, one.offer, target, { signal });
      if (outcome.kind === "kept" || outcome.kind === "delivered") {
        return this.#arrived(one, target, outcome);
      }
      why.push(outcome.detail);
    }
    if (this.#stop.signal.aborted) return;
    const detail = why.length === 0 ? "no way is known" : why.join("; ");
    const tries = one.tries + 1;
    if (nowMs() - one.begunMs > GIVE_UP_MS) {
      log.say("fault", `service data of ${one.offer.node} was not delivered in 7 days: ${detail}`);
      const nextMs = Number.MAX_SAFE_INTEGER;
      return one.note({ state: "failed", detail, keptBy: null, tries, nextMs });
    }
    const nextMs = nowMs() + waitMs(tries, this.#parts.random());
    await one.note({ state: "to-send", detail, keptBy: null, tries, nextMs });
  }

  async #arrived(one: Consignment, target: BundleTarget, outcome: SendOutcome): Promise<void> {
    const { log, nowMs } = this.#parts;
    const { node, event } = one.offer;
    const isDelivered = outcome.kind === "delivered";
    const by = `${target.kind} ${target.name}`;
    const where = isDelivered ? `is with the destination, by ${by}` : `is kept by ${by}`;
    log.say("event", `service data of ${node} for event ${event.slice(0, 12)} ${where}`);
    await one.note({
      state: isDelivered ? "delivered" : "kept",
      detail: where,
      keptBy: isDelivered ? null : target.name,
      tries: 0,
      nextMs: nowMs() + ASK_EVERY_MS,
    });
  }

  async #askAfter(one: Consignment, keptBy: string): Promise<void> {
    const { targets, nowMs } = this.#parts;
    const target = targets().find(({ name }) => name === keptBy);
    const nextMs = nowMs() + ASK_EVERY_MS;
    const { signal } = this.#stop;
    const where = target === undefined ? null : await askWhere(one.offer.digest, target, signal);
    if (where === "delivered") {
      const detail = `is with the destination, by ${keptBy}`;
      return one.note({ state: "delivered", detail, keptBy: null, tries: 0, nextMs });
    }
    if (where === "unknown" || where === "partial") {
      const detail = `${keptBy} has forgotten it; it is sent anew`;
      return one.note({ state: "to-send", detail, keptBy: null, tries: 0, nextMs: 0 });
    }
    const detail = `is kept by ${keptBy}${where === null ? ", who does not answer" : ""}`;
    await one.note({ state: "kept", detail, keptBy, tries: one.tries, nextMs });
  }
}
