/**
 * Rows to look at a page with: a cluster that works, has had a storm, lost a node, and went around its manager once. Drawn from a
 * seed, so that a screenshot shows the same each time.
 */
import { prng } from "../../../runtime/prng.ts";
import type {
  EpochRow,
  EventRow,
  EventStep,
  JobRow,
  NodeRow,
  Summary,
  TicketRow,
} from "../../api.ts";

const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

export interface FixtureRows {
  readonly nodes: NodeRow[];
  readonly events: EventRow[];
  readonly tickets: TicketRow[];
  readonly jobs: JobRow[];
  readonly epochs: EpochRow[];
}

export const NO_ROWS: FixtureRows = { nodes: [], events: [], tickets: [], jobs: [], epochs: [] };

export function nodeRow(id: string, nowMs: number, change: Partial<NodeRow> = {}): NodeRow {
  return {
    id,
    role: "worker",
    address: `10.20.0.${Number(id.replace(/\D/g, "")) % 250}:7400`,
    state: "alive",
    why: "its stream is open",
    isStreaming: true,
    seenMs: nowMs,
    reportedMs: nowMs - 3_000,
    epoch: 6,
    members: ["n1", "n2", "n4", "n5", "n6"],
    isLead: id === "n1",
    version: "0.1.0",
    bmcs: [
      {
        url: `ipmi://10.20.1.${Number(id.replace(/\D/g, "")) % 250}`,
        system: id.padEnd(32, "0"),
        node: id,
        state: "watched",
        detail: "pushes events (kcs)",
        sinceMs: nowMs - HOUR_MS,
        isPoweredOn: true,
        faults: [],
        product: "R2208WT",
        serial: `QSWF${id}`,
        firmware: "2.86",
      },
    ],
    outbox: { queued: 0, oldestMs: null },
    paths: [],
    worst: null,
    openTickets: 0,
    events: 3,
    ...change,
  };
}

function idOf(seq: number): string {
  return new Bun.CryptoHasher("sha256").update(`event ${seq}`).digest("hex");
}

export function step(
  kind: EventStep["kind"],
  atMs: number,
  by: string | null,
  note: string | null = null,
): EventStep {
  return { kind, atMs, by, note };
}

/** Delivered through the manager unless changed. */
export function eventRow(seq: number, seenMs: number, change: Partial<EventRow> = {}): EventRow {
  const node = change.node ?? "n1";
  return {
    seq,
    id: idOf(seq),
    node,
    system: "5cf31a0e8b6b11eb9a030242ac130003",
    severity: "information",
    category: "temperature",
    subject: "CPU1 Temp",
    text: "CPU1 Temp: upper non-critical going high, 81 ≥ 80 °C",
    isAssertion: true,
    seenBy: "kcs",
    whenMs: Math.floor(seenMs / 1_000) * 1_000,
    seenMs,
    signedMs: seenMs + 1,
    arrivedMs: seenMs + 9,
    state: "delivered",
    path: "manager",
    ticket: `HF-${1000 + (seq % 90)}`,
    steps: [
      step("queued", seenMs + 2, node),
      step("R1", seenMs + 11, "m1"),
      step("R2", seenMs + 43, "support"),
    ],
    isSigned: true,
    ...change,
  };
}

const KINDS = [
  {
    severity: "warning",
    category: "memory",
    subject: "DIMM A1",
    text: "DIMM A1: correctable ECC, 24 in an hour",
  },
  {
    severity: "information",
    category: "power-supply",
    subject: "PSU 2",
    text: "PSU 2: input voltage back in range",
  },
  {
    severity: "warning",
    category: "fan",
    subject: "Fan 3",
    text: "Fan 3: lower non-critical going low, 1,120 ≤ 1,200 rpm",
  },
  {
    severity: "critical",
    category: "drive-slot",
    subject: "Drive 4",
    text: "Drive 4: predictive failure",
  },
  {
    severity: "information",
    category: "temperature",
    subject: "Inlet",
    text: "Inlet: temperature normal, 24 °C",
  },
  { severity: "ok", category: "event-log", subject: "SEL", text: "SEL: 61 % used" },
] as const;

const NAMES = ["n1", "n2", "n3", "n4", "n5", "n6"];

