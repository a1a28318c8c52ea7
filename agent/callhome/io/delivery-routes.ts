/**
 * What an agent answers about its own calling home; what `holdfast callhome` asks.
 *
 *   GET  /v1/callhome                    paths, counts, BMCs, for whom it stands in
 *   GET  /v1/callhome/events[?state=waiting|delivered|refused|counted&limit=N]   newest first
 *   GET  /v1/callhome/events/:id         one event's whole way; 6 digits of the id are enough where they name one
 *   POST /v1/callhome/events/:id/retry   send a refused one again
 *   POST /v1/callhome/test               NDJSON: a test event by each path, hop by hop
 *   GET  /v1/callhome/ledger             the ledger's lines, for somebody else to verify
 *
 * Who may ask stands in the agent's table of access. The ledger is read at each question: it is on disk, and asked seldom.
 */
import { type Context, Hono } from "hono";
import type { BmcEvent } from "../../../bmc/bmc.ts";
import { err, ok, type Result } from "../../../core/result.ts";
import { NDJSON_TYPE, ndjsonResponse } from "../../net/io/ndjson.ts";
import { type Problem, problemResponse } from "../../net/problem.ts";
import type { DeliveryReport } from "../delivery-events.ts";
import type { Ledger, LedgerEntry } from "../ledger.ts";
import { parseLine } from "../ledger-chain.ts";
import type { Outbox, OutboxReport } from "../outbox.ts";
import type { ReportedBmc } from "../report.ts";
import type { EventKeeper } from "./event-keeper.ts";
import type { HopLine, PathTestEnd } from "./path-test.ts";

const LIMIT_DEFAULT = 50;
const LIMIT_MAX = 10_000;
const DIGITS_MIN = 6;
const BOOK_AT_ONCE = 10_000;

export interface CallhomeSummary {
  readonly node: string;
  readonly cluster: string;
  readonly managers: readonly string[];
  readonly destination: string | null;
  readonly delivery: DeliveryReport;
  readonly outbox: OutboxReport;
  readonly bmcs: readonly ReportedBmc[];
}

/** `counted`: there was no room for it, only for its count. */
export type DeliveryListState = "waiting" | "delivered" | "refused" | "counted";

export interface ListedEvent {
  readonly id: string;
  readonly state: DeliveryListState;
  /** When its first step was recorded. */
  readonly atMs: number;
  readonly ticket: string | null;
  /** By which path it was delivered, or what happened last. */
  readonly last: string;
  /** null: the book has forgotten it. */
  readonly event: BmcEvent | null;
}

export interface ShownEvent extends ListedEvent {
  readonly steps: readonly LedgerEntry[];
  /** Where it is now and why not elsewhere; empty for one that is not open. */
  readonly explain: readonly string[];
}

export interface DeliverySource {
  readonly keeper: EventKeeper;
  readonly outbox: Outbox;
  readonly ledger: Ledger;
  readonly summary: () => CallhomeSummary;
  readonly explain: (id: string) => readonly string[];
  /** False: it is none of the refused ones. */
  readonly retry: (id: string) => boolean;
  readonly test: (tell: (line: HopLine) => void) => Promise<PathTestEnd>;
  readonly onDefect: (detail: string) => void;
}

function nameOf(entry: LedgerEntry): string {
  const path = entry.path === null ? "" : ` by ${entry.path.kind} ${entry.path.name}`;
  return `${entry.step}${path}`;
}

interface Kept {
  readonly isOpen: boolean;
  readonly isRefused: boolean;
  /** null: the outbox has it not. */
  readonly queuedMs: number | null;
}

/** While it is being closed the outbox has it neither open nor refused: then its last step says. */
function stateOf({ isOpen, isRefused }: Kept, steps: readonly LedgerEntry[]): DeliveryListState {
  const last = steps.at(-1)?.step;
  if (isOpen) return "waiting";
  if (last === "folded") return "counted";
  if (steps.some(({ ticket }) => ticket !== null)) return "delivered";
  return isRefused || last === "refused" ? "refused" : "waiting";
}

function listedOf(
  id: string,
  steps: readonly LedgerEntry[],
  kept: Kept,
  event: BmcEvent | null,
): ListedEvent {
  const last = steps.at(-1);
  const ticket = steps.findLast((entry) => entry.ticket !== null)?.ticket ?? null;
  const atMs = steps[0]?.atMs ?? kept.queuedMs ?? 0;
  const said = last === undefined ? "queued" : nameOf(last);
  return { id, state: stateOf(kept, steps), atMs, ticket, last: said, event };
}

function ledgerLines(ledger: Ledger): Promise<readonly string[]> {
  return new Promise((resolve) => ledger.export(resolve));
}

function stepsOf(ledger: Ledger, id: string): Promise<readonly LedgerEntry[]> {
  return new Promise((resolve) => ledger.ofEvent(id, resolve));
}

class DeliveryRoutes {
  readonly #source: DeliverySource;

