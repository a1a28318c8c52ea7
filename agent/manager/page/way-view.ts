/**
 * Draws the way of an event from top to bottom: BMC, node, manager, support on one line, the ways around the manager to its left.
 * What was gone is solid and says how long it took, what is under way moves, what failed is crossed out and says why.
 */
import { h, svg } from "./dom.ts";
import { clockTimeMs, duration } from "./format.ts";
import type { Leg, Way } from "./way.ts";

const WIDTH = 380;
const HEIGHT = 292;
const MAIN_X = 140;
const DIRECT_X = 98;
const PEER_X = 66;
const Y = { bmc: 26, node: 102, manager: 178, support: 254 } as const;
const RADIUS = 9;

interface Station {
  readonly x: number;
  readonly y: number;
  readonly title: string;
  readonly detail: string;
  /** Has the event been here? */
  readonly isReached: boolean;
  readonly className: string;
}

function clipped(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

function station({ x, y, title, detail, isReached, className }: Station): SVGElement {
  const state = isReached ? "is-reached" : "is-ahead";
  return svg(
    "g",
    { class: `station ${className} ${state}` },
    svg("circle", { cx: x, cy: y, r: RADIUS }),
    isReached && svg("path", { class: "tick", d: `M${x - 4} ${y} l3 3.2 l5 -6` }),
    svg("text", { class: "station-title", x: x + 20, y: y - 1 }, clipped(title, 34)),
    svg("text", { class: "station-detail", x: x + 20, y: y + 15 }, clipped(detail, 42)),
  );
}

interface LegShape {
  readonly d: string;
  readonly label: string;
  readonly labelX: number;
  readonly labelY: number;
  readonly anchor: "start" | "end" | "middle";
  readonly middle: readonly [x: number, y: number];
}

/** `sinceMs` null: no time is told. */
function legText(leg: Leg, name: string, sinceMs: number | null): string {
  if (leg.state === "done" && leg.atMs !== null && sinceMs !== null)
    return `${name} +${duration(leg.atMs - sinceMs)}`;
  return name;
}

function drawLeg(leg: Leg, { d, label, labelX, labelY, anchor, middle }: LegShape): SVGElement {
  const [x, y] = middle;
  return svg(
    "g",
    { class: `leg is-${leg.state}` },
    svg("path", { d }),
    leg.state === "failed" &&
      svg("path", { class: "cross", d: `M${x - 5} ${y - 5} l10 10 m0 -10 l-10 10` }),
    svg("text", { x: labelX, y: labelY, "text-anchor": anchor }, label),
  );
}

function straight(leg: Leg, name: string, fromY: number, sinceMs: number | null): SVGElement {
  const toY = fromY + 76;
  const middle = (fromY + toY) / 2;
  const text = legText(leg, name, sinceMs);
  const note = leg.state === "failed" && leg.note !== null ? `${text}: ${leg.note}` : text;
  return drawLeg(leg, {
    d: `M${MAIN_X} ${fromY + RADIUS} V${toY - RADIUS}`,
    label: clipped(note, 42),
    labelX: MAIN_X + 20,
    labelY: middle + 8,
    anchor: "start",
    middle: [MAIN_X, middle],
  });
}

function directLeg(way: Way): SVGElement {
  const { node, support, manager } = Y;
  const left = MAIN_X - RADIUS;
  return drawLeg(way.direct, {
    d: `M${left} ${node + 3} C${DIRECT_X - 14} ${node + 18} ${DIRECT_X} ${manager - 20} ${DIRECT_X} ${manager} C${DIRECT_X} ${manager + 20} ${DIRECT_X - 14} ${support - 18} ${left} ${support - 3}`,
    // Where a peer was taken its name stands there.
    label: way.throughPeer.state === "unused" ? legText(way.direct, "direct", way.startMs) : "",
    labelX: DIRECT_X - 8,
    labelY: manager + 4,
    anchor: "end",
    middle: [DIRECT_X, manager],
  });
}

function peerLeg(way: Way): readonly (SVGElement | false)[] {
  const { node, support, manager } = Y;
  if (way.throughPeer.state === "unused") return [];
  const left = MAIN_X - RADIUS;
  const drawn = drawLeg(way.throughPeer, {
    d: `M${left} ${node} C${PEER_X + 10} ${node} ${PEER_X} ${node + 30} ${PEER_X} ${manager - RADIUS} M${PEER_X} ${manager + RADIUS} C${PEER_X} ${support - 30} ${PEER_X + 10} ${support} ${left} ${support}`,
    label: legText(way.throughPeer, "peer", way.startMs),
    labelX: MAIN_X - 20,
    labelY: node - 10,
    anchor: "end",
    middle: [PEER_X, (manager + support) / 2],
  });
  const isReached = way.throughPeer.state === "done";
  const peer = svg(
    "g",
    { class: `station ${isReached ? "is-reached" : "is-ahead"}` },
    svg("circle", { cx: PEER_X, cy: manager, r: RADIUS }),
    svg(
      "text",
      { class: "station-title", x: PEER_X - 15, y: manager + 4, "text-anchor": "end" },
      clipped(way.peer ?? "peer", 7),
    ),
  );
  return [drawn, peer];
}

function managerDetail({ toManager, toldMs }: Way): string {
  if (toldMs !== null) return `told of it afterwards, ${clockTimeMs(toldMs)}`;
  if (toManager.state !== "done") return "does not have it";
  return toManager.atMs === null ? "kept durably" : `kept durably ${clockTimeMs(toManager.atMs)}`;
}

function supportDetail(way: Way): string {
  if (way.endMs === null) return way.ticket === null ? "no ticket yet" : `ticket ${way.ticket}`;
  const ticket = way.ticket === null ? "" : `ticket ${way.ticket} · `;
  return `${ticket}${clockTimeMs(way.endMs)}`;
}

export interface WayTexts {
  /** Whose BMC, and how it was seen. */
  readonly bmc: string;
  readonly seenBy: string;
}

export function drawWay(way: Way, texts: WayTexts): HTMLElement {
  const hasManager = way.toManager.state === "done";
  const r1Ms = way.toManager.atMs ?? way.startMs;
  const picture = svg(
    "svg",
    {
      class: "way",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: "img",
      "aria-label": `The event's way. ${way.sentence}`,
    },
    straight(way.toNode, texts.seenBy, Y.bmc, null),
    straight(way.toManager, "R1", Y.node, way.startMs),
    straight(way.relayed, "R2", Y.manager, r1Ms),
    directLeg(way),
    ...peerLeg(way),
    station({
      x: MAIN_X,
      y: Y.bmc,
      title: "BMC",
      detail: texts.bmc,
      isReached: true,
      className: "at-bmc",
    }),
    station({
      x: MAIN_X,
      y: Y.node,
      title: way.node,
      detail: `queued ${clockTimeMs(way.startMs)}`,
      isReached: true,
      className: "at-node",
    }),
    station({
      x: MAIN_X,
      y: Y.manager,
      title: way.manager ?? "manager",
      detail: managerDetail(way),
      isReached: hasManager,
      className: "at-manager",
    }),
    station({
      x: MAIN_X,
      y: Y.support,
      title: way.destination ?? "support",
      detail: supportDetail(way),
      isReached: way.endMs !== null || way.relayed.state === "done",
      className: "at-support",
    }),
  );
  return h("figure", { class: "way-figure" }, picture);
}

/** The same in the width of a column: three dots, and the way in a word or two. */
export function drawMiniWay(way: Way): HTMLElement {
  const isThere = way.endMs !== null || way.relayed.state === "done" || way.direct.state === "done";
  const isPeer = way.throughPeer.state === "done";
  const isReached = isThere || isPeer;
  const managerState = way.toManager.state === "done" ? "is-reached" : "is-ahead";
  const glyph = svg(
    "svg",
    { class: "mini-way", viewBox: "0 0 52 16", "aria-hidden": "true" },
    svg("path", { class: `leg is-${way.toManager.state}`, d: "M6 8 H23" }),
    svg("path", { class: `leg is-${way.relayed.state}`, d: "M29 8 H46" }),
    way.direct.state === "done" &&
      svg("path", { class: "leg is-done", d: "M6 8 C14 -2 38 -2 46 8" }),
    isPeer && svg("path", { class: "leg is-done", d: "M6 8 C12 18 40 18 46 8" }),
    isPeer && svg("circle", { class: "is-reached", cx: 26, cy: 15, r: 2.6 }),
    svg("circle", { class: "is-reached", cx: 5, cy: 8, r: 3.2 }),
    svg("circle", { class: managerState, cx: 26, cy: 8, r: 3.2 }),
    svg("circle", { class: isReached ? "is-reached" : "is-ahead", cx: 47, cy: 8, r: 3.2 }),
  );
  return h("span", { class: "mini" }, glyph, h("span", { class: "mini-text" }, miniText(way)));
}

export function miniText(way: Way): string {
  const took = way.endMs === null ? "" : ` ${duration(way.endMs - way.startMs)}`;
  if (way.direct.state === "done") return `direct${took}`;
  if (way.throughPeer.state === "done") return `peer${took}`;
  if (way.relayed.state === "done") return `R2${took}`;
  if (way.direct.state === "waiting") return "going direct";
  if (way.throughPeer.state === "waiting") return "through a peer";
  if (way.relayed.state === "failed") return "not relayed";
  return way.toManager.state === "done" ? "R1" : "queued";
}
