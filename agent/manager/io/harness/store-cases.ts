/**
 * What the tests of a store are made of: events to keep, settlements, answers that must be good.
 */
import type { BmcEvent } from "../../../../bmc/bmc.ts";
import type { Signer } from "../../../identity/identity.ts";
import type { Incoming, Keeper } from "../event-tables.ts";
import type { EventFilter, Turn } from "../lists.ts";
import type { Settlement } from "../settle-tables.ts";
import type { Answer, Store } from "../store.ts";
import { receiptOf, statementOf, testEvent } from "./signed-events.ts";

/** Registers a test that is given an empty store. */
export type On = (name: string, body: (store: Store) => Promise<void>) => void;

const signer: Signer = {
  principal: { cluster: "c1", role: "agent", name: "n1" },
  sign: () => {
    throw new Error("not signed here");
  },
};

export function incoming(event: BmcEvent = testEvent(), node = "n1"): Incoming {
  const statement = statementOf(signer, event, { node });
  return { id: event.id, statement, envelope: '{"e":1}', trail: [], broughtBy: null };
}

export function keeperOf(over: Partial<Keeper> = {}): Keeper {
  return { manager: "m1", owner: "m1/a", nowMs: Date.now(), leaseMs: 60_000, takes: 0, ...over };
}

export async function good<T>(answer: Answer<T>): Promise<T> {
  const result = await answer;
  if (!result.ok) throw new Error(`${result.error.kind}: ${result.error.detail}`);
  return result.value;
}

export const FIRST: Turn = { cursor: null, limit: 100 };

export async function idsOf(store: Store, filter: EventFilter): Promise<readonly string[]> {
  return (await good(store.events(filter, FIRST))).rows.map(({ id }) => id);
}

export function delivered(
  id: string,
  ticket: string,
  path: "manager" | "direct" | null = "manager",
): Settlement {
  const receipt = receiptOf(id, ticket, null);
  return { id, atMs: Date.now(), outcome: { kind: "delivered" as const, receipt, path } };
}
