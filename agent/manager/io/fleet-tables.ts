/**
 * What nodes reported, in the store: the newest report and inventory of each, jobs, views of the cluster.
 *
 * None of it is acknowledged as durable: nodes report again. It is kept so that a manager that starts, or another one on the same
 * database, has a picture at once.
 */
import type { EpochRow, JobRow } from "../api.ts";
import type { Statements } from "./database.ts";
import { type Dialect, packRows } from "./dialect.ts";
import { takeNumbers } from "./event-tables.ts";

export interface SavedNode {
  readonly id: string;
  /** A `NodeReport` without its inventory, as JSON. */
  readonly report: string | null;
  readonly inventory: string | null;
  readonly inventoryDigest: string | null;
  readonly seenMs: number;
  readonly reportedMs: number | null;
}

export interface SavedFleet {
  readonly nodes: readonly (SavedNode & { readonly events: number })[];
  readonly jobs: readonly JobRow[];
  readonly epochs: readonly Omit<EpochRow, "joined" | "left">[];
}

export interface FleetChanges {
  readonly nodes: readonly SavedNode[];
  readonly jobs: readonly JobRow[];
  readonly epochs: readonly Omit<EpochRow, "joined" | "left">[];
}

export async function saveFleet(
  statements: Statements,
  dialect: Dialect,
  { nodes, jobs, epochs }: FleetChanges,
): Promise<void> {
  const change = await takeNumbers(statements, 1);
  if (nodes.length > 0) {
    const source = dialect.rows([
      ["id", "text"],
      ["report", "text"],
      ["inventory", "text"],
      ["digest", "text"],
      ["seen", "int"],
      ["reported", "int"],
    ]);
    await statements.rows(
      `insert into nodes (id, report, inventory, inventory_digest, seen_ms, reported_ms, events, change)
       select id, report, inventory, digest, seen, reported, 0, ${change} from ${source} as given where true
       on conflict (id) do update set report = excluded.report,
         inventory = coalesce(excluded.inventory, nodes.inventory),
         inventory_digest = coalesce(excluded.inventory_digest, nodes.inventory_digest),
         seen_ms = excluded.seen_ms, reported_ms = excluded.reported_ms, change = excluded.change
       where coalesce(nodes.reported_ms, 0) <= coalesce(excluded.reported_ms, 0)`,
      [
        packRows(
          nodes.map((node) => [
            node.id,
            node.report,
            node.inventory,
            node.inventoryDigest,
            node.seenMs,
            node.reportedMs,
          ]),
        ),
      ],
    );
  }
  if (jobs.length > 0) {
    const source = dialect.rows([
      ["id", "text"],
      ["row_json", "text"],
    ]);
    await statements.rows(
      `insert into jobs (id, row_json, change) select id, row_json, ${change} from ${source} as given where true
       on conflict (id) do update set row_json = excluded.row_json, change = excluded.change`,
      [packRows(jobs.map((job) => [job.id, JSON.stringify(job)]))],
    );
  }
  if (epochs.length > 0) {
    const source = dialect.rows([
      ["epoch", "int"],
      ["members", "text"],
      ["at", "int"],
    ]);
    await statements.rows(
      `insert into epochs (epoch, members, at_ms, change) select epoch, members, at, ${change} from ${source} as given where true
       on conflict (epoch) do nothing`,
      [packRows(epochs.map(({ epoch, members, atMs }) => [epoch, JSON.stringify(members), atMs]))],
    );
  }
}

/** Above `change`; at the start above 0. Bounded by the numbers of nodes, of jobs and of views that are kept. */
export async function loadFleet(
  statements: Statements,
  change: number,
  countMax: number,
): Promise<SavedFleet> {
  const nodes = await statements.rows(
    "select * from nodes where change > ? order by change limit ?",
    [change, countMax],
  );
  const jobs = await statements.rows(
    "select row_json from jobs where change > ? order by change desc limit ?",
    [change, countMax],
  );
  const epochs = await statements.rows(
    "select epoch, members, at_ms from epochs where change > ? order by epoch desc limit ?",
    [change, countMax],
  );
  return {
    nodes: nodes.map((row) => ({
      id: String(row["id"]),
      report: row["report"] as string | null,
      inventory: row["inventory"] as string | null,
      inventoryDigest: row["inventory_digest"] as string | null,
      seenMs: Number(row["seen_ms"]),
      reportedMs: row["reported_ms"] === null ? null : Number(row["reported_ms"]),
      events: Number(row["events"]),
    })),
    jobs: jobs.map((row) => JSON.parse(String(row["row_json"])) as JobRow),
    epochs: epochs.map((row) => ({
      epoch: Number(row["epoch"]),
      members: JSON.parse(String(row["members"])) as readonly string[],
      atMs: Number(row["at_ms"]),
    })),
  };
}
