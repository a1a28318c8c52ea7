/**
 * The few numbers one looks at first, and the head of the page: which manager, how its line stands, the colours.
 */

import type { Link } from "./connection.ts";
import { byId, h, setAttribute, setText } from "./dom.ts";
import { clockTime, duration, grouped, shortDuration } from "./format.ts";
import type { World } from "./world.ts";

const SAMPLE_MOST = 200;

/** Of the newest delivered events: from being seen to the destination's receipt. */
export function deliveryTimes(world: World): readonly number[] {
  const times: number[] = [];
  for (const { state, seenMs, steps } of world.events.rows()) {
    if (state !== "delivered") continue;
    const end = steps.find(({ kind }) => kind === "R2");
    if (end !== undefined) times.push(Math.max(0, end.atMs - seenMs));
    if (times.length === SAMPLE_MOST) break;
  }
  return times.sort((a, b) => a - b);
}

function quantile(sorted: readonly number[], part: number): number | null {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? null;
}

interface Figure {
  readonly key: string;
  readonly name: string;
  readonly value: string;
  readonly note: string;
  readonly tone: "plain" | "good" | "warn" | "bad";
}

function figuresOf(world: World): readonly Figure[] {
  const { summary } = world;
  if (summary === null) return [];
  const { nodes, events } = summary;
  const all = nodes.alive + nodes.late + nodes.silent + nodes.dead;
  const times = deliveryTimes(world);
  const median = quantile(times, 0.5);
  const slow = quantile(times, 0.99);
  const isIll = nodes.silent + nodes.dead > 0;
  return [
    {
      key: "nodes",
      name: "nodes alive",
      value: `${grouped(nodes.alive)} / ${grouped(all)}`,
      note: isIll
        ? `${nodes.dead} dead, ${nodes.silent} silent`
        : nodes.late > 0
          ? `${nodes.late} late`
          : "",
      tone: isIll ? "bad" : nodes.late > 0 ? "warn" : "plain",
    },
    {
      key: "epoch",
      name: "epoch",
      value: summary.clusterEpoch === null ? "–" : grouped(summary.clusterEpoch),
      note: "",
      tone: "plain",
    },
    {
      key: "tickets",
      name: "open tickets",
      value: grouped(summary.openTickets),
      note: "",
      tone: summary.openTickets > 0 ? "warn" : "plain",
    },
    {
      key: "waiting",
      name: "on the way",
      value: grouped(events.kept),
      note: events["not-relayed"] > 0 ? `${events["not-relayed"]} not handed on` : "",
      tone: events.kept > 0 ? "warn" : "plain",
    },
    {
      key: "delivered",
      name: "reached support",
      value: grouped(events.delivered),
      note: "",
      tone: "plain",
    },
    {
      key: "median",
      name: "seen → ticket, median",
      value: median === null ? "–" : duration(median),
      note: slow === null ? "" : `p99 ${duration(slow)} of ${times.length}`,
      tone: "plain",
    },
  ];
}

export class FiguresView {
  readonly #host = byId("figures");
  #key = "";

  show(world: World): void {
    const figures = figuresOf(world);
    const key = JSON.stringify(figures);
    if (key === this.#key) return;
    this.#key = key;
    this.#host.replaceChildren(
      ...figures.map(({ key: name, name: title, value, note, tone }) =>
        h(
          "div",
          { class: `figure is-${tone}`, "data-figure": name },
          h("dt", {}, title),
          h("dd", {}, value, note !== "" && h("small", {}, note)),
        ),
      ),
    );
  }
}

const THEMES = ["auto", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const THEME_KEY = "holdfast-theme";

export class HeadView {
  readonly #link = byId("link");
  readonly #place = byId("place");
  readonly #theme = byId("theme");
  #isFirst = true;

  constructor(onRetry: () => void) {
    byId("retry").addEventListener("click", onRetry);
    const saved = localStorage.getItem(THEME_KEY);
    let theme: Theme = THEMES.find((name) => name === saved) ?? "auto";
    const apply = (): void => {
      document.documentElement.dataset["theme"] = theme;
      setText(this.#theme, theme);
      setAttribute(this.#theme, "aria-label", `Colours: ${theme}. Change`);
    };
    this.#theme.addEventListener("click", () => {
      theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "auto";
      localStorage.setItem(THEME_KEY, theme);
      apply();
    });
    apply();
  }

  show(world: World, link: Link, nowMs: number): void {
    const { summary } = world;
    if (summary !== null) {
      setText(this.#place, `${summary.cluster} · manager ${summary.name}`);
      const { store, version, startedMs } = summary;
      const up = shortDuration(Math.max(0, nowMs - startedMs));
      setText(byId("about"), `holdfast ${version} · ${store.kind} · up ${up}`);
      if (document.title !== `holdfast · ${summary.cluster}`) {
        document.title = `holdfast · ${summary.cluster}`;
      }
    }
    setAttribute(this.#link, "data-link", link.kind);
    byId("retry").hidden = link.kind !== "waiting";
    setText(this.#link, this.#linkText(link));
    if (link.kind === "live") this.#isFirst = false;
  }

  #linkText(link: Link): string {
    if (link.kind === "live") return "live";
    if (link.kind === "connecting") return this.#isFirst ? "connecting…" : "reconnecting…";
    const inMs = Math.max(0, link.retryAtMs - Date.now());
    return `not connected since ${clockTime(link.sinceMs)}, again in ${Math.ceil(inMs / 1_000)} s`;
  }
}
