/**
 * The tickets, open ones first: one for each fault, however many events it has.
 */
import type { TicketRow } from "../api.ts";
import { byId, h, setText } from "./dom.ts";
import { emptyState } from "./empty.ts";
import { counted, grouped, shortDuration } from "./format.ts";
import { badge, severityMark } from "./marks.ts";
import { VirtualList } from "./virtual-list.ts";
import { ticketKey } from "./world.ts";

export class TicketsView {
  readonly #list: VirtualList<TicketRow>;
  readonly #empty = byId("tickets-empty");
  readonly #count = byId("tickets-count");
  #nowMs = 0;
  #hasEmpty = false;

  constructor(onChoose: (ticket: TicketRow) => void) {
    this.#list = new VirtualList<TicketRow>({
      id: "tickets-list",
      label: "Tickets, open ones first",
      columns: [
        { title: "", className: "c-mark" },
        { title: "Ticket", className: "c-ticket" },
        { title: "What", className: "c-text" },
        { title: "Events", className: "c-events" },
        { title: "State", className: "c-open" },
      ],
      keyOf: ticketKey,
      cells: (row) => this.#cells(row),
      rowClass: ({ isOpen }) => (isOpen ? "" : "is-over"),
      onChoose,
    });
    byId("tickets-host").prepend(this.#list.element);
  }

  #cells(row: TicketRow) {
    const lasted = row.isOpen ? this.#nowMs - row.openedMs : row.changedMs - row.openedMs;
    const span = shortDuration(lasted);
    return [
      severityMark(row),
      row.id,
      h("span", { class: "event-text", title: row.text }, `${row.node}: ${row.text}`),
      grouped(row.events),
      row.isOpen
        ? badge(`open ${span}`, "warn")
        : badge(lasted < 1_000 ? "closed" : `closed, ${span}`, "plain"),
    ];
  }

  show(rows: readonly TicketRow[], nowMs: number): void {
    this.#nowMs = nowMs;
    const openCount = rows.filter(({ isOpen }) => isOpen).length;
    setText(this.#count, `${grouped(openCount)} open of ${counted(rows.length, "ticket")}`);
    this.#list.element.hidden = rows.length === 0;
    this.#list.show(rows, null);
    const isEmpty = rows.length === 0;
    if (isEmpty === this.#hasEmpty) return;
    this.#hasEmpty = isEmpty;
    this.#empty.replaceChildren();
    if (isEmpty) {
      this.#empty.append(
        emptyState(
          "No ticket",
          "The destination opens one for each fault, adds what repeats to it, and closes it when the fault is over. To host one:",
          "holdfast destination",
        ),
      );
    }
  }

  refresh(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#list.refresh();
  }
}
