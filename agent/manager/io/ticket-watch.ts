/**
 * Asks the destination about its tickets, where it is a holdfast one: which are open, and everything of a single one.
 *
 * From receipts alone a manager does not learn that a person closed a ticket, or that an event of another cluster's path opened
 * it again. Any other destination answers these questions with an error; then what receipts say stands, and it is asked
 * again only now and then. Nothing depends on the answers but what is shown.
 */
import { z } from "zod";
import { askJson, type Caller, type Target } from "../../callhome/io/parcels-client.ts";
import { TICKETS_PATH } from "../api.ts";
import type { Store } from "./store.ts";

const LOOK_MS = 15_000;
/** One that does not know the question. */
const LOOK_AGAIN_MS = 600_000;
const ANSWER_MS = 3_000;
const PAGE = 1_000;
/** More open tickets than that are not compared. */
const PAGES_MAX = 10;

const listSchema = z.object({
  destination: z.string(),
  tickets: z.array(z.object({ id: z.string() })).max(PAGE),
  next: z.string().nullable(),
});
/** Shown as it is. */
const detailSchema = z.record(z.string(), z.unknown());

export interface TicketWatchParts {
  readonly store: Store;
  readonly caller: Caller;
  readonly target: Target;
  readonly cluster: string;
  readonly canAsk: () => boolean;
  readonly onChange: () => void;
}

export class TicketWatch {
  readonly #parts: TicketWatchParts;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isStopped = false;

  constructor(parts: TicketWatchParts) {
    this.#parts = parts;
  }

  begin(): void {
    this.#after(LOOK_MS);
  }

  stop(): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  /** Everything that the destination says of it; null: it says nothing. */
  async detail(id: string): Promise<Readonly<Record<string, unknown>> | null> {
    const { caller, target } = this.#parts;
    const path = `${TICKETS_PATH}/${encodeURIComponent(id)}`;
    const question = { target, path, method: "GET" as const, body: null, timeoutMs: ANSWER_MS };
    const answer = await askJson(caller, { ...question, schema: detailSchema });
    return answer.ok ? answer.value : null;
  }

  /** False: it does not know the question. */
  async look(): Promise<boolean> {
    const { store, canAsk, onChange } = this.#parts;
    if (!canAsk()) return true;
    // What changes while it is asked is compared next time.
    const clock = await store.clock();
    if (!clock.ok) return true;
    const open = await this.#openOnes();
    if (open === null) return false;
    if (open.ids === null) return true;
    const changed = await store.syncTickets(open.destination, open.ids, clock.value);
    if (changed.ok && changed.value > 0) onChange();
    return true;
  }

  /** `ids` null: there are too many to compare. */
  async #openOnes(): Promise<{
    readonly destination: string;
    readonly ids: readonly string[] | null;
  } | null> {
    const { caller, target, cluster } = this.#parts;
    const ids: string[] = [];
    let before: string | null = null;
    for (let page = 0; page < PAGES_MAX; page++) {
      const query = new URLSearchParams({ state: "open", cluster, limit: String(PAGE) });
      if (before !== null) query.set("before", before);
      const answer: Awaited<ReturnType<typeof askJson<z.infer<typeof listSchema>>>> = await askJson(
        caller,
        {
          ...{ target, path: `${TICKETS_PATH}?${query}`, method: "GET", body: null },
          ...{ schema: listSchema, timeoutMs: ANSWER_MS },
        },
      );
      if (!answer.ok) return null;
      ids.push(...answer.value.tickets.map(({ id }) => id));
      before = answer.value.next;
      if (before === null) return { destination: answer.value.destination, ids };
    }
    return { destination: "", ids: null };
  }

  #after(delayMs: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      void this.look().then(
        (isKnown) => this.#after(isKnown ? LOOK_MS : LOOK_AGAIN_MS),
        () => this.#after(LOOK_AGAIN_MS),
      );
    }, delayMs);
  }
}
