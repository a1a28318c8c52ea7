/**
 * The side of the destination that people and their programs speak to: tickets, a live stream of their changes, health, metrics.
 */
import { type Context, Hono } from "hono";
import type { Upload } from "../../callhome/bundle/io/upload-store.ts";
import { eventStatementSchema } from "../../callhome/protocol.ts";
import type { Identity } from "../../identity/identity.ts";
import { allow, bodyMax, identify, principalOf, rateLimit } from "../../net/io/access.ts";
import { type Problem, problemResponse } from "../../net/problem.ts";
import {
  closeRequestSchema,
  type DestinationStatus,
  LIST_DEFAULT,
  LIST_MAX,
  STATUS_PATH,
  summaryOf,
  TICKETS_PATH,
  type TicketAnswer,
  type TicketBundle,
  type TicketEvent,
  type TicketsAnswer,
} from "../api.ts";
import { type Ticket, ticketNumber } from "../ticket.ts";
import type { Intake } from "./intake.ts";
import { metricsText } from "./metrics.ts";
import type { KeptSample } from "./sample-table.ts";
import type { Store } from "./store.ts";
import type { TicketStream } from "./ticket-stream.ts";

export interface TicketSetting {
  readonly identity: Identity;
  readonly store: Store;
  readonly intake: Intake;
  readonly stream: TicketStream;
  readonly status: () => DestinationStatus;
  readonly bundlesOf: (isWanted: (event: string) => boolean) => readonly Upload[];
  readonly nowMs: () => number;
}

const ASKING = { perSecond: 100, burst: 300 } as const;
const CLOSE_BYTES_MAX = 16 * 1024;

function problem(kind: Problem["kind"], detail: string): Response {
  return problemResponse({ kind, detail });
}

function eventOf(sample: KeptSample): TicketEvent | null {
  const { n, copies, signer, receivedMs, trail, isMerged, envelope } = sample;
  const bytes = Buffer.from(envelope.payload, "base64").toString("utf8");
  const parsed = eventStatementSchema.safeParse(JSON.parse(bytes));
  if (!parsed.success) return null;
  const { event, signedMs } = parsed.data;
  return { n, event, signer, signedMs, receivedMs, trail, copies, isMerged, envelope };
}

class TicketRoutes {
  readonly #setting: TicketSetting;

  constructor(setting: TicketSetting) {
    this.#setting = setting;
  }

  list(context: Context): Response {
    const { store, identity } = this.#setting;
    const { state = "any", node, cluster, before, limit } = context.req.query();
    if (state !== "open" && state !== "closed" && state !== "any") {
      return problem("bad-request", `state=${state}: must be open, closed or any`);
    }
    const countMax = limit === undefined ? LIST_DEFAULT : Number(limit);
    if (!Number.isInteger(countMax) || countMax < 1 || countMax > LIST_MAX) {
      return problem("bad-request", `limit=${limit}: must be a number from 1 to ${LIST_MAX}`);
    }
    const below = before === undefined ? null : ticketNumber(before);
    if (before !== undefined && below === null) {
      return problem("bad-request", `before=${before}: must be a ticket such as T-2026-000123`);
    }
    const tickets = store.tickets.list({
      state,
      node: node ?? null,
      cluster: cluster ?? null,
      before: below,
      countMax,
    });
    const answer: TicketsAnswer = {
      destination: identity.principal.name,
      tickets: tickets.map(summaryOf),
      next: tickets.length < countMax ? null : (tickets.at(-1)?.id ?? null),
    };
    return context.json(answer);
  }

  get(context: Context): Response {
    const { store, identity } = this.#setting;
    const ticket = this.#find(context);
    if (ticket instanceof Response) return ticket;
    const samples = store.samples.of(ticket.number);
    const events = samples.flatMap((sample) => eventOf(sample) ?? []);
    const answer: TicketAnswer = {
      destination: identity.principal.name,
      ticket: summaryOf(ticket),
      events,
      droppedCount: ticket.eventCount - events.filter(({ isMerged }) => !isMerged).length,
      bundles: this.#bundlesOf(ticket),
      externals: store.outbox.externals(ticket.number),
      waiting: store.outbox.ofTicket(ticket.number).map((one) => ({
        adapter: one.adapter,
        kind: one.change.kind,
        attempts: one.attempts,
        dueMs: one.dueMs,
        isRefused: one.isRefused,
        detail: one.detail,
      })),
    };
    return context.json(answer);
  }

  async close(context: Context): Promise<Response> {
    const { intake, nowMs } = this.#setting;
    const ticket = this.#find(context);
    if (ticket instanceof Response) return ticket;
    const body = closeRequestSchema.safeParse(await context.req.json().catch(() => null));
    if (!body.success) {
      return problem("bad-request", 'expected {"reason": "why"} with 1 to 500 characters');
    }
    const { role, name } = principalOf(context);
    const who = name === "anybody" ? "" : ` (${role} ${name})`;
    const closed = intake.close(ticket.number, `${body.data.reason}${who}`, nowMs());
    if (!closed.ok)
      return problem("not-kept", `${ticket.id} is not closed: ${closed.error.detail}`);
    if (closed.value === null) return problem("refused", `${ticket.id} is closed already`);
    return context.json(summaryOf(closed.value));
  }

  #bundlesOf({ number }: Ticket): readonly TicketBundle[] {
    const { store, bundlesOf } = this.#setting;
    return bundlesOf((event) => store.receipt(event)?.number === number).map(
      ({ digest, bytes, event, node }) => ({ digest, bytes, event, node }),
    );
  }

  health(context: Context): Response {
    const { isWriting, complaint, tickets, adapters } = this.#setting.status();
    const failing = adapters.filter(({ failure }) => failure !== null).map(({ name }) => name);
    const status = isWriting ? 200 : 503;
    return context.json({ isWriting, complaint, openTickets: tickets.open, failing }, status);
  }

  #find(context: Context): Ticket | Response {
    const id = context.req.param("id") ?? "";
    const number = ticketNumber(id);
    if (number === null) {
      return problem("bad-request", `${id.slice(0, 64)} is no ticket such as T-2026-000123`);
    }
    const ticket = this.#setting.store.tickets.get(number);
    if (ticket === null || ticket.id !== id)
      return problem("not-found", `there is no ticket ${id}`);
    return ticket;
  }
}

export function ticketRoutes(setting: TicketSetting): Hono {
  const routes = new TicketRoutes(setting);
  const { identity, stream, status } = setting;
  const app = new Hono();
  app.get("/healthz", (context) => routes.health(context));
  const known = [rateLimit(ASKING), identify(identity)] as const;
  const readers = allow("operator", "manager", "destination");
  app.get("/metrics", ...known, readers, () => {
    return new Response(metricsText(status()), {
      headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
    });
  });
  app.get(STATUS_PATH, ...known, readers, (context) => context.json(status()));
  app.get(TICKETS_PATH, ...known, readers, (context) => routes.list(context));
  app.get(`${TICKETS_PATH}/stream`, ...known, readers, () => stream.open());
  app.get(`${TICKETS_PATH}/:id`, ...known, readers, (context) => routes.get(context));
  const closers = allow("operator", "manager");
  const small = bodyMax(CLOSE_BYTES_MAX);
  app.post(`${TICKETS_PATH}/:id/close`, ...known, closers, small, (context) =>
    routes.close(context),
  );
  return app;
}
