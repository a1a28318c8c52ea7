/**
 * Sends one test event by each path, one after the other, and says of each hop what happened and how long it took.
 *
 * Goes past the outbox and the delivery machine, so that each path is tried though another one works. It is one event with one
 * id, so the destination opens one ticket, which it closes at once, and answers the later paths with it.
 */
import type { BmcEvent } from "../../../bmc/bmc.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import type { Signer } from "../../identity/identity.ts";
import type { Clock } from "../../runtime/clock.ts";
import { ANSWER_MS, R2_MS } from "../delivery-events.ts";
import type { Parcel, Receipt } from "../protocol.ts";
import { type Caller, postDigest, postParcels, type Target } from "./parcels-client.ts";
import type { Peer, PeersFinder } from "./peers-finder.ts";
import { signEvent } from "./sender-intake.ts";

const POLL_MS = 100;
const PEERS_ASKED_MAX = 32;

export interface HopLine {
  readonly path: "manager" | "direct" | "peer";
  /** URL or node. */
  readonly name: string;
  /** `kept`: R1. `ticket`: R2. */
  readonly hop: "kept" | "ticket" | "failed" | "none";
  /** From sending on. */
  readonly ms: number;
  readonly detail: string;
  readonly ticket: string | null;
}

export interface PathTestEnd {
  readonly isOver: true;
  readonly id: string;
  /** Different ones; more than one is a defect. */
  readonly tickets: readonly string[];
  readonly worked: number;
  readonly tried: number;
}

export interface PathTestParts {
  readonly node: string;
  readonly managers: readonly string[];
  readonly destination: string | null;
  readonly caller: Caller;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly finder: PeersFinder;
  readonly peers: () => readonly Peer[];
  readonly faultOf: (receipt: Receipt) => string | null;
}

type Way = Pick<HopLine, "path" | "name">;

export class PathTest {
  readonly #parts: PathTestParts;
  readonly #tell: (line: HopLine) => void;
  #worked = 0;
  #tried = 0;
  readonly #tickets: Set<string> = new Set();

  constructor(parts: PathTestParts, tell: (line: HopLine) => void) {
    this.#parts = parts;
    this.#tell = tell;
  }

  async run(event: BmcEvent): Promise<PathTestEnd> {
    const { managers, destination } = this.#parts;
    const parcel = this.#parcelOf(event);
    for (const name of managers) {
      const target = { role: "manager", url: name } as const;
      await this.#try({ path: "manager", name }, target, parcel);
    }
    if (destination === null) {
      this.#none({ path: "direct", name: "destination" }, "no --destination is set");
    } else {
      const target = { role: "destination", url: destination } as const;
      await this.#try({ path: "direct", name: destination }, target, parcel);
    }
    await this.#tryPeer(parcel);
    return {
      isOver: true,
      id: event.id,
      tickets: [...this.#tickets],
      worked: this.#worked,
      tried: this.#tried,
    };
  }

  async #tryPeer(parcel: Parcel): Promise<void> {
    const { finder, peers } = this.#parts;
    if (peers().length === 0) {
      this.#none({ path: "peer", name: "-" }, "there is no other node");
      return;
    }
    const [best] = await finder.search(PEERS_ASKED_MAX);
    const url = peers().find(({ node }) => node === best?.node)?.url;
    if (best === undefined || url === undefined) {
      this.#none({ path: "peer", name: "-" }, "no other node has a direct way");
      return;
    }
    await this.#try({ path: "peer", name: best.node }, { role: "agent", url }, parcel);
  }

  #parcelOf(event: BmcEvent): Parcel {
    const { signer, clock, node } = this.#parts;
    const atMs = clock.wallMs();
    const trail = [{ kind: "origin", name: node, atMs }] as const;
    return { id: event.id, envelope: signEvent(event, signer, atMs), trail };
  }

  #none(way: Way, detail: string): void {
    this.#tell({ ...way, hop: "none", ms: 0, detail, ticket: null });
  }

  async #try(way: Way, target: Target, parcel: Parcel): Promise<void> {
    const { clock } = this.#parts;
    this.#tried++;
    const startMs = clock.nowMs();
    const tell = (hop: HopLine["hop"], detail: string, ticket: string | null = null): void => {
      this.#tell({ ...way, hop, ms: Math.round(clock.nowMs() - startMs), detail, ticket });
    };
    const sent = await this.#send(target, parcel, (name) => tell("kept", `${name} has it on disk`));
    if (!sent.ok) {
      tell("failed", sent.error);
      return;
    }
    const { receipt, how } = sent.value;
    const fault = this.#parts.faultOf(receipt);
    if (fault !== null) {
      tell("failed", fault);
      return;
    }
    this.#tickets.add(receipt.ticket);
    this.#worked++;
    tell("ticket", `${receipt.destination}: ${how}`, receipt.ticket);
  }

  async #send(
    target: Target,
    parcel: Parcel,
    onKept: (name: string) => void,
  ): Promise<Result<{ readonly receipt: Receipt; readonly how: string }, string>> {
    const answer = await postParcels(this.#parts.caller, target, [parcel], ANSWER_MS);
    if (!answer.ok) return err(answer.error.detail);
    const { name, results } = answer.value;
    const result = results.find(({ id }) => id === parcel.id);
    if (result === undefined) return err(`${name} says nothing of it`);
    if (result.kind === "refused") return err(`refused: ${result.reason}`);
    if (result.kind === "delivered") {
      const how = result.isDuplicate ? "known there already, as it should be" : "new there";
      return ok({ receipt: result.receipt, how });
    }
    onKept(name);
    const receipt = await this.#awaitReceipt(target, parcel.id);
    if (receipt !== null) return ok({ receipt, how: "relayed" });
    return err(`no ticket within ${R2_MS / 1000} s: it is not relayed`);
  }

  async #awaitReceipt(target: Target, id: string): Promise<Receipt | null> {
    const { caller, clock } = this.#parts;
    const giveUpMs = clock.nowMs() + R2_MS;
    while (clock.nowMs() < giveUpMs) {
      const answer = await postDigest(caller, target, [id], giveUpMs - clock.nowMs());
      const state = answer.ok ? answer.value.states.find((one) => one.id === id) : undefined;
      if (state?.receipt !== undefined && state.receipt !== null) return state.receipt;
      await new Promise<void>((resolve) => {
        clock.after(POLL_MS, resolve);
      });
    }
    return null;
  }
}
