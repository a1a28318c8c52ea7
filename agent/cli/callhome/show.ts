/**
 * How deliveries are shown: lists, an event's way with times, the hops of a test. Pure.
 */
import type {
  CallhomeSummary,
  ListedEvent,
  ShownEvent,
} from "../../callhome/io/delivery-routes.ts";
import type { HopLine, PathTestEnd } from "../../callhome/io/path-test.ts";
import { oneLine } from "../../runtime/io/log.ts";
import { formatWhen, textOf } from "../bmc/show.ts";
import { formatTable } from "../print.ts";

const SHORT = 12;

function stamp(atMs: number): string {
  return new Date(atMs).toISOString().replace("T", " ");
}

/** `1.2 s`, `340 ms`, `3 min`. */
export function formatMs(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${(ms / 1_000).toFixed(1)} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}

function whatOf({ event }: ListedEvent): string {
  return event === null ? "(not in the book any more)" : oneLine(textOf(event));
}

export function formatList(events: readonly ListedEvent[]): string {
  if (events.length === 0) return "no events";
  const head = ["EVENT", "WHEN", "STATE", "TICKET", "SEVERITY", "WHAT"];
  const rows = events.map((one) => [
    one.id.slice(0, SHORT),
    formatWhen(one.atMs),
    one.state === "waiting" ? `${one.state} (${one.last})` : one.state,
    one.ticket ?? "-",
    one.event?.severity ?? "-",
    whatOf(one),
  ]);
  return formatTable(head, rows);
}

export function formatShown(shown: ShownEvent): string {
  const { id, event, steps, explain, ticket, state } = shown;
  const lines = [`event   ${id}`];
  if (event !== null) {
    lines.push(`what    ${event.severity} ${event.category}: ${oneLine(textOf(event))}`);
    lines.push(`system  ${oneLine(event.system)}, seen by ${event.way}`);
    lines.push(`seen    ${stamp(event.seenMs)}`);
  }
  lines.push(`state   ${state}${ticket === null ? "" : `, ticket ${ticket}`}`, "");
  const startMs = event?.seenMs ?? steps[0]?.atMs ?? 0;
  const rows = steps.map(({ atMs, step, path, reason, ticket: number }) => [
    stamp(atMs),
    `+${formatMs(Math.max(0, atMs - startMs))}`,
    step,
    path === null ? "-" : path.kind === "direct" ? "direct" : `${path.kind} ${path.name}`,
    oneLine(number === null || reason.includes(number) ? reason : `${reason}; ticket ${number}`),
  ]);
  lines.push(
    rows.length === 0
      ? "no step of its way is in the ledger any more"
      : formatTable(["TIME", "AFTER", "STEP", "PATH", "WHY"], rows),
  );
  if (explain.length > 0) lines.push("", "now:", ...explain.map((line) => `  ${oneLine(line)}`));
  return lines.join("\n");
}

export function formatSummary(summary: CallhomeSummary): string {
  const { node, cluster, delivery, outbox, bmcs } = summary;
  const waits = `${outbox.openCount} waiting, ${delivery.deliveredCount} delivered and ${delivery.refusedCount} refused since the start`;
  const paths = delivery.paths.map(({ path, state, why, backoffMs }) => [
    path.kind === "direct" ? "direct" : `${path.kind} ${path.name}`,
    state,
    oneLine(backoffMs > 0 ? `${why}; tried again in ${formatMs(backoffMs)}` : why),
  ]);
  const lines = [
    `node ${node} of cluster ${cluster}: ${waits}`,
    "",
    formatTable(["PATH", "STATE", "WHY"], paths),
  ];
  if (outbox.failure !== null) lines.push("", `outbox: ${outbox.failure.detail}`);
  if (bmcs.length > 0) {
    const rows = bmcs.map(({ url, node: whose, state, detail }) => [
      url,
      whose === node ? "this node's" : `${whose}'s, which is dead`,
      state,
      oneLine(detail),
    ]);
    lines.push("", formatTable(["BMC", "WHOSE", "STATE", "WHY"], rows));
  }
  return lines.join("\n");
}

export function formatHop({ path, name, hop, ms, detail, ticket }: HopLine): string {
  const way = path === "direct" ? "direct" : `${path} ${name}`;
  const took = hop === "none" ? "" : ` after ${formatMs(ms)}`;
  const words = {
    kept: `accepted${took}`,
    ticket: `ticket ${ticket}${took}`,
    failed: `failed${took}`,
    none: "not tried",
  };
  return oneLine(`${way}: ${words[hop]}: ${detail}`);
}

export function formatEnd({ id, tickets, worked, tried }: PathTestEnd): string {
  const short = id.slice(0, SHORT);
  if (tickets.length === 1) {
    return `event ${short}: ${worked} of ${tried} paths work, one ticket: ${tickets[0]}`;
  }
  if (tickets.length === 0) return `event ${short}: none of ${tried} paths works`;
  return `event ${short}: ${tickets.length} tickets for one event: ${tickets.join(", ")}`;
}