function quietDay(nowMs: number): EventRow[] {
  const random = prng(7);
  return Array.from({ length: 46 }, (_, index) => {
    const kind = KINDS[random.below(KINDS.length)] ?? KINDS[0];
    const seenMs = nowMs - (46 - index) * 29 * MINUTE_MS + random.below(20 * MINUTE_MS);
    return eventRow(index + 1, seenMs, { ...kind, node: NAMES[random.below(6)] ?? "n1" });
  });
}

/** One module, one ticket. */
function storm(seq: number, startMs: number): EventRow[] {
  return Array.from({ length: 120 }, (_, index) => {
    const isGrave = index % 9 === 0;
    return eventRow(seq + index, startMs + index * 2_100, {
      node: "n4",
      severity: isGrave ? "critical" : "warning",
      category: "memory",
      subject: "DIMM B2",
      text: isGrave
        ? "DIMM B2: uncorrectable ECC"
        : "DIMM B2: correctable ECC, logging limit reached",
      ticket: "HF-1187",
    });
  });
}

/** A node dies, and the manager is not reached for a while: one event goes directly, one through a peer. */
function trouble(seq: number, deadMs: number): EventRow[] {
  return [
    eventRow(seq, deadMs, {
      node: "n2",
      severity: "critical",
      category: "node",
      subject: "n3",
      text: "n3 was declared dead: unreachable, agreed by 5 of 6 in epoch 6",
      seenBy: "host",
      whenMs: deadMs,
      ticket: "HF-1190",
    }),
    eventRow(seq + 1, deadMs + 4_000, {
      node: "n5",
      severity: "critical",
      category: "power-supply",
      subject: "PSU 1",
      text: "PSU 1: power supply failure detected",
      path: "direct",
      ticket: "HF-1191",
      steps: [
        step("queued", deadMs + 4_002, "n5"),
        step("failed", deadMs + 7_010, "m1", "no R1 within 3 s"),
        step("direct", deadMs + 7_012, "n5"),
        step("R2", deadMs + 7_055, "support"),
      ],
    }),
    eventRow(seq + 2, deadMs + 9_000, {
      node: "n6",
      severity: "warning",
      category: "fan",
      subject: "Fan 1",
      text: "Fan 1: lower critical going low, 480 ≤ 600 rpm",
      path: "peer",
      ticket: "HF-1192",
      steps: [
        step("queued", deadMs + 9_002, "n6"),
        step("failed", deadMs + 12_008, "m1", "connection refused"),
        step("peer", deadMs + 12_013, "n2"),
        step("R2", deadMs + 12_090, "support"),
      ],
    }),
  ];
}

/** What a cluster of six has seen in a day. */
export function workingCluster(nowMs: number): FixtureRows {
  const deadMs = nowMs - 12 * MINUTE_MS;
  const events = [
    ...quietDay(nowMs),
    ...storm(47, nowMs - 41 * MINUTE_MS),
    ...trouble(167, deadMs),
    eventRow(170, nowMs - 6 * MINUTE_MS, {
      subject: "PSU 2",
      category: "power-supply",
      text: "PSU 2: redundancy regained",
      isAssertion: false,
    }),
    eventRow(171, nowMs - 95 * SECOND_MS, {
      severity: "warning",
      subject: "Inlet",
      text: "Inlet: upper non-critical going high, 42 ≥ 42 °C",
      node: "n6",
    }),
  ];
  const nodes = NAMES.map((id) => nodeRow(id, nowMs));
  nodes[2] = nodeRow("n3", nowMs, {
    state: "dead",
    why: "declared dead by n1, n2, n4, n5, n6",
    isStreaming: false,
    seenMs: deadMs,
    epoch: 5,
    worst: "critical",
    openTickets: 1,
  });
  nodes[3] = nodeRow("n4", nowMs, { worst: "critical", openTickets: 1, events: 124 });
  return {
    nodes,
    events,
    tickets: ticketsOf(events, nowMs),
    jobs: jobRows(nowMs),
    epochs: epochRows(nowMs, deadMs),
  };
}

