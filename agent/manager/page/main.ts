/**
 * The manager's page: puts what it knows, the stream and the views together. Runs in a browser.
 *
 * Changes are drawn together, at most some times a second however many messages come, and what did not change is not
 * touched. The stream is opened before the lists are read, so nothing falls between them; after a message was missed or the
 * manager was started anew the lists are read again.
 */
import {
  EPOCHS_PATH,
  type EpochRow,
  EVENTS_PATH,
  type EventRow,
  JOBS_PATH,
  type JobRow,
  type LiveMessage,
  NODES_PATH,
  type NodeRow,
  TICKETS_PATH,
  type TicketRow,
} from "../api.ts";
import { readList, takeToken } from "./api-client.ts";
import { Connection, type Link } from "./connection.ts";
import { byId, h, setAttribute } from "./dom.ts";
import { EpochsView } from "./epochs-view.ts";
import { EventDetail } from "./event-detail.ts";
import { EventsView } from "./events-view.ts";
import { FiguresView, HeadView } from "./figures-view.ts";
import { type Filter, matching, NO_FILTER, spanOf, within } from "./filters.ts";
import { rangeName } from "./format.ts";
import { JobsView } from "./jobs-view.ts";
import { NodesView } from "./nodes-view.ts";
import { NowView } from "./now-view.ts";
import { TicketsView } from "./tickets-view.ts";
import { TimelineView } from "./timeline-view.ts";
import { type Standing, type Target, troublesOf } from "./troubles.ts";
import { EPOCHS_MAX, EVENTS_MAX, JOBS_MAX, NODES_MAX, TICKETS_MAX, World } from "./world.ts";

/** Drawn at most this often while messages come. */
const FRAME_MS = 150;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

const RANGES_MS: readonly number[] = [
  15 * MINUTE_MS,
  HOUR_MS,
  6 * HOUR_MS,
  DAY_MS,
  7 * DAY_MS,
  30 * DAY_MS,
];

class ManagerPage {
  readonly #world = new World();
  readonly #connection: Connection;
  readonly #head: HeadView;
  readonly #now: NowView;
  readonly #figures = new FiguresView();
  readonly #timeline: TimelineView;
  readonly #events: EventsView;
  readonly #detail = new EventDetail();
  readonly #nodes: NodesView;
  readonly #tickets: TicketsView;
  readonly #jobs = new JobsView();
  readonly #epochs = new EpochsView();
  readonly #ranges = new Map<number | null, HTMLElement>();
  #filter: Filter = NO_FILTER;
  #chosen: string | null = null;
  #link: Link = { kind: "connecting", sinceMs: Date.now(), why: "" };
  #wasLive = false;
  /** The manager's clock minus this machine's. */
  #aheadMs = 0;
  #managerEpoch: string | null = null;
  #loading: AbortController | null = null;
  #loadFailure: string | null = null;
  #drawTimer: number | null = null;

