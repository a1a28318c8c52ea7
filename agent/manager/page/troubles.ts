/**
 * What is wrong now, gravest first: the page's first answer. An empty list means that all is well.
 *
 * Pure: from the rows, the connection and the time to lines. Of many alike one line is made, so that a hundred dead nodes
 * are one trouble and not a hundred; a trouble that is only an open ticket stands below those that stop events from arriving.
 */
import type { NodeRow, Summary } from "../api.ts";
import { counted, duration, listed } from "./format.ts";
import type { World } from "./world.ts";

export type Gravity = "grave" | "warning";

export type Target =
  | { readonly kind: "node"; readonly id: string }
  | { readonly kind: "event"; readonly id: string }
  | { readonly kind: "ticket"; readonly id: string }
  | { readonly kind: "job"; readonly id: string }
  /** The list of events, with this state chosen. */
  | { readonly kind: "events"; readonly state: "kept" | "not-relayed" };

export interface Trouble {
  /** The same while it lasts. */
  readonly key: string;
  readonly gravity: Gravity;
  readonly title: string;
  readonly detail: string;
  readonly sinceMs: number | null;
  readonly target: Target | null;
}

/** The page's own connection to the manager. */
export interface Standing {
  readonly isLive: boolean;
  /** Since when it is as it is. */
  readonly sinceMs: number;
  readonly why: string;
}

/** R2 is due within T2; what waits longer is worth a look. */
const KEPT_MS_MAX = 10_000;
const NAMES_MOST = 5;

function connectionTroubles({ isLive, sinceMs, why }: Standing): readonly Trouble[] {
  if (isLive) return [];
  return [
    {
      key: "connection",
      gravity: "grave",
      title: "The manager does not answer",
      detail: `${why}. What stands below is as it was then. Nodes call home around it.`,
      sinceMs,
      target: null,
    },
  ];
}

function managerTroubles({ store, destination }: Summary): readonly Trouble[] {
  const found: Trouble[] = [];
  if (!store.isUp) {
    found.push({
      key: "store",
      gravity: "grave",
      title: "The manager's store is down",
      detail: "It takes no events now. Nodes keep theirs and call home around it.",
      sinceMs: null,
      target: null,
    });
  }
  if (destination.url === null) {
    found.push({
      key: "destination",
      gravity: "warning",
      title: "No destination is set",
      detail: "Events wait here. Start the manager with --destination URL to have tickets opened.",
      sinceMs: null,
      target: null,
    });
  } else if (!destination.canRelay) {
    found.push({
      key: "destination",
      gravity: "grave",
      title: "Support is not reached from here",
      detail: destination.why,
      sinceMs: destination.lastAnswerMs,
      target: null,
    });
  }
  return found;
}

const NODE_TEXTS = {
  dead: ["is dead", "are dead", "grave"],
  silent: ["is silent", "are silent", "grave"],
  late: ["is late", "are late", "warning"],
} as const;

function nodeTroubles(nodes: readonly NodeRow[]): readonly Trouble[] {
  return (["dead", "silent", "late"] as const).flatMap((state): readonly Trouble[] => {
    const those = nodes.filter((node) => node.state === state);
    const [one] = those;
    if (one === undefined) return [];
    const [is, are, gravity] = NODE_TEXTS[state];
    const isOne = those.length === 1;
    return [
      {
        key: `nodes-${state}`,
        gravity,
        title: isOne ? `${one.id} ${is}` : `${those.length} nodes ${are}`,
        detail: isOne
          ? one.why
          : listed(
              those.map(({ id }) => id),
              NAMES_MOST,
            ),
        sinceMs: isOne ? one.seenMs : null,
        target: { kind: "node", id: one.id },
      },
    ];
  });
}

function bmcTroubles(nodes: readonly NodeRow[]): readonly Trouble[] {
  const ill = nodes.flatMap((node) =>
    node.state === "dead" || node.state === "silent"
      ? []
      : node.bmcs.filter(({ state }) => state === "lost").map((bmc) => ({ node, bmc })),
  );
  const [one] = ill;
  if (one === undefined) return [];
  const isOne = ill.length === 1;
  return [
    {
      key: "bmcs",
      gravity: "warning",
      title: isOne
        ? `The BMC of ${one.bmc.node} does not answer`
        : `${ill.length} BMCs do not answer`,
      detail: isOne
        ? one.bmc.detail
        : listed(
            ill.map(({ bmc }) => bmc.node),
            NAMES_MOST,
          ),
      sinceMs: Math.min(...ill.map(({ bmc }) => bmc.sinceMs)),
      target: { kind: "node", id: one.node.id },
    },
  ];
}

