/**
 * An error on its way from a BMC to support, as the demo tells it: when it was seen, who had it when, and which ticket it became.
 *
 * Pure: from what the agent's ledger and the destination say to steps with times, and to what is wrong with them. The clock is one,
 * as all of it runs on this machine, so times of different processes may be compared.
 */

/** `relayed`: the manager lives. `around`: it was killed. */
export type CallName = "relayed" | "around";

export const CALL_TITLES: Readonly<Record<CallName, string>> = {
  relayed: "with the manager alive",
  around: "with the manager killed",
};

export type CallStepName = "seen" | "queued" | "R1" | "R2";

export interface CallStep {
  readonly name: CallStepName;
  /** Since the error was raised in the BMC. */
  readonly ms: number;
  /** Who had it then. */
  readonly at: string;
}

export interface CallEnd {
  readonly call: CallName;
  /** What the BMC logged. */
  readonly text: string;
  readonly steps: readonly CallStep[];
  readonly path: "manager" | "direct" | "peer";
  readonly ticket: string;
  /** From the error to the ticket. */
  readonly totalMs: number;
}

/** A step as the agent's ledger has it; what it does not need of it is left out. */
export interface LedgerStep {
  readonly step: string;
  readonly path: { readonly kind: CallEnd["path"]; readonly name: string } | null;
  readonly atMs: number;
  readonly ticket: string | null;
}

export interface CalledEvent {
  readonly text: string;
  readonly seenMs: number;
  readonly steps: readonly LedgerStep[];
}

/** null: it is not delivered yet. */
export function callEnd(call: CallName, raisedMs: number, event: CalledEvent): CallEnd | null {
  const end = event.steps.find(({ step }) => step === "delivered");
  if (end === undefined || end.path === null || end.ticket === null) return null;
  const { text, seenMs } = event;
  const since = (atMs: number): number => Math.max(0, Math.round(atMs - raisedMs));
  const steps: CallStep[] = [{ name: "seen", ms: since(seenMs), at: "agent" }];
  const queued = event.steps.find(({ step }) => step === "queued");
  if (queued !== undefined) steps.push({ name: "queued", ms: since(queued.atMs), at: "agent" });
  const kept = event.steps.find(({ step }) => step === "kept");
  if (kept !== undefined) steps.push({ name: "R1", ms: since(kept.atMs), at: "manager" });
  steps.push({ name: "R2", ms: since(end.atMs), at: "destination" });
  const { path, ticket, atMs } = { ...end, path: end.path.kind, ticket: end.ticket };
  return { call, text, steps, path, ticket, totalMs: since(atMs) };
}

export interface CallEvidence {
  readonly ends: readonly CallEnd[];
  /** The killed manager's pid was seen to be no more. */
  readonly isManagerGone: boolean;
  /** Whether the manager, once it was back, knew of the ticket that it had no part in. */
  readonly isReconciled: boolean;
  /** Every ticket that the destination has in the end. */
  readonly tickets: readonly string[];
}

/** T1, R2's direct way, and a second for a machine that is busy. */
const AROUND_MS_MAX = 4_500;
const RELAYED_MS_MAX = 4_500;

export function callFlaws({
  ends,
  isManagerGone,
  isReconciled,
  tickets,
}: CallEvidence): readonly string[] {
  const flaws: string[] = [];
  const byName = new Map(ends.map((end) => [end.call, end]));
  const limits = { relayed: RELAYED_MS_MAX, around: AROUND_MS_MAX } as const;
  for (const call of ["relayed", "around"] as const) {
    const end = byName.get(call);
    if (end === undefined) {
      flaws.push(`the error ${CALL_TITLES[call]} did not become a ticket`);
      continue;
    }
    if (end.totalMs > limits[call]) {
      flaws.push(`the ticket ${CALL_TITLES[call]} took ${end.totalMs} ms, at most ${limits[call]}`);
    }
  }
  const [relayed, around] = [byName.get("relayed"), byName.get("around")];
  if (relayed !== undefined && relayed.path !== "manager") {
    flaws.push(`the manager lived, and the error went ${relayed.path} all the same`);
  }
  if (around?.path === "manager") flaws.push("the error went through a manager that was dead");
  if (!isManagerGone) flaws.push("the manager was still there after SIGKILL");
  if (!isReconciled) flaws.push("the manager came back and did not learn of the second ticket");
  const wanted = ends.map(({ ticket }) => ticket).sort();
  if (JSON.stringify([...tickets].sort()) !== JSON.stringify(wanted)) {
    flaws.push(`two errors became the tickets ${tickets.join(", ") || "(none)"}`);
  }
  return flaws;
}

/** `seen 21 · queued 23 · R1 34 · R2 52`. */
export function describeSteps(steps: readonly CallStep[]): string {
  return steps.map(({ name, ms }) => `${name} ${ms}`).join(" · ");
}
