/**
 * The list of events with its filters, and what is said where it is empty.
 */
import type { EventRow } from "../api.ts";
import { byId, h, setAttribute, setText } from "./dom.ts";
import { emptyState } from "./empty.ts";
import { type EventGravity, type Filter, GRAVITIES, type StateFilter } from "./filters.ts";
import { counted, duration, grouped, moment } from "./format.ts";
import { severityMark } from "./marks.ts";
import { VirtualList } from "./virtual-list.ts";
import { wayOf } from "./way.ts";
import { drawMiniWay } from "./way-view.ts";

export interface EventsShown {
  readonly rows: readonly EventRow[];
  readonly filter: Filter;
  readonly chosen: string | null;
  /** Of all that the page holds. */
  readonly total: number;
  readonly isCut: boolean;
  readonly isLoading: boolean;
  readonly nowMs: number;
}

const GRAVITY_NAMES: Readonly<Record<EventGravity, string>> = {
  critical: "critical",
  warning: "warning",
  information: "other",
};

const STATES: readonly (readonly [StateFilter, string])[] = [
  ["all", "wherever it is"],
  ["kept", "on its way"],
  ["delivered", "delivered"],
  ["around", "went around the manager"],
  ["not-relayed", "not handed on"],
];

const TYPING_MS = 120;

export class EventsView {
  readonly #list: VirtualList<EventRow>;
  readonly #empty = byId("events-empty");
  readonly #count = byId("events-count");
  readonly #chips = new Map<EventGravity, HTMLButtonElement>();
  readonly #state: HTMLSelectElement;
  readonly #words: HTMLInputElement;
  readonly #span: HTMLButtonElement;
  #nowMs = 0;
  #emptyKey = "";

  constructor(
    onFilter: (change: Partial<Filter>) => void,
    onChoose: (id: string) => void,
    filter: () => Filter,
  ) {
    for (const gravity of GRAVITIES) {
      const chip = h(
        "button",
        { type: "button", class: `chip is-${gravity}`, "aria-pressed": "true" },
        severityMark({ severity: gravity }),
        GRAVITY_NAMES[gravity],
      );
      chip.addEventListener("click", () => {
        const gravities = new Set(filter().gravities);
        if (!gravities.delete(gravity)) gravities.add(gravity);
        onFilter({ gravities });
      });
      this.#chips.set(gravity, chip);
    }
    this.#state = h(
      "select",
      { "aria-label": "Where the events are" },
      ...STATES.map(([value, text]) => h("option", { value }, text)),
    );
    this.#state.addEventListener("change", () =>
      onFilter({ state: this.#state.value as StateFilter }),
    );
    this.#words = h("input", {
      type: "search",
      placeholder: "node, component, text, ticket…",
      "aria-label": "Words to look for in events",
      autocomplete: "off",
      spellcheck: "false",
    });
    let typing = 0;
    this.#words.addEventListener("input", () => {
      clearTimeout(typing);
      typing = window.setTimeout(() => onFilter({ words: this.#words.value }), TYPING_MS);
    });
    this.#span = h("button", { type: "button", class: "chip is-span", hidden: true });
    this.#span.addEventListener("click", () => onFilter({ span: null }));
    byId("event-filters").append(...this.#chips.values(), this.#state, this.#words, this.#span);
    this.#list = new VirtualList<EventRow>({
      id: "events-list",
      label: "Events, newest first",
      columns: [
        { title: "Time", className: "c-time" },
        { title: "", className: "c-mark" },
        { title: "Node", className: "c-node" },
        { title: "What", className: "c-text" },
        { title: "Way", className: "c-way" },
        { title: "Ticket", className: "c-ticket" },
      ],
      keyOf: ({ id }) => id,
      cells: (row) => this.#cells(row),
      rowClass: (row) => (row.isAssertion ? "" : "is-deassertion"),
      onChoose: ({ id }) => onChoose(id),
    });
    byId("events-host").prepend(this.#list.element);
  }

  #cells(row: EventRow) {
    return [
      moment(row.seenMs, this.#nowMs),
      severityMark(row),
      row.node,
      h("span", { class: "event-text", title: row.text }, row.text),
      drawMiniWay(wayOf(row)),
      row.ticket ?? "–",
    ];
  }

  focusSearch(): void {
    this.#words.focus();
    this.#words.select();
  }

  show({ rows, filter, chosen, total, isCut, isLoading, nowMs }: EventsShown): void {
    this.#nowMs = nowMs;
    for (const [gravity, chip] of this.#chips) {
      setAttribute(chip, "aria-pressed", String(filter.gravities.has(gravity)));
    }
    if (this.#state.value !== filter.state) this.#state.value = filter.state;
    if (document.activeElement !== this.#words && this.#words.value !== filter.words) {
      this.#words.value = filter.words;
    }
    const { span } = filter;
    this.#span.hidden = span === null;
    if (span !== null) {
      const text = `${moment(span.fromMs, nowMs)}, ${duration(span.untilMs - span.fromMs)} ✕`;
      setText(this.#span, text);
      setAttribute(
        this.#span,
        "aria-label",
        `Only from ${text.slice(0, -2)}: show all times again`,
      );
    }
    const of = rows.length === total ? "" : ` of ${grouped(total)}`;
    const cut = isCut ? "; older ones: /v1/events" : "";
    const loading = isLoading ? "; reading older ones…" : "";
    setText(this.#count, `${counted(rows.length, "event")}${of}${cut}${loading}`);
    this.#list.element.hidden = rows.length === 0;
    this.#list.show(rows, chosen);
    this.#showEmpty(rows.length, total, isLoading);
  }

  #showEmpty(shown: number, total: number, isLoading: boolean): void {
    const key = shown > 0 ? "" : total > 0 ? "filtered" : isLoading ? "loading" : "none";
    if (key === this.#emptyKey) return;
    this.#emptyKey = key;
    this.#empty.replaceChildren();
    if (key === "filtered") {
      this.#empty.append(
        emptyState(
          "Nothing fits",
          "No event is as the filters and the span of time want it.",
          null,
        ),
      );
    } else if (key === "loading") {
      this.#empty.append(emptyState("Reading…", "The manager's events are on their way.", null));
    } else if (key === "none") {
      this.#empty.append(
        emptyState(
          "No event yet",
          "What an agent sees in its BMC, is told by a hook, or finds out itself appears here within a second. Send one to see its way:",
          "holdfast callhome test",
        ),
      );
    }
  }
}