  constructor() {
    this.#connection = new Connection({
      onMessage: (message) => this.#take(message),
      onLink: (link) => this.#setLink(link),
    });
    this.#head = new HeadView(() => this.#connection.retryNow());
    this.#now = new NowView((target) => this.#goTo(target));
    this.#timeline = new TimelineView((span) => this.#setFilter({ span }));
    byId("timeline-host").append(this.#timeline.element, this.#timeline.readout);
    this.#events = new EventsView(
      (change) => this.#setFilter(change),
      (id) => this.#choose(id),
      () => this.#filter,
    );
    this.#nodes = new NodesView((node) => this.#setFilter({ words: node, span: null }));
    this.#tickets = new TicketsView(({ id }) => this.#showTicket(id));
    this.#makeRanges();
    document.addEventListener("keydown", (event) => this.#key(event));
    setInterval(() => this.#second(), SECOND_MS);
  }

  start(): void {
    this.#draw();
    void this.#connection.run();
  }

  get #nowMs(): number {
    return Date.now() + this.#aheadMs;
  }

  #makeRanges(): void {
    for (const range of [...RANGES_MS, null]) {
      const name = range === null ? "all" : rangeName(range);
      const button = h("button", { type: "button", class: "range" }, name);
      button.addEventListener("click", () => this.#setFilter({ rangeMs: range, span: null }));
      this.#ranges.set(range, button);
      byId("ranges").append(button);
    }
  }

  #take(message: LiveMessage): void {
    if (message.kind === "hello") {
      this.#aheadMs = message.summary.nowMs - Date.now();
      const isNew = message.summary.epoch !== this.#managerEpoch;
      this.#managerEpoch = message.summary.epoch;
      this.#world.apply(message);
      if (isNew) void this.#load();
    } else if (!this.#world.apply(message)) {
      void this.#load();
    }
    this.#drawSoon();
  }

  #setLink(link: Link): void {
    this.#link = link;
    if (link.kind === "live") {
      this.#wasLive = true;
      if (this.#loadFailure !== null) void this.#load();
    }
    this.#drawSoon();
  }

  /** Reads every list; what is there stays until its successor is. */
  async #load(): Promise<void> {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    this.#loadFailure = null;
    const stop = loading.signal;
    const { nodes, jobs, epochs } = this.#world;
    this.#world.markStale();
    const list = <Row>(path: string, rowsMost: number, take: (rows: readonly Row[]) => void) =>
      readList<Row>(path, { rowsMost, stop }, (rows) => {
        if (stop.aborted) return;
        take(rows);
        this.#drawSoon();
      });
    try {
      await Promise.all([
        list<NodeRow>(NODES_PATH, NODES_MAX, (rows) => {
          for (const row of rows) nodes.set(row.id, row);
        }),
        list<TicketRow>(TICKETS_PATH, TICKETS_MAX, (rows) => {
          for (const row of rows) this.#world.apply({ kind: "ticket", row });
        }),
        list<JobRow>(JOBS_PATH, JOBS_MAX, (rows) => {
          for (const row of rows) jobs.set(row.id, row);
        }),
        list<EpochRow>(EPOCHS_PATH, EPOCHS_MAX, (rows) => {
          for (const row of rows) epochs.set(String(row.epoch), row);
        }),
        list<EventRow>(EVENTS_PATH, EVENTS_MAX, (rows) => this.#world.addEvents(rows)).then(
          (isAll) => {
            this.#world.read.set("events", isAll ? "all" : "part");
          },
        ),
      ]);
      this.#world.dropStale();
    } catch (error) {
      if (stop.aborted) return;
      this.#loadFailure = error instanceof Error ? error.message : String(error);
    }
    if (this.#loading === loading) this.#loading = null;
    this.#drawSoon();
  }

  #setFilter(change: Partial<Filter>): void {
    this.#filter = { ...this.#filter, ...change };
    this.#draw();
  }

  #choose(id: string): void {
    this.#chosen = id;
    this.#draw();
    // On a narrow screen the picture stands below the list.
    const host = byId("event-detail");
    if (host.getBoundingClientRect().top > window.innerHeight)
      host.scrollIntoView({ block: "start" });
  }

  #showTicket(id: string): void {
    const event = this.#world.events.rows().find(({ ticket }) => ticket === id);
    this.#setFilter({ words: id, span: null, state: "all", rangeMs: null });
    if (event !== undefined) this.#choose(event.id);
  }

  #goTo(target: Target): void {
    switch (target.kind) {
      case "node":
        this.#nodes.find(target.id);
        byId("nodes").scrollIntoView({ block: "start" });
        return;
      case "job":
        this.#jobs.find(target.id);
        return;
      case "event":
        this.#choose(target.id);
        return;
      case "ticket":
        this.#showTicket(target.id);
        byId("events").scrollIntoView({ block: "start" });
        return;
      case "events":
        this.#setFilter({ state: target.state, words: "", span: null, rangeMs: null });
        byId("events").scrollIntoView({ block: "start" });
        return;
      default:
        return;
    }
  }

  #key(event: KeyboardEvent): void {
    const isTyping =
      event.target instanceof Element && event.target.closest("input, select") !== null;
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      this.#events.focusSearch();
    }
  }

  #second(): void {
    if (document.hidden) return;
    this.#nodes.refresh(this.#nowMs);
    this.#tickets.refresh(this.#nowMs);
    this.#draw();
  }

  #drawSoon(): void {
    this.#drawTimer ??= window.setTimeout(() => this.#draw(), FRAME_MS);
  }

  get #standing(): Standing {
    const { kind, sinceMs } = this.#link;
    const why = "why" in this.#link ? this.#link.why : "";
    // The first second of a page is not a fault.
    const isUp = kind === "live" || (!this.#wasLive && kind === "connecting");
    return { isLive: isUp, sinceMs: sinceMs + this.#aheadMs, why: capital(why) };
  }

  #draw(): void {
    if (this.#drawTimer !== null) clearTimeout(this.#drawTimer);
    this.#drawTimer = null;
    const nowMs = this.#nowMs;
    const world = this.#world;
    const filter = this.#filter;
    const rows = world.events.rows();
    const fitting = matching(rows, filter);
    const line = this.#lineSpan(rows, nowMs);
    document.body.dataset["link"] = this.#link.kind;
    document.body.dataset["events"] = rows.length === 0 ? "none" : "some";
    this.#head.show(world, this.#link, nowMs);
    const troubles = troublesOf(world, this.#standing, nowMs);
    const failure = this.#loadFailure;
    const unread =
      failure === null
        ? []
        : [
            {
              key: "lists",
              gravity: "warning" as const,
              title: "Not everything could be read",
              detail: failure,
              sinceMs: null,
              target: null,
            },
          ];
    this.#now.show(world, [...unread, ...troubles], nowMs);
    this.#figures.show(world);
    this.#timeline.show(fitting, line, filter.span, nowMs);
    for (const [range, button] of this.#ranges) {
      setAttribute(button, "aria-pressed", String(range === filter.rangeMs));
    }
    this.#events.show({
      rows: within(fitting, spanOf(filter, nowMs)),
      filter,
      chosen: this.#chosen,
      total: rows.length,
      isCut: world.events.isCut || world.read.get("events") === "part",
      isLoading: this.#loading !== null || world.summary === null,
      nowMs,
    });
    this.#detail.show(this.#chosen === null ? null : (world.events.get(this.#chosen) ?? null));
    this.#nodes.show(world.nodes.rows(), world.summary?.clusterEpoch ?? null, nowMs);
    this.#tickets.show(world.tickets.rows(), nowMs);
    this.#jobs.show(world.jobs.rows());
    this.#epochs.show(world.epochs.rows(), nowMs);
  }

  /** What the time line shows: the range that ends now, or from the first event that the page has. */
  #lineSpan(rows: readonly EventRow[], nowMs: number) {
    const { rangeMs } = this.#filter;
    if (rangeMs !== null) return { fromMs: nowMs - rangeMs, untilMs: nowMs };
    const firstMs = rows.reduce((least, { seenMs }) => Math.min(least, seenMs), nowMs - HOUR_MS);
    return { fromMs: firstMs, untilMs: nowMs };
  }
}

function capital(text: string): string {
  return text === "" ? "" : `${text[0]?.toUpperCase()}${text.slice(1)}`;
}

takeToken();
new ManagerPage().start();
