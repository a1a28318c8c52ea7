/**
 * The time line: events by gravity in equal bins, as bars. A bin is chosen by pointer or keyboard, several by dragging; the
 * list below shows what is in them. As many elements as bins, however many events.
 */
import type { EventRow } from "../api.ts";
import { h, setAttribute, setText, svg } from "./dom.ts";
import { type EventGravity, GRAVITIES, type TimeSpan } from "./filters.ts";
import { clockTime, counted, dayOf, moment } from "./format.ts";
import { type Bin, histogram, ticks } from "./histogram.ts";

const HEIGHT = 116;
const AXIS = 20;
const TOP = 14;
/** A bar narrower than this cannot be aimed at. */
const BAR_PX_MIN = 9;
const DAY_MS = 86_400_000;

const NAMES: Readonly<Record<EventGravity, string>> = {
  critical: "critical",
  warning: "warning",
  information: "other",
};

export function describeBin({ fromMs, untilMs, counts, total }: Bin, nowMs: number): string {
  const when = `${moment(fromMs, nowMs)} – ${clockTime(untilMs)}`;
  if (total === 0) return `${when}: nothing`;
  const parts = GRAVITIES.filter((gravity) => counts[gravity] > 0).map(
    (gravity) => `${counts[gravity]} ${NAMES[gravity]}`,
  );
  return `${when}: ${counted(total, "event")} (${parts.join(", ")})`;
}

export class TimelineView {
  readonly element: HTMLElement;
  readonly readout: HTMLElement;
  readonly #onSpan: (span: TimeSpan | null) => void;
  #bins: readonly Bin[] = [];
  #width = 0;
  #nowMs = 0;
  #active: number | null = null;
  #dragFrom: number | null = null;
  #span: TimeSpan | null = null;
  #last: (() => void) | null = null;
  #drawnKey = "";

