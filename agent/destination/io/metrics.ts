/**
 * The destination's state in the text format of Prometheus (0.0.4).
 *
 * Written by hand: a dozen numbers that are known already, where a library would keep them a second time.
 */
import type { DestinationStatus } from "../api.ts";

function escaped(label: string): string {
  return label.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

function family(
  name: string,
  type: "counter" | "gauge",
  help: string,
  samples: readonly Sample[],
): string {
  const lines = samples.map(([labels, value]) => {
    const inner = Object.entries(labels).map(([key, text]) => `${key}="${escaped(text)}"`);
    return `holdfast_destination_${name}${inner.length === 0 ? "" : `{${inner.join(",")}}`} ${value}`;
  });
  const full = `holdfast_destination_${name}`;
  return [`# HELP ${full} ${help}`, `# TYPE ${full} ${type}`, ...lines, ""].join("\n");
}

export function metricsText(status: DestinationStatus): string {
  const { tickets, ids, adapters } = status;
  const byAdapter = (value: (one: DestinationStatus["adapters"][number]) => number): Sample[] =>
    adapters.map((one) => [{ adapter: one.name }, value(one)]);
  return [
    family("tickets", "gauge", "Tickets by state.", [
      [{ state: "open" }, tickets.open],
      [{ state: "closed" }, tickets.all - tickets.open],
    ]),
    family("events_total", "counter", "Events by what became of them, since the start.", [
      [{ result: "accepted" }, status.accepted],
      [{ result: "merged" }, status.merged],
      [{ result: "duplicate" }, status.duplicates],
      [{ result: "refused" }, status.refused],
    ]),
    family("event_ids", "gauge", "Event ids that are remembered.", [[{}, ids.count]]),
    family("writing", "gauge", "Whether events can be kept.", [[{}, status.isWriting ? 1 : 0]]),
    family(
      "adapter_waiting",
      "gauge",
      "Changes an adapter is still to be told.",
      byAdapter((one) => one.waiting),
    ),
    family(
      "adapter_refused",
      "gauge",
      "Changes an adapter has refused for good.",
      byAdapter((one) => one.refused),
    ),
    family(
      "adapter_delivered_total",
      "counter",
      "Changes an adapter has taken.",
      byAdapter((one) => one.deliveredCount),
    ),
    family(
      "adapter_failed_total",
      "counter",
      "Attempts that failed.",
      byAdapter((one) => one.failedCount),
    ),
    family(
      "adapter_up",
      "gauge",
      "Whether it took what it was told last.",
      byAdapter((one) => (one.failure === null ? 1 : 0)),
    ),
  ].join("");
}
