/**
 * A list of any length of which only what is seen is in the document: ten thousand rows cost as much as twenty.
 *
 * One grid for those who do not see it: the count, the place of a row and its cells are told. The focus stays on the list
 * itself and names its active row (`aria-activedescendant`), so that a row may go away while it is active. Where the
 * reader has scrolled down, new rows above do not move what is read.
 */
import { type Child, h, setAttribute } from "./dom.ts";

export interface Column {
  readonly title: string;
  readonly className: string;
}

export interface VirtualListOptions<Row> {
  readonly id: string;
  readonly label: string;
  readonly columns: readonly Column[];
  readonly keyOf: (row: Row) => string;
  /** One child per column. */
  readonly cells: (row: Row) => readonly Child[];
  readonly rowClass?: (row: Row) => string;
  readonly onChoose: (row: Row) => void;
}

/** Rows beyond the edge, so that a quick scroll shows no gap. */
const SPARE_ROWS = 8;

/** Of the titles and a border. */
const HEAD_PX = 34;

interface Drawn<Row> {
  readonly row: Row;
  readonly element: HTMLElement;
}

export class VirtualList<Row> {
  readonly element: HTMLElement;
  readonly #body: HTMLElement;
  readonly #head: HTMLElement;
  readonly #options: VirtualListOptions<Row>;
  readonly #drawn = new Map<string, Drawn<Row>>();
  #rows: readonly Row[] = [];
  #active = 0;
  #chosen: string | null = null;
  #topKey: string | null = null;

