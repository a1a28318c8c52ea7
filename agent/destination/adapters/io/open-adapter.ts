/**
 * An adapter by its URL, as `--adapter` gives it: whatever is wrong with the URL or its secrets is one line, said at start.
 */
import { err, type Result } from "../../../../core/result.ts";
import type { Adapter, TicketChange } from "../../adapter.ts";

export interface AdapterOptions {
  /** Outgoing HTTP proxy for those whose URL has none of its own; null: none. */
  readonly proxy: string | null;
  readonly nowMs: () => number;
}

/** The error is one line that names the field and the remedy, never a secret. */
export function openAdapter(url: string, _options: AdapterOptions): Result<Adapter, string> {
  return err(`--adapter ${url.split(":")[0]}: not there yet`);
}

/** What a trial tells, one line each. */
export interface AdapterTrial {
  readonly lines: readonly string[];
  readonly isDelivered: boolean;
}

/** `holdfast destination adapter test URL`: opens a ticket of its own at the far end and closes it. */
export async function tryAdapter(
  adapter: Adapter,
  _changes: readonly TicketChange[],
): Promise<AdapterTrial> {
  return { lines: [`${adapter.name}: not there yet`], isDelivered: false };
}