function epochTroubles(nodes: readonly NodeRow[], summary: Summary): readonly Trouble[] {
  const newest = summary.clusterEpoch;
  if (newest === null) return [];
  const behind = nodes.filter(
    ({ state, epoch }) => state === "alive" && epoch !== null && epoch < newest,
  );
  const [one] = behind;
  if (one === undefined) return [];
  return [
    {
      key: "epochs",
      gravity: "warning",
      title: `${behind.length === 1 ? `${one.id} is` : `${behind.length} nodes are`} in an older epoch`,
      detail: `${listed(
        behind.map(({ id, epoch }) => `${id} in ${epoch}`),
        NAMES_MOST,
      )}; the cluster is in ${newest}`,
      sinceMs: null,
      target: { kind: "node", id: one.id },
    },
  ];
}

function eventTroubles(world: World, nowMs: number): readonly Trouble[] {
  const rows = world.events.rows();
  const kept = rows.filter(
    ({ state, arrivedMs }) => state === "kept" && nowMs - arrivedMs > KEPT_MS_MAX,
  );
  const refused = rows.filter(({ state }) => state === "not-relayed");
  const queued = world.nodes
    .rows()
    .filter(({ outbox }) => outbox?.oldestMs != null && nowMs - outbox.oldestMs > KEPT_MS_MAX);
  const found: Trouble[] = [];
  const oldest = kept.at(-1);
  if (oldest !== undefined) {
    found.push({
      key: "kept",
      gravity: "warning",
      title: `${counted(kept.length, "event")} on the way to support for long`,
      detail: `The oldest came ${duration(nowMs - oldest.arrivedMs)} ago from ${oldest.node}.`,
      sinceMs: null,
      target: { kind: "events", state: "kept" },
    });
  }
  if (refused.length > 0) {
    found.push({
      key: "not-relayed",
      gravity: "warning",
      title: `${counted(refused.length, "event")} could not be handed on`,
      detail: "Their nodes take another path.",
      sinceMs: null,
      target: { kind: "events", state: "not-relayed" },
    });
  }
  const [first] = queued;
  if (first !== undefined) {
    found.push({
      key: "outboxes",
      gravity: "warning",
      title: `${counted(queued.length, "node")} with events that have not left`,
      detail: listed(
        queued.map(({ id, outbox }) => `${id} ${outbox?.queued}`),
        NAMES_MOST,
      ),
      sinceMs: Math.min(...queued.map(({ outbox }) => outbox?.oldestMs ?? nowMs)),
      target: { kind: "node", id: first.id },
    });
  }
  return found;
}

function jobTroubles(world: World): readonly Trouble[] {
  return world.jobs.rows().flatMap(({ id, state, epoch, verdict }): readonly Trouble[] => {
    if (state !== "lost" && state !== "recovering") return [];
    const isLost = state === "lost";
    return [
      {
        key: `job-${id}`,
        gravity: isLost ? "grave" : "warning",
        title: isLost ? `Job ${id} is lost` : `Job ${id} is being recovered`,
        detail: isLost ? (verdict ?? `holdfast job explain ${id} says why`) : `in epoch ${epoch}`,
        sinceMs: null,
        target: { kind: "job", id },
      },
    ];
  });
}

function ticketTroubles(world: World): readonly Trouble[] {
  const open = world.tickets.rows().filter(({ isOpen }) => isOpen);
  const grave = open.filter(
    ({ severity }) => severity === "critical" || severity === "non-recoverable",
  );
  if (grave.length > 3) {
    return [
      {
        key: "tickets",
        gravity: "grave",
        title: `${counted(grave.length, "ticket")} of critical errors open`,
        detail: listed(
          grave.map(({ id }) => id),
          NAMES_MOST,
        ),
        sinceMs: Math.min(...grave.map(({ openedMs }) => openedMs)),
        target: { kind: "ticket", id: grave[0]?.id ?? "" },
      },
    ];
  }
  return grave.map(({ id, node, text, openedMs }) => ({
    key: `ticket-${id}`,
    gravity: "grave" as const,
    title: `${node}: ${text}`,
    detail: `ticket ${id} is open`,
    sinceMs: openedMs,
    target: { kind: "ticket" as const, id },
  }));
}

export function troublesOf(world: World, standing: Standing, nowMs: number): readonly Trouble[] {
  const nodes = world.nodes.rows();
  const { summary } = world;
  const found = [
    ...connectionTroubles(standing),
    ...(summary === null ? [] : managerTroubles(summary)),
    ...nodeTroubles(nodes),
    ...jobTroubles(world),
    ...eventTroubles(world, nowMs),
    ...bmcTroubles(nodes),
    ...(summary === null ? [] : epochTroubles(nodes, summary)),
    ...ticketTroubles(world),
  ];
  const order = (trouble: Trouble): number => (trouble.gravity === "grave" ? 0 : 1);
  return found.sort((a, b) => order(a) - order(b));
}