  constructor(source: DeliverySource) {
    this.#source = source;
  }

  async list(context: Context): Promise<Response> {
    const state = context.req.query("state") ?? "";
    if (!/^(?:|waiting|delivered|refused|counted)$/.test(state)) {
      const detail = `state=${state}: must be waiting, delivered, refused or counted`;
      return problemResponse({ kind: "bad-request", detail });
    }
    const limit = Number(context.req.query("limit") ?? LIMIT_DEFAULT);
    if (!Number.isSafeInteger(limit) || limit < 1 || limit > LIMIT_MAX) {
      const detail = `limit: must be a number from 1 to ${LIMIT_MAX}`;
      return problemResponse({ kind: "bad-request", detail });
    }
    const all = await this.#listed();
    const events = all.filter((one) => state === "" || one.state === state).slice(0, limit);
    return context.json({ events });
  }

  async show(context: Context): Promise<Response> {
    const found = await this.#find(context.req.param("id") ?? "");
    if (!found.ok) return problemResponse(found.error);
    const listed = found.value;
    const steps = await stepsOf(this.#source.ledger, listed.id);
    const shown: ShownEvent = { ...listed, steps, explain: this.#source.explain(listed.id) };
    return context.json(shown);
  }

  async retry(context: Context): Promise<Response> {
    const found = await this.#find(context.req.param("id") ?? "");
    if (!found.ok) return problemResponse(found.error);
    const { id, state } = found.value;
    if (this.#source.retry(id)) return context.json({ id });
    const why =
      state === "delivered" ? `it is delivered: ${found.value.ticket}` : "it is on its way already";
    return problemResponse({ kind: "refused", detail: `${id.slice(0, 12)}: ${why}` });
  }

  test(): Response {
    return ndjsonResponse(async (sink) => {
      sink.push(await this.#source.test((line) => sink.push(line)));
    }, this.#source.onDefect);
  }

  async ledger(): Promise<Response> {
    const lines = await ledgerLines(this.#source.ledger);
    return new Response(`${lines.join("\n")}\n`, { headers: { "content-type": NDJSON_TYPE } });
  }

  /** Newest first. O(ledger + book). */
  async #listed(): Promise<readonly ListedEvent[]> {
    const { outbox, ledger } = this.#source;
    const steps = new Map<string, LedgerEntry[]>();
    for (const line of await ledgerLines(ledger)) {
      const read = parseLine(line);
      if (read?.kind !== "step") continue;
      const { entry } = read;
      const list = steps.get(entry.id);
      if (list === undefined) steps.set(entry.id, [entry]);
      else list.push(entry);
    }
    const open = new Map(outbox.open().map((entry) => [entry.id, entry.queuedWallMs]));
    const refused = new Map(outbox.refused().map((entry) => [entry.id, entry.queuedWallMs]));
    const events = this.#book();
    const ids = new Set([...steps.keys(), ...refused.keys(), ...open.keys()]);
    return [...ids]
      .map((id) => {
        const isRefused = refused.has(id);
        const queuedMs = open.get(id) ?? refused.get(id) ?? null;
        const kept = { isOpen: open.has(id), isRefused, queuedMs };
        return listedOf(id, steps.get(id) ?? [], kept, events.get(id) ?? null);
      })
      .sort((a, b) => b.atMs - a.atMs);
  }

  #book(): ReadonlyMap<string, BmcEvent> {
    const lines = this.#source.keeper.after(0, BOOK_AT_ONCE * 8);
    return new Map(
      lines.flatMap((line) =>
        line.kind === "event" ? [[line.event.id, line.event] as const] : [],
      ),
    );
  }

  async #find(digits: string): Promise<Result<ListedEvent, Problem>> {
    if (!/^[0-9a-f]{6,64}$/.test(digits)) {
      const detail = `${digits.slice(0, 70)}: must be the first ${DIGITS_MIN} or more hexadecimal digits of an event's id`;
      return err({ kind: "bad-request", detail });
    }
    const found = (await this.#listed()).filter(({ id }) => id.startsWith(digits));
    const [first] = found;
    if (first === undefined) {
      const detail = `no event ${digits} is known here: see holdfast callhome list`;
      return err({ kind: "not-found", detail });
    }
    if (found.length === 1) return ok(first);
    const detail = `${digits} names ${found.length} events: give more digits`;
    return err({ kind: "bad-request", detail });
  }
}

export function deliveryRoutes(source: DeliverySource): Hono {
  const routes = new DeliveryRoutes(source);
  const app = new Hono();
  app.get("/v1/callhome", (context) => context.json(source.summary()));
  app.get("/v1/callhome/events", (context) => routes.list(context));
  app.get("/v1/callhome/events/:id", (context) => routes.show(context));
  app.post("/v1/callhome/events/:id/retry", (context) => routes.retry(context));
  app.post("/v1/callhome/test", () => routes.test());
  app.get("/v1/callhome/ledger", () => routes.ledger());
  return app;
}
