/**
 * Finds peers that have a direct way to the destination: asks the living members side by side, and puts them in order.
 *
 * Bounded: of a large cluster some are asked, a different part each time, and the best few are taken. One search at a time; what is asked
 * for meanwhile is answered by it.
 */
import type { Clock } from "../../runtime/clock.ts";
import { type PeerCandidate, type PeerOrder, WAY_PATH, wayAnswerSchema } from "../peers.ts";
import { askJson, type Caller } from "./parcels-client.ts";

const ASKED_MAX = 32;
const TAKEN_MAX = 4;
const ANSWER_WITHIN_MS = 1_000;

export interface Peer {
  readonly node: string;
  /** Of its agent. */
  readonly url: string;
}

export interface PeersFinderParts {
  readonly caller: Caller;
  readonly clock: Clock;
  /** Living members other than this node. */
  readonly peers: () => readonly Peer[];
  readonly order: PeerOrder;
  /** Names, best first; none: nobody has a way. */
  readonly onFound: (names: readonly string[]) => void;
}

export class PeersFinder {
  readonly #parts: PeersFinderParts;
  #isSearching = false;
  #offset = 0;

  constructor(parts: PeersFinderParts) {
    this.#parts = parts;
  }

  find(): void {
    if (this.#isSearching) return;
    this.#isSearching = true;
    void this.search(ASKED_MAX).then((found) => {
      this.#isSearching = false;
      this.#parts.onFound(found.slice(0, TAKEN_MAX).map(({ node }) => node));
    });
  }

  /** Everybody asked who has a way, best first. */
  async search(askedMax: number): Promise<readonly PeerCandidate[]> {
    const peers = this.#parts.peers();
    const asked = Array.from({ length: Math.min(askedMax, peers.length) }, (_, index) => {
      return peers[(this.#offset + index) % peers.length];
    });
    this.#offset = peers.length === 0 ? 0 : (this.#offset + asked.length) % peers.length;
    const answers = await Promise.all(
      asked.flatMap((peer) => (peer === undefined ? [] : [this.#ask(peer)])),
    );
    const candidates = answers.filter((one): one is PeerCandidate => one?.hasDirect === true);
    return this.#parts.order(candidates.filter(({ direct }) => direct !== "broken"));
  }

  async #ask({ node, url }: Peer): Promise<PeerCandidate | null> {
    const { caller, clock } = this.#parts;
    const startMs = clock.nowMs();
    const answer = await askJson(caller, {
      target: { role: "agent", url },
      path: WAY_PATH,
      method: "GET",
      body: null,
      schema: wayAnswerSchema,
      timeoutMs: ANSWER_WITHIN_MS,
    });
    // Another one may live at that address by now.
    if (!answer.ok || answer.value.node !== node) return null;
    return { ...answer.value, roundTripMs: clock.nowMs() - startMs };
  }
}