  constructor(options: VirtualListOptions<Row>) {
    this.#options = options;
    this.#body = h("div", { class: "list-body", role: "rowgroup" });
    const titles = options.columns.map(({ title, className }) =>
      h("span", { role: "columnheader", class: className }, title),
    );
    this.#head = h(
      "div",
      { class: "list-head", role: "rowgroup" },
      h("div", { class: "list-row", role: "row", "aria-rowindex": 1 }, ...titles),
    );
    this.element = h(
      "div",
      { class: "list", id: options.id, role: "grid", tabindex: 0, "aria-label": options.label },
      this.#head,
      this.#body,
    );
    this.element.addEventListener("scroll", () => this.#draw(), { passive: true });
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("click", (event) => this.#click(event));
    this.element.addEventListener("focus", () => this.#draw());
    this.element.addEventListener("blur", () => this.#draw());
    new ResizeObserver(() => this.#draw()).observe(this.element);
  }

  /** `chosen` is the key of the row that is shown elsewhere in full. */
  show(rows: readonly Row[], chosen: string | null): void {
    const { keyOf } = this.#options;
    const rowPx = this.#rowPx();
    const isScrolled = this.element.scrollTop > rowPx / 2;
    const oldTop = Math.floor(this.element.scrollTop / rowPx);
    const activeRow = this.#rows[this.#active];
    this.#rows = rows;
    this.#chosen = chosen;
    setAttribute(this.element, "aria-rowcount", String(rows.length + 1));
    this.#body.style.height = `${rows.length * rowPx}px`;
    this.element.style.setProperty("--fit-px", String(rows.length * rowPx + HEAD_PX));
    if (isScrolled && this.#topKey !== null) {
      const newTop = this.#indexOf(this.#topKey, oldTop);
      if (newTop >= 0 && newTop !== oldTop) this.element.scrollTop += (newTop - oldTop) * rowPx;
    }
    if (activeRow !== undefined && document.activeElement === this.element) {
      const index = this.#indexOf(keyOf(activeRow), this.#active);
      if (index >= 0) this.#active = index;
    }
    this.#active = Math.max(0, Math.min(this.#active, rows.length - 1));
    this.#draw();
  }

  /** Draws the rows anew although they did not change: times that count on. */
  refresh(): void {
    for (const { element } of this.#drawn.values()) element.remove();
    this.#drawn.clear();
    this.#draw();
  }

  /** From where it was, outwards: after an update it is near. O(rows) at worst. */
  #indexOf(key: string, near: number): number {
    const { keyOf } = this.#options;
    for (let away = 0; away < this.#rows.length; away++) {
      for (const index of [near + away, near - away]) {
        const row = this.#rows[index];
        if (row !== undefined && keyOf(row) === key) return index;
      }
    }
    return -1;
  }

  #rowPx(): number {
    const px = Number.parseFloat(getComputedStyle(this.element).getPropertyValue("--row-px"));
    return px > 0 ? px : 34;
  }

  #draw(): void {
    const { keyOf } = this.#options;
    const rowPx = this.#rowPx();
    const top = Math.floor(this.element.scrollTop / rowPx);
    const count = Math.ceil(this.element.clientHeight / rowPx);
    const from = Math.max(0, top - SPARE_ROWS);
    const until = Math.min(this.#rows.length, top + count + SPARE_ROWS);
    const topRow = this.#rows[top];
    this.#topKey = topRow === undefined ? null : keyOf(topRow);
    const kept = new Set<string>();
    for (let index = from; index < until; index++) {
      const row = this.#rows[index];
      if (row === undefined) continue;
      kept.add(keyOf(row));
      this.#place(row, index, rowPx);
    }
    for (const [key, { element }] of this.#drawn) {
      if (kept.has(key)) continue;
      element.remove();
      this.#drawn.delete(key);
    }
    this.#markActive();
  }

  #place(row: Row, index: number, rowPx: number): void {
    const key = this.#options.keyOf(row);
    let drawn = this.#drawn.get(key);
    if (drawn === undefined || drawn.row !== row) {
      const element = this.#make(row);
      if (drawn === undefined) this.#body.append(element);
      else drawn.element.replaceWith(element);
      drawn = { row, element };
      this.#drawn.set(key, drawn);
    }
    const { element } = drawn;
    element.style.transform = `translateY(${index * rowPx}px)`;
    element.dataset["index"] = String(index);
    element.id = `${this.#options.id}-${index}`;
    setAttribute(element, "aria-rowindex", String(index + 2));
    setAttribute(element, "aria-selected", String(key === this.#chosen));
  }

  #make(row: Row): HTMLElement {
    const { columns, cells, rowClass } = this.#options;
    const contents = cells(row);
    return h(
      "div",
      { class: `list-row ${rowClass?.(row) ?? ""}`, role: "row" },
      ...columns.map(({ className }, index) =>
        h("span", { role: "gridcell", class: className }, contents[index]),
      ),
    );
  }

  #markActive(): void {
    const hasFocus = document.activeElement === this.element && this.#rows.length > 0;
    for (const { element } of this.#drawn.values()) {
      element.classList.toggle(
        "is-active",
        hasFocus && element.dataset["index"] === String(this.#active),
      );
    }
    const active = `${this.#options.id}-${this.#active}`;
    const isDrawn = document.getElementById(active) !== null;
    setAttribute(this.element, "aria-activedescendant", hasFocus && isDrawn ? active : null);
  }

  #move(index: number): void {
    const rowPx = this.#rowPx();
    this.#active = Math.max(0, Math.min(index, this.#rows.length - 1));
    const { element } = this;
    const at = this.#active * rowPx;
    const room = element.clientHeight - this.#head.offsetHeight;
    if (at < element.scrollTop) element.scrollTop = at;
    else if (at + rowPx > element.scrollTop + room) element.scrollTop = at + rowPx - room;
    this.#draw();
  }

  #key(event: KeyboardEvent): void {
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.#rowPx()) - 2);
    const moves: Readonly<Record<string, number>> = {
      ArrowDown: this.#active + 1,
      ArrowUp: this.#active - 1,
      PageDown: this.#active + page,
      PageUp: this.#active - page,
      Home: 0,
      End: this.#rows.length - 1,
    };
    const to = moves[event.key];
    if (to !== undefined) this.#move(to);
    else if (event.key === "Enter" || event.key === " ") this.#choose(this.#active);
    else return;
    event.preventDefault();
  }

  #click(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target.closest("[data-index]") : null;
    if (!(target instanceof HTMLElement)) return;
    this.#active = Number(target.dataset["index"]);
    this.#choose(this.#active);
  }

  #choose(index: number): void {
    const row = this.#rows[index];
    if (row !== undefined) this.#options.onChoose(row);
    this.#markActive();
  }
}
