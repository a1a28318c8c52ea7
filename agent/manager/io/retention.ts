/**
 * Lets go of what is old, in slices, so that no transaction is long.
 *
 * Never of an event that is still to be relayed. A receipt goes with its event: whoever asks for it later is told again by the
 * destination, which knows it by its id.
 */
import type { Statements } from "./database.ts";
import { type Dialect, packRows } from "./dialect.ts";
import { count, tally } from "./event-tables.ts";

export interface Retention {
  /** Settled events that came before this go. */
  readonly beforeMs: number;
  /** Of settled ones so many are kept, the newest. */
  readonly settledMax: number;
  /** Ended jobs and views: so many are kept. */
  readonly historyMax: number;
}

/** Events of one slice. */
const SLICE = 1_000;

/** Events that went; as many as a slice has: there may be more. */
export async function pruneSlice(
  statements: Statements,
  dialect: Dialect,
  { beforeMs, settledMax, historyMax }: Retention,
): Promise<number> {
  const [sum] = await statements.rows(
    "select coalesce(sum(count), 0) as count from tallies where state <> 'kept'",
  );
  const over = Math.max(0, Number(sum?.["count"] ?? 0) - settledMax);
  const old = await statements.rows(
    `select seq, id, state, severity from events where state <> 'kept' and arrived_ms < ? order by seq limit ?`,
    [beforeMs, SLICE],
  );
  const many =
    over > old.length
      ? await statements.rows(
          "select seq, id, state, severity from events where state <> 'kept' order by seq limit ?",
          [Math.min(over, SLICE)],
        )
      : old;
  if (many.length > 0) {
    const source = dialect.rows([["id", "text"]]);
    const ids = packRows(many.map((row) => [String(row["id"])]));
    await statements.rows(
      `delete from notices where event in (select id from ${source} as given)`,
      [ids],
    );
    await statements.rows(`delete from events where id in (select id from ${source} as given)`, [
      ids,
    ]);
    const changes = new Map<string, number>();
    for (const row of many) count(changes, String(row["state"]), Number(row["severity"]), -1);
    await tally(statements, dialect, changes);
  }
  await statements.rows("delete from tickets where is_open = 0 and changed_ms < ?", [beforeMs]);
  await statements.rows(
    "delete from epochs where epoch <= (select coalesce(max(epoch), 0) from epochs) - ?",
    [historyMax],
  );
  return many.length;
}

export const PRUNE_SLICE: number = SLICE;