  constructor(onSpan: (span: TimeSpan | null) => void) {
    this.#onSpan = onSpan;
    this.element = h("div", {
      class: "timeline",
      tabindex: 0,
      role: "application",
      "aria-roledescription": "time line",
      "aria-label":
        "Events over time. Left and right move between bars, Enter shows only the events of one, Escape shows all.",
      "aria-describedby": "timeline-readout",
    });
    this.readout = h("output", { id: "timeline-readout", class: "readout" });
    new ResizeObserver(() => this.#last?.()).observe(this.element);
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("pointermove", (event) => this.#hover(event));
    this.element.addEventListener("pointerleave", () => this.#mark(null));
    this.element.addEventListener("pointerdown", (event) => this.#down(event));
    this.element.addEventListener("pointerup", (event) => this.#up(event));
    this.element.addEventListener("focus", () => this.#mark(this.#active ?? this.#bins.length - 1));
  }

  /** `span` is what the line shows, `chosen` the part of it that the list shows. */
  show(rows: readonly EventRow[], span: TimeSpan, chosen: TimeSpan | null, nowMs: number): void {
    this.#last = () => this.#draw(rows, span, chosen, nowMs);
    this.#last();
  }

  #draw(rows: readonly EventRow[], span: TimeSpan, chosen: TimeSpan | null, nowMs: number): void {
    this.#width = this.element.clientWidth;
    this.#nowMs = nowMs;
    this.#span = chosen;
    const offsetMs = -new Date(nowMs).getTimezoneOffset() * 60_000;
    const binsMost = Math.max(12, Math.floor(this.#width / BAR_PX_MIN));
    this.#bins = histogram(rows, span, { binsMost, offsetMs });
    const key = JSON.stringify([
      this.#width,
      chosen,
      this.#bins.map(({ fromMs, counts }) => [fromMs, counts]),
    ]);
    if (key === this.#drawnKey) return;
    this.#drawnKey = key;
    const first = this.#bins[0];
    const last = this.#bins.at(-1);
    if (first === undefined || last === undefined) return;
    const whole = { fromMs: first.fromMs, untilMs: last.untilMs };
    const total = this.#bins.reduce((sum, bin) => sum + bin.total, 0);
    this.element.replaceChildren(
      svg(
        "svg",
        {
          viewBox: `0 0 ${this.#width} ${HEIGHT}`,
          width: this.#width,
          height: HEIGHT,
          "aria-hidden": "true",
        },
        ...this.#axis(whole, offsetMs),
        ...this.#bins.map((bin, index) => this.#bar(bin, index)),
        svg("rect", { class: "cursor", x: 0, y: TOP - 6, width: this.#barPx, height: 0, rx: 3 }),
      ),
    );
    if (total === 0) {
      this.element.append(h("p", { class: "timeline-empty" }, "No events in this span."));
    }
    this.#mark(this.#active);
  }

  get #barPx(): number {
    return this.#width / Math.max(1, this.#bins.length);
  }

  #axis(whole: TimeSpan, offsetMs: number): readonly SVGElement[] {
    const spanMs = whole.untilMs - whole.fromMs;
    const x = (atMs: number): number => ((atMs - whole.fromMs) / spanMs) * this.#width;
    const times = ticks(whole, Math.max(2, Math.floor(this.#width / 110)), offsetMs);
    const base = HEIGHT - AXIS;
    return [
      svg("path", { class: "axis", d: `M0 ${base + 0.5} H${this.#width}` }),
      ...times.map((atMs) => {
        const text = spanMs > 2 * DAY_MS ? dayOf(atMs).slice(5) : clockTime(atMs).slice(0, 5);
        const anchor = x(atMs) < 24 ? "start" : x(atMs) > this.#width - 24 ? "end" : "middle";
        return svg(
          "g",
          { class: "tick" },
          svg("path", { d: `M${x(atMs).toFixed(1)} ${TOP - 6} V${base + 4}` }),
          svg("text", { x: x(atMs).toFixed(1), y: HEIGHT - 4, "text-anchor": anchor }, text),
        );
      }),
    ];
  }

  /** Heights by square root: a storm does not press everything else flat, and one event is still seen. */
  #bar(bin: Bin, index: number): SVGElement {
    const most = Math.max(4, ...this.#bins.map(({ total }) => total));
    const room = HEIGHT - AXIS - TOP;
    const px = this.#barPx;
    const scale = Math.sqrt(bin.total / most) * room;
    const isOut =
      this.#span !== null && (bin.fromMs < this.#span.fromMs || bin.fromMs >= this.#span.untilMs);
    let y = HEIGHT - AXIS;
    const parts = GRAVITIES.filter((gravity) => bin.counts[gravity] > 0).map((gravity) => {
      const height = Math.max(3, (bin.counts[gravity] / bin.total) * scale);
      y -= height;
      return svg("rect", {
        class: `bar is-${gravity}`,
        x: (index * px + 1).toFixed(1),
        y: y.toFixed(1),
        width: Math.max(1, px - 2).toFixed(1),
        height: height.toFixed(1),
        rx: 1.5,
      });
    });
    return svg("g", { class: isOut ? "bin is-out" : "bin" }, ...parts);
  }

  #at(event: PointerEvent): number {
    const x = event.clientX - this.element.getBoundingClientRect().left;
    return Math.max(0, Math.min(this.#bins.length - 1, Math.floor(x / this.#barPx)));
  }

  #mark(index: number | null, from: number | null = index): void {
    this.#active = index;
    const cursor = this.element.querySelector(".cursor");
    const bin = index === null ? undefined : this.#bins[index];
    const other = from === null ? undefined : this.#bins[from];
    if (index === null || from === null || bin === undefined || other === undefined) {
      if (cursor !== null) setAttribute(cursor, "height", "0");
      setText(this.readout, "");
      return;
    }
    const [low, high] = from <= index ? [from, index] : [index, from];
    if (cursor !== null) {
      setAttribute(cursor, "x", (low * this.#barPx).toFixed(1));
      setAttribute(cursor, "width", ((high - low + 1) * this.#barPx).toFixed(1));
      setAttribute(cursor, "height", String(HEIGHT - AXIS - TOP + 6));
    }
    setText(this.readout, describeBin(joined(this.#bins.slice(low, high + 1)) ?? bin, this.#nowMs));
  }

  #choose(from: number, until: number): void {
    const [low, high] = from <= until ? [from, until] : [until, from];
    const chosen = joined(this.#bins.slice(low, high + 1));
    if (chosen === null) return;
    const isSame = this.#span?.fromMs === chosen.fromMs && this.#span.untilMs === chosen.untilMs;
    this.#onSpan(isSame ? null : { fromMs: chosen.fromMs, untilMs: chosen.untilMs });
  }

  #hover(event: PointerEvent): void {
    this.#mark(this.#at(event), this.#dragFrom ?? this.#at(event));
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0) return;
    this.#dragFrom = this.#at(event);
    this.element.setPointerCapture(event.pointerId);
  }

  #up(event: PointerEvent): void {
    const from = this.#dragFrom;
    this.#dragFrom = null;
    if (from !== null) this.#choose(from, this.#at(event));
  }

  #key(event: KeyboardEvent): void {
    const last = this.#bins.length - 1;
    const at = this.#active ?? last;
    const moves: Readonly<Record<string, number>> = {
      ArrowLeft: at - 1,
      ArrowRight: at + 1,
      Home: 0,
      End: last,
    };
    const to = moves[event.key];
    if (to !== undefined) this.#mark(Math.max(0, Math.min(last, to)));
    else if (event.key === "Enter" || event.key === " ") this.#choose(at, at);
    else if (event.key === "Escape") this.#onSpan(null);
    else return;
    event.preventDefault();
  }
}

/** Neighbouring bins as one. */
function joined(bins: readonly Bin[]): Bin | null {
  const first = bins[0];
  const last = bins.at(-1);
  if (first === undefined || last === undefined) return null;
  const sum = (gravity: EventGravity): number =>
    bins.reduce((total, bin) => total + bin.counts[gravity], 0);
  return {
    fromMs: first.fromMs,
    untilMs: last.untilMs,
    counts: {
      critical: sum("critical"),
      warning: sum("warning"),
      information: sum("information"),
    },
    total: bins.reduce((total, bin) => total + bin.total, 0),
  };
}
