/**
 * What an agent does for its peers: says whether it has a direct way to the destination, and passes parcels on by it.
 *
 * Nothing is kept here: the one who asks has the events durably and hears what the destination said, or that it could not be
 * asked. Each parcel's signature is looked at first, so that nobody sends what he likes through another node. Bounded by
 * requests at a time; a node without a way of its own says so, and the asker takes another.
 */
import { type Context, Hono } from "hono";
import type { Verifier } from "../../identity/identity.ts";
import { type ProblemKind, problemResponse } from "../../net/problem.ts";
import type { Clock } from "../../runtime/clock.ts";
import { ANSWER_MS } from "../delivery-events.ts";
import { verifyParcel } from "../parcel-check.ts";
import {
  BMCS_PATH,
  type BmcsAnswer,
  type ReachableBmc,
  WAY_PATH,
  type WayAnswer,
} from "../peers.ts";
import {
  type Hop,
  PARCELS_PATH,
  type Parcel,
  type ParcelResult,
  type ParcelsAnswer,
  parcelSchema,
  parcelsRequestSchema,
} from "../protocol.ts";
import { type Caller, type CallFailure, postParcels } from "./parcels-client.ts";

const REQUESTS_MAX = 8;
const HOPS_MAX = 16;
const NO_ID: string = "0".repeat(64);

export interface RelaySource {
  readonly node: string;
  /** null: this node has none. */
  readonly destination: string | null;
  readonly caller: Caller;
  readonly verifier: Verifier;
  readonly clock: Clock;
  /** Of this start of the agent. */
  readonly epoch: string;
  readonly way: () => Pick<WayAnswer, "direct" | "waiting" | "standsInFor">;
  readonly bmcs: () => readonly ReachableBmc[];
}

const PROBLEM_OF: Readonly<Record<CallFailure["failure"], ProblemKind>> = {
  unreachable: "unreachable",
  "no-answer": "timeout",
  busy: "busy",
  rejected: "unreachable",
};

interface Judged {
  readonly good: readonly Parcel[];
  readonly refused: readonly ParcelResult[];
}

class Relay {
  readonly #source: RelaySource;
  #requestCount = 0;
  #relaying = 0;

  constructor(source: RelaySource) {
    this.#source = source;
  }

  way(context: Context): Response {
    const { node, destination, way } = this.#source;
    const answer: WayAnswer = {
      node,
      hasDirect: destination !== null,
      ...way(),
      relaying: this.#relaying,
    };
    return context.json(answer);
  }

  bmcs(context: Context): Response {
    const { node } = this.#source;
    const bmcs = this.#source.bmcs();
    const digest = Bun.hash.xxHash3(JSON.stringify(bmcs)).toString(16);
    const isKnown = context.req.query("not") === digest;
    const answer: BmcsAnswer = { node, digest, bmcs: isKnown ? null : bmcs };
    return context.json(answer);
  }

  async parcels(context: Context): Promise<Response> {
    const { destination, node } = this.#source;
    if (destination === null) {
      const detail = `${node} has no direct way to the destination: ask another node`;
      return problemResponse({ kind: "refused", detail });
    }
    if (this.#requestCount >= REQUESTS_MAX) {
      const detail = `${node} passes on ${REQUESTS_MAX} requests already: ask again in a second`;
      const response = problemResponse({ kind: "busy", detail });
      response.headers.set("retry-after", "1");
      return response;
    }
    const asked = parcelsRequestSchema.safeParse(await context.req.json().catch(() => null));
    if (!asked.success) {
      const where = asked.error.issues[0]?.path.join(".") || "the body";
      return problemResponse({ kind: "bad-request", detail: `${where}: no parcels are in it` });
    }
    this.#requestCount++;
    try {
      return await this.#pass(context, asked.data.parcels, destination);
    } finally {
      this.#requestCount--;
    }
  }

  async #pass(
    context: Context,
    parcels: readonly unknown[],
    destination: string,
  ): Promise<Response> {
    const { good, refused } = this.#judge(parcels);
    const { node, epoch, caller } = this.#source;
    if (good.length === 0) {
      return context.json({ name: node, epoch, results: refused } satisfies ParcelsAnswer);
    }
    this.#relaying += good.length;
    const target = { role: "destination", url: destination } as const;
    const answer = await postParcels(caller, target, good, ANSWER_MS);
    this.#relaying -= good.length;
    if (!answer.ok) {
      const { failure, detail } = answer.error;
      return problemResponse({ kind: PROBLEM_OF[failure], detail: `from ${node}: ${detail}` });
    }
    const results = [...refused, ...answer.value.results];
    return context.json({ name: node, epoch, results } satisfies ParcelsAnswer);
  }

  #judge(parcels: readonly unknown[]): Judged {
    const { node, clock, verifier } = this.#source;
    const hop: Hop = { kind: "peer", name: node, atMs: clock.wallMs() };
    const good: Parcel[] = [];
    const refused: ParcelResult[] = [];
    for (const value of parcels) {
      const parsed = parcelSchema.safeParse(value);
      if (!parsed.success) {
        const id = (value as { id?: unknown } | null)?.id;
        const isId = typeof id === "string" && /^[0-9a-f]{64}$/.test(id);
        refused.push(refusal(isId ? id : NO_ID, "it is no parcel"));
        continue;
      }
      const { id, envelope, trail } = parsed.data;
      const verified = verifyParcel(parsed.data, verifier);
      if (!verified.ok) refused.push(refusal(id, verified.error));
      else good.push({ id, envelope, trail: [...trail.slice(0, HOPS_MAX - 1), hop] });
    }
    return { good, refused };
  }
}

/** By a peer, hence not for good: another may judge otherwise. */
function refusal(id: string, reason: string): ParcelResult {
  return { id, kind: "refused", reason, isPermanent: false };
}

export function relayRoutes(source: RelaySource): Hono {
  const relay = new Relay(source);
  const app = new Hono();
  app.get(WAY_PATH, (context) => relay.way(context));
  app.get(BMCS_PATH, (context) => relay.bmcs(context));
  app.post(PARCELS_PATH, (context) => relay.parcels(context));
  return app;
}