function ticketsOf(events: readonly EventRow[], nowMs: number): TicketRow[] {
  const byTicket = Map.groupBy(events, ({ ticket }) => ticket ?? "");
  return [...byTicket].map(([id, rows]): TicketRow => {
    const first = rows[0] as EventRow;
    const last = rows.at(-1) as EventRow;
    return {
      id,
      destination: "support",
      node: first.node,
      system: first.system,
      category: first.category,
      subject: first.subject,
      severity: rows.some(({ severity }) => severity === "critical") ? "critical" : first.severity,
      text: first.text,
      isOpen: nowMs - last.seenMs < HOUR_MS,
      openedMs: first.seenMs,
      changedMs: last.seenMs,
      events: rows.length,
    };
  });
}

function jobRows(nowMs: number): JobRow[] {
  const versions = [24, 23, 22, 19].map((version, index) => ({
    version,
    nodes: index === 3 ? ["n1", "n2"] : ["n1", "n2", "n4", "n5"],
    ranks: index === 3 ? 2 : 4,
  }));
  const base = {
    epoch: 6,
    revision: 9,
    exitCode: null,
    verdict: null,
    reportedBy: "n1",
    reportedMs: nowMs,
  };
  const running: JobRow = {
    ...base,
    id: "j-5be1c0de",
    state: "running",
    ranks: 4,
    placement: ["n1", "n2", "n5", "n4"],
    sealed: 24,
    versions,
    argv: ["bun", "train.ts", "--steps", "40000"],
    rollbacks: [{ epoch: 6, base: 22 }],
  };
  return [
    running,
    {
      ...base,
      id: "j-0badcafe",
      state: "ended",
      ranks: 2,
      placement: ["n1", "n2"],
      sealed: 31,
      versions: [],
      argv: ["bun", "evaluate.ts"],
      exitCode: 0,
      verdict: null,
      reportedMs: nowMs - HOUR_MS,
    },
  ];
}

function epochRows(nowMs: number, deadMs: number): EpochRow[] {
  const all = ["n1", "n2", "n3", "n4", "n5", "n6"];
  const start = nowMs - 26 * HOUR_MS;
  const rows: EpochRow[] = [];
  for (let epoch = 1; epoch <= 5; epoch++) {
    const members = all.slice(0, epoch + 1);
    const joined = epoch === 1 ? members : members.slice(-1);
    rows.push({ epoch, members, joined, left: [], atMs: start + epoch * 900 });
  }
  rows.push({
    epoch: 6,
    members: all.filter((id) => id !== "n3"),
    joined: [],
    left: ["n3"],
    atMs: deadMs,
  });
  return rows;
}

/** A thousand nodes, ten thousand events and their tickets. */
export function largeCluster(nowMs: number): FixtureRows {
  const random = prng(11);
  const nodes = Array.from({ length: 1_000 }, (_, index) => nodeRow(`n${index + 1}`, nowMs));
  const events = Array.from({ length: 10_000 }, (_, index) => {
    const kind = KINDS[random.below(KINDS.length)] ?? KINDS[0];
    const seenMs = nowMs - (10_000 - index) * 8_000 - random.below(8_000);
    return eventRow(index + 1, seenMs, { ...kind, node: `n${1 + random.below(1_000)}` });
  });
  return {
    nodes,
    events,
    tickets: ticketsOf(events, nowMs),
    jobs: [],
    epochs: epochRows(nowMs, nowMs),
  };
}

export function summaryOf(
  rows: FixtureRows,
  nowMs: number,
  change: Partial<Summary> = {},
): Summary {
  const states = { alive: 0, late: 0, silent: 0, dead: 0 };
  for (const { state } of rows.nodes) states[state]++;
  const events = { kept: 0, delivered: 0, "not-relayed": 0 };
  for (const { state } of rows.events) events[state]++;
  return {
    name: "m1",
    cluster: "lab",
    epoch: "run-1",
    version: "0.1.0",
    startedMs: nowMs - 26 * HOUR_MS,
    nowMs,
    store: { kind: "sqlite", isUp: true },
    destination: {
      url: "https://support.example:7500",
      name: "support",
      canRelay: true,
      why: "answered 2 s ago",
      lastAnswerMs: nowMs - 2_000,
    },
    events,
    nodes: states,
    openTickets: rows.tickets.filter(({ isOpen }) => isOpen).length,
    clusterEpoch: rows.epochs.at(-1)?.epoch ?? null,
    ...change,
  };
}
