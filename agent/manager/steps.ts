/**
 * An event's way as the manager keeps it: one line of JSON a step, appended, never changed.
 *
 * Decides which steps are made from what happened. Bounded: each kind happens at most a few times to one event, and readers
 * take the first `STEPS_MAX`.
 */

import type { Hop, Receipt } from "../callhome/protocol.ts";
import type { DeliveryPath, EventStep, StepKind } from "./api.ts";

export const STEPS_MAX = 32;

function step(kind: StepKind, atMs: number, by: string | null, note: string | null): EventStep {
  return { kind, atMs: Math.round(atMs), by, note };
}

/** Seen and signed; then through whose hands it came. */
export function stepsOfTrail(
  node: string,
  signedMs: number,
  trail: readonly Hop[],
): readonly EventStep[] {
  const peers = trail.filter(({ kind }) => kind === "peer");
  return [
    step("queued", signedMs, node, null),
    ...peers.map(({ name, atMs }) => step("peer", atMs, name, "brought it to the manager")),
  ];
}

export function keptStep(manager: string, atMs: number): EventStep {
  return step("R1", atMs, manager, null);
}

export function deliveredSteps(receipt: Receipt, path: DeliveryPath | null): readonly EventStep[] {
  const { receivedMs, destination, ticket } = receipt;
  const delivered = step("R2", receivedMs, destination, `ticket ${ticket}`);
  switch (path) {
    case "direct":
      return [step("direct", receivedMs, null, "its node sent it by itself"), delivered];
    case "peer":
      return [step("peer", receivedMs, null, "another node sent it"), delivered];
    case "stand-in":
      return [step("direct", receivedMs, null, "another node read the BMC and sent it"), delivered];
    case null:
      return [
        step(
          "R2",
          receivedMs,
          destination,
          `ticket ${ticket}; it was there when the manager asked`,
        ),
      ];
    default:
      return [delivered];
  }
}

export function notRelayedStep(destination: string | null, atMs: number, why: string): EventStep {
  return step("not-relayed", atMs, destination, why);
}

export function failedStep(destination: string | null, atMs: number, why: string): EventStep {
  return step("failed", atMs, destination, why);
}

export function encodeSteps(steps: readonly EventStep[]): string {
  return steps.map((one) => `${JSON.stringify(one)}\n`).join("");
}

/** Lines that are no steps are left out: what a newer version wrote does not hide the rest. */
export function decodeSteps(text: string): readonly EventStep[] {
  const steps: EventStep[] = [];
  for (const line of text.split("\n", STEPS_MAX)) {
    if (line === "") continue;
    try {
      steps.push(JSON.parse(line) as EventStep);
    } catch {
      // See above.
    }
  }
  return steps.sort((a, b) => a.atMs - b.atMs);
}
