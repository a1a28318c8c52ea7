/**
 * One state that an event tells of: its text and how bad it is when it is asserted.
 *
 * The letters keep the tables of states readable as tables. What the deassertion of a state means is in `severity.ts`.
 */
import type { Severity } from "../../bmc.ts";

/** i information, o ok, w warning, c critical, n non-recoverable. */
export type Grade = "i" | "o" | "w" | "c" | "n";

/** null: an offset that the standard reserves. */
export type StateRow = readonly [grade: Grade, text: string] | null;

export const SEVERITY_OF: Readonly<Record<Grade, Severity>> = {
  i: "information",
  o: "ok",
  w: "warning",
  c: "critical",
  n: "non-recoverable",
};
