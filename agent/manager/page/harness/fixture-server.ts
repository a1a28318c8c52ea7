/**
 * A manager that only speaks: the page's lists and stream over rows that a test gives. It can be stopped and started anew on the
 * same port, push rows, and forget what it pushed, as a manager does that was down for long.
 */
import type { EventRow, LiveMessage, NodeRow, Summary, TicketRow } from "../../api.ts";
import { pageAnswer } from "../page-answer.ts";
import { type FixtureRows, NO_ROWS, summaryOf } from "./fixture-data.ts";

const BEAT_MS = 2_000;

type Sink = ReadableStreamDefaultController<Uint8Array>;

export class FixtureServer {
  rows: FixtureRows;
  summaryChange: Partial<Summary> = {};
  /** Set: every list is refused with it. */
  refusal: { readonly status: number; readonly detail: string } | null = null;
  /** Set: who asks must have it. */
  token: string | null = null;
  readonly #page: (request: Request) => Response;
  readonly #sinks = new Set<Sink>();
  #messages: { readonly id: number; readonly message: LiveMessage }[] = [];
  #nextId = 1;
  #server: Bun.Server<unknown> | null = null;
  #port = 0;
  #beat: ReturnType<typeof setInterval> | null = null;

  constructor(page: string, rows: FixtureRows = NO_ROWS) {
    this.#page = pageAnswer(page);
    this.rows = rows;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}/`;
  }

  start(): void {
    this.#server = Bun.serve({
      hostname: "127.0.0.1",
      port: this.#port,
      idleTimeout: 60,
      fetch: (request) => this.#answer(request),
    });
    this.#port = this.#server.port ?? 0;
    this.#beat = setInterval(() => this.#write(": beat\n\n"), BEAT_MS);
  }

  async stop(): Promise<void> {
    if (this.#beat !== null) clearInterval(this.#beat);
    this.#sinks.clear();
    await this.#server?.stop(true);
    this.#server = null;
  }

  /** As after a restart: another epoch, and nothing to replay. */
  forget(epoch: string): void {
    this.summaryChange = { ...this.summaryChange, epoch };
    this.#messages = [];
  }

  event(row: EventRow): void {
    this.#put(this.rows.events, row, (other) => other.id === row.id);
    this.#push({ kind: "event", row });
    this.#push({ kind: "summary", summary: this.#summary() });
  }

  node(row: NodeRow): void {
    this.#put(this.rows.nodes, row, (other) => other.id === row.id);
    this.#push({ kind: "node", row });
    this.#push({ kind: "summary", summary: this.#summary() });
  }

  ticket(row: TicketRow): void {
    this.#put(this.rows.tickets, row, (other) => other.id === row.id);
    this.#push({ kind: "ticket", row });
  }

  #put<Row>(rows: Row[], row: Row, isSame: (other: Row) => boolean): void {
    const at = rows.findIndex(isSame);
    if (at < 0) rows.push(row);
    else rows[at] = row;
  }

  #summary(): Summary {
    return summaryOf(this.rows, Date.now(), this.summaryChange);
  }

  #push(message: LiveMessage): void {
    const id = this.#nextId++;
    this.#messages.push({ id, message });
    this.#write(frame(id, message));
  }

  #write(text: string): void {
    const bytes = new TextEncoder().encode(text);
    for (const sink of this.#sinks) {
      try {
        sink.enqueue(bytes);
      } catch {
        this.#sinks.delete(sink);
      }
    }
  }

  #answer(request: Request): Response {
    const url = new URL(request.url);
    if (url.pathname === "/") return this.#page(request);
    const bearer = request.headers.get("authorization");
    if (this.token !== null && bearer !== `Bearer ${this.token}`) {
      return Response.json({ detail: "log in with a token" }, { status: 401 });
    }
    if (this.refusal !== null) {
      return Response.json({ detail: this.refusal.detail }, { status: this.refusal.status });
    }
    switch (url.pathname) {
      case "/v1/stream":
        return this.#stream(request.headers.get("last-event-id"));
      case "/v1/nodes":
        return list(url, this.rows.nodes);
      case "/v1/events":
        return list(url, this.rows.events.toReversed());
      case "/v1/tickets":
        return list(url, this.rows.tickets.toReversed());
      case "/v1/jobs":
        return list(url, this.rows.jobs);
      case "/v1/epochs":
        return list(url, this.rows.epochs.toReversed());
      default:
        return Response.json({ detail: `no such path: ${url.pathname}` }, { status: 404 });
    }
  }

  #stream(lastId: string | null): Response {
    const encoder = new TextEncoder();
    let own: Sink | null = null;
    const body = new ReadableStream<Uint8Array>({
      start: (sink) => {
        own = sink;
        const hello = frame(this.#nextId - 1, { kind: "hello", summary: this.#summary() });
        const missed =
          lastId === null
            ? []
            : this.#messages
                .filter(({ id }) => id > Number(lastId))
                .map(({ id, message }) => frame(id, message));
        sink.enqueue(encoder.encode([hello, ...missed].join("")));
        this.#sinks.add(sink);
      },
      cancel: () => {
        if (own !== null) this.#sinks.delete(own);
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }
}

function frame(id: number, message: LiveMessage): string {
  return `event: ${message.kind}\nid: ${id}\ndata: ${JSON.stringify(message)}\n\n`;
}

function list(url: URL, rows: readonly unknown[]): Response {
  const limit = Number(url.searchParams.get("limit") ?? 100);
  const from = Number(url.searchParams.get("cursor") ?? 0);
  const next = from + limit < rows.length ? String(from + limit) : null;
  return Response.json({ rows: rows.slice(from, from + limit), next });
}
