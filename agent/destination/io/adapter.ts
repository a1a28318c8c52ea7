/**
 * What tells one system of people's (a webhook, an incident service, mail) of changes of tickets.
 *
 * Implemented in `adapters/io/`, called by the forwarder, which keeps what is still to be told. See `../adapter.ts` for the data.
 */
import type { Result } from "../../../core/result.ts";
import type { AdapterFailure, Delivered, TicketChange } from "../adapter.ts";

export interface Adapter {
  /** Stable over restarts and unique among the configured ones: what still waits is kept under it. Safe to print. */
  readonly name: string;
  /**
   * Never throws; ends by itself within `ADAPTER_WITHIN_MS`. Never called twice at once for one ticket, but for several tickets at
   * a time up to `concurrency`.
   */
  deliver(change: TicketChange): Promise<Result<Delivered, AdapterFailure>>;
  /** How many tickets at a time; 1 where it is left out. */
  readonly concurrency?: number;
  close?(): Promise<void>;
}
