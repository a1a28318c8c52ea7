/**
 * One event in full: its way as a picture and as a list with times, its ticket, and what else is known of it.
 */
import type { EventRow, EventStep } from "../api.ts";
import { byId, h } from "./dom.ts";
import { emptyState } from "./empty.ts";
import { clockTimeMs, duration, fullMoment } from "./format.ts";
import { badge, severityMark } from "./marks.ts";
import { type Way, wayOf } from "./way.ts";
import { drawWay } from "./way-view.ts";

const STEP_TEXTS: Readonly<Record<EventStep["kind"], string>> = {
  queued: "seen, signed and kept",
  R1: "R1, durably at the manager",
  R2: "R2, support has it",
  direct: "sent directly",
  peer: "sent through a peer",
  failed: "failed",
  "not-relayed": "not handed on",
};

const SEEN_BY: Readonly<Record<EventRow["seenBy"], string>> = {
  sel: "read from its log",
  kcs: "pushed by the driver",
  pet: "trap",
  "redfish-push": "pushed by Redfish",
  "redfish-sse": "stream of Redfish",
  "redfish-log": "read from its log",
  hook: "told by a hook",
  host: "found out by holdfast",
};

function stateBadge(row: EventRow, way: Way): HTMLElement {
  if (row.state === "delivered") {
    return badge(
      row.path === "manager" || row.path === null ? "delivered" : `delivered: ${row.path}`,
      "good",
    );
  }
  if (row.state === "not-relayed") return badge("not handed on", "bad");
  return badge(way.toManager.state === "done" ? "R1, on its way" : "queued", "warn");
}

/** The manager counts what it is told afterwards as having it too. */
function stepText(step: EventStep, toldMs: number | null): string {
  if (step.kind === "R1" && step.atMs === toldMs) return "the manager is told afterwards";
  return STEP_TEXTS[step.kind] ?? step.kind;
}

function steps(row: EventRow, { toldMs }: Way): HTMLElement {
  const items = row.steps.map((step, index) => {
    const before = row.steps[index - 1];
    const took = before === undefined ? "" : `+${duration(step.atMs - before.atMs)}`;
    const by = step.by === null ? "" : ` · ${step.by}`;
    return h(
      "li",
      { class: `step is-${step.kind}` },
      h("time", { datetime: new Date(step.atMs).toISOString() }, clockTimeMs(step.atMs)),
      h("span", { class: "step-took" }, took),
      h("span", { class: "step-text" }, `${stepText(step, toldMs)}${by}`),
      step.note !== null && h("span", { class: "step-note" }, step.note),
    );
  });
  return h("ol", { class: "steps", "aria-label": "Steps, oldest first" }, ...items);
}

function facts(row: EventRow): HTMLElement {
  const pairs: readonly (readonly [string, string | null])[] = [
    ["component", `${row.subject} (${row.category})`],
    ["seen", `${fullMoment(row.seenMs)}, ${SEEN_BY[row.seenBy] ?? row.seenBy}`],
    ["by the BMC's clock", row.whenMs === null ? "not known" : fullMoment(row.whenMs)],
    ["system", row.system],
    ["ticket", row.ticket],
    [
      "signature",
      row.isSigned ? `by ${row.node}, kept by the manager` : "not here: told by its node",
    ],
    ["event", row.id],
  ];
  return h(
    "dl",
    { class: "facts" },
    ...pairs.flatMap(([name, value]) =>
      value === null ? [] : [h("dt", {}, name), h("dd", {}, value)],
    ),
  );
}

export class EventDetail {
  readonly #host = byId("event-detail");
  #shown: EventRow | null | undefined = undefined;

  show(row: EventRow | null): void {
    if (row === this.#shown) return;
    this.#shown = row;
    this.#host.replaceChildren(
      ...(row === null
        ? [
            emptyState(
              "An event's way",
              "Choose an event to see how it went: from its BMC to its node, to the manager (R1), to support (R2), or around the manager.",
              null,
            ),
          ]
        : this.#parts(row)),
    );
  }

  #parts(row: EventRow): readonly HTMLElement[] {
    const way = wayOf(row);
    const kind = row.isAssertion ? row.severity : "over again";
    return [
      h(
        "header",
        { class: "detail-head" },
        h("h3", {}, severityMark(row), ` ${row.text}`),
        h(
          "p",
          { class: "detail-line" },
          stateBadge(row, way),
          badge(kind, "plain"),
          badge(row.node, "plain"),
        ),
        h("p", { class: "sentence", "aria-live": "polite" }, way.sentence),
      ),
      drawWay(way, { bmc: row.subject, seenBy: SEEN_BY[row.seenBy] ?? row.seenBy }),
      steps(row, way),
      facts(row),
    ];
  }
}
