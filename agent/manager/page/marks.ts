/**
 * Small signs with a meaning: a colour is never the only difference, shape and text say the same.
 */
import type { EventRow, NodeRow } from "../api.ts";
import { h, svg } from "./dom.ts";
import { gravityOf } from "./filters.ts";

const SHAPES = {
  critical: "M8 1.5 L14.5 8 L8 14.5 L1.5 8 Z",
  warning: "M8 2 L14.5 13.5 H1.5 Z",
  information: "M8 3 a5 5 0 1 0 0.01 0 Z",
} as const;

export function severityMark(row: Pick<EventRow, "severity">): HTMLElement {
  const gravity = gravityOf(row);
  return h(
    "span",
    { class: `severity is-${gravity}`, title: row.severity },
    svg(
      "svg",
      { viewBox: "0 0 16 16", "aria-hidden": "true" },
      svg("path", { d: SHAPES[gravity] }),
    ),
    h("span", { class: "for-readers" }, row.severity),
  );
}

export function stateDot(state: NodeRow["state"]): HTMLElement {
  return h("span", { class: `state is-${state}` }, h("i", { class: "dot" }), state);
}

export function badge(text: string, tone: "good" | "warn" | "bad" | "plain"): HTMLElement {
  return h("span", { class: `badge is-${tone}` }, text);
}
