/**
 * Which events leave this node: those that are grave enough, what ends them, and what holdfast says of itself.
 *
 * The end of a fault has no gravity of its own, and closes the ticket of what began: it is told whatever the setting. A sign
 * of life and a test are asked for, so they are told too.
 */
import type { BmcEvent, Severity } from "../../bmc/bmc.ts";
import { URGENCY_OF } from "./delivery-events.ts";

const ALWAYS: ReadonlySet<string> = new Set(["heartbeat", "test"]);

export function isToldHome(event: BmcEvent, least: Severity): boolean {
  if (event.way === "host" && ALWAYS.has(event.category)) return true;
  return !event.isAssertion || URGENCY_OF[event.severity] <= URGENCY_OF[least];
}
